"""The flat trie against a Python set of tuples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gram_os.model.trie import ROOT, CodeTrie

sequences = st.lists(st.integers(0, 6), max_size=5).map(tuple)
sequence_lists = st.lists(sequences, max_size=40)


@settings(deadline=None, max_examples=100)
@given(sequence_lists, sequence_lists)
def test_it_is_the_set_of_its_sequences(inside: list[tuple[int, ...]], others: list[tuple[int, ...]]) -> None:
    expected = {s for s in inside if s}
    trie = CodeTrie.build(inside)
    assert list(trie) == sorted(expected)
    assert len(trie) == len(expected)
    for sequence in [*inside, *others]:
        assert (sequence in trie) == (sequence in expected)


@settings(deadline=None, max_examples=100)
@given(sequence_lists, sequence_lists)
def test_find_leads_to_every_prefix_and_to_nothing_else(
    inside: list[tuple[int, ...]], others: list[tuple[int, ...]]
) -> None:
    trie = CodeTrie.build(inside)
    prefixes = {s[:n] for s in inside for n in range(len(s) + 1)} | {()}
    nodes = {prefix: trie.find(prefix) for prefix in prefixes}
    assert None not in nodes.values()
    assert sorted(n for n in nodes.values() if n is not None) == list(range(len(prefixes)))
    assert nodes[()] == ROOT
    for other in others:
        assert (trie.find(other) is None) == (other not in prefixes)


@settings(deadline=None, max_examples=100)
@given(sequence_lists)
def test_edge_e_leads_to_node_e_plus_one(inside: list[tuple[int, ...]]) -> None:
    trie = CodeTrie.build(inside)
    nodes = len(trie.final)
    assert len(trie.offsets) == nodes + 1
    assert len(trie.tokens) == nodes - 1 == trie.offsets[-1]
    assert trie.offsets[0] == 0
    assert (np.diff(trie.offsets) >= 0).all()
    assert not trie.final[ROOT]
    # Depth first walk by the rule alone: every node but the root is reached exactly once, by the edge before it.
    reached = []
    for node in range(nodes):
        tokens, first = trie.children(node)
        assert (np.diff(tokens) > 0).all()
        assert first == trie.offsets[node] + 1
        children = list(range(first, first + len(tokens)))
        assert all(child > node for child in children)
        reached += children
        if not children:
            assert trie.final[node] or node == ROOT
    assert reached == list(range(1, nodes))


def test_arrays_are_as_small_as_documented() -> None:
    trie = CodeTrie.build([(3,), (3, 5), (4, 5)])
    # Nodes: root, 3, 4, 3-5, 4-5; edges in the order of their parents.
    assert trie.offsets.tolist() == [0, 2, 3, 4, 4, 4]
    assert trie.tokens.tolist() == [3, 4, 5, 5]
    assert trie.final.tolist() == [False, True, False, True, True]
    assert [str(a.dtype) for a in (trie.offsets, trie.tokens, trie.final)] == ["int32", "int32", "bool"]


@pytest.mark.parametrize("nothing", [[], [()]])
def test_an_empty_trie_holds_nothing(nothing: list[tuple[int, ...]]) -> None:
    trie = CodeTrie.build(nothing)
    assert len(trie) == 0
    assert list(trie) == []
    assert () not in trie
    assert (0,) not in trie
    assert trie.find(()) == ROOT


def test_deep_sequences_need_no_recursion() -> None:
    long = tuple(range(5000))
    trie = CodeTrie.build([long, long[:10]])
    assert long in trie
    assert list(trie) == [long[:10], long]
