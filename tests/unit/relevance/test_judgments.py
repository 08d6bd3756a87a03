"""Judgments: scale, threshold, what is refused."""

from __future__ import annotations

import math

import pytest

from gram_os.catalogue import Judgment
from gram_os.errors import InputError
from gram_os.relevance import JudgmentSet
from tests.unit.relevance.fakes import make_judgments


def test_relevant_products_are_those_from_the_threshold_up() -> None:
    judgments = make_judgments({"q": {"a": 2.33, "b": 2.0, "c": 3.0}, "none": {"a": 1.0}}, relevant=2.33)
    assert judgments.relevant == {"q": {"a", "c"}}


def test_gains_count_from_the_lowest_grade_that_occurs_anywhere() -> None:
    judgments = make_judgments({"q": {"a": 3.0, "b": 2.0}, "other": {"a": 1.0}}, relevant=2)
    assert judgments.lowest_grade == 1
    assert judgments.gains("q") == {"a": 2**2 - 1, "b": 2**1 - 1}


def test_a_given_lowest_grade_wins() -> None:
    judgments = make_judgments({"q": {"a": 3.0, "b": 2.0}}, relevant=3, lowest_grade=0)
    assert judgments.gains("q") == {"a": 2**3 - 1, "b": 2**2 - 1}


def test_two_grades_need_no_threshold_the_higher_one_is_relevant() -> None:
    assert make_judgments({"q": {"a": 1.0, "b": 0.0}}).relevant_at == 1


def test_only_relevant_products_written_down_still_have_gain() -> None:
    judgments = make_judgments({"q": {"a": 1.0, "b": 1.0}})
    assert (judgments.relevant_at, judgments.lowest_grade) == (1, 0)
    assert judgments.gains("q") == {"a": 1.0, "b": 1.0}


def test_a_longer_scale_needs_a_threshold_and_the_error_says_which_grades_there_are() -> None:
    with pytest.raises(InputError, match=r"grades 0, 1, 2, 3: .* for example --relevant 2$"):
        make_judgments({"q": {"a": 0.0, "b": 1.0, "c": 2.0, "d": 3.0}})


@pytest.mark.parametrize(
    ("grades", "relevant", "lowest", "message"),
    [
        ({"a": 1.0, "b": 3.0}, 1.0, None, "every judged product relevant"),
        ({"a": 0.0}, None, None, "every judged product relevant"),
        ({"a": 1.0, "b": 3.0}, 2.0, 2.0, "lowest grade was given as 2, but the judgments hold 1"),
        ({"a": 0.0, "b": 5000.0}, 1.0, None, "rescale"),
        ({"a": 0.0, "b": 1.0}, math.nan, None, "finite"),
        ({"a": 0.0, "b": math.inf}, 1.0, None, "finite"),
    ],
)
def test_scales_that_cannot_be_used(
    grades: dict[str, float], relevant: float | None, lowest: float | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_judgments({"q": grades}, relevant=relevant, lowest_grade=lowest)


def test_no_judgments_at_all() -> None:
    with pytest.raises(InputError, match="no judgments"):
        JudgmentSet.build([])


def test_a_pair_judged_twice_is_refused_when_the_grades_differ() -> None:
    same = [Judgment("q", "a", 1.0), Judgment("q", "a", 1.0), Judgment("q", "b", 0.0)]
    assert JudgmentSet.build(same).relevant == {"q": {"a"}}
    with pytest.raises(InputError, match="'q', product 'a' is judged twice, 1 and 0"):
        JudgmentSet.build([*same, Judgment("q", "a", 0.0)])
