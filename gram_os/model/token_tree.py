"""Which tokens stand below which: a text's prompt and all that was read after it, as a language model's mask needs it.

A tree's tokens lie in slots, in the order in which they were read; the slots of several texts are a grid, some of them
free. A prompt is padded on the left, so all prompts end in the same slot. Knows neither tokens' ids nor models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gram_os.arrays import BoolArray, IntArray
from gram_os.model.prompts import positions as find_positions


@dataclass(frozen=True, slots=True)
class Placed:
    """Tokens that were put into trees.

    tree: with them; nodes, places: int64 (tokens,), their nodes, and where they stand in the flat grid of new slots; slots,
    positions: int64 (texts, new slots), which token stands there and how many stand before it on its path, 0 where none
    does; seen: bool (texts, new slots, all slots), itself and what it stands below.
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

    seen: bool (texts, slots, slots), whether a slot's token is the other one or stands below it; root: the slot of the
    prompts' last tokens. A node is a slot counted from there, so that the prompt's end is node 0 (`PROMPT`).
    """

    seen: BoolArray
    root: int

    @classmethod
    def plant(cls, mask: IntArray) -> Placed:
        """The trees of prompts that are padded on the left; mask: int64 (texts, words), 1 where there is text."""
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
        """Chains of tokens, each below a node; texts, parents, lengths: int64 (chains,), the texts ascend."""
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
