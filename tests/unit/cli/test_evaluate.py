"""What `gram-os evaluate` prints, and the input that it refuses before it uses a cluster."""

from __future__ import annotations

import inspect
import json
import math
from pathlib import Path

import pytest

from gram_os.cli.evaluate import parse_cuts, print_evaluation, run
from gram_os.errors import InputError
from gram_os.relevance import Evaluation, evaluate_runs
from gram_os.relevance.evaluate import DEFAULT_AT
from tests.unit.relevance.fakes import make_judgments, make_run


def evaluation() -> Evaluation:
    grades = {f"q{i}": {"a": 3.0, "b": 0.0} for i in range(12)}
    runs = [
        make_run("bm25", dict.fromkeys(grades, "b a"), latency_ms=4.04),
        make_run("gram", dict.fromkeys(grades, "a b"), latency_ms=9.0),
        make_run("none", {"q0": "b"}),
    ]
    return evaluate_runs(runs, make_judgments(grades))


def test_table_shows_means_marks_intervals_and_latency(capsys: pytest.CaptureFixture[str]) -> None:
    print_evaluation(evaluation(), index="shop", out=Path("results"))
    text = capsys.readouterr().out
    rows = {name: next(line for line in text.splitlines() if f" {name} " in line) for name in ("bm25", "gram", "none")}
    assert ".5000" in rows["bm25"] and "+" not in rows["bm25"] and "4.0" in rows["bm25"]
    assert "1.0000 +" in rows["gram"] and "9.0" in rows["gram"]  # MRR@10
    assert ".0000 -" in rows["none"]
    assert ".50-.50" in text
    assert "12 queries, relevant from grade 3" in text
    assert "worse than bm25 with p < .05" in text
    assert "report.html" in text


def test_table_shows_how_much_is_judged_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    grades = {f"q{i}": {"a": 3.0, "b": 0.0, "missing": 3.0} for i in range(12)}
    runs = [
        make_run("bm25", dict.fromkeys(grades, "u b a v w"), latency_ms=14.0),
        make_run("hybrid", {**dict.fromkeys(grades, "b u v a"), "q0": "a"}, latency_ms=40.0),
    ]
    print_evaluation(evaluate_runs(runs, make_judgments(grades)), index="shop", out=None)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    head = " ".join(lines)
    assert "condensed" in head and "judged@10" in head and "p95 ms" in head
    row = next(line for line in lines if " bm25 " in line)
    ideal = 1 + 1 / math.log2(3)
    # recall at 10, 100, 300, nDCG, condensed nDCG, MRR, judged share: 2 of 5
    figures = [1 / 2, 1 / 2, 1 / 2, 1 / math.log2(4) / ideal, 1 / math.log2(3) / ideal, 1 / 3, 2 / 5]
    assert row.split()[1:-1] == [f"{value:.4f}".removeprefix("0") for value in figures]
    hybrid = next(line for line in lines if " hybrid " in line)
    assert hybrid.split()[-2] == f"{(11 * 2 / 4 + 1) / 12:.4f}".removeprefix("0")  # without + or -


@pytest.mark.parametrize("text", ["", "10,", "ten", "1.5", "0", "10,10", "-3"])
def test_cut_offs_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="cut-offs"):
        parse_cuts(text)


def test_cut_offs() -> None:
    assert parse_cuts("10, 100") == [10, 100]
    assert tuple(parse_cuts(inspect.signature(run).parameters["at"].default)) == DEFAULT_AT


def test_json_holds_no_infinity_or_nan() -> None:
    json.dumps(evaluation().as_json(), allow_nan=False)
