"""The HTML report and the other files of an evaluation."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gram_os.errors import InputError
from gram_os.relevance import Evaluation, evaluate_runs, read_trec_run
from gram_os.relevance.outputs import prepare_folder, write_outputs
from gram_os.relevance.report import render_report, show_figure
from gram_os.relevance.report_queries import SHOWN_A_SIDE, shown_products
from tests.unit.relevance.fakes import make_judgments, make_run

MS = ("p50 ms", "p95 ms")
EVIL = "<script>alert('x')</script> & \"co\""


def make_evaluation(queries: int = 12) -> Evaluation:
    grades = {f"q{i}": {"good": 3.0, "deep": 2.0, "bad": 0.0} for i in range(queries)}
    filler = " ".join(f"f{i}" for i in range(12))
    first = make_run("bm25", dict.fromkeys(grades, "bad good"), latency_ms=4.0)
    second = make_run("gram", dict.fromkeys(grades, f"good bad {filler} deep"), latency_ms=9.0)
    third = make_run("worse", {**dict.fromkeys(grades, "bad"), "q0": "good"}, latency_ms=2.0)
    return evaluate_runs([first, second, third], make_judgments(grades, relevant=2))


class Reader(HTMLParser):
    """Collects tags and text, and checks that every tag is closed in order."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_page_is_well_formed_and_loads_nothing() -> None:
    page = render_report(make_evaluation(), texts={})
    reader = read(page)
    assert not reader.tags & {"script", "link", "img", "iframe"}
    assert not re.search(r"https?://|src=|url\(|@import", page)


def test_page_shows_figures_intervals_and_comparisons() -> None:
    words = " ".join(read(render_report(make_evaluation(), texts={"q0": "led bulb"})).words)
    assert ".5000" in words and "1.0000" in words  # R@10 of bm25, R@100 of gram
    assert "gram against bm25" in words and "worse against bm25" in words
    assert "12 / 0 / 0" in words  # gram wins R@100 in all 12 queries
    assert "4.0" in words and "9.0" in words
    assert "relevant from grade 2" in words
    assert "led bulb" in words


def test_page_shows_how_much_is_judged_and_the_condensed_figure() -> None:
    page = render_report(make_evaluation(), texts={})
    heads = re.findall(r"<th>([^<]*)</th>", page.split("<tbody>")[0])
    assert heads == ["system", "R@10", "R@100", "R@300", "nDCG@10", "condensed nDCG@10", "MRR@10", "judged@10", *MS]
    words = " ".join(read(page).words)
    assert ".2000" in words  # judged@10 of gram: 2 of its first 10
    assert "<tr><td>condensed nDCG@10</td>" in page
    assert "<tr><td>judged@10</td>" not in page  # neither won nor lost


def test_the_largest_judged_share_is_not_shown_as_the_best_figure() -> None:
    row = re.search(r"<tr><td><b>gram</b></td>.*?</tr>", render_report(make_evaluation(), texts={}))
    assert row is not None
    assert '<span class="best">1.0000</span>' in row[0]
    row = re.search(r"<tr><td><b>bm25</b></td>.*?</tr>", render_report(make_evaluation(), texts={}))
    assert row is not None
    assert '<span class="">1.0000</span>' in row[0]  # judged@10


def test_each_query_shows_its_judged_share_without_a_colour_of_better_or_worse() -> None:
    page = render_report(make_evaluation(queries=1), texts={})
    delta = r'<small>judged@10</small> 1\.00 <span class="soft">&rarr; 0\.20</span>'
    assert re.search(delta, page)
    (first, *_) = re.findall(r"<summary>.*?</summary>", page)
    assert re.findall(r"<small>([^<]*)</small>", first) == ["nDCG@10", "condensed nDCG@10", "judged@10", "R@300"]


def test_page_shows_what_only_one_side_found_with_rank_and_grade() -> None:
    page = render_report(make_evaluation(), texts={}, titles={"deep": "Deep Title"})
    assert "relevant, below, and not found by bm25" in page
    assert re.search(
        r'<span class="rank">15</span>.*?Deep Title</span></span>\s*<span class="grade yes">2</span>', page
    )
    assert '<span class="grade no">0</span>' in page
    assert 'class="grade" title="nobody judged this product' in page


def test_everything_from_outside_is_escaped() -> None:
    runs = [make_run("a", {"q": "b"}), make_run("<i>b</i>", {"q": "x <b>id</b>"})]
    evaluation = evaluate_runs(runs, make_judgments({"q": {"x": 1.0, "b": 0.0}}))
    page = render_report(evaluation, texts={"q": EVIL}, titles={"x": EVIL}, heading=EVIL)
    reader = read(page)
    assert "script" not in reader.tags
    assert "<i>b" not in page and "<b>id" not in page
    words = "".join(reader.words)
    assert words.count(EVIL) == 4  # page title, heading, query, product title
    assert "<i>b</i> against a" in words and "<b>id</b>" in words


def test_text_with_a_dollar_sign_is_text() -> None:
    assert "under $heading" in render_report(make_evaluation(), texts={"q0": "under $heading"})


def test_largest_differences_stand_first_on_both_sides() -> None:
    grades = {query_id: {"a": 1.0} for query_id in ("rank2", "rank3", "same", "lost2", "lost3")}
    first = make_run("first", {"rank2": "x a", "rank3": "x y a", "same": "a", "lost2": "a", "lost3": "a"})
    second = make_run("second", {"rank2": "a", "rank3": "a", "same": "a", "lost2": "x a", "lost3": "x y a"})
    page = render_report(evaluate_runs([first, second], make_judgments(grades)), texts={})
    shown = re.findall(r'class="query" dir="auto">(\w+)<', page)
    assert shown == ["rank3", "rank2", "lost3", "lost2"]


def test_long_lists_are_cut_and_say_so() -> None:
    page = render_report(make_evaluation(queries=60), texts={})
    assert page.count("<details>") == SHOWN_A_SIDE + SHOWN_A_SIDE + 1  # gram wins 60; worse loses 59, wins q0
    assert "Won: 60 queries" in page and "Lost: 59 queries" in page
    assert "queries.tsv has all" in page


def test_one_system_alone_needs_no_comparison() -> None:
    evaluation = evaluate_runs([make_run("bm25", {"q": "a"})], make_judgments({"q": {"a": 1.0}}))
    page = render_report(evaluation, texts={})
    assert "against" not in "".join(read(page).words)
    assert shown_products(evaluation) == set()


def test_titles_are_wanted_for_what_is_shown() -> None:
    wanted = shown_products(make_evaluation(queries=2))
    assert wanted == {"good", "bad", "deep", *(f"f{i}" for i in range(8))}


def test_warnings_are_shown() -> None:
    evaluation = evaluate_runs([make_run("s", {"q": "x"})], make_judgments({"q": {"a": 1.0}}))
    assert "found no judged product at all" in render_report(evaluation, texts={})


@pytest.mark.parametrize(("value", "shown"), [(0.45251, ".4525"), (1.0, "1.0000"), (0.0, ".0000"), (-0.0312, "-.0312")])
def test_figures_as_in_papers(value: float, shown: str) -> None:
    assert show_figure(value) == shown


def test_files_of_an_evaluation(tmp_path: Path) -> None:
    evaluation = make_evaluation(queries=2)
    out = tmp_path / "deep" / "out"
    write_outputs(evaluation, out, texts={"q0": "two\twords", "q1": "x"})
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) == [
        "metrics.json",
        "queries.tsv",
        "report.html",
        "runs/bm25.trec",
        "runs/gram.trec",
        "runs/worse.trec",
    ]
    assert json.loads((out / "metrics.json").read_text()) == evaluation.as_json()
    assert read_trec_run(out / "runs" / "gram.trec").product_ids("q1")[:2] == ("good", "bad")
    rows = [line.split("\t") for line in (out / "queries.tsv").read_text().splitlines()]
    assert rows[0] == ["query_id", "query", "system", *evaluation.metrics, "latency_ms"]
    assert len(rows) == 1 + 2 * 3
    assert rows[1][:4] == ["q0", "two words", "bm25", "0.500000"]
    assert rows[1][-1] == "4.00"
    write_outputs(evaluation, out, texts={})  # over the earlier ones


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write to .*file"):
        prepare_folder(tmp_path / "file" / "out")


def test_system_name_that_is_no_file_name(tmp_path: Path) -> None:
    evaluation = evaluate_runs([make_run("../up", {"q": "a"})], make_judgments({"q": {"a": 1.0}}))
    with pytest.raises(InputError, match=r"'\.\./up' cannot name a file"):
        write_outputs(evaluation, tmp_path / "out", texts={})
    assert list(tmp_path.iterdir()) == []
