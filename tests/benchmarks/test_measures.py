"""What the benchmarks print: goals that are met or not, as JSON and as a table."""

from __future__ import annotations

import json

import pytest

from benchmarks.measures import Measure, print_measures

MEASURES = [
    Measure("time", 2.5, "s", 2.0),
    Measure("rate", 1234.5678, "queries/s", 300.0, at_least=True),
    Measure("size", 3.0, "MB"),
]


def test_a_goal_is_a_most_or_where_said_a_least() -> None:
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
    said = capsys.readouterr().out
    assert "Figures" in said
    assert "1235" in said and "False" in said and "None" not in said
