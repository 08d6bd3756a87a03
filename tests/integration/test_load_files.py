"""`gram-os load` of files as people have them: what is in the index, which names and types it has, and what is said."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach
from gram_os.loading.load import Source
from tests.command import Done, run

pytestmark = pytest.mark.integration


@pytest.fixture
def index(cluster: Cluster) -> Iterator[str]:
    """Name of an index that is not there yet, deleted afterwards."""
    name = f"test-files-{uuid.uuid4().hex}"
    yield name
    if cluster.index_exists(name):
        cluster.delete_index(name)


@pytest.fixture
def load(cluster: Cluster, index: str, tmp_path: Path) -> Callable[..., Done]:
    """`load(name, content, *options)` runs the verb on a file."""

    def run_load(name: str, content: str | bytes, *options: str, as_json: bool = True) -> Done:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return run(
            "load", str(path), "--index", index, "--url", cluster.url, *options, *(["--json"] if as_json else [])
        )

    return run_load


def _documents(cluster: Cluster, index: str) -> dict[str, Any]:
    answer = cluster.search(index, {"size": 100, "sort": ["_doc"]})
    return {hit["_id"]: hit["_source"] for hit in answer["hits"]["hits"]}


def _ids(cluster: Cluster, index: str, query: dict[str, Any]) -> set[str]:
    return {hit["_id"] for hit in cluster.search(index, {"query": query, "_source": False})["hits"]["hits"]}


def test_prices_of_a_csv_can_be_filtered_by_ranges(cluster: Cluster, index: str, load: Callable[..., Done]) -> None:
    text = "id,title,price,stock,ean,size,sale\n1,Pan,9.99,3,4006381333931,08,true\n2,Pot,120.00,,0012,10,false\n"
    assert load("p.csv", text).code == 0
    assert _ids(cluster, index, {"range": {"price": {"lt": 10}}}) == {"1"}
    assert _ids(cluster, index, {"range": {"price": {"gte": 100}}}) == {"2"}
    assert _ids(cluster, index, {"term": {"sale": True}}) == {"1"}
    assert _documents(cluster, index)["2"] == {
        "id": "2",
        "title": "Pot",
        "price": 120.0,
        "ean": "0012",
        "size": "10",
        "sale": False,
    }
    found = {name: part["type"] for name, part in cluster.get_mapping(index)["properties"].items() if name != "id"}
    assert found == {
        "title": "text",
        "price": "double",
        "stock": "long",
        "ean": "keyword",
        "size": "keyword",
        "sale": "boolean",
    }


def test_a_number_goes_into_an_existing_index_as_its_mapping_wants_it(
    cluster: Cluster, make_index: Callable[..., str], tmp_path: Path
) -> None:
    kinds: dict[str, object] = {
        name: {"type": kind} for name, kind in {"a": "keyword", "b": "double", "c": "long"}.items()
    }
    kinds |= {"title": {"type": "text"}, "d": {"properties": {"e": {"type": "keyword"}}}}
    index = make_index(properties=kinds)
    path = tmp_path / "p.csv"
    path.write_text("id,title,a,b,c,d.e\n1,Pan,1.50,1.50,1.50,1.50\n", encoding="utf-8")
    done = run("load", str(path), "--index", index, "--url", cluster.url, "--json")
    assert _documents(cluster, index)["1"] == {
        "id": "1",
        "title": "Pan",
        "a": "1.50",
        "b": 1.5,
        "c": 1.5,
        "d.e": "1.50",
    }
    assert _ids(cluster, index, {"term": {"a": "1.50"}}) == _ids(cluster, index, {"term": {"d.e": "1.50"}}) == {"1"}
    assert done.json()["notes"] == [
        "field 'c' has fractions, but the index keeps it as long: filters and sorting see whole numbers; "
        "load into a new index"
    ]


def test_amounts_with_a_currency(cluster: Cluster, index: str, load: Callable[..., Done]) -> None:
    text = "id;title;preis\n1;Pan;1.299,00 €\n2;Pot;499,00 €\n"
    (note,) = load("p.csv", text).json()["notes"]
    assert (
        note
        == "field 'preis' has amounts such as '1.299,00 €' and is text; --field 'preis=float' reads them as numbers"
    )
    cluster.delete_index(index)
    assert load("p.csv", text, "--field", "preis=float").code == 0
    assert _ids(cluster, index, {"range": {"preis": {"gt": 1000}}}) == {"1"}
    done = load("q.csv", 'id,title,price\n1,Pan,9.99 USD\n2,Pot,"1,299 USD"\n', "--field", "price=float")
    assert done.code == 2
    assert "line 3, field 'price': the text '1,299 USD' is no float" in done.err


@pytest.mark.parametrize(
    ("options", "row", "stored", "renamed"),
    [
        ([], {"id": 1, "title": "Pan", "brand": "A", "brand.name": "A Ltd"},
         {"id": "1", "title": "Pan", "brand": "A", "brand_name": "A Ltd"}, {"brand.name": "brand_name"}),
        (["--id-field", "_id"], {"_id": {"$oid": "65f0"}, "title": "Pan", "_score": 1, "id": 7},
         {"id_2": "65f0", "title": "Pan", "score": 1, "id": 7}, {"_id": "id_2", "_score": "score"}),
        (["--id-field", "_id", "--title-field", "_source.title"], {"_id": "7", "_source": {"title": "Pan", "n": 1}},
         {"id": "7", "title": "Pan", "source": {"title": "Pan", "n": 1}}, {"_id": "id", "_source": "source"}),
        (["--id-field", "_source.id"], {"_source": {"id": 7}, "title": "Pan"},
         {"source": {"id": 7}, "title": "Pan"}, {"_source": "source"}),
        (["--title-field", "title.en-GB"], {"id": 1, "title": {"en-GB": "Pan", "de-DE": "Pfanne"}},
         {"id": "1", "title": "Pan", "title_2": {"en-GB": "Pan", "de-DE": "Pfanne"}}, {"title": "title_2"}),
        ([], {"id": 1, "title": "Pan", "title.de": "Pfanne", "specs": {"a..b": 1}},
         {"id": "1", "title": "Pan", "title_de": "Pfanne", "specs": {"a_b": 1}},
         {"title.de": "title_de", "a..b": "a_b"}),
        (["--id-field", "Art. No."], {"Art. No.": "1", "title": "Pan", "": "x", " y ": "z"},
         {"Art_No": "1", "title": "Pan", "unnamed": "x", "y": "z"},
         {"Art. No.": "Art_No", "": "unnamed", " y ": "y"}),
    ],
)  # fmt: skip
def test_names_are_made_safe_and_said(
    cluster: Cluster,
    index: str,
    load: Callable[..., Done],
    options: list[str],
    row: dict[str, Any],
    stored: dict[str, Any],
    renamed: dict[str, str],
) -> None:
    done = load("p.jsonl", json.dumps(row) + "\n", *options)
    assert done.json()["renamed"] == [{"from": name, "to": safe} for name, safe in renamed.items()]
    assert list(_documents(cluster, index).values()) == [stored]
    said = load("p.jsonl", json.dumps(row) + "\n", *options, as_json=False).out
    assert all(f"'{name}' is '{safe}'" in said for name, safe in renamed.items())


def test_standard_input_gets_safe_names_too(cluster: Cluster, index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(b'{"id": 1, "title": "Pan", "_type": "x", "title.de": "P", "a": 1, "a.b": 2}\n')

    monkeypatch.setattr("sys.stdin", Stdin)
    assert run("load", "-", "--index", index, "--url", cluster.url, "--json").json()["refused"] == 0
    assert _documents(cluster, index)["1"] == {
        "id": "1",
        "title": "Pan",
        "type": "x",
        "title_de": "P",
        "a": 1,
        "a_b": 2,
    }


@pytest.mark.parametrize("characters", [100, 32_766, 33_000, 200_000])
def test_long_texts_inside_objects(cluster: Cluster, index: str, load: Callable[..., Done], characters: int) -> None:
    rows = [
        {"id": 1, "title": "Pan", "text": {"en": "linen " * (characters // 6), "part": {"no": 5}}},
        {"id": 2, "title": "Pot", "text": {"de": "kurz", "part": {"no": 7.5}}},
    ]
    done = load("p.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert (done.code, done.json()["written"], done.json()["notes"]) == (0, 2, [])
    assert _ids(cluster, index, {"term": {"text.de": "kurz"}}) == {"2"}
    if characters > 32_000:  # the fields inside are fields of their own
        assert _ids(cluster, index, {"match": {"text.en.text": "linen"}}) == {"1"}
        assert _ids(cluster, index, {"range": {"text.part.no": {"gt": 6}}}) == {"2"}


def test_long_texts_among_mixtures_are_kept_and_said(index: str, load: Callable[..., Done]) -> None:
    rows = [
        {"id": 1, "title": "Pan", "o": {"a": "x" * 40_000, "b": {"c": 1}}},
        {"id": 2, "title": "Pot", "o": {"b": 1}},
    ]
    (note,) = load("p.jsonl", "".join(json.dumps(row) + "\n" for row in rows)).json()["notes"]
    assert note.startswith("field 'o' is kept but cannot be searched or filtered by")


def test_faulty_rows_are_refused_or_skipped(cluster: Cluster, index: str, load: Callable[..., Done]) -> None:
    text = 'Handle,Title,Price\nshirt,Linen shirt,9\nshirt,,9\nsock,Wool sock\n,Hat,5\nmug,"A "mug",5\ncap,Cap,cheap\n'
    columns = ["--id-field", "Handle", "--title-field", "Title", "--field", "Price=float"]
    done = load("p.csv", text, *columns)
    assert (done.code, cluster.index_exists(index)) == (2, False)
    assert "line 3, field 'Title': is missing" in done.err
    assert "--skip-faulty skips and counts such rows" in done.err

    done = load("p.csv", text, *columns, "--skip-faulty")
    assert done.code == 3
    assert (done.json()["written"], done.json()["skipped"], len(done.json()["faults"])) == (1, 5, 5)
    assert [f"line {line}" in done.err for line in range(2, 8)] == [False, True, True, True, True, True]
    assert set(_documents(cluster, index)) == {"shirt"}

    said = load("p.csv", text, *columns, "--skip-faulty", as_json=False)
    assert "5 rows skipped, named above" in said.out
    assert said.err.count("line 3") == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,title\n1,\n", "holds no product: all of its 1 rows are faulty"),
        ("sku,title\n1,Pan\n", "there is no such column"),
        ('id,title\n1,Pan\n2,"open\n3,Pot\n', "unexpected end of data"),
    ],
)
def test_faults_of_the_whole_file_are_not_skipped(
    cluster: Cluster, index: str, load: Callable[..., Done], text: str, says: str
) -> None:
    done = load("p.csv", text, "--skip-faulty")
    assert (done.code, cluster.index_exists(index)) == (2, False)
    assert says in done.err


def test_an_id_that_the_file_has_twice_is_named(index: str, load: Callable[..., Done]) -> None:
    text = "id,title\n1,Red kettle\n1,Blue kettle\n2,Pan\n"
    found = load("p.csv", text).json()
    assert (found["written"], found["replaced"], found["repeated_ids"]) == (3, 1, ["1"])


def test_load_says_what_became_of_the_codes(cluster: Cluster, index: str, load: Callable[..., Done]) -> None:
    text = "id,title\n1,Pan\n2,Pot\n"
    assert load("p.csv", text).json()["without_codes"] == {}
    attach(cluster, index, LabelState("v1", "0" * 16, "title"))
    for number in ("1", "2"):
        action = {"op": "update", "index": index, "id": number, "body": {"doc": {"gram_v1": {"source": "x"}}}}
        assert [item.error for item in cluster.bulk([action])] == [None]
    cluster.refresh(index)
    assert load("p.csv", "id,title\n2,Pot\n").json()["without_codes"] == {"v1": 1}
    done = load("p.csv", text, as_json=False)
    cure = f"gram-os watch codes them, or run: gram-os backfill --index {index} --label v1"
    assert f"2 products have no codes of label v1 now; {cure}" in done.out
    # The label does not say what is coded, as one of an older gram-os. So nobody can tell whose codes still hold.
    later = f"later loads keep them after: gram-os attach --index {index} --label v1"
    assert f"no product kept its codes of label v1, since an older gram-os attached it; {later}" in done.out
    assert done.code == 0


def test_faulty_rows_of_standard_input_are_skipped_too(
    cluster: Cluster, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stdin:
        buffer = io.BytesIO(b'{"id": 1, "title": "Pan"}\n{"id": 2}\nno JSON\n{"id": 3, "title": "Pot"}\n')

    monkeypatch.setattr("sys.stdin", Stdin)
    done = run("load", "-", "--index", index, "--url", cluster.url, "--skip-faulty", "--json")
    assert (done.code, done.json()["written"], done.json()["skipped"]) == (3, 2, 2)
    assert ["line 2" in done.json()["faults"][0], "line 3" in done.json()["faults"][1]] == [True, True]


def test_a_source_that_skips_needs_nobody_to_tell(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,title\n1,\n2,Pan\n", encoding="utf-8")
    assert [product.id for product in Source(path, skip_faulty=True).read()] == ["2"]
