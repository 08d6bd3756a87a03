"""Output of the verbs: tables, JSON, progress. Results go to stdout, everything about the run to stderr.

On a terminal, progress is a bar. Elsewhere it is a log line every few seconds. rich is imported only by the functions
that need it, because its import is slow.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from gram_os.errors import InputError

DONE_IN_PART = 3  # exit code: some documents were not processed, and each is named
LOG_EVERY_S = 5.0

Advance = Callable[[int], None]

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
UrlOption = Annotated[
    str | None,
    typer.Option("--url", help="The cluster; without it OPENSEARCH_URL, else the embedded node.", show_default=False),
]
BundleOption = Annotated[
    Path | None,
    typer.Option("--bundle", help="Model folder; by default the shipped one.", show_default=False),
]
LabelOption = Annotated[
    str | None,
    typer.Option("--label", help="Version of the codes to search; by default the active one.", show_default=False),
]
IndexOption = Annotated[str, typer.Option("--index", help="The index of the catalogue.", show_default=False)]


def parse_clauses(option: str, text: str | None) -> list[dict[str, Any]]:
    """Read an option with one OpenSearch clause, or a list of them. Raises InputError for anything else."""
    if text is None:
        return []
    example = '{"term": {"supplier": "HP"}}'
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InputError(f"{option} {text}: not JSON ({error}); such as {example}") from error
    clauses = found if isinstance(found, list) else [found]
    if not all(isinstance(clause, dict) and len(clause) == 1 for clause in clauses):
        raise InputError(f"{option} {text}: must be a clause such as {example}, or a list of them")
    return clauses


def parse_clause(option: str, text: str | None) -> dict[str, Any] | None:
    """Read an option with one OpenSearch clause; several count as one that demands all of them."""
    clauses = parse_clauses(option, text)
    return clauses[0] if len(clauses) == 1 else {"bool": {"filter": clauses}} if clauses else None


def print_json(value: Mapping[str, object]) -> None:
    """Print one JSON object on one line, in ASCII, which every terminal and locale can print."""
    print(json.dumps(value))


def print_error(kind: str, message: str, *, as_json: bool) -> None:
    """Print an error to stderr, as one line of text or as JSON."""
    error = {"type": kind, "message": message}
    sys.stderr.write((json.dumps({"error": error}) if as_json else f"gram-os: {message}") + "\n")


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    caption: str = "",
    text_columns: bool = False,
    beside: bool = False,
    ruled: bool = True,
) -> None:
    """Print a table.

    The first column is text and starts at the left. The others are figures and end at the right, unless `text_columns`
    says that they are text too. beside: print to stderr, so that stdout holds nothing but the result. ruled: draw lines
    between the columns; without them a table of many columns fits a terminal of 80 characters.
    """
    from rich.box import HEAVY_HEAD, SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=escape(title),
        caption=escape(caption) or None,
        title_justify="left",
        caption_justify="left",
        box=HEAVY_HEAD if ruled else SIMPLE_HEAD,
        padding=(0, 1) if ruled else 0,
    )
    for place, column in enumerate(columns):
        table.add_column(escape(column), justify="left" if place == 0 or text_columns else "right")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    # A file or a log has no width of its own, so the table may be wide.
    stream = sys.stderr if beside else sys.stdout
    Console(stderr=beside, width=None if stream.isatty() else 160).print(table)


@contextmanager
def show_progress(what: str, *, total: int | None = None, unit: str = "products") -> Iterator[Advance]:
    """Show progress and yield `advance(n)`. `what` stands in front: `load products: 5,000 of 19,406 products`."""
    if sys.stderr.isatty():
        with _bar(what, total, unit) as advance:
            yield advance
    else:
        with _log_lines(what, total, unit) as advance:
            yield advance


@contextmanager
def _bar(what: str, total: int | None, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    amount = "{task.completed:,.0f}" + (f" of {total:,}" if total is not None else "") + f" {unit}"
    parts = (
        TextColumn(escape(what)),
        BarColumn(),
        TextColumn(amount),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*parts, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


@contextmanager
def _log_lines(what: str, total: int | None, unit: str) -> Iterator[Advance]:
    log = logging.getLogger("gram_os")
    done, last_line = 0, time.monotonic()
    started = last_line
    of_total = f" of {total:,}" if total is not None else ""

    def advance(count: int) -> None:
        nonlocal done, last_line
        done += count
        if time.monotonic() - last_line >= LOG_EVERY_S:
            last_line = time.monotonic()
            log.info("%s: %s%s %s%s", what, f"{done:,}", of_total, unit, _estimate(done, total, last_line - started))

    yield advance
    log.info("%s: %s%s %s in %.1f s", what, f"{done:,}", of_total, unit, time.monotonic() - started)


def _estimate(done: int, total: int | None, seconds: float) -> str:
    """Say how long the rest will take at the rate so far.

    >>> _estimate(250, 1000, 60.0), _estimate(0, 1000, 60.0)
    (', about 180 s left', '')
    """
    if total is None or not 0 < done < total:
        return ""
    return f", about {seconds * (total - done) / done:,.0f} s left"
