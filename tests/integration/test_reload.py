"""Loading a catalogue again into a coded index: unchanged products keep their codes, and the others are named."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from gram_os.cluster.client import Backoff, Cluster
from gram_os.cluster.labels import LabelState, attach, build_attachment, read_attachment, require_label
from gram_os.data import sample_file
from gram_os.errors import ClusterBusyError
from gram_os.ingest.backfill import backfill
from gram_os.ingest.documents import read_document
from gram_os.loading.load import LoadReport, Source, load_products, survey_source
from gram_os.loading.product_writer import ProductWriter, make_document
from gram_os.loading.sources import find_source
from gram_os.model.generator import Generator
from gram_os.settings import ClusterSettings
from tests.bundles import make_generator
from tests.command import Done, run
from tests.conftest import MakeIndex

pytestmark = pytest.mark.integration

SAMPLE_PRODUCTS = 60

Rows = dict[str, dict[str, Any]]
ROWS: Rows = {
    "1": {"id": "1", "title": "Xerox toner cartridge, black", "price": 10.5},
    "2": {"id": "2", "title": "HP laptop", "brand": "HP", "tags": ["wireless", "red"]},
    "3": {"id": "3", "title": "Wireless mouse", "description": "black"},
}


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return make_generator(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def index(cluster: Cluster) -> Iterator[str]:
    """Name of an index that is not there yet, deleted afterwards."""
    name = f"test-reload-{uuid.uuid4().hex}"
    yield name
    if cluster.index_exists(name):
        cluster.delete_index(name)


def _state(generator: Generator, label: str = "t1") -> LabelState:
    coded_fields = generator.bundle.manifest.coded_fields
    return LabelState(label, generator.bundle.id, "title", coded_fields=coded_fields)


def _load(cluster: Cluster, index: str, folder: Path, rows: Rows) -> LoadReport:
    path = folder / "products.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows.values()), encoding="utf-8")
    source = Source(path)
    return load_products(cluster, index, source, survey_source(source), on_item=lambda _: None)


def _load_coded(cluster: Cluster, index: str, folder: Path, generator: Generator) -> dict[str, Any]:
    """Load `ROWS`, code them, and return the documents."""
    _load(cluster, index, folder, ROWS)
    attach(cluster, index, _state(generator))
    assert backfill(cluster, index, _state(generator), generator).coded == 3
    return _read(cluster, index)


def _read(cluster: Cluster, index: str) -> dict[str, Any]:
    cluster.refresh(index)
    return {hit["_id"]: hit["_source"] for hit in cluster.scan(index, query={"match_all": {}}, source=True)}


def _with(**changes: Mapping[str, Any]) -> Rows:
    """`ROWS` with other values: `_with(_1={"price": 11})`."""
    return {id_: {**row, **changes.get(f"_{id_}", {})} for id_, row in ROWS.items()}


def test_a_reload_of_the_sample_keeps_every_code(cluster: Cluster, index: str, tmp_path: Path) -> None:
    """As a user does it, with the shipped bundle, which reads 88 fields of a product."""
    file = tmp_path / "products.jsonl"
    with gzip.open(sample_file("products.jsonl.gz"), "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, SAMPLE_PRODUCTS)]

    def verb(name: str, *more: str) -> Done:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        done = run(name, *more, "--index", index, "--url", cluster.url, "--json")
        assert done.code == 0, done.err
        return done

    verb("load", str(file))
    verb("attach")
    assert verb("backfill").json()["coded"] == SAMPLE_PRODUCTS
    before = _read(cluster, index)

    again = verb("load", str(file)).json()
    assert (again["replaced"], again["kept_codes"], again["without_codes"]) == (60, {"v1": 60}, {})
    assert _read(cluster, index) == before
    assert verb("backfill").json()["coded"] == 0

    rows[7]["title"] = "HP laptop, red"
    again = verb("load", str(file)).json()
    assert (again["kept_codes"], again["without_codes"]) == ({"v1": 59}, {"v1": 1})
    assert [id_ for id_, found in _read(cluster, index).items() if "gram_v1" not in found] == [str(rows[7]["id"])]
    assert verb("backfill").json()["coded"] == 1


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, 3),
        ({"_1": {"price": 11.5, "stock": 4}}, 3),  # nothing that is coded
        ({"_1": {"title": "Xerox toner"}}, 2),
        ({"_1": {"title": "Xerox toner cartridge, black "}}, 2),
        ({"_2": {"brand": "Xerox"}}, 2),
        ({"_2": {"tags": ["wireless"]}}, 2),
        ({"_3": {"description": "red"}, "_1": {"brand": "HP"}}, 1),
    ],
)
def test_codes_are_kept_where_the_coded_texts_are_the_same(
    cluster: Cluster, index: str, tmp_path: Path, generator: Generator, change: dict[str, Any], kept: int
) -> None:
    before = _load_coded(cluster, index, tmp_path, generator)
    rows = _with(**change)
    report = _load(cluster, index, tmp_path, rows)
    assert report.kept_codes == {"t1": kept}
    assert report.without_codes == ({"t1": 3 - kept} if kept < 3 else {})
    found = _read(cluster, index)
    for id_, row in rows.items():
        codes = found[id_].pop("gram_t1", None)
        assert found[id_] == row
        assert codes in (None, before[id_]["gram_t1"])
    # Backfill has the last word: what was kept is current, what was not is coded.
    assert backfill(cluster, index, _state(generator), generator).coded == 3 - kept


def test_codes_of_every_label_and_edits_of_people_are_kept(
    cluster: Cluster, index: str, tmp_path: Path, generator: Generator
) -> None:
    _load_coded(cluster, index, tmp_path, generator)
    second = _state(generator, "t2")
    attach(cluster, index, second)
    assert backfill(cluster, index, second, generator).coded == 3
    edit = {"op": "update", "index": index, "id": "1", "body": {"doc": {"gram_t1": {"edits": ["without black"]}}}}
    assert [item.error for item in cluster.bulk([edit])] == [None]
    before = _read(cluster, index)
    report = _load(cluster, index, tmp_path, _with(_3={"title": "Mouse"}))
    assert report.kept_codes == {"t1": 2, "t2": 2}
    assert report.without_codes == {"t1": 1, "t2": 1}
    after = _read(cluster, index)
    assert (after["1"], after["2"]) == (before["1"], before["2"])
    assert after["1"]["gram_t1"]["edits"] == ["without black"]
    assert after["3"] == {"id": "3", "title": "Mouse", "description": "black"}


def test_only_products_count_as_uncoded(cluster: Cluster, index: str, tmp_path: Path, generator: Generator) -> None:
    _load(cluster, index, tmp_path, ROWS)
    attach(cluster, index, replace(_state(generator), products={"term": {"brand": "HP"}}))
    assert _load(cluster, index, tmp_path, ROWS).without_codes == {"t1": 1}


def test_a_label_of_an_older_gram_os_learns_its_fields(
    cluster: Cluster, index: str, tmp_path: Path, generator: Generator
) -> None:
    _load(cluster, index, tmp_path, ROWS)
    attach(cluster, index, replace(_state(generator), coded_fields=None))
    assert "coded_fields" not in cluster.get_mapping(index)["_meta"]["gram"]["labels"]["t1"]
    backfill(cluster, index, _state(generator), generator)
    report = _load(cluster, index, tmp_path, ROWS)
    assert (report.kept_codes, report.without_codes) == ({}, {"t1": 3})
    assert [note for note in report.notes if f"gram-os attach --index {index} --label t1" in note]

    attach(cluster, index, _state(generator))
    assert require_label(cluster, index).coded_fields == generator.bundle.manifest.coded_fields
    attach(cluster, index, replace(_state(generator), coded_fields=None))  # an older gram-os attaches once more
    assert require_label(cluster, index).coded_fields == generator.bundle.manifest.coded_fields
    backfill(cluster, index, _state(generator), generator)
    assert _load(cluster, index, tmp_path, ROWS).kept_codes == {"t1": 3}


def test_an_alias_of_indices_that_old_and_new_gram_os_attached_is_one_catalogue(
    cluster: Cluster, make_index: MakeIndex, generator: Generator
) -> None:
    old, new, alias = make_index(), make_index(), f"test-alias-{uuid.uuid4().hex}"
    attach(cluster, old, replace(_state(generator), coded_fields=None))
    attach(cluster, new, _state(generator))
    actions = [{"add": {"index": name, "alias": alias}} for name in (old, new)]
    cluster.request("POST", "/_aliases", {"actions": actions})
    found = read_attachment(cluster, alias)
    assert found is not None
    assert list(found.labels) == ["t1"]


def test_an_export_of_a_coded_index_is_loaded_without_its_codes(
    cluster: Cluster, index: str, tmp_path: Path, generator: Generator
) -> None:
    exported = _load_coded(cluster, index, tmp_path, generator)
    copy = f"{index}-copy"
    try:
        report = _load(cluster, copy, tmp_path, exported)  # a new index: codes would become fields of it
        assert (report.written, report.refused) == (3, 0)
        assert report.notes == ("column 'gram_t1' is left out: it holds codes, and gram-os makes them anew",)
        assert not [name for name in cluster.get_mapping(copy)["properties"] if name.startswith("gram")]
        assert _read(cluster, copy) == ROWS
    finally:
        cluster.delete_index(copy)
    exported["2"]["title"] = "HP mouse"
    report = _load(
        cluster, index, tmp_path, exported
    )  # the coded index itself: codes of the index count, not the file's
    assert (report.kept_codes, report.without_codes) == ({"t1": 2}, {"t1": 1})


def test_a_column_of_the_same_beginning_is_a_column(
    cluster: Cluster, index: str, tmp_path: Path, generator: Generator
) -> None:
    _load_coded(cluster, index, tmp_path, generator)
    report = _load(cluster, index, tmp_path, _with(_1={"gram_weight": 250, "gram_net": {"value": 240}}))
    assert report.notes == ()
    assert _read(cluster, index)["1"]["gram_weight"] == 250
    assert _read(cluster, index)["1"]["gram_net"] == {"value": 240}


def test_rows_of_a_writer_keep_codes_and_say_what_became_of_them(
    cluster: Cluster, make_index: MakeIndex, generator: Generator
) -> None:
    """Rows as the hook has them: no file, no survey, and titles under a name of the shop's, once as a list."""
    index = make_index(properties={"name": {"type": "text"}, "price": {"type": "double"}})
    state = replace(_state(generator), title_field="name")
    rows = [{"id": 1, "name": ["HP laptop", "red"], "price": 5}, {"id": 2, "name": "Xerox toner", "price": 7}]
    attach(cluster, index, state)

    def write(rows: list[dict[str, Any]]) -> tuple[list[int], int]:
        writer = ProductWriter(cluster, index, read_attachment(cluster, index))
        documents = [make_document(row, title_field="name") for row in rows]
        return [item.status for item in writer.write(documents)], writer.kept["t1"]

    assert write(rows) == ([201, 201], 0)
    cluster.refresh(index)
    assert backfill(cluster, index, state, generator).coded == 2
    before = _read(cluster, index)
    assert write([{**row, "price": 6} for row in rows]) == ([200, 200], 2)
    assert _read(cluster, index) == {id_: {**found, "price": 6} for id_, found in before.items()}
    # A document that the cluster refuses is named, and counts as nothing that was kept.
    assert write([{**rows[0], "price": "cheap"}, rows[1]]) == ([400, 200], 1)


def test_a_document_that_cannot_be_read_now_ends_the_load_and_loses_no_code(
    cluster: Cluster, index: str, tmp_path: Path, generator: Generator
) -> None:
    before = _load_coded(cluster, index, tmp_path, generator)
    impatient = Cluster(ClusterSettings(url=cluster.url), backoff=Backoff(attempts=1))
    attachment = read_attachment(cluster, index)
    cluster.request("POST", f"/{index}/_close")
    try:
        with pytest.raises(ClusterBusyError, match=r"document '1' cannot be read now: .*closed"):
            list(ProductWriter(impatient, index, attachment).write([make_document(ROWS["1"])]))
    finally:
        impatient.close()
        cluster.request("POST", f"/{index}/_open")
    cluster.request("GET", f"/_cluster/health/{index}", params={"wait_for_status": "yellow"})
    assert _read(cluster, index) == before


def test_the_hash_is_the_one_that_backfill_writes(generator: Generator) -> None:
    state = _state(generator)
    documents: list[dict[str, Any]] = [
        *ROWS.values(),
        {"title": ["HP", "laptop"], "brand": None},
        {"title": "größe 1,5", "tags": [], "brand": {"name": "HP"}},
        {"title": "a", "tags": 1.0, "description": [1, True, None]},
    ]
    for document in documents:
        hit = {"_index": "shop", "_id": "7", "_source": document, "_seq_no": 3, "_primary_term": 2}
        read = read_document(hit, state, generator.bundle)
        assert getattr(read, "source", None) == find_source(state, document)
    assert find_source(state, {"title": " "}) is None
    assert find_source(replace(state, coded_fields=None), ROWS["1"]) is None


def test_attach_keeps_the_names_of_the_coded_fields(generator: Generator) -> None:
    body = build_attachment({"properties": {"title": {"type": "text"}}}, "shop", _state(generator))
    assert body["_meta"]["gram"]["labels"]["t1"]["coded_fields"] == ["brand", "tags", "description"]
