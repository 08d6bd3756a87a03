"""The trie of all codes that exist, in flat arrays.

Nodes are numbered breadth first and edges stand in the order of their parent node, so the edge with index `e`
leads to node `e + 1` and no array of children is needed. Knows token ids only, neither texts nor models.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROOT = 0


@dataclass(frozen=True, slots=True)
class CodeTrie:
    """A set of token sequences.

    offsets: int32 (nodes + 1,), the edges of node n are offsets[n]:offsets[n + 1];
    tokens: int32 (edges,), ascending within a node;
    final: bool (nodes,), whether the path to the node is a whole sequence.
    """

    offsets: NDArray[np.int32]
    tokens: NDArray[np.int32]
    final: NDArray[np.bool_]

    @classmethod
    def build(cls, sequences: Iterable[Sequence[int]]) -> CodeTrie:
        """Make the trie of token sequences (any order, repeats allowed); the empty sequence is left out.

        >>> trie = CodeTrie.build([(3,), (3, 5), (4, 5)])
        >>> sorted(trie)
        [(3,), (3, 5), (4, 5)]
        """
        rows = sorted({tuple(s) for s in sequences if len(s)})
        level = [(0, len(rows))]  # row ranges of the nodes of one depth
        counts, tokens, final, depth = [], [], [False], 0
        while level:
            below: list[tuple[int, int]] = []
            for start, stop in level:
                before = len(below)
                while start < stop:
                    if len(rows[start]) == depth:  # the node's own sequence sorts first
                        start += 1
                        continue
                    token, end = rows[start][depth], start + 1
                    while end < stop and rows[end][depth] == token:
                        end += 1
                    below.append((start, end))
                    tokens.append(token)
                    final.append(len(rows[start]) == depth + 1)
                    start = end
                counts.append(len(below) - before)
            level, depth = below, depth + 1
        return cls(
            np.concatenate(([0], np.cumsum(counts))).astype(np.int32),
            np.array(tokens, dtype=np.int32),
            np.array(final, dtype=np.bool_),
        )

    def children(self, node: int) -> tuple[NDArray[np.int32], int]:
        """Tokens that may follow `node`, ascending, and the node that the first of them leads to."""
        start, stop = self.offsets[node], self.offsets[node + 1]
        return self.tokens[start:stop], int(start) + 1

    def find(self, sequence: Sequence[int]) -> int | None:
        """The node that `sequence` leads to, or None."""
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
