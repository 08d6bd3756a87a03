"""`gram-os evaluate`: run judged queries through several systems; print a table or JSON, and write files.

Knows the order of the work and the printed table. `gram_os.relevance` measures and writes the files.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gram_os.cli import output
from gram_os.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gram_os.catalogue import Query
    from gram_os.cluster.client import Cluster
    from gram_os.relevance import Evaluation, JudgmentSet, SearchSystem
    from gram_os.relevance.results import Comparison, Measure, SystemResult

EXAMPLE = """Example:

\b
  gram-os evaluate --index products --queries queries.tsv --judgments judgments.tsv \\
      --systems bm25,gram,hybrid --relevant 2 --out results
"""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("evaluate", help=run.__doc__, epilog=EXAMPLE)(run)


def run(
    index: output.IndexOption,
    queries: Annotated[Path, typer.Option(help="TSV, query_id<TAB>text.", show_default=False)],
    judgments: Annotated[
        Path,
        typer.Option(help="TSV with header query_id, product_id, relevance; or TREC qrels.", show_default=False),
    ],
    systems: Annotated[
        str, typer.Option(help="Systems to run; the others are compared with the first.")
    ] = "bm25,gram,hybrid",
    at: Annotated[str, typer.Option(help="Cut-offs of recall; the other metrics are always at 10.")] = "10,100,300",
    relevant: Annotated[
        float | None,
        typer.Option(
            help="Grade from which a product is relevant, such as 2 on the scale 0..3, or 2.33 on Home Depot's 1..3. "
            "Needed when the judgments hold more than two grades; of two grades, the higher one is the default.",
            show_default=False,
        ),
    ] = None,
    lowest_grade: Annotated[
        float | None,
        typer.Option(
            help="Lowest grade of the scale, for nDCG; by default the lowest that occurs.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for report.html, metrics.json, queries.tsv, runs/*.trec.", show_default=False),
    ] = None,
    label: output.LabelOption = None,
    bundle: output.BundleOption = None,
    title_field: Annotated[str, typer.Option(help="Field whose text the report shows.")] = "title",
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Measure recall, nDCG, MRR and latency of search systems on judged queries.

    The figures are means over the queries with at least one relevant product, with 95 % bootstrap intervals. A paired
    randomisation test compares every system with the first. judged@10 is the share of the first 10 hits that somebody
    judged; condensed nDCG@10 leaves the other products out.
    """
    from gram_os.catalogue import read_judgments, read_queries
    from gram_os.embedded import resolve_cluster
    from gram_os.query_pipeline.systems import SYSTEM_NAMES, build_systems
    from gram_os.relevance import JudgmentSet
    from gram_os.relevance.evaluate import choose_systems
    from gram_os.relevance.outputs import prepare_folder, write_outputs
    from gram_os.settings import load_settings

    # All input is checked before a node is started and a query is run.
    names, cuts = choose_systems(systems.split(","), SYSTEM_NAMES), parse_cuts(at)
    test_queries = read_queries(queries)
    judged = JudgmentSet.build(read_judgments(judgments), relevant=relevant, lowest_grade=lowest_grade)
    if out is not None:
        prepare_folder(out)
    settings = load_settings(cluster={"url": url})
    with resolve_cluster(settings) as cluster:
        built = build_systems(cluster, index, names, bundle=bundle, label=label, model=settings.model)
        found, titles = evaluate_index(cluster, index, built, test_queries, judged, at=cuts, title_field=title_field)
    if out is not None:
        texts = {query.id: query.text for query in test_queries}
        write_outputs(found, out, texts=texts, titles=titles, heading=f"Relevance of {index}")
    if as_json:
        output.print_json(found.as_json())
    else:
        print_evaluation(found, index=index, out=out)


def evaluate_index(
    cluster: Cluster,
    index: str,
    systems: Mapping[str, SearchSystem],
    queries: Sequence[Query],
    judgments: JudgmentSet,
    *,
    at: Sequence[int],
    title_field: str = "title",
) -> tuple[Evaluation, dict[str, str]]:
    """Evaluate systems over one index, with a progress bar.

    Returns the results and product id -> title of the products that a report shows. Raises InputError when no relevant
    product is in the index.
    """
    from gram_os.relevance import evaluate
    from gram_os.relevance.lookup import find_missing, find_titles, relevant_products
    from gram_os.relevance.report_queries import shown_products

    query_ids = [query.id for query in queries]
    relevant = relevant_products(judgments, query_ids)
    titles = find_titles(cluster, index, relevant, field=title_field)
    missing = find_missing(judgments, query_ids, titles, index=index)
    judged = sum(query_id in judgments.grades for query_id in query_ids)
    with output.show_progress("evaluate", total=judged, unit="queries") as advance:
        found = evaluate(systems, queries, judgments, at=at, advance=lambda: advance(1))
    if missing:
        warning = f"relevant products that are not in index '{index}', a miss for every system: {len(missing)}"
        found = replace(found, warnings=(*found.warnings, f"{warning} of {len(relevant)}, such as '{missing[0]}'"))
    titles |= find_titles(cluster, index, shown_products(found) - titles.keys(), field=title_field)
    return found, titles


def parse_cuts(text: str) -> list[int]:
    """Return the cut-offs of a text such as `10,100,300`; raise InputError when it is something else."""
    from gram_os.relevance.evaluate import check_cuts

    try:
        cuts = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--at {text}: cut-offs are whole numbers with commas between, such as 10,100,300") from error
    check_cuts(cuts)
    return cuts


def print_evaluation(found: Evaluation, *, index: str, out: Path | None) -> None:
    """Print the table of means with their intervals. + and - mark significant differences from the first system."""
    from gram_os.relevance.results import show_metric

    first = found.systems[0].system
    count, grade = len(found.query_ids), f"{found.judgments.relevant_at:g}"
    lines = [
        f"{count} queries, relevant from grade {grade}; below each mean its 95 % interval",
        "judged@10: share of the first 10 hits that somebody judged",
        "condensed nDCG@10: without the others, which nDCG@10 counts as wrong",
    ]
    if len(found.systems) > 1:
        lines.append(f"+ better, - worse than {first} with p < .05 (paired randomisation test)")
    lines += [f"note: {warning}" for warning in found.warnings]
    if out is not None:
        lines.append(f"report: {out / 'report.html'}")
    output.print_table(
        f"Relevance of {index}",
        ["system", *(show_metric(name).replace(" ", "\n") for name in found.metrics), "p50 ms\np95 ms"],
        [_table_row(result) for result in found.systems],
        caption="\n".join(lines),
        ruled=False,
    )


def _table_row(result: SystemResult) -> list[str]:
    cells = [_table_cell(m, result.against_first.get(name)) for name, m in result.measures.items()]
    latency = result.latency
    return [result.system, *cells, f"{latency.p50:.1f}\n{latency.p95:.1f}" if latency else ""]


def _table_cell(measure: Measure, comparison: Comparison | None) -> str:
    """Return a cell such as `.7316 +` above `.66-.80`."""
    mark = " "
    if comparison is not None and comparison.significant:
        mark = "+" if comparison.difference > 0 else "-"
    low, high = (f"{value:.2f}".removeprefix("0") for value in (measure.interval.low, measure.interval.high))
    return f"{measure.mean:.4f}".removeprefix("0") + f" {mark}\n{low}-{high}"
