"""Rankings of the catalogue: fusion by hand, and the largest numbers of wide rows against `topk`."""

from __future__ import annotations

import pytest
import torch

from gram_os.train.lessons.ranking import find_largest, fuse_rankings


def test_fusion_by_hand() -> None:
    literal = torch.tensor([[3.0, 2.0, 0.0, 0.0]])
    dense = torch.tensor([[0.1, 0.9, 0.5, -0.2]])
    places, weights = fuse_rankings(literal, dense, 3)
    # product 0: 1/61 + 1/63 = .03227; product 1: 1/62 + 1/61 = .03252; product 2: 1/62 = .01613
    assert places.tolist() == [[1, 0, 2]]
    assert weights[0] == pytest.approx([1 / 5, 1 / 6, 1 / 7])


def test_what_no_ranking_has_weighs_nothing() -> None:
    places, weights = fuse_rankings(torch.tensor([[0.0, 2.0, 0.0]]), torch.tensor([[-0.5, -0.1, -0.2]]), 30)
    assert places[0][0] == 1
    assert weights[0] == pytest.approx([1 / 5, 0, 0])


@pytest.mark.parametrize("width", [40, 64 * 3, 64 * 3 + 31, 500])
def test_the_largest_of_a_wide_row_are_found_block_by_block(width: int) -> None:
    scores = torch.randn(20, width, generator=torch.Generator().manual_seed(width))
    scores[:, -1] = 9  # the largest stands where the blocks end
    values, places = find_largest(scores, 3)
    expected = scores.topk(3)
    assert torch.equal(values, expected.values)
    assert torch.equal(places, expected.indices)


def test_of_equals_the_literal_ranking_comes_first() -> None:
    places, _ = fuse_rankings(torch.tensor([[0.0, 0.0, 2.0, 1.0]]), torch.tensor([[2.0, 1.0, 0.0, 0.0]]), 4)
    # Products 2 and 0 have 1/61 each, 3 and 1 have 1/62.
    assert places.tolist() == [[2, 0, 3, 1]]
