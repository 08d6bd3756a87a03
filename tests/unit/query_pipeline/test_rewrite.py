"""A query before the cluster sees it: its text, its codes' weights, its clause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from gram_os.cluster.dsl import HAND_WRITTEN, build_search
from gram_os.model.generator import ScoredCode
from gram_os.query_pipeline.rewrite import (
    MAX_CLAUSES,
    MAX_QUERY_CHARACTERS,
    build_clause,
    clean_query,
    fold_query,
    rewrite_query,
    weigh_codes,
)
from gram_os.query_pipeline.scorer import WeightedCode
from gram_os.text.code import Code

FIELDS: dict[str, Any] = {"codes_field": "gram_v1.codes", "weights_field": "gram_v1.weights"}


def _scored(text: str, weight: float = 1.0) -> ScoredCode:
    return ScoredCode(Code.parse(text), None, own=True, weight=weight)


def _texts(codes: Sequence[WeightedCode]) -> list[str]:
    return [str(weighted.code.code) for weighted in codes]


def test_a_weight_is_the_querys_times_idf_to_the_exponent() -> None:
    codes = [_scored("toner", 3.0), _scored("black | xerox", 0.5)]
    found = weigh_codes(codes, [4.0, 9.0], idf_exponent=0.5)
    assert [(w.code, w.weight) for w in found] == [(codes[0], 3.0 * 2.0), (codes[1], 0.5 * 3.0)]


def test_the_heaviest_code_comes_first_and_equal_ones_keep_their_order() -> None:
    codes = [_scored(text) for text in ("a", "b", "c", "d")]
    assert _texts(weigh_codes(codes, [1.0, 5.0, 1.0, 2.0])) == ["b", "d", "a", "c"]


def test_codes_without_documents_or_weight_are_left_out() -> None:
    codes = [_scored("a"), _scored("b", 0.0), _scored("c")]
    assert _texts(weigh_codes(codes, [0.0, 2.0, 2.0])) == ["c"]
    assert weigh_codes([], []) == ()


def test_each_code_needs_its_idf() -> None:
    with pytest.raises(ValueError, match="shorter"):
        weigh_codes([_scored("a"), _scored("b")], [1.0])


def test_the_lightest_codes_above_the_limit_of_clauses_are_left_out() -> None:
    codes = [_scored(f"v{place}") for place in range(MAX_CLAUSES + 5)]
    idf = [float(place + 1) for place in range(MAX_CLAUSES + 5)]
    found = weigh_codes(codes, idf)
    assert len(found) == MAX_CLAUSES
    assert found[-1].weight == 6.0  # 5 lighter ones are out


def test_a_clause_adds_up_weights_and_finds_codes_without_weights() -> None:
    clause = build_clause([WeightedCode(_scored("toner"), 2.5), WeightedCode(_scored("3.5 mm"), 0.125)], **FIELDS)
    assert clause == {
        "bool": {
            "should": [
                {"rank_feature": {"field": "gram_v1.weights.toner", "linear": {}, "boost": 2.5}},
                {"rank_feature": {"field": "gram_v1.weights.3·5 mm", "linear": {}, "boost": 0.125}},
                {"terms": {"gram_v1.codes": ["toner", "3.5 mm"], "boost": HAND_WRITTEN}},
            ],
            "minimum_should_match": 1,
        }
    }


def test_rewriting_is_weighing_and_building() -> None:
    codes, idf = [_scored("toner", 2.0), _scored("xerox"), _scored("zebra")], [1.5, 4.0, 0.0]
    found = rewrite_query(codes, idf, idf_exponent=0.5, **FIELDS)
    assert found == build_clause(weigh_codes(codes, idf, idf_exponent=0.5), **FIELDS)
    assert "zebra" not in str(found)


@pytest.mark.parametrize("codes", [[], [_scored("zebra")]])
def test_a_query_whose_codes_the_index_does_not_hold_matches_nothing(codes: list[ScoredCode]) -> None:
    assert rewrite_query(codes, [0.0] * len(codes), **FIELDS) == {"match_none": {}}


def test_the_clause_stands_in_any_search_body() -> None:
    clause = rewrite_query([_scored("toner")], [1.0], **FIELDS)
    body = build_search({"bool": {"should": [clause, {"match": {"title": "toner"}}]}}, 10)
    assert body["query"]["bool"]["should"][0] == clause


@pytest.mark.parametrize(
    ("text", "cleaned", "normalised"),
    [
        ("  HP  Toner\t", "HP Toner", "hp toner"),
        ("\u3000\n", "", ""),
        ("toner \udcff", "toner ?", "toner \udcff"),
        ("É", "É", "é"),
    ],
)
def test_texts_of_queries(text: str, cleaned: str, normalised: str) -> None:
    assert clean_query(text) == cleaned
    assert fold_query(text) == normalised


def test_a_long_query_is_cut_after_its_spaces_are_counted_once() -> None:
    assert clean_query("a  " * 5000) == ("a " * 5000)[:MAX_QUERY_CHARACTERS]
