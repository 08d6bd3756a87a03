"""A small stand-in for a language model: a table that is drawn at random from a seed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gram_os.arrays import FloatArray, IntArray
from gram_os.model.decode import Step
from gram_os.text.attribute import Side

Prefix = tuple[int, ...]


@dataclass(slots=True)
class _State:
    side: Side
    texts: Sequence[str]
    prefixes: list[list[Prefix]]  # one list of beams a text


@dataclass(slots=True)
class TableModel:
    """A `LanguageModel` of `values` tokens and the closing one. Its distributions depend on text, side and prefix.

    `sharpness` is the scale of the random logits. `steps` records (beams, length) of every answer: tests count it.
    """

    values: int
    seed: int = 0
    sharpness: float = 2.0
    steps: list[tuple[int, int]] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.values

    def next_log_probs(self, text: str, side: Side, prefix: Prefix) -> FloatArray:
        """Return log P(next token | text, side, prefix), float32 (values + 1,)."""
        key = zlib.crc32(repr((self.seed, text, side.value, prefix)).encode())
        logits = self.sharpness * np.random.default_rng(key).normal(size=self.values + 1)
        normalised: FloatArray = (logits - np.log(np.exp(logits).sum())).astype(np.float32)
        return normalised

    def log_probs(self, text: str, side: Side, tokens: Prefix) -> tuple[float, ...]:
        """Return the natural log-probabilities of the tokens and of the closing token after them."""
        whole = (*tokens, self.end)
        return tuple(float(self.next_log_probs(text, side, whole[:at])[t]) for at, t in enumerate(whole))

    def start(self, texts: Sequence[str], side: Side) -> Step:
        return self._answer(_State(side, texts, [[()] for _ in texts]))

    def advance(self, state: object, parents: IntArray, tokens: IntArray) -> Step:
        assert isinstance(state, _State)
        assert parents.shape == tokens.shape
        assert len(parents) == len(state.texts)
        prefixes = [
            [(*beams[parent], int(token)) for parent, token in zip(owners, chosen, strict=True)]
            for beams, owners, chosen in zip(state.prefixes, parents, tokens, strict=True)
        ]
        return self._answer(_State(state.side, state.texts, prefixes))

    def _answer(self, state: _State) -> Step:
        self.steps.append((len(state.prefixes[0]), len(state.prefixes[0][0])) if state.prefixes else (0, 0))
        rows: list[FloatArray] = [
            np.stack([self.next_log_probs(text, state.side, prefix) for prefix in beams])
            for text, beams in zip(state.texts, state.prefixes, strict=True)
        ]
        return Step(np.stack(rows), state)  # (texts, beams, values + 1)
