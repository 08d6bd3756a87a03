"""The table of people's files: where a file lies, and when a case holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.field_cases import FILES, JUDGMENTS, FileCase, find_file, run_file, run_judgments
from gram_os.cluster.client import Cluster


def test_a_file_lies_in_the_folder_of_its_number(tmp_path: Path) -> None:
    (tmp_path / "08-csv-in-the-wild").mkdir()
    assert find_file(tmp_path, "08/a.csv") == tmp_path / "08-csv-in-the-wild" / "a.csv"


def test_every_case_says_what_it_expects() -> None:
    names = [(case.file, tuple(case.options)) for case in FILES]
    assert len(set(names)) == len(names)
    assert all(case.says for case in FILES if case.documents is None)
    assert FileCase("08/a.csv", documents=2, document={"a": 1}).expected == "exit 0, 2 documents; a = '1'"
    assert all(JUDGMENTS.values())


def test_judgments_hold_by_number_or_by_reason(tmp_path: Path) -> None:
    (tmp_path / "14-x").mkdir()
    (tmp_path / "14-x" / "q.tsv").write_text("q1\tnut\nq1\tbolt\n")
    assert run_judgments("14/q.tsv", "is in line 1 already", tmp_path).holds
    assert not run_judgments("14/q.tsv", 2, tmp_path).holds


@pytest.mark.integration
def test_a_case_holds_when_all_of_it_is_so(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "08-x").mkdir()
    (tmp_path / "08-x" / "a.csv").write_text("id,title,price\n1,Pan,5\n2,Pot,7\n")
    below = ({"range": {"price": {"lt": 6}}}, frozenset("1"))
    good = FileCase("08/a.csv", documents=2, document={"price": 7}, types={"price": "long"}, finds=below)
    assert run_file(good, tmp_path, cluster).holds
    wrong = [
        FileCase("08/a.csv", documents=3),
        FileCase("08/a.csv", documents=2, code=3),
        FileCase("08/a.csv", documents=2, says="skipped"),
        FileCase("08/a.csv", documents=2, document={"price": 8}),
        FileCase("08/a.csv", documents=2, types={"price": "keyword"}),
        FileCase("08/a.csv", documents=2, finds=(below[0], frozenset("2"))),
    ]
    assert [run_file(case, tmp_path, cluster).holds for case in wrong] == [False] * 6
