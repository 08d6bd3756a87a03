"""Which tokens stand below which in a text's tree, for the mask of a language model.

A tree holds a text's prompt and all tokens that were read after it, in slots, in the order of reading. The slots of
several texts form a grid, and some of them are free. Prompts are padded on the left, so all of them end in the same
slot. This module knows neither token ids nor models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gram_os.arrays import BoolArray, IntArray
from gram_os.model.prompts import positions as find_positions


@dataclass(frozen=True, slots=True)
class Placed:
    """Tokens that were put into trees.

    tree: the trees with them. nodes: int64 (tokens,), their nodes. places: int64 (tokens,), where they are in the
    flat grid of new slots. slots: int64 (texts, new slots), the token in each new slot. positions: int64 (texts, new
    slots), the number of tokens before it on its path, 0 for a free slot. seen: bool (texts, new slots, all slots),
    the token itself and the tokens above it.
    """

    tree: TokenTree
    nodes: IntArray
    places: IntArray
    slots: IntArray
    positions: IntArray
    seen: BoolArray


@dataclass(frozen=True, slots=True)
class TokenTree:
    """The trees of some texts.

    seen: bool (texts, slots, slots), whether the first slot's token is the second's or stands below it. root: the
    slot of the prompts' last tokens. A node is a slot counted from the root, so the prompt's end is node 0
    (`PROMPT`).
    """

    seen: BoolArray
    root: int

    @classmethod
    def plant(cls, mask: IntArray) -> Placed:
        """Begin the trees of prompts that are padded on the left. mask: int64 (texts, words), 1 for text."""
        texts, words = mask.shape
        there = mask.astype(np.bool_)
        seen = there[:, None, :] & there[:, :, None] & np.tri(words, dtype=np.bool_)
        places = np.flatnonzero(there)
        slots = np.zeros(texts * words, np.int64)
        slots[places] = np.arange(len(places))
        nodes = places % words - (words - 1)
        slots = slots.reshape(texts, words)
        return Placed(cls(seen, words - 1), nodes, places, slots, find_positions(mask), seen)

    def place(self, texts: IntArray, parents: IntArray, lengths: IntArray) -> Placed:
        """Put chains of tokens below nodes. texts, parents, lengths: int64 (chains,), as in `Chains`. Texts ascend."""
        steps = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)  # (tokens,)
        owners, below = np.repeat(texts, lengths), np.repeat(parents, lengths) + self.root
        slots = np.arange(len(owners)) - np.searchsorted(owners, owners)  # among its text's new slots
        count, new = len(self.seen), int(slots.max()) + 1
        above = self.seen[owners, below]  # (tokens, slots before)
        columns = np.arange(new)
        own = (columns <= slots[:, None]) & (columns >= (slots - steps)[:, None])  # (tokens, new slots)
        before = above.shape[1]
        seen = np.zeros((count, before + new, before + new), np.bool_)
        seen[:, :before, :before] = self.seen
        seen[owners, before + slots] = np.concatenate([above, own], axis=1)
        grid, positions = np.zeros((count, new), np.int64), np.zeros((count, new), np.int64)
        grid[owners, slots], positions[owners, slots] = np.arange(len(owners)), above.sum(1) + steps
        nodes, places = before + slots - self.root, owners * new + slots
        return Placed(TokenTree(seen, self.root), nodes, places, grid, positions, seen[:, before:])
