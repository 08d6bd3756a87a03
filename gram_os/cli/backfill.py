"""`gram-os backfill`: codes into the documents of an index."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from gram_os.cli import output

if TYPE_CHECKING:
    from gram_os.ingest.backfill import BackfillReport

EXAMPLE = """Example: gram-os backfill --index products"""
SHOWN = 20  # refused documents that are named one by one


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("backfill", help=run.__doc__, epilog=EXAMPLE)(run)


def run(
    index: output.IndexOption,
    label: Annotated[str | None, typer.Option("--label", help="By default the active one.", show_default=False)] = None,
    bundle: output.BundleOption = None,
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Write codes into the documents of an attached index.

    A document whose title and attributes have not changed since it was coded is left alone, so a second run writes
    nothing. A document that somebody else writes meanwhile is read and coded again. Exit code 3: some documents were
    not coded, and each is named.
    """
    from gram_os.cluster.labels import require_bundle, require_label
    from gram_os.embedded import resolve_cluster
    from gram_os.ingest.backfill import backfill
    from gram_os.model.backbone import load_generator
    from gram_os.settings import load_settings

    settings = load_settings(cluster={"url": url})
    generator = load_generator(bundle, settings.model.device, settings.model.threads)
    with resolve_cluster(settings) as cluster:
        state = require_label(cluster, index, label)
        require_bundle(state, index, generator.bundle.id, generator.bundle.path)
        started = time.perf_counter()
        with output.show_progress("backfill", total=cluster.count(index, state.product_query)) as advance:
            report = backfill(cluster, index, state, generator, progress=advance)
    seconds = time.perf_counter() - started
    if as_json:
        refused = [{"id": r.id, "reason": r.reason} for r in report.refused]
        output.print_json(
            {"index": index, "label": state.label, "coded": report.coded, "unchanged": report.unchanged,
             "refused": refused, "seconds": round(seconds, 1)}
        )  # fmt: skip
    else:
        _print_report(report, index, seconds)
    if report.refused:
        raise typer.Exit(output.DONE_IN_PART)


def _print_report(report: BackfillReport, index: str, seconds: float) -> None:
    """Print how many documents were coded, and name those that were not."""
    rate = f" ({report.coded / seconds:,.0f} a second)" if report.coded else ""
    print(f"{index}: {report.coded:,} products coded{rate}, {report.unchanged:,} were up to date")
    for refusal in report.refused[:SHOWN]:
        print(f"not coded: {refusal.id}: {refusal.reason}")
    if len(report.refused) > SHOWN:
        print(f"not coded: {len(report.refused) - SHOWN:,} more; --json names them all")
