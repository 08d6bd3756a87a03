"""Ingest: our own overhead beside plain bulk updates, the lag of a watch, workers on leases, and what follows from it.

    .venv/bin/python -m benchmarks.ingest --json

The generator is a double that has its answers ready, so that only reading, hashing, writing and book-keeping are left.
Its answers are codes that the shipped bundle gave to the sample's products. The peer is opensearch-py's `parallel_bulk`
with partial updates of the same fields. Both write the same index in turns, and a row gives the ratio of each turn.
With --memory N, a backfill of N documents runs in a process of its own, whose largest size is a row.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from opensearchpy import OpenSearch
from opensearchpy.helpers import parallel_bulk

from benchmarks.coded_index import open_cluster
from benchmarks.measures import Measure, print_measures
from gram_os.catalogue import Product
from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach
from gram_os.data import sample_file
from gram_os.ingest.backfill import BackfillOptions, backfill
from gram_os.ingest.documents import ProductCoder, build_code_fields
from gram_os.ingest.watch import Watch, WatchOptions
from gram_os.model.backbone import load_generator
from gram_os.model.bundle import Bundle
from gram_os.model.coded import CodedText
from gram_os.settings import ClusterSettings

FIELDS: Final = 12  # of a product, beside the codes
LIGHT: Final = 12  # weights of a document with few codes
REMOTE_S: Final = 0.02


class ReadyCoder:
    """A generator with ready answers: the codes of other products, one after the other. seconds: waited a product."""

    def __init__(self, bundle: Bundle, codes: Sequence[CodedText], seconds: float = 0.0):
        self.bundle, self._codes, self._seconds = bundle, codes, seconds

    def code_products(self, products: Iterable[Product]) -> Iterator[CodedText]:
        """Yield the answers."""
        for place, _ in enumerate(products):
            if self._seconds:
                time.sleep(self._seconds)
            yield self._codes[place % len(self._codes)]

    def code_batch(self, products: Sequence[Product]) -> list[CodedText]:
        """Return the answers."""
        return list(self.code_products(products))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Rows of the sample, and the codes that the shipped bundle gave to some of them."""

    bundle: Bundle
    rows: Sequence[Mapping[str, Any]]
    codes: Sequence[CodedText]

    @classmethod
    def read(cls) -> Catalogue:
        """Read the sample, and code 64 products."""
        with gzip.open(sample_file("products.jsonl.gz"), "rt", encoding="utf-8") as lines:
            rows = [dict(list(json.loads(line).items())[:FIELDS]) for line in islice(lines, 5000)]
        generator = load_generator()
        codes = generator.code_batch([Product(row["id"], row["title"], row) for row in rows[:64]])
        return cls(generator.bundle, rows, codes)

    @property
    def light(self) -> list[CodedText]:
        """The same codes with few weights."""
        return [CodedText(coded.codes, coded.attributes, coded.weights[:LIGHT]) for coded in self.codes]

    def document(self, number: int) -> dict[str, Any]:
        """Return the document of a number. Titles repeat after 5,000."""
        return {**self.rows[number % len(self.rows)], "id": str(number)}


class Indices:
    """Makes indices of the catalogue, and deletes them."""

    def __init__(self, cluster: Cluster, catalogue: Catalogue):
        self.cluster, self.catalogue = cluster, catalogue
        self._names: list[str] = []

    def make(self, count: int, shards: int = 1) -> str:
        """Make an attached index with so many documents."""
        name = f"gram-os-benchmark-{uuid.uuid4().hex}"
        mapping = {"dynamic": False, "properties": {"title": {"type": "text"}, "supplier": {"type": "keyword"}}}
        settings = {"number_of_shards": shards, "number_of_replicas": 0}
        self.cluster.create_index(name, {"settings": settings, "mappings": mapping})
        self._names.append(name)
        documents = (
            {"op": "index", "index": name, "id": str(n), "body": self.catalogue.document(n)} for n in range(count)
        )
        if not all(item.ok for item in self.cluster.bulk(documents)):
            raise SystemExit("a document was refused")
        attach(self.cluster, name, self.state)
        self.cluster.refresh(name)
        return name

    @property
    def state(self) -> LabelState:
        """The label of all of them."""
        return LabelState("v1", self.catalogue.bundle.id, "title")

    def clear(self) -> None:
        """Delete all indices."""
        for name in self._names:
            self.cluster.delete_index(name)
        self._names.clear()


def measure_overhead(
    indices: Indices, count: int, rounds: int, codes: Sequence[CodedText]
) -> tuple[list[float], list[float]]:
    """Return the documents a second of our backfill and of plain updates, one pair a round, in turns."""
    ours: list[float] = []
    plain: list[float] = []
    coder = ReadyCoder(indices.catalogue.bundle, codes)
    for number in range(rounds):
        for is_ours in ((True, False), (False, True))[number % 2]:
            name = indices.make(count)
            started = time.perf_counter()
            if is_ours:
                report = backfill(indices.cluster, name, indices.state, coder)
                if report.coded != count:
                    raise SystemExit(f"{report.coded} of {count} documents were coded")
                ours.append(count / (time.perf_counter() - started))
            else:
                _update_plainly(indices.cluster.url, name, count, codes)
                plain.append(count / (time.perf_counter() - started))
            indices.clear()
    return ours, plain


def _update_plainly(url: str, name: str, count: int, codes: Sequence[CodedText]) -> None:
    fields = [build_code_fields(coded, "0" * 16) for coded in codes]
    client = OpenSearch([url], timeout=120)
    actions = (
        {"_op_type": "update", "_index": name, "_id": str(n), "doc": {"gram_v1": fields[n % len(fields)]}}
        for n in range(count)
    )
    if not all(ok for ok, _ in parallel_bulk(client, actions, thread_count=2, chunk_size=512)):
        raise SystemExit("a plain update was refused")
    client.close()


def measure_workers(indices: Indices, count: int) -> tuple[float, float]:
    """Return the seconds of one and of two workers, with a generator that waits and uses no core."""
    coder = ReadyCoder(indices.catalogue.bundle, indices.catalogue.light, REMOTE_S)
    seconds = []
    for workers in (1, 2):
        name = indices.make(count)
        started = time.perf_counter()
        backfill(indices.cluster, name, indices.state, coder, BackfillOptions(workers=workers, slices=8))
        seconds.append(time.perf_counter() - started)
        indices.clear()
    return seconds[0], seconds[1]


def measure_searches(indices: Indices, count: int) -> tuple[float, float, float]:
    """Return the mean `took` of a search alone and beside a backfill, and the backfill's documents a second.

    Twenty searches a second on the index that is coded. The backfill has its answers ready, so it would take all that
    the cluster gives.
    """
    name = indices.make(count)
    alone = _search(indices, name, 8.0, threading.Event())
    done = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(_search, indices, name, 600.0, done)
        started = time.perf_counter()
        backfill(indices.cluster, name, indices.state, ReadyCoder(indices.catalogue.bundle, indices.catalogue.codes))
        seconds = time.perf_counter() - started
        done.set()
        times = beside.result()
    indices.clear()
    return statistics.fmean(alone), statistics.fmean(times), count / seconds


def _search(indices: Indices, name: str, seconds: float, stop: threading.Event) -> list[float]:
    times: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until and not stop.is_set():
        title = str(indices.catalogue.document(len(times) * 37)["title"])
        body = {"query": {"match": {"title": title}}, "size": 10, "_source": False}
        times.append(float(indices.cluster.search(name, body)["took"]))
        time.sleep(0.05)
    return times


class Follower:
    """A watch in a thread."""

    def __init__(self, indices: Indices, name: str, coder: ProductCoder):
        self._stop = threading.Event()
        self.watch = Watch(indices.cluster, name, indices.state, coder, WatchOptions())
        self._thread = threading.Thread(target=self.watch.run, args=(self._stop,))

    def __enter__(self) -> Watch:
        self._thread.start()
        return self.watch

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def measure_single_changes(indices: Indices, changes: int) -> list[float]:
    """Return the seconds from each change to the first search that finds it by its new codes."""
    name, seconds = indices.make(1000), []
    generator = load_generator()
    with Follower(indices, name, generator) as watch:
        _wait_for(lambda: watch.status.coded == 1000 and not watch.status.lag_operations)
        for number in range(changes):
            word = f"zebra{number}"
            found = {"query": {"rank_feature": {"field": f"gram_v1.weights.{word}"}}, "size": 1, "_source": False}
            started = time.perf_counter()
            body = {"doc": {"title": f"HP notebook {word}"}}
            indices.cluster.request("POST", f"/{name}/_update/{number}", body)
            _wait_for(lambda found=found: bool(indices.cluster.search(name, found)["hits"]["hits"]))
            seconds.append(time.perf_counter() - started)
            time.sleep(0.37)  # not in step with the watch
    indices.clear()
    return seconds


def measure_burst(indices: Indices, burst: int) -> list[float]:
    """Return how long each change of a burst was without its codes, less the time of the coding, sorted.

    The time of the coding is what the generator takes for the titles before a change and for itself, one after the
    other in the order of the writes, as a stream.
    """
    name, generator = indices.make(2 * burst), load_generator()
    changed = [f"{indices.catalogue.document(n)['title']} zebra{n}" for n in range(burst)]
    products = [Product(str(n), title, indices.catalogue.document(n)) for n, title in enumerate(changed)]
    with Follower(indices, name, ReadyCoder(generator.bundle, indices.catalogue.codes)) as watch:
        _wait_for(lambda: watch.status.coded == 2 * burst and not watch.status.lag_operations)
    started = time.perf_counter()
    coding = [time.perf_counter() - started for _ in generator.code_products(products)]
    with Follower(indices, name, generator) as watch:
        _wait_for(lambda: watch.status.looks > 2)
        started = time.perf_counter()
        actions = [
            {"op": "update", "index": name, "id": str(n), "body": {"doc": {"title": title}}}
            for n, title in enumerate(changed)
        ]
        noter = ThreadPoolExecutor(1).submit(_note_when_visible, indices.cluster, name, burst, started)
        time.sleep(0.3)  # it has looked at the hashes
        written = [time.perf_counter() - started for _ in indices.cluster.bulk(actions, chunk=100)]
        visible = noter.result()
    indices.clear()
    return sorted(max(0.0, visible[n] - written[n] - coding[n]) for n in range(burst))


def _note_when_visible(cluster: Cluster, name: str, burst: int, started: float) -> dict[int, float]:
    """Ask again and again which changes a search finds with new codes, and note the time of the first such answer.

    Codes are new when the hash of what they are made from is not the one that the document had before.
    """
    body = {"size": 2 * burst, "_source": False, "fields": ["gram_v1.source"], "seq_no_primary_term": True}
    hits = cluster.search(name, body)["hits"]["hits"]
    before, seen = _read_sources(hits), max(hit["_seq_no"] for hit in hits)
    visible: dict[int, float] = {}
    while len(visible) < burst:
        # Only what was written lately, so that the looking costs little. Two writes may become visible out of order.
        hits = cluster.search(name, {**body, "query": {"range": {"_seq_no": {"gt": seen - 50}}}})["hits"]["hits"]
        now = time.perf_counter() - started
        for number, source in _read_sources(hits).items():
            if source != before[number]:
                visible.setdefault(number, now)
        seen = max([seen, *(hit["_seq_no"] for hit in hits)])
        time.sleep(0.1)
    return visible


def _read_sources(hits: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    return {int(hit["_id"]): hit["fields"]["gram_v1.source"][0] for hit in hits}


def _wait_for(condition: Any) -> None:
    until = time.monotonic() + 600
    while not condition():
        if time.monotonic() > until:
            raise SystemExit("nothing happened for ten minutes")
        time.sleep(0.01)


def measure_memory(cluster: Cluster, catalogue: Catalogue, count: int) -> float:
    """Return the megabytes of a process that codes so many documents."""
    indices = Indices(cluster, catalogue)
    name = indices.make(count)
    command = [sys.executable, "-m", "benchmarks.ingest", "--child", name, "--url", cluster.url]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    indices.clear()
    return float(done.stdout)


def run_child(url: str, name: str) -> None:
    """Code an index with ready answers, and print the largest size of this process in megabytes.

    The answers are read from the bundle's own dictionary, so that no model is loaded.
    """
    bundle = Bundle.load()
    from gram_os.model.coded import ScoredCode
    from gram_os.text.code import Code

    values = bundle.dictionary.values[:LIGHT]
    weights = tuple(ScoredCode(Code((value,)), (0.5,), own=True) for value in values)
    coder = ReadyCoder(bundle, [CodedText(weights[:10], (), weights)])
    cluster = Cluster(ClusterSettings(url=url, timeout_s=120))
    backfill(cluster, name, LabelState("v1", bundle.id, "title"), coder)
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f}\n")


def run(url: str | None, *, count: int, rounds: int, memory: int, ray: bool) -> list[Measure]:
    """Measure everything, and return the rows."""
    catalogue = Catalogue.read()
    measures: list[Measure] = []
    with open_cluster(url) as cluster:
        indices = Indices(cluster, catalogue)
        try:
            for name, codes in (("few codes", catalogue.light), ("the bundle's codes", catalogue.codes)):
                measures += _overhead_rows(indices, count, rounds, name, codes)
            measures += _watch_rows(indices)
            one, two = measure_workers(indices, 1500)
            measures.append(Measure("two workers on two leases, times one", one / two, "x", 1.8, at_least=True))
            alone, beside, rate = measure_searches(indices, 2 * count)
            measures += [
                Measure("a search of others, alone", alone, "ms"),
                Measure("a search of others, beside a backfill that yields", beside, "ms"),
                Measure("that backfill", rate, "documents/s"),
            ]
            if memory:
                size = measure_memory(cluster, catalogue, memory)
                measures.append(Measure(f"memory of a backfill of {memory:,} documents", size, "MB", 300.0))
        finally:
            indices.clear()
    if ray:
        from benchmarks.ray_rate import measure

        measures.append(Measure("two Ray workers, times one", measure()["ray.ratio"], "x", 1.8, at_least=True))
    return measures + extrapolate(measures)


def _overhead_rows(indices: Indices, count: int, rounds: int, name: str, codes: Sequence[CodedText]) -> list[Measure]:
    ours, plain = measure_overhead(indices, count, rounds, codes)
    ratios = [a / b for a, b in zip(ours, plain, strict=True)]
    goal = 3000.0 if name == "few codes" else None
    return [
        Measure(f"backfill, generator at no cost, {name}", statistics.median(ours), "documents/s", goal, at_least=True),
        Measure(f"parallel_bulk updates, {name}", statistics.median(plain), "documents/s"),
        Measure(f"backfill, times parallel_bulk, {name}", statistics.median(ratios), "x", 0.8, at_least=True),
        Measure(f"the same, lowest of {rounds} rounds", min(ratios), "x"),
        Measure(f"the same, highest of {rounds} rounds", max(ratios), "x"),
    ]


def _watch_rows(indices: Indices) -> list[Measure]:
    single, burst = sorted(measure_single_changes(indices, 40)), measure_burst(indices, 1000)
    return [
        Measure("one change, until a search finds it, p50", statistics.median(single), "s"),
        Measure("one change, until a search finds it, p95", single[int(0.95 * len(single))], "s", 1.5),
        Measure("burst of 1,000 changes, lag above the coding, p50", statistics.median(burst), "s"),
        Measure("burst of 1,000 changes, lag above the coding, p95", burst[int(0.95 * len(burst))], "s", 2.0),
    ]


def extrapolate(measures: Sequence[Measure]) -> list[Measure]:
    """Return arithmetic, not measurements: hours of the writing alone for larger catalogues, at the measured rate.

    A shard's writes cost the same whatever its size, until merges of large segments do; that is not in the figure. The
    coding comes on top: a model's titles a second, divided among as many workers as there are.
    """
    found = {measure.name: measure.value for measure in measures}
    rate = found["backfill, generator at no cost, the bundle's codes"]
    return [
        Measure(f"arithmetic: hours to write {size // 10**6} million products at that rate", size / rate / 3600, "h")
        for size in (10**7, 10**8)
    ]


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a cluster; by default a node of its own")
    parser.add_argument("--count", type=int, default=20_000, help="documents of an overhead round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, default=0, metavar="N", help="measure the memory with N documents too")
    parser.add_argument("--ray", action="store_true", help="measure Ray workers too")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_child(options.url, options.child)
        return
    measures = run(options.url, count=options.count, rounds=options.rounds, memory=options.memory, ray=options.ray)
    print_measures("ingest", measures, as_json=options.json)


if __name__ == "__main__":
    main()
