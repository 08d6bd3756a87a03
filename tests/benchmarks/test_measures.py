"""The output of the benchmarks: met and missed goals, as JSON and as a table."""

from __future__ import annotations

import json

import pytest

from benchmarks.measures import Measure, print_measures

MEASURES = [
    Measure("time", 2.5, "s", 2.0),
    Measure("rate", 1234.5678, "queries/s", 300.0, at_least=True),
    Measure("size", 3.0, "MB"),
]


def test_a_goal_is_the_largest_good_value_or_the_smallest_where_at_least_says_so() -> None:
    assert [measure.holds for measure in MEASURES] == [False, True, None]
    assert Measure("time", 2.0, "s", 2.0).holds


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_measures("x", MEASURES, as_json=True)
    time, rate, size = json.loads(capsys.readouterr().out)["measures"]
    assert time == {"name": "time", "value": 2.5, "unit": "s", "goal": 2.0, "holds": False}
    assert (rate["value"], rate["holds"]) == (1235, True)
    assert (size["goal"], size["holds"]) == (None, None)


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_measures("Figures", MEASURES, as_json=False)
    text = capsys.readouterr().out
    assert "Figures" in text
    assert "1235" in text and "False" in text and "None" not in text
