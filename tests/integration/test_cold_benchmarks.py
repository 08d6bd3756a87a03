"""The benchmarks of head queries, of cold start and of codes, from a data folder to the JSON, on a real cluster."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from benchmarks import codes, cold_quality, head_queries
from benchmarks.coded_index import open_coded_index
from benchmarks.head_rules import describe_product, read_rules
from benchmarks.peers.bge import Bge
from benchmarks.peers.lexical import Bm25
from benchmarks.peers.run_cache import Part, run_path, store_run
from benchmarks.peers.statistics import measure_row
from benchmarks.peers.table import measure_entries
from gram_os.catalogue import read_products
from gram_os.cluster.client import Cluster
from gram_os.errors import InputError
from gram_os.relevance import Ranking, Run
from tests.bundles import make_generator

pytestmark = pytest.mark.integration

PRODUCTS = {"p1": "black toner", "p2": "black laptop", "p3": "hp laptop", "p4": "toner shelf"}
JUDGMENTS = [("q1", "p1", 3), ("q1", "p4", 0), ("q2", "p2", 3), ("q2", "p3", 3)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "esci"
    data.mkdir()
    with gzip.open(data / "products.jsonl.gz", "wt", encoding="utf-8") as out:
        for id_, title in PRODUCTS.items():
            out.write(json.dumps({"id": id_, "title": title, "brand": "hp"}) + "\n")
    (data / "queries.open.tsv").write_text("q1\ttoner\nq2\tlaptop\n", encoding="utf-8")
    lines = "".join(f"{query}\t{product}\t{grade}\n" for query, product, grade in JUDGMENTS)
    (data / "judgments.open.tsv").write_text("query_id\tproduct_id\trelevance\n" + lines, encoding="utf-8")
    return data


def test_cold_start_measures_a_folder_without_clicks(folder: Path, cluster: Cluster, tmp_path: Path) -> None:
    bench = cold_quality.read_cold_start(folder, tmp_path, split="open", relevant=3.0, lowest_grade=0.0)
    runs = cold_quality.collect_coded_runs(bench, make_generator(tmp_path / "bundle"), cluster.url)
    assert set(runs) == {"bm25", "gram", "hybrid"}
    assert set(runs["bm25"].product_ids("q1")) == {"p1", "p4"}
    assert set(runs["bm25"].product_ids("q2")) == {"p2", "p3"}
    rows = [measure_row(name, [run], bench.dev.judgments) for name, run in runs.items()]
    bm25 = rows[0]
    assert (bm25.figures["R@10"].mean, bm25.figures["judged@10"].mean) == (1.0, 1.0)
    goals = cold_quality.GOALS["esci"]
    entries = {str(entry["name"]): entry for entry in measure_entries(rows, [], goals)}
    assert {name: entry["goal"] for name, entry in entries.items() if entry["goal"]} == {
        "hybrid.nDCG@10": 0.74,
        "hybrid.R@100": 0.94,
    }
    assert [each.better for each in cold_quality.compare(rows, "hybrid")] == ["hybrid"] * 4
    assert cold_quality.compare([bm25], "hybrid") == []


def test_a_fusion_without_one_of_its_rows_is_left_out(folder: Path, tmp_path: Path) -> None:
    bench = cold_quality.read_cold_start(folder, tmp_path, split="open", relevant=3.0, lowest_grade=0.0)
    for peer in (Bm25(), Bge()):
        answer = Run(peer.name, {"q1": Ranking(("p4", "p1"), (2.0, 1.0))})
        store_run(answer, run_path(bench, peer, Part.DEV, learns=False))
    options = cold_quality.parse_options(["--data", str(folder), "--only", "bge,rrf_bge"])
    runs, notes = cold_quality.collect_all(bench, options.only, options)
    assert (list(runs), notes) == (["bge", "rrf_bge"], [])
    assert runs["rrf_bge"].product_ids("q1") == ("p4", "p1")


def test_a_folder_without_the_split_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no .*queries\.sealed\.tsv"):
        cold_quality.read_cold_start(folder, tmp_path, split="sealed", relevant=3.0, lowest_grade=0.0)


def test_an_unknown_row_is_refused() -> None:
    with pytest.raises(InputError, match="there is no row 'bm52'"):
        cold_quality.parse_options(["--data", "x", "--only", "bm25,bm52"])


def test_head_queries_search_the_three_modes_over_a_new_index_and_over_a_given_one(
    folder: Path, cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rules.tsv"
    header = "query_id\tkind\tquery\tis\tnot\taccepted\n"
    path.write_text(f"{header}a1\ta\ttoner\ttoner\tshelf\t1\nb1\tb\tlaptop\tlaptop\t\t2\n", encoding="utf-8")
    rules = read_rules(path)
    catalogue = folder / "products.jsonl.gz"
    generator = make_generator(tmp_path / "bundle")
    options = head_queries.parse_options(["--products", str(catalogue), "--url", cluster.url])
    found = head_queries.search_all(options, rules, generator)
    assert set(found) == {"bm25", "gram", "hybrid"}
    with open_coded_index(catalogue, generator, cluster.url) as coded:
        options = head_queries.parse_options(["--index", coded.index, "--url", cluster.url])
        assert head_queries.search_all(options, rules, generator) == found
    products = {product.id: product for product in read_products(catalogue)}
    texts = {id_: describe_product(product) for id_, product in products.items()}
    row = head_queries.measure_system("bm25", found["bm25"], rules, texts)
    assert (row.mean, row.nothing_right) == (1.0, 0)
    head_queries.print_titles([row], rules[0], products, texts)
    printed = capsys.readouterr().out
    assert "+ black toner" in printed
    assert "- toner shelf" in printed


def test_codes_of_an_index_are_those_that_are_coded_in_memory(folder: Path, cluster: Cluster, tmp_path: Path) -> None:
    catalogue, generator = folder / "products.jsonl.gz", make_generator(tmp_path / "bundle")
    with open_coded_index(catalogue, generator, cluster.url) as coded:
        found = {one.product.id: one for one in codes.read_index(cluster.url, coded.index, generator.bundle)}
    made = {one.product.id: one for one in codes.code_catalogue(generator, read_products(catalogue))}
    assert set(found) == set(made) == set(PRODUCTS)
    for id_, one in made.items():
        assert (found[id_].codes, found[id_].attributes) == (one.codes, one.attributes)
    assert found["p3"].type == "laptop"
