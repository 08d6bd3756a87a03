"""Pairs out of judgments and out of counted clicks, by hand-computed numbers; and splits that nothing leaks through."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from gram_os.catalogue import Click, Judgment, Query, read_clicks
from gram_os.errors import InputError
from gram_os.train.lessons.clicks import (
    ClickLimits,
    Feedback,
    Pair,
    feedback_from_clicks,
    feedback_from_judgments,
)

QUERIES = [Query("1", "Deck screws"), Query("2", "ladder"), Query("3", "deck  screws")]


def _found(feedback: Feedback, product: str) -> Pair:
    (pair,) = [pair for pair in feedback.pairs if pair.product == product]
    return pair


def test_grades_become_relevance_between_the_ends_of_their_scale() -> None:
    judgments = [
        Judgment("1", "a", 3),
        Judgment("2", "b", 1),
        Judgment("1", "c", 2.33),
        Judgment("2", "d", 2),
    ]
    feedback = feedback_from_judgments(QUERIES, judgments, relevant=2.33)
    assert feedback.pairs == (
        Pair("Deck screws", "a", 1.0, True),
        Pair("Deck screws", "c", pytest.approx((2.33 - 1) / 2), True),  # type: ignore[arg-type]
        Pair("ladder", "b", 0.0, False),
        Pair("ladder", "d", 0.5, False),
    )
    assert [pair.product for pair in feedback.positives("Deck screws")] == ["a", "c"]
    assert feedback.positives("unheard of") == ()


def test_two_queries_of_one_text_are_one() -> None:
    judgments = [Judgment("1", "a", 2), Judgment("3", "a", 0), Judgment("3", "b", 0)]
    feedback = feedback_from_judgments(QUERIES, judgments, relevant=1)
    assert feedback.pairs == (Pair("Deck screws", "a", 0.5, True), Pair("Deck screws", "b", 0.0, False))


@pytest.mark.parametrize(
    ("grades", "expected"),
    [((0, 1), [(0.0, False), (1.0, True)]), ((1, 1), [(1.0, True), (1.0, True)])],
    ids=["two grades", "only relevant ones written down"],
)
def test_short_scales_speak_for_themselves(grades: tuple[int, int], expected: list[tuple[float, bool]]) -> None:
    judgments = [Judgment("2", "a", grades[0]), Judgment("2", "b", grades[1])]
    pairs = feedback_from_judgments(QUERIES, judgments).pairs
    assert [(pair.relevance, pair.positive) for pair in pairs] == expected


def test_unusable_judgments_are_refused_with_the_cure() -> None:
    graded = [Judgment("2", str(grade), grade) for grade in range(4)]
    with pytest.raises(InputError, match=r"4 grades from 0 to 3.*--relevant 2"):
        feedback_from_judgments(QUERIES, graded)
    with pytest.raises(InputError, match=r"relevant from 0 makes all products alike.*above 0 and up to 3"):
        feedback_from_judgments(QUERIES, graded, relevant=0)
    with pytest.raises(InputError, match="none of the 1 judgments is about one of the 3 queries"):
        feedback_from_judgments(QUERIES, [Judgment("77", "a", 1)])


def test_clicks_are_held_against_what_their_positions_get() -> None:
    """Position 1: 300 of 1000; position 5: 30 of 1000; the log: 330 of 2000 = .165, counted as 100 impressions more."""
    first, fifth = (300 + 16.5) / 1100, (30 + 16.5) / 1100
    clicks = [
        Click("drill", "top", 280, 900, 1),
        Click("drill", "dull", 20, 100, 1),
        Click("saw", "gem", 29, 500, 5),
        Click("saw", "shunned", 1, 400, 5),
        Click("saw", "both", 0, 100, 5),
    ]
    feedback = feedback_from_clicks(clicks, ClickLimits(least_share=0.0, least_lift=0.8))
    for product, got, due in [
        ("top", 280, 900 * first),
        ("dull", 20, 100 * first),
        ("gem", 29, 500 * fifth),
        ("shunned", 1, 400 * fifth),
        ("both", 0, 100 * fifth),
    ]:
        lift = (got + 1) / (due + 1)
        assert _found(feedback, product).relevance == pytest.approx(lift / (1 + lift))
    assert [pair.product for pair in feedback.pairs if pair.positive] == ["top", "gem"]
    # A tenth of the clicks of `top`, but far more than position 5 gives: the raw rate would say the opposite.
    assert _found(feedback, "gem").relevance > _found(feedback, "top").relevance
    assert _found(feedback, "top").weight == pytest.approx(8.134, abs=0.001)  # log2(281)
    assert _found(feedback, "both").weight == pytest.approx(2.387, abs=0.001)  # log2(1 + 4.227): shown, never clicked


def test_a_product_at_two_positions_is_held_against_both() -> None:
    filler = [Click("x", "filler1", 500, 1000, 1), Click("x", "filler9", 10, 1000, 9)]
    rows = [Click("drill", "a", 5, 10, 1), Click("drill", "a", 1, 90, 9)]
    whole = 516 / 2100
    rates = {1: (505 + 100 * whole) / 1110, 9: (11 + 100 * whole) / 1190}
    lift = (6 + 1) / (10 * rates[1] + 90 * rates[9] + 1)
    feedback = feedback_from_clicks([*filler, *rows])
    assert _found(feedback, "a").relevance == pytest.approx(lift / (1 + lift))
    # Had all rows been booked on the best position, as COEC is often done, the product would look shunned.
    assert 7 / (100 * rates[1] + 1) < 0.2 < 0.5 < lift


def test_clicks_alone_are_held_against_the_noise() -> None:
    clicks = [
        Click("saw", "a", 95, None, None),
        Click("saw", "b", 4, None, None),
        Click("saw", "c", 1, None, None),
    ]
    feedback = feedback_from_clicks(clicks)  # 2 % of 100 clicks are noise
    lifts = [96 / 3, 5 / 3, 2 / 3]
    assert [pair.relevance for pair in feedback.pairs] == pytest.approx([lift / (1 + lift) for lift in lifts])
    assert [pair.positive for pair in feedback.pairs] == [True, True, False]
    limited = feedback_from_clicks(clicks, ClickLimits(least_clicks=5))
    assert [pair.positive for pair in limited.pairs] == [True, False, False]


def test_spellings_and_rows_are_added_up(tmp_path: Path) -> None:
    path = tmp_path / "clicks.tsv.gz"
    rows = "query\tproduct_id\tclicks\nDrill\ta\t1\nLadder\tb\t\ndrill \ta\t2\ndrill\tz\t0\n"
    path.write_bytes(gzip.compress(rows.encode()))
    feedback = feedback_from_clicks(read_clicks(path))
    assert [(pair.query, pair.product, pair.weight) for pair in feedback.pairs] == [
        ("drill", "a", 2.0),  # log2(1 + 3)
        ("Ladder", "b", 1.0),
    ]


def test_unusable_clicks_are_refused() -> None:
    with pytest.raises(InputError, match="query 'saw', product 'b': some rows state impressions"):
        feedback_from_clicks([Click("saw", "a", 1, 2, None), Click("saw", "b", 1, None, None)])
    with pytest.raises(InputError, match="no clicked product"):
        feedback_from_clicks([])


def _many(order: list[int]) -> Feedback:
    return Feedback(tuple(Pair(f"lamp {n // 2}", f"p{n}", 1.0, True) for n in order))


def test_split_goes_by_the_query_and_nothing_else() -> None:
    numbers = list(range(2000))
    rest, held = _many(numbers).split(0.2)
    assert 160 < len(held.by_query) < 240
    assert not set(rest.by_query) & set(held.by_query)
    assert sorted(rest.pairs + held.pairs, key=str) == sorted(_many(numbers).pairs, key=str)
    random.Random(1).shuffle(numbers)
    _, again = _many(numbers[:1500]).split(0.2)
    assert set(again.by_query) <= set(held.by_query)
    assert set(_many(numbers).split(0.2, seed=1)[1].by_query) != set(held.by_query)


def test_split_keeps_spellings_of_a_query_on_one_side() -> None:
    texts = [f"{word} lamp {n}" for n in range(50) for word in ("red", "Red")]
    texts += [f"{n} lamps, red" for n in range(50)] + ["?", "!"]
    rest, held = Feedback(tuple(Pair(text, "p", 1.0, True) for text in texts)).split(0.5)

    def numbers(part: Feedback) -> set[str]:
        return {"".join(filter(str.isdigit, query)) for query in part.by_query} - {""}

    assert not numbers(rest) & numbers(held)
    assert numbers(rest)
    assert numbers(held)
    with pytest.raises(InputError, match=r"share of 1\.0 leaves one part empty"):
        rest.split(1.0)


def test_restriction_counts_what_it_drops() -> None:
    feedback = _many([0, 1, 2])
    kept, dropped = feedback.restrict({"p0", "p2", "p9"})
    assert ([pair.product for pair in kept.pairs], dropped) == (["p0", "p2"], 1)
    with pytest.raises(InputError, match=r"none of the 3 query-product pairs.*product 'p0'.*same product ids"):
        feedback.restrict({"P0"})
