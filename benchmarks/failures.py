"""What a run misses, and why: the relevant products outside a query's first 300, sorted by reason.

python benchmarks/failures.py --catalogue FILE --queries FILE --judgments FILE --run FILE.trec [--bundle FOLDER]
    [--relevant 2.33] [--examples 3] [--json]

The bundle codes both texts again. The codes that they share tell what the index could have found. A missed product is
in one class:

    crowded       it has every own value of the query that any product has, and 300 others rank above it
    partly        it has some own values of the query
    generated     it shares codes with the query, but the model generated them for at least one of the two
    unknown word  it shares nothing, and a word of the query is in no product
    no link       it shares nothing, although the catalogue knows every word of the query
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.peers.data import RELEVANT
from benchmarks.peers.interface import DEPTH
from gram_os.catalogue import Product, read_judgments, read_products, read_queries
from gram_os.errors import GramError
from gram_os.model.backbone import load_generator
from gram_os.model.coded import ScoredCode
from gram_os.model.generator import Generator
from gram_os.relevance.judgments import JudgmentSet
from gram_os.relevance.runs import Run, read_trec_run

CLASSES = ("crowded", "partly", "generated", "unknown word", "no link")


@dataclass(frozen=True, slots=True)
class Miss:
    """A relevant product that was not found.

    `shared` and `lacking` are own values of the query. `first` is the title of the product that was found first.
    """

    kind: str
    query: str
    title: str
    shared: tuple[str, ...]
    lacking: tuple[str, ...]
    first: str


def classify(query: Sequence[ScoredCode], title: Sequence[ScoredCode], known: frozenset[str]) -> str:
    """Return the class of a product that a query missed, by the codes of both.

    `known` are the words of the vocabulary and the values of the dictionary.
    """
    own = {str(scored.code) for scored in query if scored.own}
    title_own = {str(scored.code) for scored in title if scored.own}
    if not own & title_own:
        if {str(scored.code) for scored in query} & {str(scored.code) for scored in title}:
            return "generated"
        return "no link" if own <= known else "unknown word"
    return "crowded" if own & known <= title_own else "partly"


def find_misses(
    generator: Generator, products: Sequence[Product], texts: dict[str, str], judged: JudgmentSet, run: Run
) -> Iterator[Miss]:
    """Yield every relevant product that is not among the first `DEPTH` of the run."""
    named = {product.id: product for product in products}
    known = frozenset(generator.bundle.vocabulary.counts) | frozenset(generator.bundle.dictionary.values)
    for query, relevant in judged.relevant.items():
        found = run.product_ids(query)[:DEPTH]
        missed = [named[product] for product in sorted(set(relevant) - set(found)) if product in named]
        if not missed:
            continue
        query_codes = generator.code_queries([texts[query]])[0].weights
        own = [str(scored.code) for scored in query_codes if scored.own]
        for product, coded in zip(missed, generator.code_products(missed), strict=True):
            title_own = {str(scored.code) for scored in coded.weights if scored.own}
            yield Miss(
                classify(query_codes, coded.weights, known), texts[query], product.title,
                tuple(value for value in own if value in title_own),
                tuple(value for value in own if value not in title_own),
                named[found[0]].title if found else "",
            )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Count the products of each class, and show examples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, text in (
        ("catalogue", "products"), ("queries", "TSV"), ("judgments", "TSV"),
        ("run", "TREC run, as `gram-os evaluate` writes it"),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=Path, required=True, help=text)
    parser.add_argument("--bundle", type=Path, help="model folder; by default the shipped one")
    parser.add_argument("--relevant", type=float, default=RELEVANT, help="grade from which a product is relevant")
    parser.add_argument("--examples", type=int, default=3, help="examples of each class to show")
    parser.add_argument("--json", action="store_true", help="print the counts as measures")
    options = parser.parse_args(arguments)
    try:
        judged = JudgmentSet.build(read_judgments(options.judgments), relevant=options.relevant)
        products = list(read_products(options.catalogue))
        texts = {query.id: query.text for query in read_queries(options.queries)}
        misses = list(find_misses(load_generator(options.bundle), products, texts, judged, read_trec_run(options.run)))
    except GramError as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return error.exit_code
    counts = Counter(miss.kind for miss in misses)
    if options.json:
        rows = [
            {"name": kind, "value": counts[kind], "unit": "products", "goal": None, "holds": None} for kind in CLASSES
        ]
        print(json.dumps({"measures": rows}))
        return 0
    _show(misses, counts, options.examples)
    return 0


def _show(misses: Sequence[Miss], counts: Counter[str], examples: int) -> None:
    console = Console()
    table = Table(title=f"{len(misses)} relevant products that are not among the first {DEPTH}")
    for name in ("class", "products", "share"):
        table.add_column(name)
    for kind in CLASSES:
        table.add_row(kind, str(counts[kind]), f"{counts[kind] / max(1, len(misses)):.0%}")
    console.print(table)
    for kind in CLASSES:
        for miss in [miss for miss in misses if miss.kind == kind][:examples]:
            console.print(f"[bold]{kind}[/]: {miss.query!r} misses {miss.title!r}", highlight=False)
            shared, lacking = (", ".join(values) or "nothing" for values in (miss.shared, miss.lacking))
            console.print(f"    has {shared}; lacks {lacking}; found first: {miss.first!r}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
