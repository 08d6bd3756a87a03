"""Time from the start of a process to its first answer: `gram-os search` on an existing index.

python benchmarks/start_up.py [--url URL] [--products 300] [--repeats 5] [--json]

The cluster runs before the clock starts; by default it is a node that is started and stopped here. So only our own work
counts: imports, bundle, graphs, first codes, first search. An untimed run compiles the bytecode, as an installation
does. `start.search` is the whole command from start to exit. `start.<part>` are its parts, in another process. All
figures are medians, of clock time and of CPU time. CPU time adds up the threads of ONNX Runtime, so it is the most that
the process would take on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from statistics import median

from benchmarks.measures import Measure, print_measures
from gram_os.catalogue import read_products
from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import build_index_body
from gram_os.cluster.labels import LabelState, attach
from gram_os.data import sample_file
from gram_os.embedded import resolve_cluster
from gram_os.ingest.backfill import backfill
from gram_os.model.backbone import load_generator
from gram_os.settings import load_settings

INDEX = "gram-os-start-up"
QUERY = "hp toner cartridge"
GOAL_S = 2.0


@contextmanager
def coded_index(cluster: Cluster, products: int) -> Iterator[None]:
    """Load so many products of the sample into an index and code them with the shipped bundle. Delete it afterwards."""
    cluster.create_index(INDEX, build_index_body({}, dynamic=False))
    try:
        some = islice(read_products(sample_file("products.jsonl.gz")), products)
        actions = [{"op": "index", "index": INDEX, "id": p.id, "body": {"title": p.title}} for p in some]
        if refused := [item for item in cluster.bulk(actions) if not item.ok]:
            raise RuntimeError(f"{len(refused)} products were refused, such as {refused[0]}")
        generator = load_generator()
        state = LabelState(generator.bundle.manifest.label, generator.bundle.id, "title")
        attach(cluster, INDEX, state)
        backfill(cluster, INDEX, state, generator)
        yield
    finally:
        cluster.delete_index(INDEX)


def run(words: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float, str]:
    """Run a Python process. Returns its seconds by the clock, its CPU seconds, and its output."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", *words], env=dict(environment), capture_output=True, text=True, check=False
    )
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(done.stderr or done.stdout)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, done.stdout


def measure(url: str, repeats: int, folder: Path) -> list[Measure]:
    """Measure the whole command and its parts."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder)
    command = ["gram_os.cli.main", "search", QUERY, "--index", INDEX, "--url", url, "--json"]
    parts = ["benchmarks.start_up_laps", url, INDEX, QUERY]
    answer = json.loads(run(command, environment)[2])  # also compiles the bytecode
    if not answer["hits"]:
        raise RuntimeError(f"no hit for '{QUERY}'")
    run(parts, environment)
    whole = [run(command, environment) for _ in range(repeats)]
    laps = [json.loads(run(parts, environment)[2]) for _ in range(repeats)]
    clock, cpu = [seconds for seconds, _, _ in whole], [spent for _, spent, _ in whole]
    found = [
        Measure("start.search", median(clock), "s", GOAL_S),
        Measure("start.search.fastest", min(clock), "s"),
        Measure("start.search.cpu", median(cpu), "s"),
    ]
    for part in laps[0]:
        found.append(Measure(f"start.{part}", median(lap[part][0] for lap in laps), "s"))
        found.append(Measure(f"start.{part}.cpu", median(lap[part][1] for lap in laps), "s"))
    return found


def main() -> None:
    """Start a node where none is given, measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--url", help="a cluster that is up; by default a node of its own")
    parser.add_argument("--products", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = load_settings(cluster={"url": args.url}, data_dir=Path(folder) / "data")
        with resolve_cluster(settings, attached=True) as cluster, coded_index(cluster, args.products):
            found = measure(cluster.url, args.repeats, Path(folder) / "bytecode")
    print_measures("Start to first answer", found, as_json=args.json)


if __name__ == "__main__":
    main()
