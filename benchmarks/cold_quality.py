"""Cold start on one data set without clicks: BM25, dense peers, their fusion, GRAM and the hybrid in one run.

python benchmarks/cold_quality.py --data FOLDER [--bundle FOLDER] [--only bm25,dense] [--relevant 3] [--json]

The folder holds products.jsonl.gz, queries.open.tsv and judgments.open.tsv. The catalogue is loaded with all its fields
into a new index and coded with the bundle. BM25 and the dense peers read titles. docs/quality.md explains the figures.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.coded_index import open_coded_index
from benchmarks.head_queries import open_peer
from benchmarks.peers.data import FILES
from benchmarks.peers.fusion import fuse_ranks
from benchmarks.peers.interface import DEPTH, Benchmark, Peer, Split
from benchmarks.peers.lexical import Bm25
from benchmarks.peers.run_cache import Part, obtain_run
from benchmarks.peers.statistics import Difference, RowResult, compare_rows, measure_row
from benchmarks.peers.table import Goals, measure_entries, print_tables
from gram_os.catalogue import read_judgments, read_products, read_queries
from gram_os.errors import GramError, InputError
from gram_os.model.backbone import load_generator
from gram_os.model.generator import Generator
from gram_os.query_pipeline.systems import SYSTEM_NAMES, build_systems
from gram_os.relevance import JudgmentSet, Run
from gram_os.relevance.evaluate import collect_runs

WORK = Path("models/runs/cold_quality")
SPLIT = "open"
FUSED = {"rrf_dense": ("bm25", "dense"), "rrf_bge": ("bm25", "bge")}
ROWS = ("bm25", "dense", "bge", *FUSED, "gram", "hybrid")
COMPARED = ("nDCG@10", "R@100")
#: Goals by the name of the data folder.
GOALS: Mapping[str, Goals] = {
    "esci": {("hybrid", "nDCG@10"): 0.74, ("hybrid", "R@100"): 0.94},
    "chorus_icecat": {("hybrid", "nDCG@10"): 0.77, ("hybrid", "condensed_nDCG@10"): 0.90, ("hybrid", "R@300"): 0.985},
}


def read_cold_start(folder: Path, work: Path, *, split: str, relevant: float, lowest_grade: float) -> Benchmark:
    """Read a folder without a train split: its queries are the dev split. Raises InputError for a missing file."""
    products, queries, judgments = (folder / name.format(split) for name in FILES)
    for path in (products, queries, judgments):
        if not path.is_file():
            raise InputError(f"there is no {path}; docs/quality.md says which files a folder holds")
    judged = JudgmentSet.build(read_judgments(judgments), relevant=relevant, lowest_grade=lowest_grade)
    asked = Split({query.id: query.text for query in read_queries(queries)}, judged)
    nothing = Split({}, JudgmentSet({}, relevant, lowest_grade))
    return Benchmark(list(read_products(products)), nothing, asked, folder, work)


def collect_coded_runs(bench: Benchmark, generator: Generator, url: str | None) -> dict[str, Run]:
    """Return the runs of the three modes over an index of the catalogue that the generator has coded."""
    with open_coded_index(bench.folder / FILES[0], generator, url) as coded:
        systems = build_systems(coded.cluster, coded.index, SYSTEM_NAMES, generator=generator)
        return {run.system: run for run in collect_runs(systems, bench.dev.queries, depth=DEPTH)}


def collect_all(
    bench: Benchmark, names: Sequence[str], options: argparse.Namespace
) -> tuple[dict[str, Run], list[str]]:
    """Return the runs of the rows, and notes on the rows that cannot be had here. Runs of peers are cached."""
    wanted = dict.fromkeys(branch for name in names for branch in FUSED.get(name, (name,)))
    found: dict[str, Run] = {}
    notes: list[str] = []
    if {"gram", "hybrid"} & wanted.keys():
        found = collect_coded_runs(bench, load_generator(options.bundle), options.url)
    for name in wanted:
        if name in found:
            continue
        try:
            peer: Peer = Bm25(url=options.url) if name == "bm25" else open_peer(name)
            found[name] = Run(name, obtain_run(bench, peer, Part.DEV, learns=False).rankings)
        except (GramError, ImportError) as error:
            notes.append(f"left out: {name}: {error}")
    for name, branches in FUSED.items():
        if name in names and all(branch in found for branch in branches):
            found[name] = fuse_ranks(name, [found[branch] for branch in branches])
    return {name: found[name] for name in names if name in found}, notes


def compare(rows: Sequence[RowResult], winner: str) -> list[Difference]:
    """Return the differences of the winner to the other rows; nothing when the winner has no row."""
    named = {row.name: row for row in rows}
    others = [row for row in rows if row.name != winner]
    return compare_rows(named[winner], others, COMPARED) if winner in named else []


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line. Raises InputError for an unknown row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with products, queries and judgments")
    add("--bundle", type=Path, help="model folder; by default the shipped one")
    add("--split", default=SPLIT, help="part of the files' names (default %(default)s)")
    add("--only", default=",".join(ROWS), help="rows, separated by commas (default %(default)s)")
    add("--relevant", type=float, default=3.0, help="grade from which a product is relevant (default %(default)g)")
    add("--lowest-grade", type=float, default=0.0, help="grade of gain 0 (default %(default)g)")
    add("--winner", default="hybrid", help="the row that is tested against every other (default %(default)s)")
    add("--work", type=Path, default=WORK, help="where the peers' runs are kept (default %(default)s)")
    add("--url", help="a cluster; by default a node of its own")
    add("--json", action="store_true", help="print the measures as JSON")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
    if unknown := [name for name in options.only if name not in ROWS]:
        raise InputError(f"there is no row '{unknown[0]}'; rows: {', '.join(ROWS)}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit code, which is 1 when a goal is missed or there is no row."""
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("benchmarks").setLevel(logging.INFO)
    try:
        options = parse_options(arguments)
        bench = read_cold_start(
            options.data,
            options.work,
            split=options.split,
            relevant=options.relevant,
            lowest_grade=options.lowest_grade,
        )
        runs, notes = collect_all(bench, options.only, options)
        rows = [measure_row(name, [run], bench.dev.judgments) for name, run in runs.items()]
    except GramError as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return error.exit_code
    differences = compare(rows, options.winner)
    goals = GOALS.get(options.data.resolve().name, {})
    entries = measure_entries(rows, differences, goals)
    if options.json:
        print(json.dumps({"measures": entries, "notes": notes}))
    else:
        print_tables(rows, differences, queries=len(bench.dev.judgments.relevant), notes=notes, goals=goals)
    return int(not rows or any(entry["holds"] is False for entry in entries if entry["goal"] is not None))


if __name__ == "__main__":
    sys.exit(main())
