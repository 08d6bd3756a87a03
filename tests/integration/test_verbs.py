"""The verbs from a file to figures, as a user runs them: shipped bundle, real node, a part of the sample catalogue."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gram_os.catalogue import read_judgments, read_queries
from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach
from gram_os.data import sample_file
from gram_os.model.bundle import Bundle
from tests.bundles import make_bundle
from tests.command import Done, run
from tests.conftest import MakeIndex

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("opensearch_url")]

QUERIES = 12  # of the sample, with every product that is judged for them


@dataclass(frozen=True)
class Shop:
    """An index that the verbs loaded, attached and coded, and the output of each verb."""

    index: str
    products: dict[str, dict[str, Any]]
    queries: Path
    judgments: Path
    loaded: Done
    dry_run: Done
    attached: Done
    coded: Done


@pytest.fixture(scope="module")
def shop(cluster: Cluster, opensearch_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    queries = read_queries(sample_file("queries.tsv"))[:QUERIES]
    query_ids = {query.id for query in queries}
    judged = [j for j in read_judgments(sample_file("judgments.tsv")) if j.query_id in query_ids]
    wanted = {j.product_id for j in judged}
    with gzip.open(sample_file("products.jsonl.gz"), "rt", encoding="utf-8") as rows:
        products = {p["id"]: p for p in map(json.loads, rows) if p["id"] in wanted}
    (folder / "products.jsonl").write_text("".join(json.dumps(p) + "\n" for p in products.values()))
    (folder / "queries.tsv").write_text("".join(f"{q.id}\t{q.text}\n" for q in queries))
    lines = [f"{j.query_id}\t{j.product_id}\t{j.relevance:g}\n" for j in judged]
    (folder / "judgments.tsv").write_text("query_id\tproduct_id\trelevance\n" + "".join(lines))
    index = f"test-{uuid.uuid4().hex}"
    loaded = run("load", str(folder / "products.jsonl"), "--index", index, "--json")
    dry_run = run("attach", "--index", index, "--dry-run", "--json")
    untouched = cluster.get_mapping(index)
    assert "_meta" not in untouched
    yield Shop(
        index, products, folder / "queries.tsv", folder / "judgments.tsv",
        loaded, dry_run, run("attach", "--index", index, "--json"), run("backfill", "--index", index, "--json"),
    )  # fmt: skip
    cluster.delete_index(index)


def test_load_attach_backfill(cluster: Cluster, shop: Shop) -> None:
    bundle = Bundle.load()
    label = bundle.manifest.label
    assert shop.loaded.json()["written"] == len(shop.products) > 200
    assert shop.attached.json() == {
        "index": shop.index, "label": label, "bundle": bundle.id, "title_field": "title"
    }  # fmt: skip
    mapping = cluster.get_mapping(shop.index)
    planned = shop.dry_run.json()
    assert planned["request"] == f"PUT /{shop.index}/_mapping"
    assert mapping["_meta"] == planned["body"]["_meta"]
    coded = shop.coded.json()
    assert (coded["coded"], coded["unchanged"], coded["refused"]) == (len(shop.products), 0, [])
    assert shop.coded.code == 0
    body = {"query": {"exists": {"field": f"gram_{label}.source"}}, "size": 0, "track_total_hits": True}
    assert cluster.search(shop.index, body)["hits"]["total"]["value"] == len(shop.products)


def test_backfill_again_does_nothing(shop: Shop) -> None:
    again = run("backfill", "--index", shop.index, "--json")
    assert (again.json()["coded"], again.json()["unchanged"]) == (0, len(shop.products))
    assert again.code == 0
    assert "0 products coded, " in run("backfill", "--index", shop.index).out


def test_evaluate(shop: Shop, tmp_path: Path) -> None:
    out = tmp_path / "results"
    words = (
        "--queries",
        str(shop.queries),
        "--judgments",
        str(shop.judgments),
        "--relevant",
        "2",
        "--out",
        str(out),
    )
    found = run("evaluate", "--index", shop.index, *words, "--json").json()
    assert set(found["systems"]) == {"bm25", "gram", "hybrid"}
    assert found["relevant_at"] == 2
    for figures in found["systems"].values():
        assert all(0 <= figures[name] <= 1 for name in ("R@10", "R@100", "R@300", "nDCG@10", "MRR@10"))
        assert figures["R@10"] <= figures["R@100"] <= figures["R@300"]
        assert 0 < figures["judged@10"] <= 1
        assert figures["nDCG@10"] <= figures["condensed_nDCG@10"] <= 1
        assert figures["latency_ms"]["p50"] > 0
    # Each product here is judged for one of a dozen queries. Random codes stay far below these figures.
    assert found["systems"]["gram"]["R@100"] > 0.8
    assert found["systems"]["hybrid"]["nDCG@10"] > 0.6
    assert {path.name for path in out.iterdir()} >= {"report.html", "metrics.json", "runs"}


def test_search_explains_itself(shop: Shop) -> None:
    done = run("search", "bluetooth speakers", "--index", shop.index, "--explain", "--json", "--size", "5")
    found = done.json()
    assert (found["query"], found["mode"], len(found["hits"])) == ("bluetooth speakers", "hybrid", 5)
    weights = {code["code"]: code["weight"] for code in found["weights"]}
    assert {code["code"] for code in found["weights"] if code["from"] == "text"} >= {"bluetooth", "speaker"}
    assert "speaker" in found["codes"] and len(found["codes"]) <= 10
    for hit in found["hits"]:
        assert hit["title"] == shop.products[hit["id"]]["title"]
        assert all(weights[part["code"]] == part["query_weight"] for part in hit["shared_codes"])
        assert all(part["title_weight"] > 0 for part in hit["shared_codes"])
    assert any(hit["shared_codes"] and hit["bm25"] for hit in found["hits"])
    shown = run("search", "bluetooth speakers", "--index", shop.index, "--explain", "--size", "5")
    assert shown.code == 0
    assert "codes: " in shown.out and "weights: " in shown.out
    assert "shared codes: query x title weight; BM25" in shown.out
    assert all(hit["id"] in shown.out for hit in found["hits"])


def test_search_pages_modes_and_filters(shop: Shop) -> None:
    words = ("search", "bluetooth speakers", "--index", shop.index, "--json", "--mode")
    for mode in ("gram", "bm25", "hybrid"):
        ten = [hit["id"] for hit in run(*words, mode).json()["hits"]]
        five = [hit["id"] for hit in run(*words, mode, "--from", "5", "--size", "5").json()["hits"]]
        assert ten[5:] == five
    supplier = next(iter({p["supplier"] for p in shop.products.values() if "supplier" in p}))
    for clause in ({"term": {"supplier": supplier}}, [{"term": {"supplier": supplier}}]):
        hits = run(*words, "gram", "--filter", json.dumps(clause)).json()["hits"]
        assert all(shop.products[hit["id"]]["supplier"] == supplier for hit in hits)


def test_an_answer_without_hits_says_so(shop: Shop) -> None:
    done = run("search", "zzzzqqqq", "--index", shop.index, "--mode", "bm25")
    assert done.code == 0
    assert "no hit" in done.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--filter", "{term:"), "--filter {term:: not JSON"),
        (("--filter", "3"), "must be a clause"),
        (("--filter", "[1]"), "must be a clause"),
        (("--filter", '{"term": {}, "range": {}}'), "must be a clause"),
        (("--mode", "semantic"), "semantic"),
        (("--size", "0"), "--size"),
        (("--from", "-1"), "--from"),
        (("--size", "10000", "--from", "10"), "reach beyond hit 10,000"),
    ],
)
def test_search_refuses_bad_usage(shop: Shop, words: tuple[str, ...], says: str) -> None:
    done = run("search", "x", "--index", shop.index, *words, "--json")
    assert (done.code, done.out) == (2, "")
    assert says in json.loads(done.err)["error"]["message"]


def test_index_that_is_not_ready(make_index: MakeIndex) -> None:
    index = make_index()
    for verb in (("search", "x"), ("backfill",)):
        done = run(*verb, "--index", index)
        assert done.code == 2
        assert f"run: gram-os attach --index {index}" in done.err
        done = run(*verb, "--index", "test-absent")
        assert done.code == 2
        assert "'test-absent' does not exist" in done.err


def test_attach_refuses(make_index: MakeIndex) -> None:
    index = make_index(properties={"name": {"type": "text"}})
    done = run("attach", "--index", index)
    assert done.code == 2
    assert "its text fields: name" in done.err
    assert run("attach", "--index", index, "--title-field", "name", "--label", "Not A Label").code == 2
    assert run("attach", "--index", index, "--title-field", "name", "--label", "mine").code == 0
    assert "label mine" in run("attach", "--index", index, "--title-field", "name", "--label", "mine").out


def test_attach_dry_run_prints_the_request(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    done = run("attach", "--index", index, "--dry-run")
    request, _, body = done.out.partition("\n")
    assert request == f"PUT /{index}/_mapping"
    assert cluster.get_mapping(index) == {"properties": {"title": {"type": "text", "analyzer": "english"}}}
    cluster.put_mapping(index, json.loads(body))
    assert cluster.get_mapping(index)["_meta"]["gram"]["active"] == Bundle.load().manifest.label


def test_backfill_names_what_it_could_not_do(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    documents: dict[str, dict[str, Any]] = {
        "good": {"title": "black toner"},
        "bare": {},
        "number": {"title": 17},
    }
    documents |= {f"none{n}": {"title": None} for n in range(30)}
    assert all(
        i.ok for i in cluster.bulk({"op": "index", "index": index, "id": k, "body": b} for k, b in documents.items())
    )
    assert run("attach", "--index", index).code == 0
    done = run("backfill", "--index", index, "--json")
    assert done.code == 3
    assert done.json()["coded"] == 1
    refused = {r["id"]: r["reason"] for r in done.json()["refused"]}
    assert set(refused) == documents.keys() - {"good"}
    assert refused["number"] == "has a title that is no text: '17' in field 'title'"
    again = run("backfill", "--index", index)
    assert again.code == 3
    assert again.out.count("not coded: ") == 21
    assert f"not coded: 12 more; gram-os dead-letters list --index {index} has them all" in again.out


def test_bundle_of_another_label(cluster: Cluster, make_index: MakeIndex, tmp_path: Path) -> None:
    index = make_index()
    other = make_bundle(tmp_path / "other")
    attach(cluster, index, LabelState("t1", other.id, "title"))
    for verb in (("backfill",), ("search", "x")):
        done = run(*verb, "--index", index)
        assert done.code == 2
        assert other.id in done.err
        assert Bundle.load().id in done.err
        assert "--bundle" in done.err
