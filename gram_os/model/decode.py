"""Constrained beam search: the codes that a language model finds best for a text, among the codes that exist.

The search sees every backbone as a `LanguageModel`: log-probabilities of the next token for a grid of beams. It knows
tokens, but neither texts nor runtimes. A beam that no code continues is dropped. It never gets tokens that the trie
does not allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from gram_os.arrays import BoolArray, DoubleArray, FloatArray, IntArray
from gram_os.model.beams import Beams, Reader, open_reader, ranges
from gram_os.model.language_model import PROMPT, ChainModel, Chains, LanguageModel, Step, reads_chains
from gram_os.model.trie import ROOT, CodeTrie

__all__ = [
    "FloatArray",
    "Generated",
    "IntArray",
    "LanguageModel",
    "Step",
    "beam_search",
    "likeliest_tokens",
    "score_sequences",
]


@dataclass(frozen=True, slots=True)
class Generated:
    """A generated token sequence.

    tokens: without the closing token. log_probs: natural logarithms, one for each token and one for the closing
    token, so `len(log_probs) == len(tokens) + 1`.
    """

    tokens: tuple[int, ...]
    log_probs: tuple[float, ...]

    @property
    def score(self) -> float:
        """The natural logarithm of P(sequence | text, side)."""
        return float(sum(self.log_probs))


@dataclass(frozen=True, slots=True)
class _Closed:
    """Whole codes of one length. Arrays as in `Beams`; log_probs includes the closing token."""

    texts: IntArray
    scores: DoubleArray
    tokens: IntArray
    log_probs: FloatArray


@dataclass(frozen=True, slots=True)
class _Continuations:
    """The tokens that may follow the beams, text by text.

    owners: int64 (continuations,), the beam that continues. edges: int64 (continuations,), the trie's edge. gains:
    float32 (continuations,), ln P of the edge's token.
    """

    owners: IntArray
    edges: IntArray
    gains: FloatArray


def beam_search(model: LanguageModel, trie: CodeTrie, first: Step, *, width: int = 10) -> list[list[Generated]]:
    """Return the `width` most probable codes of each text that a beam of that width finds, best first.

    `first` is the result of `model.start` for the texts. A text gets fewer codes when the trie holds fewer.
    Probabilities are over the model's whole vocabulary; the trie only decides which tokens may be chosen. For equal
    scores, smaller tokens come first in the results, and the smaller node stays in the beam.
    """
    texts = len(first.log_probs)
    reader, closed = open_reader(model, trie, first), list[_Closed]()
    best = np.full((texts, width), -np.inf)  # scores of each text's best closed beams, ascending
    beams = _choose(Beams.at_root(texts), _follow_roots(first.log_probs, trie, width), trie, best[:, 0], width)
    while len(beams.texts):
        reader.read(beams)
        whole = trie.final[beams.nodes].nonzero()[0]
        if len(whole):
            closed.append(_close(beams, whole, reader.ends(whole)))
            best = _merge_scores(best, closed[-1])
        beams = _choose(beams, _follow(beams, reader, trie), trie, best[:, 0], width)
    return _collect(closed, best[:, 0], width)


def _close(beams: Beams, whole: IntArray, ends: FloatArray) -> _Closed:
    """Close the beams that are whole codes. ends: float32 (whole,), ln P of their closing tokens."""
    return _Closed(
        beams.texts[whole],
        beams.scores[whole] + ends,
        beams.tokens[whole],
        np.concatenate([beams.log_probs[whole], ends[:, None]], axis=1),
    )


def _merge_scores(best: DoubleArray, closed: _Closed) -> DoubleArray:
    """Return each text's best scores with those of `closed` merged in: float64 (texts, width), ascending."""
    places = _ranks(closed.texts)
    added = np.full((len(best), int(places.max()) + 1), -np.inf)
    added[closed.texts, places] = closed.scores
    merged: DoubleArray = np.sort(np.concatenate([best, added], axis=1), axis=1)
    return merged[:, -best.shape[1] :]


def _choose(beams: Beams, found: _Continuations, trie: CodeTrie, floors: DoubleArray, width: int) -> Beams:
    """Choose the best `width` continuations of each text's beams that can still enter its results.

    floors: float64 (texts,), the score that a text's result must exceed.
    """
    owners, edges, gains = found.owners, found.edges, found.gains
    totals = beams.scores[owners] + gains
    texts = beams.texts[owners]
    # A continuation only loses probability. So it is out when it is no better than the worst of a full result.
    kept = (totals > floors[texts]).nonzero()[0]
    if len(kept) > width:
        kept = kept[_among_best(totals[kept], texts[kept], width)]
    kept = kept[np.lexsort((edges[kept], -totals[kept], texts[kept]))]
    places = _ranks(texts[kept])
    if len(kept) > width:
        kept, places = kept[places < width], places[places < width]
    chosen = owners[kept]
    return Beams(
        texts[kept],
        places,
        chosen,
        edges[kept] + 1,
        totals[kept],
        np.concatenate([beams.tokens[chosen], trie.tokens[edges[kept], None]], axis=1),
        np.concatenate([beams.log_probs[chosen], gains[kept, None]], axis=1),
    )


def _follow(beams: Beams, reader: Reader, trie: CodeTrie) -> _Continuations:
    """Return all continuations of the beams."""
    starts = trie.offsets[beams.nodes].astype(np.int64)
    owners, edges = ranges(starts, trie.offsets[beams.nodes + 1] - starts)
    return _Continuations(owners, edges, reader.gains(owners, edges))


def _follow_roots(log_probs: FloatArray, trie: CodeTrie, width: int) -> _Continuations:
    """Return the best `width` first tokens of each text, and those that are no worse than the last of them.

    Thousands of tokens may come first, so they are cut before any other work.
    """
    tokens, _ = trie.children(ROOT)
    gains = log_probs[:, 0, tokens]  # (texts, first tokens)
    spare = len(tokens) - width
    if spare <= 0:
        owners, edges = np.indices(gains.shape).reshape(2, -1)
    else:
        owners, edges = np.nonzero(gains >= np.partition(gains, spare, axis=1)[:, spare, None])
    return _Continuations(owners, edges, gains[owners, edges])


def _among_best(scores: DoubleArray, texts: IntArray, width: int) -> BoolArray:
    """Say for each score whether it is no worse than its text's `width`-th best; `texts` ascend."""
    kept = np.ones(len(scores), dtype=np.bool_)
    stop = 0
    for count in np.bincount(texts).tolist():
        start, stop = stop, stop + count
        if count > width:
            part = scores[start:stop]
            kept[start:stop] = part >= np.partition(part, count - width)[count - width]
    return kept


def _ranks(texts: IntArray) -> IntArray:
    """Return how many equal entries come before each entry; `texts` ascend.

    >>> _ranks(np.array([0, 0, 2, 2, 2])).tolist()
    [0, 1, 0, 1, 2]
    """
    ranks: IntArray = np.arange(len(texts)) - np.searchsorted(texts, texts)
    return ranks


def _collect(closed: Sequence[_Closed], floors: DoubleArray, width: int) -> list[list[Generated]]:
    """Return the best `width` closed beams of each text; only these become objects. floors: their least scores."""
    found: list[list[tuple[float, Generated]]] = [[] for _ in floors]
    for part in closed:
        kept = np.flatnonzero(part.scores >= floors[part.texts])
        columns = (part.texts, part.scores, part.tokens, part.log_probs)
        for text, score, tokens, log_probs in zip(*(c[kept].tolist() for c in columns), strict=True):
            found[text].append((score, Generated(tuple(tokens), tuple(log_probs))))
    for row in found:
        row.sort(key=lambda item: (-item[0], item[1].tokens))
    return [[generated for _, generated in row[:width]] for row in found]


def likeliest_tokens(first: Step, trie: CodeTrie, width: int) -> tuple[IntArray, FloatArray]:
    """Return each text's `width` likeliest codes of one token, best first, and their natural log-probabilities.

    Both arrays are (texts, width), narrower when there are fewer such codes. `first` is the result of `model.start`, so
    they cost no further step of the model. A wider beam would.
    """
    tokens, node = trie.children(ROOT)
    whole: IntArray = tokens[trie.final[node : node + len(tokens)]].astype(np.int64)
    width = min(width, len(whole))
    if not width:
        nothing = np.zeros((len(first.log_probs), 0), np.int64)
        return nothing, nothing.astype(np.float32)
    log_probs: FloatArray = first.log_probs[:, 0, whole]
    best = np.argpartition(-log_probs, width - 1, axis=1)[:, :width]
    found = np.take_along_axis(log_probs, best, axis=1)
    order = np.lexsort((best, -found), axis=1)
    return whole[np.take_along_axis(best, order, axis=1)], np.take_along_axis(found, order, axis=1)


def score_sequences(
    model: LanguageModel, first: Step, sequences: Sequence[Sequence[Sequence[int]]]
) -> list[list[tuple[float, ...]]]:
    """Return the natural log-probabilities of the tokens of given sequences, without the closing token.

    sequences: one list for each text. first: the result of `model.start` for the texts. Sequences of one token need no
    further step.
    """
    if reads_chains(model):
        return _score_chains(model, first, sequences)
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


def _score_chains(
    model: ChainModel, first: Step, sequences: Sequence[Sequence[Sequence[int]]]
) -> list[list[tuple[float, ...]]]:
    """`score_sequences` in one step: a chain is a sequence without its last token, and each token scores the next."""
    longer = [(text, s) for text, wanted in enumerate(sequences) for s in wanted if len(s) > 1]
    chosen: list[float] = []
    if longer:
        texts = np.array([text for text, _ in longer])
        lengths = np.array([len(s) - 1 for _, s in longer])
        tokens = np.array([token for _, s in longer for token in s[:-1]])
        wanted = np.array([[token] for _, s in longer for token in s[1:]])
        chains = Chains(texts, np.full_like(texts, PROMPT), lengths, tokens, wanted, np.zeros(0, np.int64))
        chosen = model.read_chains(first.state, chains).chosen[:, 0].tolist()
    following = iter(chosen)
    return [
        [(float(first.log_probs[text, 0, s[0]]), *islice(following, len(s) - 1)) for s in wanted]
        for text, wanted in enumerate(sequences)
    ]
