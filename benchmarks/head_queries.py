"""P@10 of head queries by rules: BM25, GRAM and the hybrid, beside dense peers, in one run.

python benchmarks/head_queries.py [--rules FILE] [--bundle FOLDER] [--index NAME] [--products FILE] [--show ID ...]

A head query is short and frequent, such as "keyboard". A rule says which products are the thing itself; an accessory, a
part or a service is not. benchmarks/head_rules.py describes the file. The default rules, own_head_rules.tsv, are for
choosing settings, so they have no goals. By default the catalogue is loaded into a new index and coded with the bundle.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.coded_index import open_cluster, open_coded_index
from benchmarks.head_rules import DEPTH, HeadRule, describe_product, precision, read_rules
from benchmarks.measures import Measure, measure_row
from benchmarks.peers.interface import Benchmark, Peer, Split
from benchmarks.peers.run_cache import Part, obtain_run
from gram_os.catalogue import Product, read_products
from gram_os.data import sample_file
from gram_os.errors import GramError, InputError
from gram_os.model.backbone import load_generator
from gram_os.model.generator import Generator
from gram_os.query_pipeline.systems import SYSTEM_NAMES, build_systems
from gram_os.relevance import JudgmentSet

OWN_RULES = Path(__file__).with_name("own_head_rules.tsv")
WORK = Path("models/runs/head_queries")
PEERS = ("dense", "bge")
SHOWN = 5
PRECISION_GOAL, NOTHING_RIGHT_GOAL = 0.75, 1
WITH_GOALS = ("gram", "hybrid")

Rankings = Mapping[str, Sequence[str]]  # query id -> product ids, best first


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one system. `values` is query id -> P@10."""

    system: str
    values: Mapping[str, float]
    rankings: Rankings = field(repr=False)

    @property
    def mean(self) -> float:
        """P@10 over all queries."""
        return sum(self.values.values()) / len(self.values)

    @property
    def nothing_right(self) -> int:
        """Number of queries with no right product among the first ten."""
        return sum(value == 0 for value in self.values.values())

    def by_kind(self, rules: Sequence[HeadRule]) -> dict[str, float]:
        """Return kind -> P@10 over its queries."""
        return {
            kind: sum(self.values[id_] for id_ in query_ids) / len(query_ids)
            for kind, query_ids in group_kinds(rules).items()
        }


def group_kinds(rules: Sequence[HeadRule]) -> dict[str, list[str]]:
    """Return kind -> query ids, kinds in order."""
    ordered = sorted(rules, key=lambda rule: rule.kind)
    return {kind: [rule.query_id for rule in group] for kind, group in groupby(ordered, lambda rule: rule.kind)}


def measure_system(system: str, rankings: Rankings, rules: Sequence[HeadRule], texts: Mapping[str, str]) -> Row:
    """Return the figures of a system. A query without an answer has P@10 0."""
    values = {rule.query_id: precision(rule, rankings.get(rule.query_id, ()), texts) for rule in rules}
    return Row(system, values, rankings)


def search_all(options: argparse.Namespace, rules: Sequence[HeadRule], generator: Generator) -> dict[str, Rankings]:
    """Return system -> rankings of the three modes, over the index of the options or one that is made for this run."""
    with ExitStack() as stack:
        if options.index:
            cluster, index = stack.enter_context(open_cluster(options.url)), options.index
        else:
            coded = stack.enter_context(open_coded_index(options.products, generator, options.url))
            cluster, index = coded.cluster, coded.index
        systems = build_systems(cluster, index, SYSTEM_NAMES, generator=generator)
        return {
            name: {rule.query_id: [hit.id for hit in system.search(rule.query, DEPTH)] for rule in rules}
            for name, system in systems.items()
        }


def rank_peers(
    names: Sequence[str], products: Sequence[Product], rules: Sequence[HeadRule], work: Path
) -> tuple[dict[str, Rankings], list[str]]:
    """Return peer -> rankings, and notes on the peers that cannot be had here. Runs are cached in `work`."""
    nothing = JudgmentSet({}, relevant_at=1.0, lowest_grade=0.0)
    queries = Split({rule.query_id: rule.query for rule in rules}, nothing)
    bench = Benchmark(products, Split({}, nothing), queries, work, work)
    found: dict[str, Rankings] = {}
    notes: list[str] = []
    for name in names:
        try:
            run = obtain_run(bench, open_peer(name), Part.DEV, learns=False)
        except (GramError, ImportError) as error:
            notes.append(f"left out: {name}: {error}")
            continue
        found[name] = {rule.query_id: run.product_ids(rule.query_id) for rule in rules}
    return found, notes


def open_peer(name: str) -> Peer:
    """Return the peer of a row: `dense` is MiniLM as published, `bge` is bge-small-en-v1.5 in int8."""
    if name == "dense":
        from benchmarks.peers.dense import Dense

        return Dense()
    if name == "bge":
        from benchmarks.peers.bge import Bge

        return Bge()
    raise InputError(f"there is no peer '{name}'; peers: {', '.join(PEERS)}")


def list_measures(rows: Sequence[Row], rules: Sequence[HeadRule], *, goals: bool) -> list[Measure]:
    """Return the figures of each row: the mean, one figure a kind, and the queries with nothing right."""
    measures = []
    for row in rows:
        judged = goals and row.system in WITH_GOALS
        measures.append(
            Measure(f"{row.system}.P@10", row.mean, "ratio", PRECISION_GOAL if judged else None, at_least=True)
        )
        measures += [Measure(f"{row.system}.P@10.{kind}", value, "ratio") for kind, value in row.by_kind(rules).items()]
        limit = NOTHING_RIGHT_GOAL if judged else None
        measures.append(Measure(f"{row.system}.nothing_right", row.nothing_right, "queries", limit))
    return measures


def print_rows(rows: Sequence[Row], rules: Sequence[HeadRule], title: str) -> None:
    """Print the table of systems and kinds."""
    kinds = group_kinds(rules)
    names = [f"{kind} ({len(query_ids)})" for kind, query_ids in kinds.items()]
    table = Table("system", f"all ({len(rules)})", *names, "nothing right", title=title)
    for row in rows:
        cells = [f"{value:.3f}" for value in (row.mean, *row.by_kind(rules).values())]
        table.add_row(row.system, *cells, str(row.nothing_right))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def print_queries(rows: Sequence[Row], rules: Sequence[HeadRule]) -> None:
    """Print P@10 of each query and system."""
    table = Table("query_id", "query", "right", *(row.system for row in rows), title=f"P@{DEPTH} of each query")
    for rule in rules:
        cells = [f"{row.values[rule.query_id]:.2f}" for row in rows]
        table.add_row(rule.query_id, rule.query, str(rule.accepted), *cells)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def print_titles(
    rows: Sequence[Row], rule: HeadRule, products: Mapping[str, Product], texts: Mapping[str, str]
) -> None:
    """Print the first titles of each system, with + before a right product and - before another."""
    for row in rows:
        print(f"{rule.query_id} {rule.query} [{row.system}] P@{DEPTH} {row.values[rule.query_id]:.2f}")
        for product_id in list(row.rankings.get(rule.query_id, ()))[:SHOWN]:
            known = product_id in products
            mark = "+" if known and rule.accepts(texts[product_id]) else "-"
            print(f"  {mark} {products[product_id].title[:100] if known else f'{product_id} (not in the products)'}")


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--rules", type=Path, default=OWN_RULES, help="rules file (default %(default)s)")
    add("--bundle", type=Path, help="model folder; by default the shipped one")
    add("--index", help="an index that the bundle has coded; by default a new one, which is deleted afterwards")
    add("--products", type=Path, default=sample_file("products.jsonl.gz"), help="catalogue; by default the sample")
    add("--peers", default=",".join(PEERS), help="dense peers, separated by commas (default %(default)s); '' for none")
    add("--work", type=Path, default=WORK, help="where the peers' runs are kept (default %(default)s)")
    add("--url", help="a cluster; by default a node of its own")
    add("--queries", action="store_true", help="print P@10 of each query")
    add("--show", nargs="*", default=[], metavar="QUERY_ID", help=f"print the first {SHOWN} titles of these queries")
    add("--json", action="store_true", help="print the measures as JSON")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit code, which is 1 when a goal is missed."""
    options = parse_options(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("benchmarks").setLevel(logging.INFO)
    try:
        rules = read_rules(options.rules)
        named = {rule.query_id: rule for rule in rules}
        if unknown := [query_id for query_id in options.show if query_id not in named]:
            raise InputError(f"--show {unknown[0]}: {options.rules} has no such query")
        products = {product.id: product for product in read_products(options.products)}
        texts = {product.id: describe_product(product) for product in products.values()}
        found = search_all(options, rules, load_generator(options.bundle))
        peers, notes = rank_peers(
            [p for p in options.peers.split(",") if p], list(products.values()), rules, options.work
        )
    except GramError as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return error.exit_code
    rows = [measure_system(name, rankings, rules, texts) for name, rankings in {**found, **peers}.items()]
    measures = list_measures(rows, rules, goals=options.rules.resolve() != OWN_RULES.resolve())
    if options.json:
        print(json.dumps({"measures": [measure_row(measure) for measure in measures], "notes": notes}))
    else:
        print_rows(rows, rules, f"P@{DEPTH} of head queries by {options.rules.name}")
        if options.queries:
            print_queries(rows, rules)
        for query_id in options.show:
            print_titles(rows, named[query_id], products, texts)
        for note in notes:
            print(note)
    return int(any(measure.holds is False for measure in measures))


if __name__ == "__main__":
    sys.exit(main())
