"""The live beams of a search, and the readers that get a model's probabilities for them.

`_GridReader` runs the model once for every token. `_ChainReader` also reads ahead: in one step it reads a beam's last
token and the tokens that this one forces, because the trie's nodes there have one child. The search sees one depth
after the other in both cases, so both readers give the same codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gram_os.arrays import BoolArray, DoubleArray, FloatArray, Int32Array, IntArray
from gram_os.model.language_model import PROMPT, ChainModel, Chains, LanguageModel, Step, reads_chains
from gram_os.model.trie import ROOT, CodeTrie


@dataclass(frozen=True, slots=True)
class Beams:
    """The live beams of all texts in flat arrays. The beams of a text are neighbours, best first.

    texts: int64 (beams,), the text of each beam. places: int64 (beams,), its place among its text's beams. owners:
    int64 (beams,), the beam of the depth before that it continues. nodes: int64 (beams,), its node in the trie.
    scores: float64 (beams,), ln P so far. tokens: int64 (beams, depth). log_probs: float32 (beams, depth), ln P of
    each token.
    """

    texts: IntArray
    places: IntArray
    owners: IntArray
    nodes: IntArray
    scores: DoubleArray
    tokens: IntArray
    log_probs: FloatArray

    @classmethod
    def at_root(cls, texts: int) -> Beams:
        """Return one empty beam for each text."""
        start = np.full(texts, ROOT, dtype=np.int64)
        zeros = np.zeros(texts, dtype=np.int64)
        nothing = np.zeros((texts, 0), dtype=np.int64)
        return cls(np.arange(texts), zeros, zeros, start, np.zeros(texts), nothing, nothing.astype(np.float32))


class Reader(Protocol):
    """Gives a model's log-probabilities for the beams that it read last, as natural logarithms."""

    def read(self, beams: Beams) -> None:
        """Have the model read the beams' last tokens. Their owners are the beams of the call before."""

    def ends(self, beams: IntArray) -> FloatArray:
        """Return ln P of the closing token after some beams, given by their indices: float32 (some,)."""

    def gains(self, beams: IntArray, edges: IntArray) -> FloatArray:
        """Return ln P of the token on an edge of the trie after a beam: float32 (edges,), one beam for each edge."""


def open_reader(model: LanguageModel, trie: CodeTrie, first: Step) -> Reader:
    """Open the reader of a search. `first` is the result of `model.start` for the texts."""
    if reads_chains(model):
        return _ChainReader(model, trie, first)
    return _GridReader(model, trie, first)


class _GridReader:
    """Reads one token of every beam in a step."""

    def __init__(self, model: LanguageModel, trie: CodeTrie, first: Step):
        self._model, self._trie, self._step = model, trie, first
        self._places = np.zeros(len(first.log_probs), np.int64)
        self._rows = self._places  # each beam's row of the step's log-probabilities

    def read(self, beams: Beams) -> None:
        """See `Reader.read`."""
        shape = (len(self._step.log_probs), int(beams.places.max()) + 1)
        # Free places of the grid repeat beam 0 and are never read.
        parents, tokens = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        parents[beams.texts, beams.places] = self._places[beams.owners]
        tokens[beams.texts, beams.places] = beams.tokens[:, -1]
        self._step = self._model.advance(self._step.state, parents, tokens)
        self._places, self._rows = beams.places, beams.texts * shape[1] + beams.places

    def ends(self, beams: IntArray) -> FloatArray:
        """See `Reader.ends`."""
        return self._take(beams, self._model.end)

    def gains(self, beams: IntArray, edges: IntArray) -> FloatArray:
        """See `Reader.gains`."""
        return self._take(beams, self._trie.tokens[edges])

    def _take(self, beams: IntArray, tokens: int | Int32Array) -> FloatArray:
        log_probs = self._step.log_probs
        found: FloatArray = log_probs.reshape(-1).take(self._rows[beams] * log_probs.shape[-1] + tokens)
        return found


class _ChainReader:
    """Reads a beam's last token and those that it forces in one step. Beams that were read ahead cost no step.

    For every token that was read it keeps: the token's node in the model's tree, whether the next token of its chain
    was read too, ln P of the closing token, and where the log-probabilities of the tokens that may follow start in
    `_gains`.
    """

    def __init__(self, model: ChainModel, trie: CodeTrie, first: Step):
        texts = len(first.log_probs)
        self._model, self._trie, self._state = model, trie, first.state
        # Each prompt counts as one token. Nobody asks for its probabilities here.
        self._at: IntArray = np.arange(texts)  # each beam's last token
        self._edges: IntArray = np.zeros(texts, np.int64)  # the first edge of each beam's node
        self._nodes: IntArray = np.full(texts, PROMPT, np.int64)
        self._ahead: BoolArray = np.zeros(texts, np.bool_)
        self._ends: FloatArray = np.zeros(texts, np.float32)
        self._starts: IntArray = np.zeros(texts, np.int64)
        self._gains: FloatArray = np.zeros(0, np.float32)

    def read(self, beams: Beams) -> None:
        """See `Reader.read`."""
        before = self._at[beams.owners]
        unread = np.flatnonzero(~self._ahead[before])
        at = before + 1
        if len(unread):
            at[unread] = self._read_chains(beams.texts[unread], self._nodes[before[unread]], beams.nodes[unread])
        self._at, self._edges = at, self._trie.offsets[beams.nodes].astype(np.int64)

    def ends(self, beams: IntArray) -> FloatArray:
        """See `Reader.ends`."""
        return self._ends.take(self._at[beams])

    def gains(self, beams: IntArray, edges: IntArray) -> FloatArray:
        """See `Reader.gains`."""
        places = self._starts[self._at[beams]] + edges - self._edges[beams]
        return self._gains.take(places)

    def _read_chains(self, texts: IntArray, parents: IntArray, nodes: IntArray) -> IntArray:
        """Read the tokens that lead to nodes of the trie and those forced after them. Return where chains begin."""
        trie, end = self._trie, self._model.end
        paths = trie.follow_forced(nodes)  # (chains, longest)
        inside = paths >= 0
        lengths, path = inside.sum(1), paths[inside]  # (chains,), (tokens,)
        edges, last = trie.offsets[path].astype(np.int64), np.cumsum(lengths) - 1
        counts = trie.offsets[path + 1] - edges
        forced = counts == 1  # within a chain; its last token has no child or several
        wanted = np.full((len(path), 2), end)
        wanted[forced, 0] = trie.tokens[edges[forced]]
        whole = last[counts[last] > 1]
        reading = self._model.read_chains(
            self._state,
            Chains(texts, parents, lengths, trie.tokens[path - 1].astype(np.int64), wanted, whole),
        )
        starts = np.cumsum(counts) - counts
        gains = np.empty(int(counts.sum()), np.float32)
        gains[starts[forced]] = reading.chosen[forced, 0]
        rows, kept = ranges(edges[whole], counts[whole])
        gains[ranges(starts[whole], counts[whole])[1]] = reading.log_probs[rows, trie.tokens[kept]]
        ahead = np.ones(len(path), np.bool_)
        ahead[last] = False
        known = len(self._nodes)
        self._state = reading.state
        self._starts = np.concatenate([self._starts, starts + len(self._gains)])
        self._gains = np.concatenate([self._gains, gains])
        self._nodes = np.concatenate([self._nodes, reading.nodes])
        self._ends = np.concatenate([self._ends, reading.chosen[:, 1]])
        self._ahead = np.concatenate([self._ahead, ahead])
        firsts: IntArray = known + last + 1 - lengths
        return firsts


def ranges(starts: IntArray, counts: IntArray) -> tuple[IntArray, IntArray]:
    """Return which range each number belongs to, and the numbers of all ranges, one range after the other.

    >>> owners, numbers = ranges(np.array([5, 0, 9]), np.array([2, 0, 3]))
    >>> owners.tolist(), numbers.tolist()
    ([0, 0, 2, 2, 2], [5, 6, 9, 10, 11])
    """
    owners = np.repeat(np.arange(len(counts)), counts)
    return owners, np.arange(len(owners)) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
