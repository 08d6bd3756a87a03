"""A catalogue in Parquet coded by two workers of a real local Ray, and written into a real index."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gram_os.catalogue import Product
from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach, require_label
from gram_os.errors import GramError, IndexUnfitError, InputError, MissingExtraError
from gram_os.ingest.documents import Document, build_code_fields, read_document, source_hash
from gram_os.ingest.ray import CodeReport, Workers, code_parquet, index_parquet
from gram_os.model.bundle import Bundle
from gram_os.model.generator import Generator
from gram_os.settings import ClusterSettings
from tests import command
from tests.bundles import make_generator
from tests.conftest import MakeIndex
from tests.ray_coders import FailingCoder, open_broken

pytestmark = [
    pytest.mark.integration,
    # Ray Data warns of its own settings when it makes them.
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\.data\.context"),
]

TITLES = ["Xerox toner cartridge, black", "HP laptop", "Wireless mouse", "red Apple laptop"]
FIELD = "gram_t1"
GOOD = 60
BAD: dict[str, dict[str, Any]] = {
    "null title": {"id": "n1", "title": None},
    "blank title": {"id": "n2", "title": "  "},
    "poison": {"id": "n3", "title": "poison for the model"},
    "no id": {"id": None, "title": "HP laptop"},
    "empty": {"id": None, "title": None},
}


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    """One Ray for the module. It takes seconds to start, and `code_parquet` uses the one that it finds."""
    import ray

    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="ray") as folder,  # the path of a socket in it must be short
    ):
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")  # else it writes a token into the home folder
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=100 * 2**20,
            logging_level=logging.ERROR,
            log_to_driver=False,
            _temp_dir=folder,
        )
        yield
        ray.shutdown()


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return make_generator(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files, 40 rows and 25, with small row groups. Five of the rows are no products that can be coded."""
    folder = tmp_path_factory.mktemp("catalogue")
    rows = [
        {"id": str(n), "title": TITLES[n % 4], "brand": "HP" if n % 3 else None, "price": n + 0.5, "sizes": [n, n + 1]}
        for n in range(GOOD)
    ]
    rows[5:5] = [{"brand": None, "price": 1.0, "sizes": None, **bad} for bad in BAD.values()]
    schema = pa.schema(
        [
            *(("id", pa.string()), ("title", pa.string()), ("brand", pa.string())),
            *(("price", pa.float64()), ("sizes", pa.list_(pa.int64()))),
        ]
    )
    for name, part in (("a", rows[:40]), ("b", rows[40:])):
        pq.write_table(pa.Table.from_pylist(part, schema), folder / f"{name}.parquet", row_group_size=7)
    (folder / "_SUCCESS").touch()
    return folder


@pytest.fixture(scope="module")
def coded(catalogue: Path, generator: Generator, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CodeReport]:
    target = tmp_path_factory.mktemp("coded")
    finished: list[int] = []
    report = _code(catalogue, target, generator, finished, workers=2)
    assert sum(finished) == GOOD + len(BAD)
    return target, report


def _code(
    catalogue: Path, target: Path, generator: Generator, finished: list[int] | None = None, workers: int = 1
) -> CodeReport:
    folder = generator.bundle.path
    seen = [] if finished is None else finished
    return code_parquet(
        [str(catalogue)], str(target), partial(FailingCoder, folder), Bundle.load(folder),
        workers=Workers(workers), batch=15, progress=seen.append,
    )  # fmt: skip


def _rows(target: Path, folder: str) -> list[dict[str, Any]]:
    files = sorted((target / folder).iterdir())
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def test_every_row_is_coded_or_refused_with_its_reason(
    coded: tuple[Path, CodeReport], catalogue: Path, generator: Generator
) -> None:
    target, report = coded
    assert (report.rows, report.finished_before, report.coded, report.refused) == (65, 0, GOOD, len(BAD))
    assert report.rate == pytest.approx(65 / report.seconds)
    rows = {row["id"]: row for row in _rows(target, "coded")}
    assert sorted(rows, key=int) == [str(n) for n in range(GOOD)]
    originals = {row["id"]: row for row in pq.read_table(catalogue).to_pylist()}
    for id_, row in rows.items():
        codes = json.loads(row.pop(FIELD))
        assert row == originals[id_]  # all columns of the catalogue, as they were
        product = Product(id_, row["title"], {name: value for name, value in row.items() if value is not None})
        (expected,) = generator.code_batch([product])
        made = build_code_fields(expected, source_hash(product, generator.bundle))
        del made["coded_at"], codes["coded_at"]
        assert codes == made
    reasons = {row["id"]: row["gram_refusal"] for row in _rows(target, "refused") if row["id"]}
    assert reasons == {
        "n1": "has no title in column 'title'",
        "n2": "has a title that is no text: '  ' in column 'title'",
        "n3": "could not be coded: ValueError: no codes for poison for the model",
    }
    nameless = [row["gram_refusal"] for row in _rows(target, "refused") if not row["id"]]
    assert nameless == ["has no id in column 'id'"] * 2
    assert sorted(path.name for path in target.iterdir() if path.name != "_unfinished") == [
        "coded", "refused", "run.json",
    ]  # fmt: skip
    assert len(list((target / "coded").iterdir())) == 5  # 40 rows and 25, by parts of 15


def test_a_run_that_was_killed_does_only_what_was_not_finished(
    coded: tuple[Path, CodeReport], catalogue: Path, generator: Generator
) -> None:
    target, _ = coded
    files = sorted((target / "coded").iterdir())
    before = _rows(target, "coded")
    lost = files[1]
    lost.unlink()
    (target / "_unfinished").mkdir(exist_ok=True)
    (target / "_unfinished" / "half.parquet").write_bytes(b"PAR1")
    times = {file.name: file.stat().st_mtime_ns for file in files if file != lost}
    report = _code(catalogue, target, generator)
    assert (report.finished_before, report.coded, report.refused) == (50, 15, 0)
    assert {file.name: file.stat().st_mtime_ns for file in files if file != lost} == times
    assert [(row["id"], json.loads(row[FIELD])["source"]) for row in _rows(target, "coded")] == [
        (row["id"], json.loads(row[FIELD])["source"]) for row in before
    ]
    assert len(_rows(target, "refused")) == len(BAD)
    assert not list((target / "_unfinished").iterdir())
    again = _code(catalogue, target, generator)
    assert (again.finished_before, again.coded, again.seconds < 3) == (65, 0, True)  # no worker was started


def test_other_codes_or_another_catalogue_never_mix(
    coded: tuple[Path, CodeReport], catalogue: Path, generator: Generator, tmp_path: Path
) -> None:
    target, _ = coded
    folder = generator.bundle.path
    code = partial(code_parquet, open_coder=partial(FailingCoder, folder), bundle=generator.bundle)
    with pytest.raises(InputError, match=r"another run \(batch was 15, now 7\); give another --out"):
        code([str(catalogue)], str(target), batch=7)
    with pytest.raises(InputError, match=r"another run \(label was t1, now t2\)"):
        code([str(catalogue)], str(target), batch=15, label="t2")
    with pytest.raises(InputError, match=r"no column 'name'.*--title-field"):
        code([str(catalogue)], str(tmp_path / "out"), title_field="name")
    with pytest.raises(InputError, match=r"nowhere\.parquet: does not exist"):
        code([str(tmp_path / "nowhere.parquet")], str(tmp_path / "out"))
    (tmp_path / "text.parquet").write_text("id,title")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        code([str(tmp_path / "text.parquet")], str(tmp_path / "out"))
    state = json.loads((target / "run.json").read_text())
    first = next(iter(state["files"]))
    state["files"][first][1] += 1
    changed = tmp_path / "changed"
    changed.mkdir()
    (changed / "run.json").write_text(json.dumps(state))
    with pytest.raises(InputError, match="as it was before it changed"):
        code([str(catalogue)], str(changed), batch=15)


def test_a_worker_that_cannot_work_is_named(catalogue: Path, generator: Generator, tmp_path: Path) -> None:
    folder = generator.bundle.path
    with pytest.raises(GramError, match="no such bundle on this machine"):
        code_parquet(
            [str(catalogue)], str(tmp_path), partial(open_broken, folder), generator.bundle, workers=Workers(1)
        )


def test_without_ray_the_extra_is_named(
    catalogue: Path, generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    coder = partial(FailingCoder, generator.bundle.path)
    with pytest.raises(MissingExtraError, match=r"pip install 'gram-os\[ray\]'"):
        code_parquet([str(catalogue)], str(tmp_path), coder, generator.bundle)


def _settings(cluster: Cluster) -> ClusterSettings:
    return ClusterSettings(url=cluster.url, timeout_s=120)


def _read(cluster: Cluster, index: str) -> dict[str, dict[str, Any]]:
    cluster.refresh(index)
    return {hit["_id"]: hit for hit in cluster.scan(index, query={"match_all": {}}, source=True)}


def test_a_new_index_holds_all_products_with_codes_that_are_current(
    cluster: Cluster, opensearch_url: str, make_index: MakeIndex, coded: tuple[Path, CodeReport], generator: Generator
) -> None:
    target, _ = coded
    index = make_index()
    cluster.delete_index(index)  # the name is free, and the index is deleted afterwards
    done = command.run("code-catalogue", "--out", str(target), "--index", index, "--create", "--workers", "2", "--json")
    found = done.json()["writing"]
    assert {name: found[name] for name in ("index", "label", "rows", "created", "updated", "unchanged", "refused")} == {
        "index": index, "label": "t1", "rows": GOOD, "created": GOOD, "updated": 0, "unchanged": 0, "refused": 0,
    }  # fmt: skip
    assert found["seconds"] > 0 and found["workers"] == 2
    state = require_label(cluster, index, "t1")
    documents = _read(cluster, index)
    assert len(documents) == GOOD
    for id_, hit in documents.items():
        document = read_document(hit, state, generator.bundle)
        assert isinstance(document, Document) and document.is_current, id_
    body = {key: value for key, value in documents["7"]["_source"].items() if key != FIELD}
    assert body == {"id": "7", "title": TITLES[3], "brand": "HP", "price": 7.5, "sizes": [7, 8]}
    hits = cluster.search(index, {"query": {"term": {f"{FIELD}.attributes.brand": "apple"}}})["hits"]["hits"]
    assert {hit["_source"]["title"] for hit in hits} == {TITLES[3]}
    kinds = {name: kept["type"] for name, kept in cluster.get_mapping(index)["properties"].items() if "type" in kept}
    assert (kinds["price"], kinds["sizes"], kinds["brand"]) == ("double", "long", "keyword")


def test_documents_that_are_there_get_codes_and_nothing_else(
    cluster: Cluster, make_index: MakeIndex, coded: tuple[Path, CodeReport], generator: Generator
) -> None:
    target, _ = coded
    index = make_index(properties={"title": {"type": "text"}, "price": {"type": "keyword"}})
    manifest = generator.bundle.manifest
    attach(cluster, index, LabelState("t1", generator.bundle.id, "title", coded_fields=tuple(manifest.coded_fields)))
    documents: dict[str, dict[str, Any]] = {
        str(n): {"title": TITLES[n % 4], "price": "9.90", "stock": n, **({"brand": "HP"} if n % 3 else {})}
        for n in range(50)
    }
    documents["3"]["title"] = "red mouse"  # changed since the export
    actions = [{"op": "index", "index": index, "id": id_, "body": body} for id_, body in documents.items()]
    assert all(item.ok for item in cluster.bulk(actions))
    report = index_parquet(str(target), _settings(cluster), index, workers=Workers(1))
    assert (report.created, report.updated, report.unchanged, report.refused) == (0, 49, 0, 11)
    found = _read(cluster, index)
    assert set(found) == set(documents)  # a product that somebody deleted does not come back
    for id_, hit in found.items():
        codes = hit["_source"].pop(FIELD, None)
        assert hit["_source"] == documents[id_]
        assert (codes is None) == (id_ == "3")
    reasons = {row["id"]: row["gram_refusal"] for row in _rows(target, "not-indexed")}
    assert set(reasons) == {"3", *(str(n) for n in range(50, GOOD))}
    assert "another title or other attributes" in reasons["3"] and "backfill" in reasons["3"]
    assert "no such document" in reasons["55"]
    numbers = {id_: hit["_seq_no"] for id_, hit in _read(cluster, index).items()}
    again = index_parquet(str(target), _settings(cluster), index, workers=Workers(1))
    assert (again.updated, again.unchanged, again.refused) == (0, 49, 11)
    assert {id_: hit["_seq_no"] for id_, hit in _read(cluster, index).items()} == numbers


def test_an_index_that_takes_no_codes_is_refused_before_any_write(
    cluster: Cluster, make_index: MakeIndex, coded: tuple[Path, CodeReport], generator: Generator, tmp_path: Path
) -> None:
    target, _ = coded
    index = make_index()
    with pytest.raises(IndexUnfitError, match="run: gram-os attach"):
        index_parquet(str(target), _settings(cluster), index)
    attach(cluster, index, LabelState("t1", generator.bundle.id, "title"))
    with pytest.raises(IndexUnfitError, match="attached by an older gram-os"):
        index_parquet(str(target), _settings(cluster), index)
    with pytest.raises(InputError, match=r"no coded catalogue \(run.json is missing\)"):
        index_parquet(str(tmp_path), _settings(cluster), index)


def test_the_verb_codes_with_the_shipped_bundle(tmp_path: Path) -> None:
    rows = [{"sku": n, "name": f"Xerox toner {n}", "note": None} for n in range(3)] + [{"sku": 9, "name": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "shop.parquet")
    fields = ("--id-field", "sku", "--title-field", "name", "--workers", "1", "--json")
    out = tmp_path / "coded"
    done = command.run("code-catalogue", str(tmp_path / "shop.parquet"), "--out", str(out), *fields)
    assert done.code == 3, done.err
    found = done.json()["coding"]
    assert {name: found[name] for name in ("rows", "finished_before", "coded", "refused", "workers")} == {
        "rows": 4, "finished_before": 0, "coded": 3, "refused": 1, "workers": 1,
    }  # fmt: skip
    assert found["seconds"] > 0 and found["rows_a_second"] > 0
    assert [(row["sku"], row["gram_refusal"]) for row in _rows(out, "refused")] == [
        (9, "has no title in column 'name'")
    ]
    (field,) = (name for name in _rows(out, "coded")[0] if name.startswith("gram_"))
    assert json.loads(_rows(out, "coded")[0][field])["attributes"]["brand"] == ["xerox"]
    nothing = command.run("code-catalogue", "--out", str(out))
    assert (nothing.code, "give Parquet files to code, or --index" in nothing.err) == (2, True)
