"""The parts of the demo on a small sample. CI runs the whole demo (test_wheel)."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import gram_os.data
from gram_os.catalogue import read_products
from gram_os.cli import demo
from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach, require_label
from gram_os.errors import GramError
from gram_os.model.generator import Generator
from gram_os.query_pipeline.systems import open_pipeline
from tests.bundles import make_generator

pytestmark = pytest.mark.integration

PRODUCTS = 120


@pytest.fixture
def index(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A name for the demo's index. The demo's sample is cut to `PRODUCTS` products."""
    name = f"test-{uuid.uuid4().hex}"
    cut = tmp_path / "products.jsonl.gz"
    with gzip.open(gram_os.data.sample_file("products.jsonl.gz")) as whole, gzip.open(cut, "w") as part:
        part.writelines(line for _, line in zip(range(PRODUCTS), whole, strict=False))
    monkeypatch.setattr(demo, "INDEX", name)
    monkeypatch.setattr(gram_os.data, "sample_file", lambda wanted: tmp_path / wanted)
    yield name
    if cluster.index_exists(name):
        cluster.delete_index(name)


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return make_generator(tmp_path_factory.mktemp("bundle"))


def _seq_nos(cluster: Cluster, index: str) -> dict[str, int]:
    return {hit["_id"]: hit["_seq_no"] for hit in cluster.scan(index, query={"match_all": {}}, source=False)}


def test_index_is_loaded_and_coded_once(cluster: Cluster, index: str, generator: Generator) -> None:
    seconds: dict[str, float] = {}
    demo.prepare_index(cluster, generator, seconds)
    assert list(seconds) == ["load", "code"]
    assert cluster.count(index) == PRODUCTS
    state = require_label(cluster, index)
    assert (state.bundle, state.title_field) == (generator.bundle.id, "title")
    before = _seq_nos(cluster, index)
    again: dict[str, float] = {}
    demo.prepare_index(cluster, generator, again)
    assert list(again) == ["code"]
    assert _seq_nos(cluster, index) == before


def test_what_was_loaded_in_part_is_loaded_again(cluster: Cluster, index: str, generator: Generator) -> None:
    demo.prepare_index(cluster, generator, {})
    (first, *_) = read_products(gram_os.data.sample_file("products.jsonl.gz"))
    list(cluster.bulk([{"op": "delete", "index": index, "id": first.id}]))
    cluster.refresh(index)
    demo.prepare_index(cluster, generator, {})
    assert cluster.count(index) == PRODUCTS


def test_index_of_another_bundle_is_replaced(cluster: Cluster, index: str, generator: Generator) -> None:
    cluster.create_index(index, {"mappings": {"properties": {"title": {"type": "text"}}}})
    attach(cluster, index, LabelState("t1", "0" * 12, "title"))
    demo.prepare_index(cluster, generator, {})
    assert require_label(cluster, index).bundle == generator.bundle.id
    assert cluster.count(index) == PRODUCTS


def test_product_that_could_not_be_coded_ends_the_demo(cluster: Cluster, index: str, generator: Generator) -> None:
    demo.prepare_index(cluster, generator, {})
    change = {"doc": {"title": None}}
    (first, *_) = read_products(gram_os.data.sample_file("products.jsonl.gz"))
    list(cluster.bulk([{"op": "update", "index": index, "id": first.id, "body": change}]))
    with pytest.raises(GramError, match=f"1 products were not coded, such as {first.id}: has no title"):
        demo.prepare_index(cluster, generator, {})


def test_modes_side_by_side(
    cluster: Cluster, index: str, generator: Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.prepare_index(cluster, generator, {})
    pipeline = open_pipeline(cluster, index, generator=generator)
    found = demo._compare_modes(pipeline, "xerox black toner")
    assert found["query"] == "xerox black toner"
    codes, titles = found["codes"], found["titles"]
    assert isinstance(codes, list)
    assert isinstance(titles, dict)
    assert "toner" in codes
    assert set(titles) == set(demo.SYSTEMS)
    known = {product.title for product in read_products(gram_os.data.sample_file("products.jsonl.gz"))}
    assert all(len(of) == demo.SHOWN and set(of) <= known for of in titles.values())
    capsys.readouterr()
    demo._print_example(found)
    out = capsys.readouterr().out
    assert "xerox black toner" in out
    assert "codes: " in out
    assert all(demo._shorten(title) in out for title in titles["gram"])


def test_once_leaves_no_index_behind(cluster: Cluster, index: str) -> None:
    cluster.create_index(index, {})
    demo._forget_index(cluster)
    assert not cluster.index_exists(index)
    demo._forget_index(cluster)  # a missing index is no error


def test_once_uses_a_data_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENSEARCH_URL", raising=False)
    with demo.demo_settings(None, once=False) as usual, demo.demo_settings(None, once=True) as once:
        assert once.data_dir != usual.data_dir
        assert once.data_dir.is_dir()
    assert not once.data_dir.exists()
    with demo.demo_settings("http://localhost:1", once=True) as given:
        assert given.cluster.url == "http://localhost:1"
        assert given.data_dir == usual.data_dir
