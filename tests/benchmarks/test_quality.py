"""The quality benchmark on a few products: splits, cached runs, fusion, statistics, the command, the converter."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from benchmarks import quality
from benchmarks.convert_homedepot import convert
from benchmarks.peers.data import read_benchmark
from benchmarks.peers.fusion import Form, add_scores, cross_validated_fusion, fuse_ranks, fuse_runs, simplex
from benchmarks.peers.interface import Benchmark, Rankings, Split
from benchmarks.peers.lexical import ExpandedBm25, expand_titles, read_extra
from benchmarks.peers.rows import FusedRow, Library, Row, RunMissingError
from benchmarks.peers.run_cache import Part, load_run, obtain_run, store_run
from benchmarks.peers.statistics import METRICS, compare_rows, correct_holm, measure_row
from benchmarks.peers.tuning import try_settings
from benchmarks.peers.xr_linear import XrLinear
from gram_os.catalogue import Judgment, Product
from gram_os.errors import GramError, InputError
from gram_os.relevance import JudgmentSet, Ranking, Run, ndcg_at, recall_at


def make_run(name: str, **answers: str) -> Run:
    """Make a run. Each answer is product ids in order, such as "a b c", with scores 10, 9, 8 ..."""
    return Run(
        name,
        {
            id_: Ranking(tuple(ids.split()), tuple(10.0 - at for at in range(len(ids.split()))))
            for id_, ids in answers.items()
        },
    )


def judge(**grades: str) -> JudgmentSet:
    """Make judgments. `q1="a3 b1"`: product a has grade 3, product b grade 1."""
    judged = [Judgment(id_, pair[0], float(pair[1:])) for id_, text in grades.items() for pair in text.split()]
    return JudgmentSet.build(judged, relevant=2.33, lowest_grade=1.0)


def make_bench(work: Path, queries: int = 60) -> Benchmark:
    products = [Product(f"p{at}", f"thing {at}", {}) for at in range(5)]
    texts = {f"t{at}": f"query number {at}" for at in range(queries)}
    judged = JudgmentSet.build(
        [Judgment(id_, f"p{at % 5}", 3.0) for at, id_ in enumerate(texts)], relevant=2.33, lowest_grade=1.0
    )
    return Benchmark(products, Split(texts, judged), Split({"d1": "thing"}, judge(d1="a3 b1")), Path("data"), work)


@dataclass(frozen=True)
class Recorder:
    """A peer that records its calls and ranks the products in their order."""

    calls: list[tuple[Benchmark, Mapping[str, str]]] = field(default_factory=list, repr=False)
    setting: int = 1
    name: str = "recorder"

    def rank(self, bench: Benchmark, queries: Mapping[str, str]) -> Rankings:
        self.calls.append((bench, queries))
        return {id_: [(p.id, 1.0 / (at + 1)) for at, p in enumerate(bench.products)] for id_ in queries}


def test_hold_out_parts_the_train_queries_and_their_clicks(tmp_path: Path) -> None:
    bench = make_bench(tmp_path)
    inner = bench.hold_out()
    held_out, kept = set(inner.dev.queries), set(inner.train.queries)
    assert held_out | kept == set(bench.train.queries)
    assert not held_out & kept
    assert 1 <= len(held_out) <= 15  # about a tenth of 60
    assert {query_id for query_id, _ in inner.clicks} == kept
    assert set(inner.dev.judgments.grades) == held_out


def test_a_query_is_held_out_by_its_text_alone(tmp_path: Path) -> None:
    bench = make_bench(tmp_path)
    renamed = {f"x-{id_}": text.upper() for id_, text in reversed(list(bench.train.queries.items()))}
    other = Benchmark(bench.products, Split(renamed, judge(q="a3")), bench.dev, bench.folder, bench.work)
    texts = set(bench.hold_out().dev.queries.values())
    assert {text.lower() for text in other.hold_out().dev.queries.values()} == texts


def test_a_run_is_cached_and_another_setting_has_its_own(tmp_path: Path) -> None:
    bench, peer = make_bench(tmp_path), Recorder()
    first = obtain_run(bench, peer, Part.DEV)
    assert obtain_run(bench, peer, Part.DEV) == first
    assert len(peer.calls) == 1
    assert first.product_ids("d1") == ("p0", "p1", "p2", "p3", "p4")
    changed = Recorder(setting=2)
    obtain_run(bench, changed, Part.DEV)
    assert len(changed.calls) == 1


def test_a_held_out_run_is_of_a_peer_that_has_not_seen_the_queries(tmp_path: Path) -> None:
    bench, peer = make_bench(tmp_path), Recorder()
    run = obtain_run(bench, peer, Part.HELD_OUT)
    ((given, queries),) = peer.calls
    assert set(run.rankings) == set(queries) == set(bench.hold_out().dev.queries)
    assert not set(given.train.queries) & set(queries)


def test_a_peer_that_learns_nothing_ranks_everything_in_one_go(tmp_path: Path) -> None:
    bench, peer = make_bench(tmp_path), Recorder()
    runs = {part: obtain_run(bench, peer, part, learns=False) for part in Part}
    assert len(peer.calls) == 1
    assert set(runs[Part.TRAIN].rankings) == set(bench.train.queries)
    assert set(runs[Part.HELD_OUT].rankings) == set(bench.hold_out().dev.queries)
    assert set(runs[Part.DEV].rankings) == {"d1"}


def test_a_damaged_run_names_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "x.run.gz"
    store_run(make_run("x", q1="a b"), path)
    assert load_run(path) == make_run("x", q1="a b")
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(GramError, match="delete it"):
        load_run(path)


def test_reciprocal_ranks_add_up() -> None:
    fused = fuse_ranks("f", [make_run("x", q1="a b"), make_run("y", q1="b c")]).rankings["q1"]
    assert fused.product_ids == ("b", "a", "c")
    assert fused.scores == pytest.approx((1 / 62 + 1 / 61, 1 / 61, 1 / 62))


def test_forms_of_scores() -> None:
    left = Run("x", {"q": Ranking(("a", "b"), (0.8, 0.6))})
    right = Run("y", {"q": Ranking(("b",), (-3.0,))})
    share = fuse_runs("f", [left, right], Form.SHARE, [0.5, 0.5]).rankings["q"]
    assert share.product_ids == ("a", "b")
    assert share.scores == pytest.approx((0.5, 0.5 * 0.6 / 0.8))  # a best score below 0 has no shares
    # range: 0 is one step, (.8 - .6) / 2, below the last score: .8 -> 1, .6 -> .1 / .3
    spread = fuse_runs("f", [left, right], Form.RANGE, [0.5, 0.5]).rankings["q"]
    assert spread.product_ids == ("b", "a")
    assert spread.scores == pytest.approx((0.5 / 3 + 0.5, 0.5))


def test_weights_are_chosen_as_a_slow_search_over_whole_runs_would() -> None:
    rng = np.random.default_rng(3)
    ids = [f"p{at}" for at in range(40)]
    queries = [f"q{at}" for at in range(15)]

    def draw(name: str) -> Run:
        rankings = {}
        for id_ in queries:
            scores = np.round(rng.uniform(0.1, 1.0, 25), 1)  # rounded, so that there are ties
            chosen = rng.choice(ids, 25, replace=False)
            order = np.argsort(-scores, kind="stable")
            rankings[id_] = Ranking(tuple(map(str, chosen[order])), tuple(map(float, scores[order])))
        return Run(name, rankings)

    runs = [draw("x"), draw("y")]
    graded = [
        Judgment(id_, str(p), float(rng.choice([1, 2, 2.33, 3]))) for id_ in queries for p in rng.choice(ids, 6, False)
    ]  # fmt: skip
    judgments = JudgmentSet.build(graded, relevant=2.33, lowest_grade=1.0)

    def objective(form: Form, weights: tuple[float, ...]) -> float:
        fused = fuse_runs("f", runs, form, weights)
        values = [
            np.mean(
                [recall_at(fused.product_ids(q), wanted, k) for k in (10, 100, 300)]
                + [ndcg_at(fused.product_ids(q), judgments.gains(q), 10)]
            )
            for q, wanted in judgments.relevant.items()
        ]
        return float(np.mean(values))

    chosen = cross_validated_fusion(runs, judgments)
    best = max(objective(form, weights) for form in Form for weights in simplex(2))
    assert chosen.objective == pytest.approx(best)
    assert objective(chosen.form, chosen.weights) == pytest.approx(best)
    assert 0 < chosen.validated <= best + 1e-9


def test_too_few_queries_cannot_choose_weights() -> None:
    with pytest.raises(InputError, match="1 judged queries are too few"):
        cross_validated_fusion([make_run("x", q1="a"), make_run("y", q1="a")], judge(q1="a3"))


def test_measures_of_a_row_are_means_over_seeds_and_queries() -> None:
    judgments = judge(q1="a3 b1 c3", q2="a3", q3="a1")  # q3 has nothing relevant: not counted
    row = measure_row("x", [make_run("x", q1="a b", q2="a"), make_run("x", q1="b c a")], judgments)
    # seed 1: q1 finds 1 of 2, q2 1 of 1; seed 2: q1 finds 2 of 2, q2 nothing
    assert row.values["R@10"] == pytest.approx([(1 / 2 + 1) / 2, (1 + 0) / 2])
    assert row.figures["R@10"].mean == pytest.approx((0.75 + 0.5) / 2)
    assert row.figures["R@10"].spread == pytest.approx(np.std([0.75, 0.5], ddof=1))
    # judged products among those found: seed 1 a b | a, seed 2 b c a; relevant: 2 and 2
    assert row.figures["RelR@10"].mean == pytest.approx((2 + 2) / (3 + 3))


def test_a_row_says_how_much_is_judged_and_what_unjudged_products_cost() -> None:
    judgments = judge(q1="a3 b1", q2="a3")
    runs = [make_run("x", q1="u b a", q2="u v"), make_run("x", q1="a", q2="v a")]
    row = measure_row("x", runs, judgments)
    # seed 1: q1 has a at rank 3, condensed 2, 2 of 3 judged; q2 nothing. seed 2: q1 rank 1; q2 rank 2, condensed 1
    assert row.values["nDCG@10"] == pytest.approx([(1 / 2 + 1) / 2, (0 + 1 / np.log2(3)) / 2])
    assert row.values["condensed_nDCG@10"] == pytest.approx([(1 / np.log2(3) + 1) / 2, (0 + 1) / 2])
    assert row.values["judged@10"] == pytest.approx([(2 / 3 + 1) / 2, (0 + 1 / 2) / 2])
    figure = row.figures["judged@10"]
    assert figure.mean == pytest.approx((5 / 6 + 1 / 4) / 2)
    assert figure.low <= figure.mean <= figure.high
    assert figure.spread == pytest.approx(np.std([(2 / 3 + 0) / 2, (1 + 1 / 2) / 2], ddof=1))
    (difference,) = compare_rows(row, [row], ["condensed_nDCG@10"])
    assert difference.mean == 0


def test_the_judged_share_is_that_of_the_first_ten_and_the_condensed_list_looks_deeper() -> None:
    unjudged = " ".join(f"u{at}" for at in range(9))
    row = measure_row("x", [make_run("x", q1=f"b {unjudged} a c")], judge(q1="a3 b1"))
    assert row.figures["judged@10"].mean == 1 / 10
    assert row.figures["nDCG@10"].mean == 0
    assert row.figures["condensed_nDCG@10"].mean == pytest.approx(1 / np.log2(3))


def test_settings_are_chosen_by_recall_and_ndcg_alone() -> None:
    assert METRICS == ("R@10", "R@100", "R@300", "nDCG@10")


def test_differences_point_to_the_better_row_and_holm_corrects_them() -> None:
    queries = {f"q{at}": "a3" for at in range(12)}
    judgments = judge(**queries)
    good = measure_row("good", [make_run("g", **dict.fromkeys(queries, "a"))], judgments)
    bad = measure_row("bad", [make_run("b", **dict.fromkeys(queries, "z"))], judgments)
    same, worse = compare_rows(good, [good, bad], ["R@10"])
    assert worse.mean == 1.0
    assert worse.p == pytest.approx(2 / 2**12)
    assert worse.p_holm == pytest.approx(2 * worse.p)
    assert same.p_holm == 1.0


def test_holm() -> None:
    # sorted .01 .03 .04 -> times 3, 2, 1 = .03 .06 .04, never falling = .03 .06 .06
    assert correct_holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert correct_holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])


def test_library_fuses_each_seed_and_names_what_is_missing(tmp_path: Path) -> None:
    bench, peer = make_bench(tmp_path, queries=200), Recorder()
    rows: dict[str, Row | FusedRow] = {
        "recorder": Row(lambda _library, seed, _part: Recorder(peer.calls, setting=seed)),
        "twice": FusedRow(("recorder", "recorder"), "chosen"),
    }
    with pytest.raises(RunMissingError, match="no run of part 'dev', seed 7 in the cache"):
        Library(bench, rows=rows, make_missing=False).run("recorder", Part.DEV, 7)
    library = Library(bench, rows=rows)
    assert library.seeds("twice", [0, 1]) == [0, 1]
    assert library.run("twice", Part.DEV, 1).product_ids("d1") == ("p0", "p1", "p2", "p3", "p4")
    assert len(peer.calls) == 2  # dev, and the held-out queries that the weights were chosen on
    assert library.fusions["twice", 1].validated > 0
    with pytest.raises(RunMissingError, match="--run gram=FILE"):
        library.run("gram", Part.DEV, 0)


def test_the_hybrid_is_the_sum_that_the_product_ranks_by(tmp_path: Path) -> None:
    bench = make_bench(tmp_path)
    bm25, gram = tmp_path / "bm25.trec", tmp_path / "gram.trec"
    bm25.write_text("d1\tQ0\tp0\t1\t8.0\tbm25\nd1\tQ0\tp1\t2\t6.0\tbm25\nd2\tQ0\tp3\t1\t1.0\tbm25\n")
    gram.write_text("d1\tQ0\tp1\t1\t4.0\tgram\nd1\tQ0\tp2\t2\t3.0\tgram\n")
    foreign = {("bm25", Part.DEV): [bm25], ("gram", Part.DEV): [gram]}
    fused = Library(bench, foreign=foreign, lexical_weight=0.5).run("hybrid", Part.DEV, 0)
    # GRAM plus half of BM25: p1 4 + 3, p0 4, p2 3; where GRAM has no answer, only BM25 counts
    assert fused.rankings["d1"] == Ranking(("p1", "p0", "p2"), (7.0, 4.0, 3.0))
    assert fused.rankings["d2"] == Ranking(("p3",), (0.5,))


def test_a_product_that_a_full_run_lacks_gets_its_last_score() -> None:
    runs = [make_run("gram", q1="a b"), make_run("bm25", q1="b c")]  # scores 10 and 9 each
    full = add_scores("sum", runs, [1.0, 10.0], depth=2).rankings["q1"]
    assert full == Ranking(("b", "a"), (9.0 + 10 * 10, 10.0 + 10 * 9))  # c: 9 + 10 * 9
    short = add_scores("sum", runs, [1.0, 10.0], depth=3).rankings["q1"]
    assert short == Ranking(("b", "c", "a"), (9.0 + 10 * 10, 10 * 9.0, 10.0))


@dataclass(frozen=True)
class Shifter:
    """Ranks the products from place `start` on."""

    start: int
    name: str = "shifter"

    def rank(self, bench: Benchmark, queries: Mapping[str, str]) -> Rankings:
        return {id_: [(p.id, 1.0) for p in bench.products[self.start :]] for id_ in queries}


def test_settings_are_tried_on_held_out_queries_best_first(tmp_path: Path) -> None:
    bench = make_bench(tmp_path)
    first, second = try_settings(bench, [Shifter(4), Shifter(0)])
    assert (first.peer, second.peer) == (Shifter(0), Shifter(4))
    held_out = bench.hold_out().dev
    wanted = [next(iter(held_out.judgments.relevant[id_])) for id_ in held_out.queries]
    assert second.objective == pytest.approx(np.mean([id_ == "p4" for id_ in wanted]))  # Shifter(4) finds only p4
    assert first.objective > second.objective


def write_folder(folder: Path) -> None:
    folder.mkdir()
    with gzip.open(folder / "products.jsonl.gz", "wt") as out:
        for at in range(4):
            out.write(json.dumps({"id": f"p{at}", "title": f"hammer {at}"}) + "\n")
    for split in ("train", "dev"):
        (folder / f"queries.{split}.tsv").write_text(f"{split}-1\thammer\n{split}-2\tsteel hammer\n")
        judged = f"{split}-1\tp0\t3\n{split}-1\tp1\t1\n{split}-2\tp2\t2.33\n"
        (folder / f"judgments.{split}.tsv").write_text("query_id\tproduct_id\trelevance\n" + judged)


def test_the_command_measures_foreign_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    write_folder(data)
    store_run(make_run("x", **{"dev-1": "p0", "dev-2": "p2"}), tmp_path / "gram.run.gz")
    store_run(make_run("y", **{"dev-1": "p1", "dev-2": "p2"}), tmp_path / "other.run.gz")
    common = ["--data", str(data), "--work", str(tmp_path / "work"), "--report-only", "--winner", "gram"]
    runs = [f"--run={name}={tmp_path / name}.run.gz" for name in ("gram", "other")]
    assert (
        quality.main([*common, *runs, "--only", "bm25,gram,other", "--json"]) == 1
    )  # the difference is not significant
    answer = json.loads(capsys.readouterr().out)
    measures = {entry["name"]: entry for entry in answer["measures"]}
    assert measures["gram.R@10"]["value"] == 1.0
    assert measures["gram.R@10"]["goal"] == 0.5
    assert measures["gram.R@10"]["holds"] is True
    assert measures["other.R@10"]["value"] == 0.5
    assert measures["gram-other.R@100"]["value"] == 0.5
    assert measures["other.judged@10"]["value"] == 1.0
    assert measures["other.condensed_nDCG@10"]["value"] == measures["other.nDCG@10"]["value"]
    assert any("row 'bm25': no run of part 'dev'" in note for note in answer["notes"])
    assert quality.main([*common, *runs, "--only", "gram,other"]) == 1
    printed = capsys.readouterr().out
    assert "gram - other" in printed
    assert "judged@10" in printed and "condensed" in printed


def test_the_command_names_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quality.main(["--data", str(tmp_path)]) == 2
    assert "holds no products.jsonl.gz" in capsys.readouterr().err


def test_extra_texts_are_appended_to_titles(tmp_path: Path) -> None:
    path = tmp_path / "extra.jsonl"
    path.write_text('{"id": "a", "text": ["red", "paint brush"]}\n{"id": "b", "text": "blue"}\n')
    products = [Product("a", "Brush", {}), Product("c", "Roller", {})]
    assert expand_titles(products, read_extra(path)) == {"a": "Brush red paint brush", "c": "Roller"}
    with pytest.raises(InputError, match="none of the 1 extra texts"):
        expand_titles(products, {"x": "y"})
    before = repr(ExpandedBm25(path))
    path.write_text('{"id": "a", "text": "other"}\n')
    assert repr(ExpandedBm25(path)) != before  # another text has another key


def test_xr_linear_needs_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GramError, match="needs uv"):
        XrLinear().rank(make_bench(tmp_path), {"d1": "thing"})


def test_home_depot_files_become_a_benchmark(tmp_path: Path) -> None:
    source = tmp_path / "kaggle"
    source.mkdir()
    pairs = [f'{at},{100 + at},"Angle {at}",query {at},{1 + at % 3}' for at in range(40)]
    pairs += ['90,100,"Angle 0",query 0,3']  # judged again: the mean of 1 and 3
    (source / "train.csv").write_text("id,product_uid,product_title,search_term,relevance\n" + "\n".join(pairs))
    (source / "attributes.csv").write_text(
        "product_uid,name,value\n100,MFG Brand Name,Simpson\n100,Color Family,Red\n,,\n",
        encoding="iso-8859-1",
    )
    (source / "product_descriptions.csv").write_text("product_uid,product_description\n100,caf\xe9\n", "iso-8859-1")
    counts = convert(source, tmp_path / "first", None)
    assert counts["train queries"] + counts["dev queries"] == 40
    assert counts["dev queries"] > 0
    bench = read_benchmark(tmp_path / "first", tmp_path)
    first = next(product for product in bench.products if product.id == "100")
    assert first.fields == {"brand": "Simpson", "color": ["Red"], "description": "café"}
    split = bench.train if "query 0" in bench.train.queries.values() else bench.dev
    query_id = next(id_ for id_, text in split.queries.items() if text == "query 0")
    assert split.judgments.grades[query_id] == {"100": 2.0}
    convert(source, tmp_path / "again", tmp_path / "first")
    for name in ("queries.dev.tsv", "judgments.train.tsv"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "first" / name).read_bytes()
