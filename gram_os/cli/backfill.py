"""`gram-os backfill`: codes into the documents of an index."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from gram_os.cli import output

if TYPE_CHECKING:
    from gram_os.ingest.backfill import BackfillReport

EXAMPLE = """Example:

\b
  gram-os backfill --index products
  gram-os backfill --index products --label v2 --bundle bundles/v2 --rate 200 --max-errors 100
"""
SHOWN = 20  # refused documents that are named one by one


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("backfill", help=run.__doc__, epilog=EXAMPLE)(run)


def run(
    index: output.IndexOption,
    label: Annotated[str | None, typer.Option("--label", help="By default the active one.", show_default=False)] = None,
    bundle: output.BundleOption = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=64, help="Slices that are coded at once; for remote models and GPUs.")
    ] = 1,
    slices: Annotated[
        int | None,
        typer.Option("--slices", min=1, help="About how many slices; by default by size.", show_default=False),
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.1, help="The most documents a second.", show_default=False)
    ] = None,
    max_errors: Annotated[
        int | None, typer.Option("--max-errors", min=0, help="Stop when more are refused.", show_default=False)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--restart", help="Go on with an interrupted run, or begin anew.")
    ] = True,
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Write codes into the documents of an attached index.

    A document whose title and attributes have not changed since it was coded is left alone, so a second run writes
    nothing. A document that somebody else writes meanwhile is read and coded again. A run that was interrupted goes on
    where it was. The same command on several machines shares the work. It slows down when searches of the index do.
    Exit code 3: some documents were not coded; each is a dead letter.
    """
    from gram_os.cluster.labels import require_bundle, require_label
    from gram_os.embedded import resolve_cluster
    from gram_os.ingest.backfill import BackfillOptions, backfill
    from gram_os.model.backbone import load_generator
    from gram_os.settings import load_settings

    settings = load_settings(cluster={"url": url})
    options = BackfillOptions(workers, slices, rate, max_errors, resume)
    generator = load_generator(bundle, settings.model.device, settings.model.threads)
    with resolve_cluster(settings) as cluster:
        state = require_label(cluster, index, label)
        require_bundle(state, index, generator.bundle.id, generator.bundle.path)
        started = time.perf_counter()
        cluster.refresh(index)
        total = cluster.count(index, state.product_query)
        with output.show_progress("backfill", total=total) as advance:
            report = backfill(cluster, index, state, generator, options, progress=advance)
    seconds = time.perf_counter() - started
    if as_json:
        output.print_json(_describe(report, index, state.label, total, seconds))
    else:
        _print_report(report, index, seconds)
    if report.refusals:
        raise typer.Exit(output.DONE_IN_PART)


def _describe(report: BackfillReport, index: str, label: str, total: int, seconds: float) -> dict[str, object]:
    """Describe a run in the words of `_reindex`, and in our own."""
    refused = [{"id": r.id, "reason": r.reason} for r in report.refused]
    return {
        "index": index, "label": label, "total": total, "created": 0, "updated": report.coded,
        "noops": report.unchanged, "batches": report.batches, "version_conflicts": report.conflicts,
        "retries": report.retries, "throttled_millis": report.throttled_ms, "failures": report.refusals,
        "resumed": report.resumed, "coded": report.coded, "unchanged": report.unchanged, "refused": refused,
        "seconds": round(seconds, 1),
    }  # fmt: skip


def _print_report(report: BackfillReport, index: str, seconds: float) -> None:
    """Print how many documents were coded, and name those that were not."""
    rate = f" ({report.coded / seconds:,.0f} a second)" if report.coded else ""
    print(f"{index}: {report.coded:,} products coded{rate}, {report.unchanged:,} were up to date")
    if report.resumed:
        print(f"an earlier run had come through {report.resumed:,} products")
    for refusal in report.refused[:SHOWN]:
        print(f"not coded: {refusal.id}: {refusal.reason}")
    if report.refusals > SHOWN:
        print(f"not coded: {report.refusals - SHOWN:,} more; gram-os dead-letters list --index {index} has them all")
