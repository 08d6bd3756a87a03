"""Faults on a real node: whatever breaks, each document ends with the right codes, written once, and nothing is lost.

"Written once" is counted by the numbers that a shard gives to writes: n documents that are written by their writer and
coded once have used 2 n of them.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gram_os.cluster.bulk import Backoff
from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach
from gram_os.ingest.backfill import BackfillOptions, backfill
from gram_os.ingest.feed import look_at_shards
from gram_os.ingest.watch import Watch, WatchOptions
from gram_os.model.generator import Generator
from gram_os.settings import ClusterSettings, Settings
from tests.bundles import make_generator
from tests.conftest import MakeIndex
from tests.fault_proxy import FAULTS, FaultProxy
from tests.ingest_checks import check_codes, write_documents

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
KINDS = ("HP laptop", "Xerox toner cartridge", "red wireless mouse", "Apple mouse", "black toner")
QUICK = Backoff(attempts=14, initial_s=0.02, max_s=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundle")


@pytest.fixture(scope="module")
def generator(folder: Path) -> Generator:
    return make_generator(folder)


@pytest.fixture
def state(generator: Generator) -> LabelState:
    return LabelState("t1", generator.bundle.id, "title")


def make_documents(count: int) -> dict[str, dict[str, Any]]:
    return {
        str(n): {"title": KINDS[n % len(KINDS)], "price": n, "shop": {"stock": [n], "weight": 1.10}}
        for n in range(count)
    }


def make_coded_index(
    cluster: Cluster, make_index: MakeIndex, state: LabelState, documents: dict[str, dict[str, Any]], shards: int = 2
) -> str:
    index = make_index(settings={"number_of_shards": shards, "number_of_replicas": 0})
    write_documents(cluster, index, documents)
    attach(cluster, index, state)
    return index


def count_writes(cluster: Cluster, index: str) -> int:
    return sum(shard.checkpoint + 1 for shard in look_at_shards(cluster, index))


def _kill_at_random(
    cluster: Cluster, index: str, folder: Path, *, kills: int, workers: int, seed: int
) -> list[subprocess.CompletedProcess[str]]:
    """Run the worker again and again, and kill it `kills` times. Return the runs that ended by themselves."""
    draw = random.Random(seed)
    command = [sys.executable, "-m", "tests.ingest_worker", cluster.url, index, str(folder), "2", str(workers)]
    ended: list[subprocess.CompletedProcess[str]] = []
    for kill in range(kills + 1):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            patience = draw.uniform(0.5, 3.5) if kill < kills else 300
            out, err = process.communicate(timeout=patience)
            ended.append(subprocess.CompletedProcess(command, process.returncode, out, err))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
    return ended


@pytest.mark.parametrize(
    ("kills", "workers", "count"),
    [(3, 1, 600), pytest.param(20, 1, 6000, marks=pytest.mark.long), pytest.param(20, 3, 6000, marks=pytest.mark.long)],
)
def test_kill_minus_nine_at_any_moment(
    cluster: Cluster,
    make_index: MakeIndex,
    state: LabelState,
    generator: Generator,
    folder: Path,
    kills: int,
    workers: int,
    count: int,
) -> None:
    documents = make_documents(count)
    index = make_coded_index(cluster, make_index, state, documents)
    ended = _kill_at_random(cluster, index, folder, kills=kills, workers=workers, seed=count)
    assert [(run.returncode, run.stderr) for run in ended] == [(0, "")] * len(ended)
    check_codes(cluster, index, documents, generator, "gram_t1")
    assert count_writes(cluster, index) == 2 * count


def test_another_worker_takes_over_a_dead_ones_lease(
    cluster: Cluster, make_index: MakeIndex, state: LabelState, generator: Generator, folder: Path
) -> None:
    documents = make_documents(400)
    index = make_coded_index(cluster, make_index, state, documents)
    command = [sys.executable, "-m", "tests.ingest_worker", cluster.url, index, str(folder), "20"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _wait_for(lambda: count_writes(cluster, index) > 400)
    process.kill()
    process.communicate()
    report = backfill(cluster, index, state, generator)
    # What the dead worker wrote and did not save stands behind the pass, so it may be in no count.
    assert 0 < report.coded < 400 and report.resumed + report.coded + report.unchanged <= 400
    check_codes(cluster, index, documents, generator, "gram_t1")
    assert count_writes(cluster, index) == 800


def test_two_machines_share_one_catalogue(
    cluster: Cluster, make_index: MakeIndex, state: LabelState, generator: Generator, folder: Path
) -> None:
    documents = make_documents(400)
    index = make_coded_index(cluster, make_index, state, documents)
    command = [sys.executable, "-m", "tests.ingest_worker", cluster.url, index, str(folder), "10"]
    both = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    coded = []
    for process in both:
        out, err = process.communicate(timeout=300)
        assert (process.returncode, err) == (0, "")
        coded.append(int(out.split()[0]))
    assert sum(coded) == 400 and min(coded) > 50
    check_codes(cluster, index, documents, generator, "gram_t1")
    assert count_writes(cluster, index) == 800


@pytest.mark.parametrize(
    ("fault", "count"),
    [
        ("lost", 300),
        ("all", 300),
        *(pytest.param(fault, 5000, marks=pytest.mark.long) for fault in (*FAULTS, "all")),
    ],
)
def test_a_proxy_with_faults_on_a_third_of_the_requests(
    cluster: Cluster, make_index: MakeIndex, state: LabelState, generator: Generator, fault: str, count: int
) -> None:
    count = count // 5 if fault in ("hang", "all") else count  # each one that hangs takes half a second
    documents = make_documents(count)
    index = make_coded_index(cluster, make_index, state, documents, shards=1)
    faults = FAULTS if fault == "all" else (fault,)
    with FaultProxy(cluster.url, share=0.3, seed=count, hang_s=1.0, faults=faults) as proxy:
        through = Cluster(ClusterSettings(url=proxy.url, timeout_s=0.5), backoff=QUICK)
        report = backfill(through, index, state, generator, BackfillOptions(slices=2))
        watch = Watch(through, index, state, generator, WatchOptions(0.01, 0.0))
        watch.drain()
        through.close()
        assert report.refused == [] and watch.status.refused == 0
        assert sum(proxy.counts[name] for name in FAULTS) > 0
    check_codes(cluster, index, documents, generator, "gram_t1")
    # A write whose answer is lost is not repeated: its document is read anew, and is current.
    assert count_writes(cluster, index) == 2 * count


@pytest.mark.parametrize(("count", "changes"), [(400, 300), pytest.param(5000, 10_000, marks=pytest.mark.long)])
def test_writers_change_titles_during_backfill_and_watch(
    cluster: Cluster, make_index: MakeIndex, state: LabelState, generator: Generator, count: int, changes: int
) -> None:
    documents = make_documents(count)
    index = make_coded_index(cluster, make_index, state, documents)
    draw, stop = random.Random(changes), threading.Event()

    def change() -> Iterator[dict[str, Any]]:
        for n in range(changes):
            id_ = str(draw.randrange(count))
            if n % 3 == 0:  # a partial update of the title
                body = {"title": f"{draw.choice(KINDS)} {draw.choice(KINDS)}"}
                documents[id_] = {**documents[id_], **body}
                yield {"op": "update", "index": index, "id": id_, "body": {"doc": body}}
            elif n % 3 == 1:  # a partial update of something else
                documents[id_] = {**documents[id_], "price": n}
                yield {"op": "update", "index": index, "id": id_, "body": {"doc": {"price": n}}}
            else:  # a whole document, which loses its codes
                documents[id_] = {"title": draw.choice(KINDS), "price": n}
                yield {"op": "index", "index": index, "id": id_, "body": documents[id_]}

    def write() -> None:
        for item in cluster.bulk(change(), chunk=20):
            assert item.ok, item

    writer = threading.Thread(target=write)
    watch = Watch(cluster, index, state, generator, WatchOptions(0.02, 0.05))
    follower = threading.Thread(target=watch.run, args=(stop,))
    writer.start()
    backfill(cluster, index, state, generator)
    follower.start()
    writer.join()
    looks = watch.status.looks
    _wait_for(lambda: watch.status.looks > looks + 2 and watch.status.lag_operations == 0, 300)
    stop.set()
    follower.join()
    Watch(cluster, index, state, generator).drain()
    check_codes(cluster, index, documents, generator, "gram_t1")


def _wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.02)


def test_the_node_restarts_in_the_middle(
    settings: Settings, state: LabelState, generator: Generator, tmp_path: Path
) -> None:
    from gram_os.embedded.node import EmbeddedNode

    def start(port: int | None = None) -> EmbeddedNode:
        return EmbeddedNode.start(
            tmp_path, cache=settings.cache_dir, port=port, attached=True, heap="512m", timeout_s=600
        )

    node = start()
    documents = make_documents(3000)
    cluster = Cluster(ClusterSettings(url=node.url, timeout_s=30), backoff=Backoff(attempts=40, initial_s=0.1, max_s=2))
    settings_body = {"number_of_shards": 2, "number_of_replicas": 0}
    mapping = {"properties": {"title": {"type": "text"}}}
    cluster.create_index("shop", {"settings": settings_body, "mappings": mapping})
    write_documents(cluster, "shop", documents)
    attach(cluster, "shop", state)
    from tests.ingest_worker import SlowCoder

    reports = []
    work = threading.Thread(
        target=lambda: reports.append(backfill(cluster, "shop", state, SlowCoder(generator, 0.002)))
    )
    work.start()
    _wait_for(lambda: count_writes(cluster.patient(), "shop") > 3500)
    node.stop()
    node = start(int(node.url.rpartition(":")[2]))
    work.join()
    assert reports and reports[0].refused == []
    check_codes(cluster, "shop", documents, generator, "gram_t1")
    cluster.close()
    node.stop()


def test_the_primarys_node_stops(settings: Settings, state: LabelState, generator: Generator, tmp_path: Path) -> None:
    """Three nodes in one process. The shard's primary is moved to a node that does not answer requests, which stops."""
    from gram_os.embedded.node import EmbeddedNode
    from tests.ingest_worker import SlowCoder

    node = EmbeddedNode.start(tmp_path, cache=settings.cache_dir, nodes=3, attached=True, heap="768m", timeout_s=600)
    cluster = Cluster(ClusterSettings(url=node.url, timeout_s=30), backoff=Backoff(attempts=40, initial_s=0.1, max_s=2))
    patient = cluster.patient()
    documents = make_documents(2000)
    body = {
        "settings": {"number_of_shards": 2, "number_of_replicas": 1},
        "mappings": {"properties": {"title": {"type": "text"}}},
    }
    cluster.create_index("shop", body)
    write_documents(cluster, "shop", documents)
    attach(cluster, "shop", state)
    cluster.request("GET", "/_cluster/health/shop", params={"wait_for_status": "green"})
    routing = cluster.request("GET", "/_cluster/state/routing_table,nodes/shop")
    names = {id_: found["name"] for id_, found in routing["nodes"].items()}
    primaries = {
        names[copy["node"]]
        for copies in routing["routing_table"]["indices"]["shop"]["shards"].values()
        for copy in copies
        if copy["primary"]
    }
    victim = max(primaries)  # "Node 1" answers our requests; two primaries stand on two nodes
    assert victim != "Node 1"
    reports = []
    work = threading.Thread(
        target=lambda: reports.append(backfill(cluster, "shop", state, SlowCoder(generator, 0.002)))
    )
    work.start()
    _wait_for(lambda: count_writes(patient, "shop") > 2300)
    node.stop_one(int(victim.rpartition(" ")[2]))
    for n in range(0, 2000, 50):  # writers go on
        documents[str(n)] = {"title": KINDS[(n + 1) % len(KINDS)], "price": n}
        patient.request("PUT", f"/shop/_doc/{n}", documents[str(n)])
    work.join()
    assert patient.request("GET", "/_cluster/health")["number_of_nodes"] == 2
    assert reports and reports[0].refused == []
    Watch(patient, "shop", state, generator).drain()
    check_codes(patient, "shop", documents, generator, "gram_t1")
    cluster.close()
    node.stop()
