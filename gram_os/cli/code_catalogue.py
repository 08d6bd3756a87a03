"""`gram-os code-catalogue`: a very large catalogue in Parquet, coded by many workers on Ray, into an index or not."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gram_os.cli import output
from gram_os.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gram_os.ingest.ray import CodeReport, IndexReport, Workers
    from gram_os.settings import Settings

EXAMPLE = """Example:

\b
  gram-os code-catalogue products/ --out coded/ --workers 4
  gram-os code-catalogue products/ --out coded/ --index products --create
  gram-os code-catalogue --out coded/ --index products        # only writes what is coded already
"""

_GpuOption = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-worker", help="GPUs of a worker; 0.5 shares one. By default all that there are.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("code-catalogue", help=run.__doc__, epilog=EXAMPLE)(run)


def run(
    files: Annotated[
        list[str] | None, typer.Argument(help="Parquet files and folders, also s3://...", show_default=False)
    ] = None,
    out: Annotated[str, typer.Option("--out", help="Folder of the coded Parquet files.")] = "coded",
    index: Annotated[
        str | None, typer.Option("--index", help="Write what is coded into this index too.", show_default=False)
    ] = None,
    create: Annotated[
        bool, typer.Option("--create", help="Write documents that the index does not have, and the index itself.")
    ] = False,
    workers: Annotated[int, typer.Option("--workers", help="Processes that work at once.")] = 2,
    threads: Annotated[int, typer.Option("--threads", help="CPU cores of a worker without a GPU.")] = 1,
    gpus_per_worker: _GpuOption = None,
    batch: Annotated[int, typer.Option("--batch", help="Rows of a part, and of an output file.")] = 10_000,
    id_field: Annotated[str, typer.Option("--id-field", help="Column of the id.")] = "id",
    title_field: Annotated[str, typer.Option("--title-field", help="Column of the title.")] = "title",
    label: Annotated[
        str | None, typer.Option("--label", help="By default the bundle's own.", show_default=False)
    ] = None,
    bundle: output.BundleOption = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray", help="Address of a Ray cluster, such as auto; without it Ray starts here.", show_default=False
        ),
    ] = None,
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Code a catalogue in Parquet with many workers, on this machine or on a Ray cluster.

    Finished parts are never coded twice, so a run that was killed is started once more. Rows without codes stand in
    OUT/refused with their reasons. Exit code 3: some rows were refused.
    """
    from gram_os.ingest.ray import Workers
    from gram_os.settings import load_settings

    if not files and index is None:
        raise InputError("nothing to do: give Parquet files to code, or --index to write what --out holds")
    settings = load_settings(cluster={"url": url})
    pool = Workers(workers, threads, gpus_per_worker, ray)
    coded = written = None
    if files:
        fields = {"id_field": id_field, "title_field": title_field, "label": label, "batch": batch}
        coded = _code(files, out, settings, pool, bundle, fields)
    if index is not None:
        written = _write(out, settings, pool, index, create=create)
    _print_reports(out, coded, written, as_json=as_json)
    if (coded and coded.refused) or (written and written.refused):
        raise typer.Exit(output.DONE_IN_PART)


def _code(
    files: list[str], out: str, settings: Settings, workers: Workers, bundle: Any, fields: dict[str, Any]
) -> CodeReport:
    from gram_os.ingest.ray import code_parquet
    from gram_os.model.backbone import load_generator
    from gram_os.model.bundle import Bundle

    # A worker with GPUs fails loudly when it cannot use them, and one without does not look for any.
    device = settings.model.device if workers.gpus is None else "cuda" if workers.gpus else "cpu"
    open_coder = partial(load_generator, bundle, device, workers.threads)
    with ExitStack() as stack:
        show = _Progress(stack, "code")
        return code_parquet(
            files, out, open_coder, Bundle.load(bundle), workers=workers, on_plan=show.plan, progress=show.advance,
            **fields,
        )  # fmt: skip


def _write(out: str, settings: Settings, workers: Workers, index: str, *, create: bool) -> IndexReport:
    from gram_os.embedded import resolve_cluster
    from gram_os.ingest.ray import index_parquet

    with ExitStack() as stack:
        cluster = stack.enter_context(resolve_cluster(settings))
        found = settings.cluster.model_copy(update={"url": cluster.url})
        show = _Progress(stack, f"write into {index}")
        return index_parquet(
            out, found, index, create=create, workers=workers, on_plan=show.plan, progress=show.advance
        )


class _Progress:
    """Progress that is shown from the moment on when the number of rows is known."""

    def __init__(self, stack: ExitStack, what: str) -> None:
        self._stack, self._what = stack, what
        self._advance: Callable[[int], None] | None = None

    def plan(self, rows: int) -> None:
        """Begin to show."""
        self._advance = self._stack.enter_context(output.show_progress(self._what, total=rows, unit="rows"))

    def advance(self, rows: int) -> None:
        """Show that rows are done."""
        if self._advance is not None:
            self._advance(rows)


def _print_reports(out: str, coded: CodeReport | None, written: IndexReport | None, *, as_json: bool) -> None:
    if as_json:
        found: dict[str, Any] = {"out": out}
        if coded is not None:
            found["coding"] = {
                "rows": coded.rows, "finished_before": coded.finished_before, "coded": coded.coded,
                "refused": coded.refused, "seconds": round(coded.seconds, 1),
                "rows_a_second": round(coded.rate, 1), "workers": coded.workers,
            }  # fmt: skip
        if written is not None:
            found["writing"] = {
                "index": written.index, "label": written.label, "rows": written.rows, "created": written.created,
                "updated": written.updated, "unchanged": written.unchanged, "refused": written.refused,
                "seconds": round(written.seconds, 1), "rows_a_second": round(written.rate, 1),
                "workers": written.workers,
            }  # fmt: skip
        output.print_json(found)
        return
    if coded is not None:
        before = f", {coded.finished_before:,} were finished before" if coded.finished_before else ""
        print(f"{out}: {coded.coded:,} of {coded.rows:,} rows coded{before} ({coded.rate:,.0f} a second)")
        if coded.refused:
            print(f"{coded.refused:,} rows have no codes; {out}/refused has them with their reasons")
    if written is not None:
        print(
            f"{written.index}: {written.created:,} documents written, {written.updated:,} got codes, "
            f"{written.unchanged:,} had them ({written.rate:,.0f} a second)"
        )
        if written.refused:
            print(f"{written.refused:,} rows are not in the index; {out}/not-indexed has their ids and reasons")
