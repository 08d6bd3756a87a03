"""Constrained beam search: the best codes of a text under a language model, out of the codes that exist.

The search sees a model through `LanguageModel`, whatever its backbone: log-probabilities of the next token for a
grid of beams. It knows tokens, not texts and not runtimes. Beams that no code continues are dropped, never filled
with tokens that the trie does not allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gram_os.attribute import Side
from gram_os.trie import ROOT, CodeTrie

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Step:
    """What a model says after the tokens so far.

    log_probs: float32 (texts, beams, vocabulary), natural logarithm, of the next token;
    state: whatever the model needs to go on (encoder output, KV cache); opaque to the search.
    """

    log_probs: FloatArray
    state: object


class LanguageModel(Protocol):
    """A generator's backbone: log P(next token | text, side, tokens so far)."""

    @property
    def end(self) -> int:
        """The token that closes a code."""

    def start(self, texts: Sequence[str], side: Side) -> Step:
        """Read the texts; log-probabilities of the first token, with one beam a text."""

    def advance(self, state: object, parents: IntArray, tokens: IntArray) -> Step:
        """Append one token to each beam.

        parents, tokens: int64 (texts, beams); `parents` says which beam of the step before is continued.
        """


@dataclass(frozen=True, slots=True)
class Generated:
    """A generated token sequence.

    tokens: without the closing one; log_probs: natural logarithm, one a token and one for the closing one, so
    `len(log_probs) == len(tokens) + 1`.
    """

    tokens: tuple[int, ...]
    log_probs: tuple[float, ...]

    @property
    def score(self) -> float:
        """Log P(sequence | text, side)."""
        return float(sum(self.log_probs))


@dataclass(slots=True)
class _Beam:
    score: float
    node: int
    tokens: tuple[int, ...]
    log_probs: tuple[float, ...]
    parent: int


def beam_search(
    model: LanguageModel, trie: CodeTrie, first: Step, *, width: int = 10
) -> list[list[Generated]]:
    """The `width` most probable codes of each text that a beam of that width finds, best first.

    `first` is what `model.start` answered for the texts. A text gets fewer codes when the trie holds fewer.
    Probabilities are the model's own, over its whole vocabulary; the trie only says what may be chosen.
    """
    step = first
    texts = range(len(first.log_probs))
    beams = [[_Beam(0.0, ROOT, (), (), 0)] for _ in texts]
    finished: list[list[Generated]] = [[] for _ in texts]
    while True:
        for row, alive in enumerate(beams):
            _finish(alive, step.log_probs[row], model.end, trie, finished[row], width)
            beams[row] = _expand(alive, step.log_probs[row], trie, finished[row], width)
        widest = max(map(len, beams), default=0)
        if not widest:
            return finished
        parents, tokens = _grid(beams, widest)
        step = model.advance(step.state, parents, tokens)


def _finish(
    alive: list[_Beam], log_probs: FloatArray, end: int, trie: CodeTrie, finished: list[Generated], width: int
) -> None:
    """Close the beams that are whole codes; keep the best `width`."""
    for at, beam in enumerate(alive):
        if trie.final[beam.node]:
            finished.append(Generated(beam.tokens, (*beam.log_probs, float(log_probs[at, end]))))
    finished.sort(key=lambda g: (-g.score, g.tokens))
    del finished[width:]


def _expand(
    alive: list[_Beam], log_probs: FloatArray, trie: CodeTrie, finished: list[Generated], width: int
) -> list[_Beam]:
    """The best `width` continuations of one text's beams, without those that can no longer enter its results."""
    if not alive:
        return []
    spans = [trie.children(beam.node) for beam in alive]
    owners = np.repeat(np.arange(len(alive)), [len(tokens) for tokens, _ in spans])
    if not len(owners):
        return []
    tokens = np.concatenate([tokens for tokens, _ in spans])
    nodes = np.concatenate([np.arange(first, first + len(tokens)) for tokens, first in spans])
    gains = log_probs[owners, tokens]
    totals = np.array([beam.score for beam in alive])[owners] + gains
    # A continuation only loses probability: what is no better than the worst of a full result is out.
    floor = finished[-1].score if len(finished) == width else -np.inf
    kept = np.flatnonzero(totals > floor)
    if len(kept) > width:
        kept = kept[np.argpartition(-totals[kept], width - 1)[:width]]
    kept = kept[np.lexsort((nodes[kept], -totals[kept]))]
    return [
        _Beam(
            float(totals[i]),
            int(nodes[i]),
            (*alive[owners[i]].tokens, int(tokens[i])),
            (*alive[owners[i]].log_probs, float(gains[i])),
            int(owners[i]),
        )
        for i in kept
    ]


def _grid(beams: list[list[_Beam]], widest: int) -> tuple[IntArray, IntArray]:
    """Parents and last tokens as (texts, widest); the free places repeat beam 0 and are never read."""
    parents = np.zeros((len(beams), widest), dtype=np.int64)
    tokens = np.zeros((len(beams), widest), dtype=np.int64)
    for row, alive in enumerate(beams):
        for at, beam in enumerate(alive):
            parents[row, at], tokens[row, at] = beam.parent, beam.tokens[-1]
    return parents, tokens


def likeliest_tokens(first: Step, trie: CodeTrie, width: int) -> tuple[IntArray, FloatArray]:
    """The `width` likeliest codes of one token of each text, best first, and their natural log-probabilities.

    Both are (texts, width), or as wide as there are such codes. `first` is what `model.start` answered: unlike a wider beam,
    they cost no step of the model.
    """
    tokens, node = trie.children(ROOT)
    whole: IntArray = tokens[trie.final[node : node + len(tokens)]].astype(np.int64)
    log_probs: FloatArray = first.log_probs[:, 0, whole]
    width = min(width, len(whole))
    best = np.argpartition(-log_probs, max(0, width - 1), axis=1)[:, :width]
    found = np.take_along_axis(log_probs, best, axis=1)
    order = np.lexsort((best, -found), axis=1)
    return whole[np.take_along_axis(best, order, axis=1)], np.take_along_axis(found, order, axis=1)


def score_sequences(
    model: LanguageModel, first: Step, sequences: Sequence[Sequence[Sequence[int]]]
) -> list[list[tuple[float, ...]]]:
    """Natural log-probabilities of the tokens of given sequences, the closing token left out.

    `sequences` holds one list a text; `first` is what `model.start` answered for the texts. Sequences of one token cost
    nothing more.
    """
    found: list[list[list[float]]] = [
        [[float(first.log_probs[row, 0, s[0]])] for s in wanted] for row, wanted in enumerate(sequences)
    ]
    step, depth = first, 1
    places = [[0] * len(wanted) for wanted in sequences]  # where each sequence's beam was in the step before
    while any(len(s) > depth for wanted in sequences for s in wanted):
        alive = [[at for at, s in enumerate(wanted) if len(s) > depth] for wanted in sequences]
        widest = max(map(len, alive))
        parents = np.zeros((len(sequences), widest), dtype=np.int64)
        tokens = np.zeros((len(sequences), widest), dtype=np.int64)
        for row, kept in enumerate(alive):
            for beam, at in enumerate(kept):
                parents[row, beam], tokens[row, beam] = places[row][at], sequences[row][at][depth - 1]
                places[row][at] = beam
        step = model.advance(step.state, parents, tokens)
        for row, kept in enumerate(alive):
            for beam, at in enumerate(kept):
                found[row][at].append(float(step.log_probs[row, beam, sequences[row][at][depth]]))
        depth += 1
    return [[tuple(log_probs) for log_probs in row] for row in found]
