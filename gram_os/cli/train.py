"""`gram-os train`: a bundle out of a catalogue."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from gram_os.cli import output

EXAMPLE = """Example:

\b
  gram-os train --catalogue products.jsonl.gz --out models/runs/mine
  gram-os train --catalogue products.jsonl.gz --recipe mine.toml --out models/runs/mine
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("train", help=run.__doc__, epilog=EXAMPLE)(run)


def run(
    catalogue: Annotated[
        Path, typer.Option("--catalogue", help="JSONL, CSV, TSV or Parquet.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle.", show_default=False)],
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe", help="TOML file; by default models/recipes/cold-start.toml.", show_default=False
        ),
    ] = None,
    id_field: Annotated[str, typer.Option(help="Column of the id.")] = "id",
    title_field: Annotated[str, typer.Option(help="Column of the title.")] = "title",
    as_json: output.JsonOption = False,
) -> None:
    """Train a bundle on a catalogue alone: no click log, no network.

    Needs the extra `train`. The tagger is kept in the folder's `work` and used again by the next run.
    """
    from gram_os.catalogue import read_products
    from gram_os.train.cold_start import run_cold_start
    from gram_os.train.recipe import Recipe, read_recipe

    logging.getLogger("transformers").setLevel(logging.ERROR)  # it reports MiniLM's unused pooler
    settings = read_recipe(recipe) if recipe is not None else Recipe()
    products = list(read_products(catalogue, id_field=id_field, title_field=title_field))
    trained = run_cold_start(products, settings, out)
    bundle = trained.bundle
    size = sum(record.bytes for record in bundle.manifest.files.values())
    if as_json:
        output.print_json(
            {"bundle": str(out), "id": bundle.id, "bytes": size, "seconds": trained.seconds,
             "measures": dict(bundle.manifest.measures)}
        )  # fmt: skip
        return
    rows = [[stage, f"{seconds:.0f}"] for stage, seconds in trained.seconds.items()]
    output.print_table(f"{out}: bundle {bundle.id}, {size / 1e6:.1f} MB", ["stage", "seconds"], rows)
    for name, value in bundle.manifest.measures.items():
        print(f"{name}: {value}")
