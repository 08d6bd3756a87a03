"""GRAM's two prompts for a causal LM, query -> codes and title -> codes, as token ids.

Training and serving both read them here, so that they cannot drift; a bundle names the version it was trained with.
Knows a tokenizer's ids, neither models nor codes. Text is always read literally: a query that spells a special token
or the prompt's own words changes nothing.
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

#: Changes with every change of `PROMPTS` or of how `PromptEncoder` reads them; a bundle of another version is refused.
PROMPTS_VERSION: Final = "1"
MAX_PROMPT_TEXT: Final = 64  # tokens of a text that are read; what comes first in a title says most


@dataclass(frozen=True, slots=True)
class Prompt:
    """What stands before and after the text; the code follows with a space of its own."""

    before: str
    after: str


PROMPTS: Final[Mapping[Side, Prompt]] = MappingProxyType(
    {Side.QUERY: Prompt("query:", "; codes:"), Side.TITLE: Prompt("title:", "; codes:")}
)


def read_literally(tokenizer: Tokenizer) -> Tokenizer:
    """Switch off the tokenizer's own padding and truncation, and its eye for special tokens spelt out in a text."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return tokenizer


class PromptEncoder:
    """Texts -> prompts as token ids, with the tokenizer's own opening token where it has one.

    The three parts are tokenised apart, so a long text is cut without touching the words that ask for its codes.
    """

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = read_literally(tokenizer)
        opening = _opening(tokenizer)
        self._before = {side: [*opening, *self._plain(prompt.before)] for side, prompt in PROMPTS.items()}
        self._after = {side: self._plain(prompt.after) for side, prompt in PROMPTS.items()}

    def encode(self, texts: Sequence[str], side: Side) -> list[list[int]]:
        """The prompt of each text."""
        spaced = [f" {' '.join(text.split())}" for text in texts]
        items = self._tokenizer.encode_batch(spaced, add_special_tokens=False)
        return [[*self._before[side], *item.ids[:MAX_PROMPT_TEXT], *self._after[side]] for item in items]

    def _plain(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


def pad_left(rows: Sequence[Sequence[int]]) -> tuple[IntArray, IntArray]:
    """Token ids and mask, both int64 (rows, longest row); each row's last place is its newest token."""
    width = max(map(len, rows))
    ids, mask = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), np.int64)
    for row, values in enumerate(rows):
        ids[row, width - len(values) :] = values
        mask[row, width - len(values) :] = 1
    return ids, mask


def positions(mask: IntArray) -> IntArray:
    """Position of every token in its own row, int64 of the mask's shape; padding stands at 0."""
    return np.asarray(np.maximum(mask.cumsum(-1) - 1, 0))


def _opening(tokenizer: Tokenizer) -> list[int]:
    """The special tokens that the tokenizer puts before a text, such as Llama's <s>."""
    item = tokenizer.encode("a")
    special = list(item.special_tokens_mask)
    return list(item.ids[: special.index(0)])
