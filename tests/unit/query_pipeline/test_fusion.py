"""Fusion of branches by hand."""

from __future__ import annotations

import pytest

from gram_os.query_pipeline.fusion import fuse_scores


def test_a_branch_that_found_all_it_can_counts_by_the_share_of_its_best() -> None:
    gram, bm25 = {"a": 8.0, "b": 6.0, "c": 2.0}, {"b": 20.0, "d": 10.0, "c": 5.0}
    assert fuse_scores([gram, bm25], [1.0, 0.5]) == pytest.approx(
        {"b": 6 / 8 + 0.5 * 20 / 20, "a": 1.0, "c": 2 / 8 + 0.5 * 5 / 20, "d": 0.5 * 10 / 20}
    )
    assert list(fuse_scores([gram, bm25], [1.0, 0.5])) == ["b", "a", "c", "d"]


def test_a_full_window_counts_from_its_last_hit() -> None:
    gram, bm25 = {"a": 8.0, "b": 6.0, "c": 4.0}, {"b": 20.0, "d": 10.0}
    assert fuse_scores([gram, bm25], [1.0, 0.5], window=3) == pytest.approx(
        {"a": 1.0, "b": 2 / 4 + 0.5, "c": 0.0, "d": 0.5 * 10 / 20}
    )


def test_hits_behind_the_window_keep_their_order_and_stand_no_higher_than_what_is_lacking() -> None:
    gram, bm25 = {"a": 8.0, "b": 6.0, "c": 5.0, "d": 3.0}, {"e": 7.0}
    found = fuse_scores([gram, bm25], [1.0, 0.1], window=2)
    assert list(found) == ["a", "b", "c", "e", "d"]
    assert found == pytest.approx({"a": 1.0, "b": 0.0, "c": -0.5, "d": -1.5, "e": -1.5 + 0.1})


def test_a_window_of_equal_scores_is_all_best() -> None:
    assert fuse_scores([{"a": 2.0, "b": 2.0}, {}], [1, 1], window=2) == {"a": 1.0, "b": 1.0}


def test_scale_of_a_branch_does_not_matter() -> None:
    gram, bm25 = {"a": 8.0, "b": 6.0}, {"b": 20.0, "c": 10.0}
    scaled = {product: score * 1000 for product, score in bm25.items()}
    assert fuse_scores([gram, scaled], [1, 1]) == pytest.approx(fuse_scores([gram, bm25], [1, 1]))


def test_equal_scores_stand_by_id_whatever_the_order_they_came_in() -> None:
    assert list(fuse_scores([{"c": 1.0, "b": 1.0, "a": 1.0}, {}], [1, 1])) == ["a", "b", "c"]


@pytest.mark.parametrize("nothing", [{}, {"x": 0.0}, {"x": -1.0}])
def test_branch_without_a_positive_score_adds_nothing(nothing: dict[str, float]) -> None:
    assert fuse_scores([{"a": 2.0}, nothing], [1, 1]) == {"a": 1.0, **dict.fromkeys(nothing, 0.0)}


def test_weight_nought_keeps_the_products_but_not_their_order() -> None:
    assert fuse_scores([{"a": 1.0, "b": 3.0}, {"a": 9.0, "c": 1.0}], [1, 0]) == {
        "b": 1.0,
        "a": 1 / 3,
        "c": 0.0,
    }


def test_no_branches() -> None:
    assert fuse_scores([], []) == {}
    assert fuse_scores([{}, {}], [1, 1]) == {}
