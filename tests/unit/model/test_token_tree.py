"""What a token sees of its text's tree, by hand."""

from __future__ import annotations

import numpy as np

from gram_os.model.language_model import PROMPT
from gram_os.model.token_tree import TokenTree


def test_prompts_are_planted_without_their_padding() -> None:
    placed = TokenTree.plant(np.array([[0, 1, 1], [1, 1, 1]]))
    assert placed.nodes.tolist() == [-1, PROMPT, -2, -1, PROMPT]
    assert placed.places.tolist() == [1, 2, 3, 4, 5]
    assert placed.slots.tolist() == [[0, 0, 1], [2, 3, 4]]
    assert placed.positions.tolist() == [[0, 0, 1], [0, 1, 2]]
    assert placed.seen.astype(int).tolist() == [
        [[0, 0, 0], [0, 1, 0], [0, 1, 1]],
        [[1, 0, 0], [1, 1, 0], [1, 1, 1]],
    ]


def test_a_token_sees_its_path_and_no_neighbour() -> None:
    tree = TokenTree.plant(np.array([[0, 1], [1, 1]])).tree
    first = tree.place(np.array([0, 0, 1]), np.array([PROMPT] * 3), np.array([2, 1, 1]))
    assert first.nodes.tolist() == [1, 2, 3, 1]
    assert first.slots.tolist() == [[0, 1, 2], [3, 0, 0]]
    assert first.places.tolist() == [0, 1, 2, 3]
    assert first.positions.tolist() == [[1, 2, 1], [2, 0, 0]]
    assert first.seen[0].astype(int).tolist() == [[0, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 1, 0, 0, 1]]
    assert first.seen[1].astype(int).tolist() == [[1, 1, 1, 0, 0], [0] * 5, [0] * 5]

    second = first.tree.place(np.array([0]), np.array([2]), np.array([1]))
    assert second.nodes.tolist() == [4]
    assert second.positions.tolist() == [[3], [0]]
    assert second.seen[0].astype(int).tolist() == [[0, 1, 1, 1, 0, 1]]
