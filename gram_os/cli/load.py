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
    from gram_os.errors import FileFormatError
    from gram_os.loading.load import LoadReport

log = logging.getLogger("gram_os.load")

_MAX_REFUSALS = 100  # refused products and skipped rows in the JSON output; the log names them all
_MAX_SHOWN = 20  # changed names and notes in the text output; the JSON output has them all

EXAMPLE = """Example:

\b
  gram-os load products.jsonl.gz --index products
  gram-os load export.csv --index products --id-field sku --title-field name --field price=float
  gram-os load shopify.csv --index products --id-field Handle --title-field Title --skip-faulty
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("load", help=run.__doc__, epilog=EXAMPLE)(run)


def run(
    file: Annotated[str, typer.Argument(help="JSONL, CSV, TSV, XML feed or Parquet; - is JSONL on stdin.")],
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
    skip_faulty: Annotated[
        bool, typer.Option("--skip-faulty", help="Skip rows that cannot be read, and name and count them.")
    ] = False,
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Load a catalogue into an index, which is created when it is missing.

    A product is written under its id, so loading again replaces products and adds none twice. A product whose title and
    coded fields are the same keeps its codes. Exit code 3: some products were refused, or some rows were skipped, and
    each is named.
    """
    from gram_os.embedded import resolve_cluster
    from gram_os.loading.load import Source, load_products, survey_source
    from gram_os.settings import load_settings

    started = time.monotonic()
    refusals: list[BulkItem] = []
    faults: list[FileFormatError] = []
    source = Source(file, id_field, title_field, _parse_fields(field or []), skip_faulty)

    def note_fault(fault: FileFormatError) -> None:
        log.warning("skipped: %s", fault)
        faults.extend([fault] if len(faults) < _MAX_REFUSALS else [])

    survey = survey_source(source, on_fault=note_fault)
    settings = load_settings(cluster={"url": url})
    with resolve_cluster(settings) as cluster:
        total = survey.products if survey is not None else None
        with output.show_progress(f"load {file}", total=total) as advance:

            def note(item: BulkItem) -> None:
                advance(1)
                if item.error is not None:
                    log.warning("refused: product '%s': %s", item.id, item.error)
                    refusals.extend([item] if len(refusals) < _MAX_REFUSALS else [])

            # The survey has named the faults already. Standard input has none.
            on_fault = note_fault if survey is None else None
            report = load_products(cluster, index, source, survey, on_item=note, on_fault=on_fault)
    seconds = time.monotonic() - started
    if as_json:
        _print_json(report, refusals, faults, seconds)
    else:
        _print_text(report, seconds)
    if report.refused or report.skipped:
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


def _print_json(report: LoadReport, refusals: list[BulkItem], faults: list[FileFormatError], seconds: float) -> None:
    output.print_json(
        {
            "index": report.index,
            "created_index": report.created_index,
            "written": report.written,
            "replaced": report.replaced,
            "refused": report.refused,
            "refusals": [{"id": item.id, "error": item.error} for item in refusals],
            "skipped": report.skipped,
            "faults": [str(fault) for fault in faults],
            "repeated_ids": list(report.repeated),
            "unmapped_fields": len(report.unmapped),
            "renamed": [{"from": name, "to": safe} for name, safe in report.renamed.items()],
            "notes": list(report.notes),
            "kept_codes": dict(report.kept_codes),
            "without_codes": dict(report.without_codes),
            "seconds": round(seconds, 3),
        }
    )


def _print_text(report: LoadReport, seconds: float) -> None:
    where = "new index" if report.created_index else "index"
    replaced = f", {report.replaced:,} of them replaced an earlier one" if report.replaced else ""
    print(f"{report.written:,} products in {where} '{report.index}'{replaced}, in {seconds:.1f} s")
    if report.repeated:
        print(f"ids that the file has more than once, such as '{report.repeated[0]}': the last row counts")
    if report.renamed:
        names = [f"'{name}' is '{safe}'" for name, safe in report.renamed.items()]
        more = f" and {len(names) - _MAX_SHOWN:,} more" if len(names) > _MAX_SHOWN else ""
        print(f"names that the index cannot have as they are: {', '.join(names[:_MAX_SHOWN])}{more}")
    for note in report.notes[:_MAX_SHOWN]:
        print(note)
    if len(report.notes) > _MAX_SHOWN:
        print(f"and {len(report.notes) - _MAX_SHOWN:,} more such remarks; --json lists them")
    if report.unmapped:
        print(
            f"{len(report.unmapped):,} rare fields are kept but cannot be filtered by, such as '{report.unmapped[0]}'"
        )
    if report.skipped:
        print(f"{_count(report.skipped, 'row')} skipped, named above; correct the file and load it again")
    if report.refused:
        print(f"{_count(report.refused, 'product')} refused, named above; correct them and load the file again")
    for label, count in report.kept_codes.items():
        print(f"{_count(count, 'product')} kept {'its' if count == 1 else 'their'} codes of label {label}")
    for label, count in report.without_codes.items():
        have = "has" if count == 1 else "have"
        print(
            f"{_count(count, 'product')} {have} no codes of label {label} now; gram-os watch codes them, or run: "
            f"gram-os backfill --index {report.index} --label {label}"
        )


def _count(number: int, noun: str) -> str:
    """Write a number with its noun.

    >>> _count(1, "row"), _count(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
