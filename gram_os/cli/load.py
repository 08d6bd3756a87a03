"""`gram-os load`: a catalogue file into an index. Every refused product is named."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Annotated

import typer

from gram_os.cli import output
from gram_os.errors import InputError

if TYPE_CHECKING:
    from gram_os.cluster.bulk import BulkItem
    from gram_os.ingest.load import LoadReport

log = logging.getLogger("gram_os.load")

_MAX_REFUSALS = 100  # refused products in the JSON output; the log names them all

EXAMPLE = """Example:

\b
  gram-os load products.jsonl.gz --index products
  gram-os load export.csv --index products --id-field sku --title-field name --field price=float
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("load", help=run.__doc__, epilog=EXAMPLE)(run)


def run(
    file: Annotated[str, typer.Argument(help="JSONL, CSV, TSV (each also .gz) or Parquet; - is JSONL on stdin.")],
    index: output.IndexOption,
    id_field: Annotated[str, typer.Option(help="Column of the id.")] = "id",
    title_field: Annotated[str, typer.Option(help="Column of the title; the index keeps it as title.")] = "title",
    field: Annotated[
        list[str] | None,
        typer.Option(
            help="name=type of another column: keyword, text, integer, float, boolean or date. May be repeated.",
            show_default=False,
        ),
    ] = None,
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Load a catalogue into an index, which is created when it is missing.

    A product is written under its id, so loading again replaces products and adds none twice. Exit code 3: some
    products were refused, and each is named.
    """
    from gram_os.embedded import resolve_cluster
    from gram_os.ingest.load import Source, load_products, survey_source
    from gram_os.settings import load_settings

    started = time.monotonic()
    refusals: list[BulkItem] = []
    source = Source(file, id_field, title_field, _parse_fields(field or []))
    survey = survey_source(source)
    settings = load_settings(cluster={"url": url})
    with resolve_cluster(settings) as cluster:
        total = survey.products if survey is not None else None
        with output.show_progress(f"load {file}", total=total) as advance:

            def note(item: BulkItem) -> None:
                advance(1)
                if item.error is not None:
                    log.warning("refused: product '%s': %s", item.id, item.error)
                    refusals.extend([item] if len(refusals) < _MAX_REFUSALS else [])

            report = load_products(cluster, index, source, survey, on_item=note)
    _print_report(report, refusals, time.monotonic() - started, as_json=as_json)
    if report.refused:
        raise typer.Exit(output.DONE_IN_PART)


def _parse_fields(options: list[str]) -> dict[str, str]:
    """Parse `name=type` options. A name may contain `=`, a type never does.

    >>> _parse_fields(["price=float", "a=b=date"])
    {'price': 'float', 'a=b': 'date'}
    """
    fields: dict[str, str] = {}
    for option in options:
        name, equals, kind = option.rpartition("=")
        if not equals or not name.strip():
            raise InputError(f"--field '{option}': wanted is name=type, for example price=float")
        fields[name.strip()] = kind.strip()
    return fields


def _print_report(report: LoadReport, refusals: list[BulkItem], seconds: float, *, as_json: bool) -> None:
    if as_json:
        output.print_json(
            {
                "index": report.index,
                "created_index": report.created_index,
                "written": report.written,
                "replaced": report.replaced,
                "refused": report.refused,
                "refusals": [{"id": item.id, "error": item.error} for item in refusals],
                "unmapped_fields": len(report.unmapped),
                "seconds": round(seconds, 3),
            }
        )
        return
    where = "new index" if report.created_index else "index"
    replaced = f", {report.replaced:,} of them replaced an earlier one" if report.replaced else ""
    print(f"{report.written:,} products in {where} '{report.index}'{replaced}, in {seconds:.1f} s")
    if report.unmapped:
        print(
            f"{len(report.unmapped):,} rare fields are kept but cannot be filtered by, such as '{report.unmapped[0]}'"
        )
    if report.refused:
        print(f"{report.refused:,} products were refused, each is named above; correct them and load the file again")
