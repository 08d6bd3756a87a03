"""GRAM and its peers on one data set with clicks: same split, same queries, intervals, seeds and paired tests.

python benchmarks/quality.py --data FOLDER [--only bm25,dense] [--seeds 0,1,2] [--run NAME=FILE] [--json]

Runs are kept under --work as TREC files, so a second call only measures. --report-only never trains. docs/quality.md
has the method, the source of the data and the results.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.data import LOWEST_GRADE, RELEVANT, read_benchmark
from benchmarks.peers.rows import ROWS, Library
from benchmarks.peers.run_cache import Part
from benchmarks.peers.statistics import Difference, RowResult, compare_rows, measure_row
from benchmarks.peers.table import measure_entries, print_tables
from benchmarks.peers.tuning import list_candidates, print_trials, try_settings
from gram_os.errors import GramError, InputError

WORK = Path("models/runs/quality")
COMPARED = ("R@100", "R@300")


def measure(library: Library, names: Sequence[str], seeds: Sequence[int]) -> tuple[list[RowResult], list[str]]:
    """Return the results of the rows whose runs exist or can be produced, and notes on the others."""
    rows: list[RowResult] = []
    notes: list[str] = []
    for name in names:
        try:
            runs = [library.run(name, Part.DEV, seed) for seed in library.seeds(name, seeds)]
        except (InputError, ImportError) as error:
            notes.append(f"left out: {error}")
            continue
        rows.append(measure_row(name, runs, library.bench.dev.judgments))
    notes += [
        f"{name}, seed {seed}: {fusion.form} with weights {', '.join(f'{w:g}' for w in fusion.weights)}; "
        f"{fusion.objective:.4f} where they were chosen, {fusion.validated:.4f} on queries left out of the choice"
        for (name, seed), fusion in library.fusions.items()
    ]
    return rows, notes


def compare(rows: Sequence[RowResult], winner: str) -> list[Difference]:
    """Return the differences of the winner's row to every other row; nothing when the winner has no row."""
    named = {row.name: row for row in rows}
    if winner not in named:
        return []
    return compare_rows(named[winner], [row for row in rows if row.name != winner], COMPARED)


def build_library(options: argparse.Namespace) -> Library:
    """Open the runs that the options name."""
    bench = read_benchmark(options.data, options.work, relevant=options.relevant, lowest_grade=options.lowest_grade)
    foreign = {
        (name, part): [Path(file) for file in files.split(",")]
        for part, given in ((Part.DEV, options.run), (Part.HELD_OUT, options.held_run))
        for name, files in map(_split_pair, given)
    }
    expansions = {Part(name): Path(file) for name, file in map(_split_pair, options.expansion)}
    return Library(
        bench,
        options.url,
        expansions,
        foreign,
        make_missing=not options.report_only,
        lexical_weight=options.lexical_weight,
    )


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with products, queries and judgments")
    add("--work", type=Path, default=WORK, help=f"where runs and models are kept (default {WORK})")
    add("--only", help=f"rows, separated by commas; by default all: {','.join(ROWS)}")
    add("--seeds", default="0", help="seeds of the rows that learn, separated by commas")
    add(
        "--run",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a TREC run as a row; NAME=FILE,FILE for several seeds",
    )
    add(
        "--held-run",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="the run of the same row for the held-out train queries",
    )
    add("--expansion", action="append", default=[], metavar="PART=FILE",
        help="extra texts for bm25_expanded: dev=FILE, and held=FILE by a generator without those clicks")  # fmt: skip
    add(
        "--tune",
        metavar="ROW",
        help="only try the settings of a peer, on the held-out train queries",
    )
    add(
        "--lexical-weight",
        type=float,
        default=Library.lexical_weight,
        help="weight of BM25 in the row 'hybrid', where GRAM's is 1; the recipe's [serving] lexical_weight "
        "(default %(default)g)",
    )
    add("--winner", default="hybrid", help="the row that is tested against every other (default hybrid)")
    add(
        "--relevant",
        type=float,
        default=RELEVANT,
        help=f"grade from which a product is relevant (default {RELEVANT})",
    )
    add("--lowest-grade", type=float, default=LOWEST_GRADE, help=f"grade of gain 0 (default {LOWEST_GRADE})")
    add("--url", help="a cluster for BM25; by default a node of its own")
    add("--report-only", action="store_true", help="measure what is in the cache, train nothing")
    add("--json", action="store_true", help="print the measures as JSON")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit code, which is 1 when a goal is missed or there is no row."""
    options = parse_options(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("benchmarks").setLevel(logging.INFO)
    try:
        library = build_library(options)
        if options.tune:
            print_trials(try_settings(library.bench, list_candidates(library, options.tune)))
            return 0
        names = options.only.split(",") if options.only else [*ROWS, *_new_names(library)]
        rows, notes = measure(library, names, [int(seed) for seed in options.seeds.split(",")])
    except GramError as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return error.exit_code
    differences = compare(rows, options.winner)
    entries = measure_entries(rows, differences)
    if options.json:
        print(json.dumps({"measures": entries, "notes": notes}))
    else:
        print_tables(rows, differences, queries=len(library.bench.dev.judgments.relevant), notes=notes)
    return int(not rows or any(entry["holds"] is False for entry in entries))


def _new_names(library: Library) -> list[str]:
    return [name for name, part in library.foreign if part is Part.DEV and name not in ROWS]


def _split_pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not (name and found and value):
        raise InputError(f"'{text}' is no NAME=FILE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
