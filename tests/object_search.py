"""A beam search text by text, with one Python object for each beam: the slow reference of `gram_os.model.decode`.

The tests demand the same results, the same log-probabilities and the same order of equals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gram_os.arrays import FloatArray, IntArray
from gram_os.model.decode import Generated, LanguageModel, Step
from gram_os.model.trie import ROOT, CodeTrie


@dataclass(slots=True)
class _Beam:
    score: float
    node: int
    tokens: tuple[int, ...]
    log_probs: tuple[float, ...]
    parent: int


def object_beam_search(model: LanguageModel, trie: CodeTrie, first: Step, *, width: int = 10) -> list[list[Generated]]:
    """Return the `width` most probable codes of each text that a beam of that width finds, best first.

    `first` is the answer of `model.start` for the texts. A text gets fewer codes when the trie has fewer. Probabilities
    are the model's own, over its whole vocabulary. The trie only restricts the choice.
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
    """Add the beams that are whole codes to `finished`, and keep the best `width`."""
    for at, beam in enumerate(alive):
        if trie.final[beam.node]:
            finished.append(Generated(beam.tokens, (*beam.log_probs, float(log_probs[at, end]))))
    finished.sort(key=lambda g: (-g.score, g.tokens))
    del finished[width:]


def _expand(
    alive: list[_Beam], log_probs: FloatArray, trie: CodeTrie, finished: list[Generated], width: int
) -> list[_Beam]:
    """Return the best `width` continuations of one text's beams, without those that cannot enter its results."""
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
    # A continuation only loses probability: once the result is full, it must be better than the worst result.
    floor = finished[-1].score if len(finished) == width else -np.inf
    kept = np.flatnonzero(totals > floor)
    kept = kept[np.lexsort((nodes[kept], -totals[kept]))][:width]
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
    """Return parents and last tokens, int64 (texts, widest). Free places repeat beam 0 and are never read."""
    parents = np.zeros((len(beams), widest), dtype=np.int64)
    tokens = np.zeros((len(beams), widest), dtype=np.int64)
    for row, alive in enumerate(beams):
        for at, beam in enumerate(alive):
            parents[row, at], tokens[row, at] = beam.parent, beam.tokens[-1]
    return parents, tokens
