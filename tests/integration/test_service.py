"""The ingest process on a real node: it codes what is there, follows changes and labels, and drains the queue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach
from gram_os.embedded.ports import find_free_ports
from gram_os.ingest.dead_letters import DeadLetters
from gram_os.ingest.queue import CatalogueChange, ChangeQueue
from gram_os.ingest.queue_drain import HOOK
from gram_os.ingest.service import IngestService, ServiceOptions
from gram_os.ingest.watch import WatchOptions
from gram_os.model.bundle import Bundle
from gram_os.model.generator import Generator
from tests.bundles import make_generator
from tests.conftest import MakeIndex
from tests.ingest_checks import check_codes, read_all, write_documents

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
DOCUMENTS: dict[str, dict[str, Any]] = {
    "1": {"title": "Xerox toner cartridge, black", "price": 10},
    "2": {"title": "HP laptop"},
}


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return make_generator(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def index(cluster: Cluster, make_index: MakeIndex, generator: Generator) -> str:
    name = make_index(properties={"title": {"type": "text"}, "price": {"type": "integer"}})
    write_documents(cluster, name, DOCUMENTS)
    attach(cluster, name, LabelState("t1", generator.bundle.id, "title"))
    return name


def _service(cluster: Cluster, index: str, *generators: Generator) -> IngestService:
    known: Mapping[str, Generator] = {one.bundle.id: one for one in generators}
    options = ServiceOptions([index], watch=WatchOptions(0.05, 0.0))
    return IngestService(cluster, options, known.get)


@contextmanager
def _running(service: IngestService) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=service.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.05)


def _read(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        return str(answer.read().decode())


def _codes(cluster: Cluster, index: str, label: str = "t1") -> dict[str, list[str]]:
    found = read_all(cluster, index).items()
    return {id_: hit["_source"].get(f"gram_{label}", {}).get("codes", []) for id_, hit in found}


def _tell(cluster: Cluster, index: str, *changes: CatalogueChange) -> None:
    ChangeQueue(cluster).add(index, changes, signed=f"{time.time_ns()}", digest=f"{time.time_ns()}")


def test_what_is_there_is_coded_and_changes_follow(cluster: Cluster, index: str, generator: Generator) -> None:
    with _running(_service(cluster, index, generator)):
        _wait_for(lambda: all(_codes(cluster, index).values()))
        write_documents(cluster, index, {"3": {"title": "red mouse"}})
        _wait_for(lambda: _codes(cluster, index).get("3"))
    check_codes(cluster, index, {**DOCUMENTS, "3": {"title": "red mouse"}}, generator, "gram_t1")


def test_a_label_that_comes_later_is_followed_too(
    cluster: Cluster, index: str, generator: Generator, tmp_path: Path
) -> None:
    second = make_generator(tmp_path, title_values=3)
    with _running(_service(cluster, index, generator, second)):
        _wait_for(lambda: all(_codes(cluster, index).values()))
        attach(cluster, index, LabelState("t2", second.bundle.id, "title"))
        _wait_for(lambda: all(_codes(cluster, index, "t2").values()))
    assert all(_codes(cluster, index).values())


def test_products_of_the_hook_are_written_and_coded(cluster: Cluster, index: str, generator: Generator) -> None:
    with _running(_service(cluster, index, generator)):
        _wait_for(lambda: all(_codes(cluster, index).values()))
        product = {"id": "1", "title": "HP mouse", "price": 7}
        _tell(cluster, index, CatalogueChange("1", product), CatalogueChange("9", {"id": "9", "title": "Xerox toner"}))
        _wait_for(lambda: _codes(cluster, index).get("9") and "hp | mouse" in _codes(cluster, index)["1"])
        assert ChangeQueue(cluster).size([index]).requests == 0
    written = {"1": product, "2": DOCUMENTS["2"], "9": {"id": "9", "title": "Xerox toner"}}
    check_codes(cluster, index, written, generator, "gram_t1")


def test_the_same_product_again_keeps_its_codes(cluster: Cluster, index: str, generator: Generator) -> None:
    attach(
        cluster, index, LabelState("t1", generator.bundle.id, "title", coded_fields=("brand", "tags", "description"))
    )
    service = _service(cluster, index, generator)
    service.drain()
    before = read_all(cluster, index)["2"]["_source"]["gram_t1"]
    _tell(cluster, index, CatalogueChange("2", {"id": "2", "title": "HP laptop", "price": 99}))
    service.drain()
    after = read_all(cluster, index)["2"]["_source"]
    assert (after["price"], after["gram_t1"]) == (99, before)


def test_ids_of_the_hook_are_coded(cluster: Cluster, index: str, generator: Generator) -> None:
    service = _service(cluster, index, generator)
    _tell(cluster, index, CatalogueChange("1", None), CatalogueChange("gone", None))
    status = service.drain()
    assert status[index, "t1"].coded == 1  # the other one; this one came by the queue
    assert all(_codes(cluster, index).values())


def test_a_product_that_the_cluster_refuses_becomes_a_dead_letter(
    cluster: Cluster, index: str, generator: Generator
) -> None:
    service = _service(cluster, index, generator)
    bad = CatalogueChange("8", {"id": "8", "title": "HP mouse", "price": "much"})
    _tell(cluster, index, bad, CatalogueChange("9", {"id": "9", "title": "HP laptop"}))
    service.drain()
    letters = list(DeadLetters(cluster).list(indices=[index]))
    assert [(letter.key.id, letter.label, letter.status) for letter in letters] == [("8", HOOK, 400)]
    assert "price" in letters[0].reason and "send it again" in letters[0].reason
    assert _codes(cluster, index)["9"] and "8" not in _codes(cluster, index)
    _tell(cluster, index, CatalogueChange("8", {"id": "8", "title": "HP mouse", "price": 3}))
    service.drain()
    assert list(DeadLetters(cluster).list(indices=[index])) == [] and _codes(cluster, index)["8"]


def test_a_missing_bundle_is_told_and_others_go_on(
    cluster: Cluster, index: str, generator: Generator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    attach(cluster, index, LabelState("t2", make_generator(tmp_path, title_values=3).bundle.id, "title"))
    with _running(_service(cluster, index, generator)):
        _wait_for(lambda: all(_codes(cluster, index).values()))
    assert f"index '{index}': label 't2' belongs to bundle" in caplog.text
    assert "GRAM_OS_MODEL_BUNDLES" in caplog.text


def test_the_process_folder_runs_backfill_and_watch(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    attach(cluster, index, LabelState("v1", Bundle.load().id, "title"))
    write_documents(cluster, index, {"1": {"title": "HP 15.6 inch notebook"}})
    (port,) = find_free_ports(1)
    environ = {
        **os.environ, "OPENSEARCH_URL": cluster.url, "GRAM_OS_INGEST_INDICES": index,
        "GRAM_OS_INGEST_METRICS_HOST": "127.0.0.1", "GRAM_OS_INGEST_METRICS_PORT": str(port),
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "ingest"], cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True
    )
    try:
        _wait_for(lambda: _codes(cluster, index, "v1")["1"], 120)
        # The watch has begun: a change before that would be the backfill's.
        _wait_for(lambda: f'lag_operations{{index="{index}"' in _read(f"http://127.0.0.1:{port}/metrics"))
        write_documents(cluster, index, {"1": {"title": "HP wireless mouse"}})
        _wait_for(lambda: any("mouse" in code for code in _codes(cluster, index, "v1")["1"]), 60)
        wanted = f'gram_os_ingest_documents{{index="{index}",label="v1",outcome="coded"}} 1.0'
        _wait_for(lambda: wanted in _read(f"http://127.0.0.1:{port}/metrics"))
        assert "gram_os_ingest_lag_operations{" in _read(f"http://127.0.0.1:{port}/metrics")
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
