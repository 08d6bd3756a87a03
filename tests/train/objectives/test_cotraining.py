"""Which new codes co-training lets in, on a catalogue of six products and a relevance model that is a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from gram_os.arrays import FloatArray
from gram_os.errors import InputError
from gram_os.text.dictionary import Tokens
from gram_os.train.lessons.clicks import Feedback, Pair
from gram_os.train.lessons.code_report import measure_drift
from gram_os.train.lessons.targets import Target
from gram_os.train.objectives.cotraining import (
    CotrainingSettings,
    NewTargets,
    _divide_fairly,
    select_new_codes,
)

IDS = ["a", "b", "c", "d", "e", "f"]
#: Product a holds codes 1, 2 and (1, 2), and so on; nobody holds code 9.
TITLES: list[list[Tokens]] = [
    [(1,), (2,), (1, 2)],
    [(1,), (2,)],
    [(1,), (3,)],
    [(3,), (4,)],
    [(4,)],
    [(5,), (4,)],
]


class Table:
    """Relevance of each product, whatever the query; remembers what it was asked."""

    def __init__(self, **scores: float):
        self._scores = [scores.get(name, 0.0) for name in IDS]
        self.asked: list[tuple[str, int]] = []

    def __call__(self, queries: Sequence[str], products: Sequence[int]) -> FloatArray:
        self.asked += zip(queries, products, strict=True)
        return np.array([self._scores[product] for product in products], np.float32)


def _select(
    codes: Mapping[str, Sequence[Tokens]], score: Table, clicks: Mapping[str, str], **settings: float
) -> NewTargets:
    pairs = tuple(Pair(query, product, 1.0, True) for query, text in clicks.items() for product in text)
    chosen = CotrainingSettings(**{"most_taken": 0, **settings})  # type: ignore[arg-type]
    return select_new_codes(codes, TITLES, IDS, Feedback(pairs), score, chosen)


def _shares(target: Target) -> dict[Tokens, float]:
    return dict(zip(target.codes, target.shares, strict=True))


def test_a_code_stays_when_its_holders_are_relevant_on_average() -> None:
    score = Table(a=0.9, b=0.5, c=0.2, d=0.1, e=0.3)
    found = _select({"q": [(2,), (3,)]}, score, {"q": "a"})
    # Code 2: a and b, (.9 + .5) / 2 = .7. Code 3: c and d, .15.
    assert found.queries == {"q": Target(((2,),), (1.0,))}
    assert found.titles == {0: Target(((2,),), (1.0,)), 1: Target(((2,),), (1.0,))}
    assert (found.candidates, found.unheld, found.kept, found.scored) == (2, 0, 1, 4)


def test_shares_follow_the_scores() -> None:
    found = _select({"q": [(1, 2), (3,), (5,)]}, Table(a=0.9, c=0.8, d=0.4, f=0.5), {"q": "a"})
    # (1, 2): a, .9; 3: c and d, .6; 5: f, .5
    assert _shares(found.queries["q"]) == pytest.approx({(1, 2): 0.45, (3,): 0.3, (5,): 0.25})
    # Product d holds the kept code 3 too, but is not relevant itself.
    assert set(found.titles) == {0, 2, 5}


def test_a_title_gathers_what_it_is_relevant_for_from_all_queries() -> None:
    found = _select({"q": [(1, 2)], "p": [(1, 2), (2,)]}, Table(a=0.8, b=0.6), {"q": "a", "p": "b"})
    # Title a: (1, 2) from both, .8 + .8, and 2 from p, .8. Title b: 2 from p.
    assert _shares(found.titles[0]) == pytest.approx({(1, 2): 2 / 3, (2,): 1 / 3})
    assert _shares(found.titles[1]) == {(2,): 1}


def test_codes_that_no_product_holds_are_dropped_unscored() -> None:
    score = Table(a=1, b=1)
    found = _select({"q": [(9,), (2,)]}, score, {"q": "a"})
    assert set(found.queries["q"].codes) == {(2,)}
    assert (found.candidates, found.unheld) == (2, 1)
    assert sorted(score.asked) == [("q", 0), ("q", 1)]


def test_holders_that_share_most_with_the_querys_other_codes_stand_for_a_code() -> None:
    score = Table()
    _select({"q": [(1,), (2,), (1, 2)]}, score, {"q": "f"})
    # Of code 1's holders a shares three of the query's codes, b two and c one.
    assert sorted(score.asked) == [("q", 0), ("q", 1)]
    # The best of each is enough: of 4's holders f has code 5 as well, of 3's d has code 4.
    score = Table()
    _select({"q": [(4,), (5,), (3,)]}, score, {"q": "a"}, sampled=1)
    assert {product for _, product in score.asked} <= {3, 5}


def test_the_best_holder_is_found_among_many_as_well() -> None:
    titles: list[list[Tokens]] = [[(1,)] for _ in range(500)]
    titles[321] = [(1,), (2,)]
    asked: list[int] = []

    def score(queries: Sequence[str], products: Sequence[int]) -> FloatArray:
        asked.extend(products)
        return np.zeros(len(products), np.float32)

    feedback = Feedback((Pair("q", "7", 1.0, True), Pair("p", "7", 1.0, True)))
    ids = [str(at) for at in range(500)]
    settings = CotrainingSettings(most_taken=0)
    select_new_codes({"q": [(1,), (2,)], "p": [(1,), (2,)]}, titles, ids, feedback, score, settings)
    assert asked.count(321) == 2
    # The other one of each query is drawn by lot, so that not one product speaks for all queries.
    assert len(set(asked)) == 3


def test_what_the_title_side_gave_clicked_products_is_tried_for_the_query_too() -> None:
    scores = {"a": 0.9, "b": 0.7, "c": 0.6}
    found = _select({"q": [(3,)]}, Table(**scores), {"q": "ab"}, most_taken=2)
    # Both clicked products have 1 and 2; 2 has fewer holders, then 1; (1, 2) is on one of them only.
    assert set(found.queries["q"].codes) == {(1,), (2,)}
    assert found.candidates == 3
    refused = _select({"q": [(3,)]}, Table(a=0.4, b=0.4), {"q": "ab"}, most_taken=2)
    assert refused.queries == {}


def test_only_queries_that_clicks_link_are_asked() -> None:
    score = Table(a=1, b=1, c=1)
    pairs = (Pair("q", "a", 1.0, True), Pair("shown", "a", 0.4, False))
    codes: dict[str, list[Tokens]] = {"q": [(2,)], "shown": [(2,)], "new": [(2,)]}
    found = select_new_codes(codes, TITLES, IDS, Feedback(pairs), score, CotrainingSettings())
    assert set(found.queries) == {"q"}
    assert {query for query, _ in score.asked} == {"q"}


def test_a_pair_is_scored_once_and_the_cap_is_shared_fairly() -> None:
    codes: dict[str, list[Tokens]] = {"wide": [(1,), (3,), (4,), (5,)], "narrow": [(1, 2)]}
    clicks = {"wide": "a", "narrow": "a"}
    score = Table(a=1, b=1, c=1, d=1, e=1, f=1)
    assert _select(codes, score, clicks).scored == len(set(score.asked)) == len(score.asked)
    score = Table(a=1, b=1, c=1, d=1, e=1, f=1)
    found = _select(codes, score, clicks, most_scored=3)
    # The narrow query needs one pair only, so the wide one has two: the first holders of its first two codes.
    assert sorted(query for query, _ in score.asked) == ["narrow", "wide", "wide"]
    assert (1,) in found.queries["wide"].codes
    assert _select(codes, Table(), clicks, most_scored=0) == NewTargets({}, {}, 5, 0, 0, 0)


def test_divide_fairly_by_hand() -> None:
    assert _divide_fairly([5, 1, 3], 100, 0) == [5, 1, 3]
    assert _divide_fairly([5, 1, 3], 7, 0) == [3, 1, 3]
    assert _divide_fairly([5, 1, 3], 3, 0) == [1, 1, 1]
    assert sorted(_divide_fairly([5, 5, 5], 7, 0)) == [2, 2, 3]
    assert sum(_divide_fairly([9, 2, 4, 4, 1], 13, 1)) == 13
    assert _divide_fairly([], 5, 0) == []


def test_the_same_seed_draws_the_same_pairs() -> None:
    codes: dict[str, list[Tokens]] = {str(at): [(1,), (3,), (4,)] for at in range(20)}
    clicks = {str(at): "a" for at in range(20)}
    asked = []
    for seed in (1, 1, 2):
        score = Table()
        _select(codes, score, clicks, most_scored=30, seed=seed)
        asked.append(score.asked)
    assert asked[0] == asked[1] != asked[2]


def test_a_clicked_product_without_codes_is_named() -> None:
    with pytest.raises(InputError, match="product 'z', clicked for query 'q', has no codes"):
        _select({"q": [(1,)]}, Table(), {"q": "z"})


def test_drift_by_hand() -> None:
    queries: dict[str, list[Tokens]] = {"q": [(1,), (1, 2, 3, 4)], "p": [(9,), (1,)], "r": [(8,)], "s": []}
    drift = measure_drift(queries, TITLES)
    # Five codes, one of them fine; (1,) exists twice. Titles: 3 + 2 + 2 + 2 + 1 + 2 = 12 codes.
    assert drift.as_dict() == {
        "fine_queries": pytest.approx(1 / 5),
        "fine_titles": 0,
        "met": pytest.approx(2 / 5),
        "met_queries": pytest.approx(2 / 4),
        "query_codes": pytest.approx(5 / 4),
        "title_codes": pytest.approx(12 / 6),
    }
    assert measure_drift({}, []).met == 0


def test_of_a_clicked_products_codes_the_rarest_that_the_query_lacks_is_tried() -> None:
    # Product a has 1 (three holders), 2 (two) and (1, 2), which the query has itself.
    found = _select({"q": [(1, 2)]}, Table(a=1, b=1, c=1), {"q": "a"}, most_taken=1)
    assert set(found.queries["q"].codes) == {(1, 2), (2,)}


def test_what_one_query_shares_with_a_product_does_not_count_for_the_next() -> None:
    score = Table()
    codes: dict[str, list[Tokens]] = {"q": [(1,)], "r": [(1,)], "p": [(3,), (4,)]}
    _select(codes, score, {"q": "a", "r": "a", "p": "a"}, sampled=1)
    # Product d has both of p's codes; c has one of them, and one that the queries before had.
    assert {product for query, product in score.asked if query == "p"} == {3}
