"""The trie: all codes that may be generated, in flat arrays.

Nodes are numbered breadth first, and edges are in the order of their parent nodes. So edge `e` leads to node `e + 1`,
and no array of children is needed. This module knows token ids only, neither texts nor models.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from gram_os.arrays import BoolArray, Int32Array, IntArray

ROOT = 0


@dataclass(frozen=True, slots=True)
class CodeTrie:
    """A set of token sequences.

    offsets: int32 (nodes + 1,), the edges of node n are offsets[n]:offsets[n + 1]. tokens: int32 (edges,), ascending
    within a node. final: bool (nodes,), whether the path to the node is a whole sequence.
    """

    offsets: Int32Array
    tokens: Int32Array
    final: BoolArray

    @classmethod
    def build(cls, sequences: Iterable[Sequence[int]]) -> CodeTrie:
        """Make the trie of token sequences, in any order, repeats allowed. The empty sequence is left out.

        >>> trie = CodeTrie.build([(3,), (3, 5), (4, 5)])
        >>> sorted(trie)
        [(3,), (3, 5), (4, 5)]
        """
        rows = [s for s in sequences if len(s)]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        flat = np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum()))
        places = np.cumsum(lengths) - lengths  # where each sequence's token of this depth is in `flat`
        ends = np.cumsum(lengths)
        span = int(flat.max(initial=0)) + 1
        parents = np.zeros(len(rows), np.int64)  # each sequence's node among those of this depth
        counts: list[IntArray] = []
        tokens: list[IntArray] = []
        final = [np.zeros(1, np.bool_)]
        while len(final[-1]):
            # Sorting by parent, then token, is the order of the nodes one level deeper.
            edges, nodes = np.unique(parents * span + flat[places], return_inverse=True)
            counts.append(np.bincount(edges // span, minlength=len(final[-1])))
            tokens.append(edges % span)
            places = places + 1
            goes_on = places < ends
            whole = np.zeros(len(edges), np.bool_)
            whole[nodes[~goes_on]] = True
            final.append(whole)
            parents, places, ends = nodes[goes_on], places[goes_on], ends[goes_on]
        return cls(
            np.concatenate(([0], np.cumsum(np.concatenate(counts)))).astype(np.int32),
            np.concatenate(tokens).astype(np.int32),
            np.concatenate(final),
        )

    def children(self, node: int) -> tuple[Int32Array, int]:
        """Return the tokens that may follow `node`, ascending, and the node that the first of them leads to."""
        start, stop = self.offsets[node], self.offsets[node + 1]
        return self.tokens[start:stop], int(start) + 1

    def follow_forced(self, nodes: IntArray) -> IntArray:
        """Return each node and the nodes that must follow it, while there is one child only: (nodes, longest), then -1.

        >>> CodeTrie.build([(3,), (3, 5, 6), (4, 5)]).follow_forced(np.array([1, 2, 4])).tolist()
        [[1, 3, 5], [2, 4, -1], [4, -1, -1]]
        """
        paths = [nodes]
        while True:
            node = paths[-1]
            start = self.offsets[node].astype(np.int64)
            only = (node >= 0) & (self.offsets[node + 1] - start == 1)
            if not only.any():
                return np.stack(paths, axis=1)
            paths.append(np.where(only, start + 1, -1))

    def find(self, sequence: Sequence[int]) -> int | None:
        """Return the node that `sequence` leads to, or None."""
        node = ROOT
        for token in sequence:
            tokens, first = self.children(node)
            at = int(np.searchsorted(tokens, token))
            if at == len(tokens) or tokens[at] != token:
                return None
            node = first + at
        return node

    def __contains__(self, sequence: Sequence[int]) -> bool:
        """Whether the whole sequence is in the set."""
        node = self.find(sequence)
        return node is not None and bool(self.final[node])

    def __len__(self) -> int:
        """The number of sequences."""
        return int(self.final.sum())

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        """All sequences, depth first."""
        stack: list[tuple[int, tuple[int, ...]]] = [(ROOT, ())]
        while stack:
            node, path = stack.pop()
            if self.final[node]:
                yield path
            tokens, first = self.children(node)
            stack += [(first + i, (*path, int(t))) for i, t in reversed(list(enumerate(tokens)))]
