"""The pair score by hand: each shared code adds the product of both sides' weights."""

from __future__ import annotations

import pytest

from gram_os.model.coded import ScoredCode
from gram_os.query_pipeline.scorer import CodeScore, PairScore, WeightedCode, score_pair
from gram_os.text.code import Code


def _weighted(weight: float, text: str) -> WeightedCode:
    return WeightedCode(ScoredCode(Code.parse(text), None, own=True), weight)


QUERY = [_weighted(2.0, "toner"), _weighted(0.5, "black | toner"), _weighted(3.0, "xerox")]


def test_shared_codes_count_the_product_of_both_weights() -> None:
    found = score_pair(QUERY, {"toner": 0.25, "black | toner": 4.0, "black": 9.0})
    assert found.total == 2.0 * 0.25 + 0.5 * 4.0


def test_parts_stand_largest_first_and_add_up() -> None:
    found = score_pair(QUERY, {"toner": 0.25, "black | toner": 4.0, "xerox": 0.5})
    assert found.parts == (
        CodeScore("black | toner", 0.5, 4.0),
        CodeScore("xerox", 3.0, 0.5),
        CodeScore("toner", 2.0, 0.25),
    )
    assert [part.score for part in found.parts] == [2.0, 1.5, 0.5]
    assert found.total == pytest.approx(sum(part.score for part in found.parts))


@pytest.mark.parametrize(("query", "title"), [([], {"toner": 1.0}), (QUERY, {}), (QUERY, {"laptop": 1.0})])
def test_nothing_shared_is_nothing(query: list[WeightedCode], title: dict[str, float]) -> None:
    assert score_pair(query, title) == PairScore(0, ())
