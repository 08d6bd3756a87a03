"""GRAM's two prompts for a causal LM, query -> codes and title -> codes, as token ids.

Training and serving both take them from here, so that they cannot differ. A bundle names the version that it was
trained with. Text is always read literally: a query that contains a special token or the prompt's own words changes
nothing. This module knows a tokenizer's ids, but neither models nor codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from tokenizers import Tokenizer

from gram_os.arrays import IntArray
from gram_os.text.attribute import Side

#: Raise it with every change of `_PROMPTS` or of `PromptEncoder`. A bundle of another version is refused.
PROMPTS_VERSION: Final = "1"
MAX_PROMPT_TEXT: Final = 64  # tokens of a text that are read; the first words of a title matter most


@dataclass(frozen=True, slots=True)
class _Prompt:
    """The words before and after the text. The code follows them with a space of its own."""

    before: str
    after: str


_PROMPTS: Final[Mapping[Side, _Prompt]] = MappingProxyType(
    {Side.QUERY: _Prompt("query:", "; codes:"), Side.TITLE: _Prompt("title:", "; codes:")}
)


def read_literally(tokenizer: Tokenizer) -> Tokenizer:
    """Switch off the tokenizer's padding and truncation, and its reading of special tokens in a text."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return tokenizer


class PromptEncoder:
    """Turns texts into prompts as token ids, with the tokenizer's opening token where it has one.

    The three parts are tokenised separately, so that a long text can be cut and the words around it stay whole.
    """

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = read_literally(tokenizer)
        opening = _opening(tokenizer)
        self._before = {side: [*opening, *self._plain(prompt.before)] for side, prompt in _PROMPTS.items()}
        self._after = {side: self._plain(prompt.after) for side, prompt in _PROMPTS.items()}

    def encode(self, texts: Sequence[str], side: Side) -> list[list[int]]:
        """Return the prompt of each text."""
        spaced = [f" {' '.join(text.split())}" for text in texts]
        items = self._tokenizer.encode_batch(spaced, add_special_tokens=False)
        return [[*self._before[side], *item.ids[:MAX_PROMPT_TEXT], *self._after[side]] for item in items]

    def _plain(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


def pad_left(rows: Sequence[Sequence[int]]) -> tuple[IntArray, IntArray]:
    """Pad rows of token ids on the left: ids and mask, both int64 (rows, longest row). The last place is the newest."""
    width = max(map(len, rows))
    ids, mask = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), np.int64)
    for row, values in enumerate(rows):
        ids[row, width - len(values) :] = values
        mask[row, width - len(values) :] = 1
    return ids, mask


def positions(mask: IntArray) -> IntArray:
    """Return the position of every token in its own row, int64 of the mask's shape, 0 for padding."""
    return np.asarray(np.maximum(mask.cumsum(-1) - 1, 0))


def _opening(tokenizer: Tokenizer) -> list[int]:
    """Return the special tokens that the tokenizer puts before a text, such as Llama's <s>."""
    item = tokenizer.encode("a")
    special = list(item.special_tokens_mask)
    return list(item.ids[: special.index(0)])
