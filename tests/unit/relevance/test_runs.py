"""Runs and TREC run files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_os.errors import FileFormatError, InputError
from gram_os.relevance import Ranking, Run, read_trec_run, write_trec_run
from gram_os.relevance.runs import _falling


def test_file_has_the_six_columns_of_trec(tmp_path: Path) -> None:
    run = Run("bm25", {"q1": Ranking(("a", "b"), (2.5, 1.25)), "q2": Ranking((), ())})
    write_trec_run(run, tmp_path / "deep" / "bm25.trec")
    lines = (tmp_path / "deep" / "bm25.trec").read_text().splitlines()
    assert [line.split() for line in lines] == [
        ["q1", "Q0", "a", "1", "2.5", "bm25"],
        ["q1", "Q0", "b", "2", "1.25", "bm25"],
    ]


def test_round_trip_also_of_ids_with_spaces(tmp_path: Path) -> None:
    run = Run("gram", {"q 1": Ranking(("SKU 7", "ü"), (2.0, 1.0)), "q2": Ranking(("x",), (-0.5,))})
    write_trec_run(run, tmp_path / "r.trec")
    assert read_trec_run(tmp_path / "r.trec") == run


def test_equal_scores_are_written_so_that_the_order_stays(tmp_path: Path) -> None:
    ids = ("z", "a", "m", "b")  # trec_eval breaks ties by id
    write_trec_run(Run("s", {"q": Ranking(ids, (1.0, 1.0, 1.0, 0.5))}), tmp_path / "r.trec")
    read = read_trec_run(tmp_path / "r.trec").rankings["q"]
    assert read.product_ids == ids
    assert read.scores[0] == 1.0
    assert read.scores == tuple(sorted(read.scores, reverse=True))
    assert len(np.unique(np.asarray(read.scores, dtype=np.float32))) == 4
    assert read.scores == pytest.approx((1.0, 1.0, 1.0, 0.5), abs=1e-6)


@given(st.lists(st.floats(-1e6, 1e6), max_size=30))
def test_written_scores_always_fall_in_single_precision(scores: list[float]) -> None:
    written = np.asarray([float(f"{score:.9g}") for score in _falling(tuple(scores))], dtype=np.float32)
    assert (np.diff(written) < 0).all()


def test_reads_runs_of_other_tools_by_score_then_rank(tmp_path: Path) -> None:
    path = tmp_path / "other.run"
    path.write_text("q Q0 late 1 0.5 other\r\nq Q0 second 3 7 other\r\nq  Q0 first 2 7.0 other\r\n\r\n")
    run = read_trec_run(path)
    assert run.system == "other"
    assert run.rankings["q"].product_ids == ("first", "second", "late")
    assert run.latencies_ms() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q Q0 a 1 0.5 s\nq Q0 a\n", "line 2: has 3 columns"),
        ("q Q0 a 1 high s\n", "line 1, field 'score': 'high' is not a number"),
        ("q Q0 a 1 nan s\n", "line 1, field 'score': 'nan' is not a finite number"),
        ("q Q0 a first 1 s\n", "line 1, field 'rank'"),
        ("q Q0 a 1 2 s\nq Q0 a 2 1 s\n", "product 'a' stands in the ranking twice"),
        ("a\xff".encode("latin-1").decode("latin-1"), "columns"),
    ],
)
def test_what_a_wrong_file_says(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.trec"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FileFormatError, match=message):
        read_trec_run(path)


def test_binary_or_absent_file(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileFormatError, match="UTF-8"):
        read_trec_run(tmp_path / "binary")
    with pytest.raises(InputError, match="absent"):
        read_trec_run(tmp_path / "absent")


def test_ids_that_would_break_the_lines_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tab"):
        write_trec_run(Run("s", {"q": Ranking(("a\tb",), (1.0,))}), tmp_path / "r.trec")


def test_a_ranking_holds_each_product_once_with_a_score() -> None:
    with pytest.raises(ValueError, match="'a' stands in the ranking twice"):
        Ranking(("a", "b", "a"), (3.0, 2.0, 1.0))
    with pytest.raises(ValueError, match="2 products, but 1 scores"):
        Ranking(("a", "b"), (3.0,))
