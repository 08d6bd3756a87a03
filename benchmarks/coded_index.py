"""An index of a catalogue that a bundle has coded, for one benchmark: it is deleted afterwards.

Starts a node of its own where no address is given.
"""

from __future__ import annotations

import logging
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach
from gram_os.embedded import resolve_cluster
from gram_os.errors import GramError
from gram_os.ingest.backfill import backfill
from gram_os.loading.load import Source, load_products, survey_source
from gram_os.model.generator import Generator
from gram_os.settings import load_settings

TIMEOUT_S = 120  # a benchmark's machine may be busy

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CodedIndex:
    """A cluster and the name of the coded index. `seconds` is step -> seconds of the steps "load" and "code"."""

    cluster: Cluster
    index: str
    seconds: dict[str, float] = field(default_factory=dict)


@contextmanager
def open_cluster(url: str | None) -> Iterator[Cluster]:
    """Yield the cluster at `url` or of the user's settings; else a node of its own, which ends with the context."""
    with tempfile.TemporaryDirectory(prefix="gram-os-benchmark-", ignore_cleanup_errors=True) as folder:
        settings = load_settings(cluster={"url": url, "timeout_s": TIMEOUT_S}, data_dir=Path(folder))
        with resolve_cluster(settings, attached=True) as cluster:
            yield cluster


@contextmanager
def open_coded_index(products: Path, generator: Generator, url: str | None) -> Iterator[CodedIndex]:
    """Load a catalogue into a new index and code it. Raises GramError when a product is refused."""
    with open_cluster(url) as cluster:
        found = CodedIndex(cluster, f"gram-os-benchmark-{uuid.uuid4().hex}")
        try:
            _fill(found, products, generator)
            yield found
        finally:
            if cluster.index_exists(found.index):
                cluster.delete_index(found.index)


def _fill(target: CodedIndex, products: Path, generator: Generator) -> None:
    source = Source(str(products))
    state = LabelState(generator.bundle.manifest.label, generator.bundle.id, "title")
    started = time.perf_counter()
    load_products(target.cluster, target.index, source, survey_source(source), on_item=lambda _: None)
    loaded = time.perf_counter()
    attach(target.cluster, target.index, state)
    report = backfill(target.cluster, target.index, state, generator)
    target.seconds.update(load=loaded - started, code=time.perf_counter() - loaded)
    log.info("%s: %s", target.index, ", ".join(f"{name} {spent:.0f} s" for name, spent in target.seconds.items()))
    if report.refused:
        first = report.refused[0]
        raise GramError(f"{len(report.refused)} products were not coded, such as {first.id}: {first.reason}")
