"""Fixtures of the whole test run: one real cluster, and indices that are deleted afterwards."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from gram_os.cluster.client import Cluster
from gram_os.settings import Settings, load_settings

MakeIndex = Callable[..., str]

# No deadline: on a busy machine an example may take long. CI draws the same examples each time; a developer's run draws
# new ones.
hypothesis.settings.register_profile("gram-os", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("gram-os")


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


@pytest.fixture
def make_index(cluster: Cluster) -> Iterator[MakeIndex]:
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
