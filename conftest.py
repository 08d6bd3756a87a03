"""Fixtures of the whole test run, doctests included: one real cluster, and indices that are deleted afterwards.

A doctest with a comment that names OPENSEARCH_URL needs a cluster. It is marked `integration`, and it runs with
OPENSEARCH_URL set to the tests' cluster and an index `products` there.
"""

from __future__ import annotations

import gzip
import os
import uuid
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import hypothesis
import pytest

from gram_os.cluster.client import Cluster
from gram_os.data import sample_file
from gram_os.settings import Settings, load_settings

# No deadline: on a busy machine an example may take long. CI draws the same examples each time; a developer's run draws
# new ones.
hypothesis.settings.register_profile("gram-os", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("gram-os")

EXAMPLE_INDEX = "products"  # stands for the reader's own index in every example of use
EXAMPLE_PRODUCTS = 100
EXAMPLE_OWNER = "gram-os tests"


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The user's own settings (OPENSEARCH_URL, the jar cache), but with a data folder that ends with the test run."""
    data: Path = tmp_path_factory.mktemp("data")
    # Long timeouts, because the machine may be busy: a slow test is better than a red one.
    return load_settings(data_dir=data, cluster={"timeout_s": 120}, node={"start_timeout_s": 600})


@pytest.fixture(scope="session")
def cluster(settings: Settings) -> Iterator[Cluster]:
    """One cluster for the run: OPENSEARCH_URL, else a container, else the embedded node, which ends with the run."""
    from gram_os.embedded import resolve_cluster

    with resolve_cluster(settings, attached=True) as found:
        yield found


@pytest.fixture(scope="module")
def opensearch_url(cluster: Cluster) -> Iterator[str]:
    """OPENSEARCH_URL set to the run's cluster for a module of tests, as a user of the verbs has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENSEARCH_URL", cluster.url)
        yield cluster.url


@pytest.fixture
def make_index(cluster: Cluster) -> Iterator[Callable[..., str]]:
    """Factory of empty indices: `make_index(properties={...}, settings={...}, meta={...})` returns the name.

    The default index has a `title` analysed as English and one shard. Each keyword replaces its part of the default.
    """
    names: list[str] = []

    def make(
        *,
        properties: dict[str, object] | None = None,
        settings: dict[str, object] | None = None,
        meta: dict[str, object] | None = None,
    ) -> str:
        index = f"test-{uuid.uuid4().hex}"
        mappings: dict[str, object] = {
            "properties": {"title": {"type": "text", "analyzer": "english"}} if properties is None else properties
        }
        if meta is not None:
            mappings["_meta"] = meta
        chosen = {"number_of_shards": 1, "number_of_replicas": 0} if settings is None else settings
        cluster.create_index(index, {"settings": chosen, "mappings": mappings})
        names.append(index)
        return index

    yield make
    for index in names:
        if cluster.index_exists(index):
            cluster.delete_index(index)


@pytest.fixture(scope="session")
def _coded_products(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The index `products` for the rest of the run: the sample's first products, attached and coded."""
    from gram_os.cluster.labels import LabelState, attach
    from gram_os.ingest.backfill import backfill
    from gram_os.loading.load import Source, load_products, survey_source
    from gram_os.model.backbone import load_generator

    if cluster.index_exists(EXAMPLE_INDEX):
        meta = cluster.get_mapping(EXAMPLE_INDEX).get("_meta", {})
        if meta.get("owner") != EXAMPLE_OWNER:
            pytest.fail(f"{cluster.url} has an index '{EXAMPLE_INDEX}' that is not ours; the examples need that name")
        cluster.delete_index(EXAMPLE_INDEX)  # a run that was killed has left it
    file = tmp_path_factory.mktemp("examples") / "products.jsonl"
    with gzip.open(sample_file("products.jsonl.gz"), "rt", encoding="utf-8") as lines:
        file.write_text("".join(islice(lines, EXAMPLE_PRODUCTS)), encoding="utf-8")
    generator = load_generator()
    manifest = generator.bundle.manifest
    state = LabelState(manifest.label, generator.bundle.id, "title", coded_fields=manifest.coded_fields)
    source = Source(file)
    load_products(cluster, EXAMPLE_INDEX, source, survey_source(source), on_item=lambda _: None)
    cluster.put_mapping(EXAMPLE_INDEX, {"_meta": {"owner": EXAMPLE_OWNER}})
    attach(cluster, EXAMPLE_INDEX, state)
    backfill(cluster, EXAMPLE_INDEX, state, generator)
    yield
    cluster.delete_index(EXAMPLE_INDEX)


@pytest.fixture
def example_index(_coded_products: None, cluster: Cluster, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """What an example of use finds: OPENSEARCH_URL, and an index `products` with codes. Returns the index's name."""
    if settings.cluster.url is None:
        monkeypatch.setenv("OPENSEARCH_URL", cluster.url)
    monkeypatch.setenv("OPENSEARCH_TIMEOUT", f"{settings.cluster.timeout_s}")
    return EXAMPLE_INDEX


def _needs_a_cluster(item: pytest.Item) -> bool:
    """Say whether an item is a doctest with a comment that names OPENSEARCH_URL."""
    if not isinstance(item, pytest.DoctestItem):
        return False
    lines = [line for example in item.dtest.examples for line in example.source.splitlines()]
    return any("OPENSEARCH_URL" in line.partition("#")[2] for line in lines)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests out unless `-m` names them."""
    if "long" not in config.getoption("-m"):
        kept = [item for item in items if item.get_closest_marker("long") is None]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the doctests that need a cluster, so that `-m "not integration"` leaves them out."""
    if _needs_a_cluster(item):
        item.add_marker("integration")


@pytest.fixture(autouse=True)
def _give_examples_their_index(request: pytest.FixtureRequest) -> None:
    if _needs_a_cluster(request.node):
        request.getfixturevalue("example_index")
