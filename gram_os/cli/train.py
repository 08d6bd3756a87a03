"""`gram-os train`: a bundle out of a catalogue, with clicks or without."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gram_os.cli import output
from gram_os.errors import InputError

if TYPE_CHECKING:
    from gram_os.train.lessons.clicks import Feedback
    from gram_os.train.pipeline import PlannedStage, Trained

EXAMPLE = """Examples:

\b
  gram-os train --catalogue products.jsonl.gz --out models/runs/mine
  gram-os train --catalogue products.jsonl.gz --recipe models/recipes/clicks.toml --clicks clicks.tsv \\
      --out models/runs/mine
  gram-os train --catalogue products.jsonl.gz --recipe models/recipes/clicks.toml --queries queries.tsv \\
      --judgments judgments.tsv --relevant 2.33 --out models/runs/mine
  gram-os train --catalogue products.jsonl.gz --taxonomy shopify --thesaurus /usr/share/wordnet \\
      --out models/runs/mine
  gram-os train --catalogue products.jsonl.gz --out models/runs/mine --dry-run
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("train", help=run.__doc__, epilog=EXAMPLE)(run)


def run(
    catalogue: Annotated[Path, typer.Option("--catalogue", help="JSONL, CSV, TSV or Parquet.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle.", show_default=False)],
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", help="TOML file; by default models/recipes/cold-start.toml.", show_default=False),
    ] = None,
    clicks: Annotated[
        Path | None,
        typer.Option(
            help="TSV: query, product_id and, where known, clicks, impressions, position.", show_default=False
        ),
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(help="TSV, query_id<TAB>text; with --judgments.", show_default=False)
    ] = None,
    judgments: Annotated[
        Path | None,
        typer.Option(
            help="TSV: query_id, product_id, relevance; what is relevant stands in for a click.",
            show_default=False,
        ),
    ] = None,
    relevant: Annotated[
        float | None,
        typer.Option(help="Grade from which a judged product counts as clicked.", show_default=False),
    ] = None,
    taxonomy: Annotated[
        Path | None,
        typer.Option(
            help="Folder of Shopify's or Google's category files: names of product types.", show_default=False
        ),
    ] = None,
    thesaurus: Annotated[
        Path | None,
        typer.Option(help="Folder of WordNet's noun files: other words for product types.", show_default=False),
    ] = None,
    ubi: Annotated[bool, typer.Option("--ubi", help="Learn from the cluster's ubi_queries and ubi_events.")] = False,
    url: output.UrlOption = None,
    id_field: Annotated[str, typer.Option(help="Column of the id.")] = "id",
    title_field: Annotated[str, typer.Option(help="Column of the title.")] = "title",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the stages, which are cached, and about how long the others take.")
    ] = False,
    as_json: output.JsonOption = False,
) -> None:
    """Train a bundle on a catalogue, alone or with what shoppers clicked.

    Needs the extra `train`, and no network. Every stage is kept in the folder's `work`. A run that was killed goes on.
    A changed recipe, or a changed version of gram-os, runs only the stages again that depend on the change.
    """
    from gram_os.catalogue import name_as_index, read_products
    from gram_os.train.pipeline import plan_training, run_training
    from gram_os.train.recipe import Recipe, read_recipe

    logging.getLogger("transformers").setLevel(logging.ERROR)  # it reports MiniLM's unused pooler
    settings = read_recipe(recipe) if recipe is not None else Recipe()
    given = {name: path for name, path in (("taxonomy", taxonomy), ("thesaurus", thesaurus)) if path is not None}
    settings = settings.model_copy(update={"types": settings.types.model_copy(update=given)})
    feedback = _read_feedback(clicks, queries, judgments, relevant, ubi=ubi, url=url)
    products = name_as_index(list(read_products(catalogue, id_field=id_field, title_field=title_field)))
    if dry_run:
        plan = plan_training(products, settings, out, feedback=feedback)
        (_print_plan_json if as_json else _print_plan)(plan, out)
    else:
        trained = run_training(products, settings, out, feedback=feedback)
        (_print_json if as_json else _print_table)(trained, out)


def _read_feedback(
    clicks: Path | None,
    queries: Path | None,
    judgments: Path | None,
    relevant: float | None,
    *,
    ubi: bool,
    url: str | None,
) -> Feedback | None:
    """What one of the three sources says, None without any."""
    from gram_os.catalogue import read_clicks, read_judgments, read_queries
    from gram_os.train.lessons.clicks import feedback_from_clicks, feedback_from_judgments

    if (queries is None) != (judgments is None):
        raise InputError("--queries and --judgments belong together; give both or neither")
    if sum([clicks is not None, queries is not None, ubi]) > 1:
        raise InputError("give one of --clicks, --queries with --judgments, and --ubi")
    if relevant is not None and judgments is None:
        raise InputError("--relevant says which judgments count as clicks; it needs --judgments")
    if clicks is not None:
        return feedback_from_clicks(read_clicks(clicks))
    if queries is not None and judgments is not None:
        return feedback_from_judgments(read_queries(queries), read_judgments(judgments), relevant)
    if ubi:
        from gram_os.embedded import resolve_cluster
        from gram_os.loading.ubi import read_ubi_clicks
        from gram_os.settings import load_settings

        with resolve_cluster(load_settings(cluster={"url": url})) as cluster:
            return feedback_from_clicks(read_ubi_clicks(cluster))
    return None


def _print_plan(plan: Sequence[PlannedStage], out: Path) -> None:
    rows = [[p.stage.name, ", ".join(p.reads), p.stage.makes, p.state.value, _duration(p.seconds)] for p in plan]
    total = sum(planned.seconds for planned in plan)
    output.print_table(
        f"Stages of {out}", ["stage", "reads", "makes", "state", "about"], rows, text_columns=True,
        caption=f"about {_duration(total)} on two cores; nothing was run",
    )  # fmt: skip


def _print_plan_json(plan: Sequence[PlannedStage], out: Path) -> None:
    stages = [
        {"stage": p.stage.name, "reads": list(p.reads), "settings": list(p.stage.settings),
         "makes": p.stage.makes, "state": p.state.value, "estimated_seconds": round(p.seconds)}
        for p in plan
    ]  # fmt: skip
    seconds = round(sum(planned.seconds for planned in plan))
    output.print_json({"bundle": str(out), "stages": stages, "estimated_seconds": seconds})


def _duration(seconds: float) -> str:
    """A time as people say it.

    >>> _duration(0), _duration(42), _duration(600)
    ('', '42 s', '10 min')
    """
    if seconds < 1:
        return ""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _print_json(trained: Trained, out: Path) -> None:
    bundle = trained.bundle
    output.print_json(
        {"bundle": str(out), "id": bundle.id, "bytes": _size(trained), "seconds": trained.seconds,
         "measures": dict(bundle.manifest.measures), "reports": trained.reports}
    )  # fmt: skip


def _print_table(trained: Trained, out: Path) -> None:
    bundle = trained.bundle
    rows = [[stage, f"{seconds:.0f}"] for stage, seconds in trained.seconds.items()]
    rows.append(["all", f"{sum(trained.seconds.values()):.0f}"])
    output.print_table(f"{out}: bundle {bundle.id}, {_size(trained) / 1e6:.1f} MB", ["stage", "seconds"], rows)
    for stage, report in trained.reports.items():
        print(f"{stage}: {report}")
    for name, value in bundle.manifest.measures.items():
        print(f"{name}: {value}")


def _size(trained: Trained) -> int:
    return sum(record.bytes for record in trained.bundle.manifest.files.values())
