"""`gram-os attach`: the code fields of a label into the mapping of an existing index."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gram_os.cli import output

EXAMPLE = """Example:

\b
  gram-os attach --index products --dry-run
  gram-os attach --index products --title-field name --label v1
"""

_TitleOption = Annotated[str, typer.Option("--title-field", help="Field that holds the product's title.")]
_LabelOption = Annotated[
    str | None,
    typer.Option("--label", help="Version of the code fields; by default the bundle's own.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("attach", help=run.__doc__, epilog=EXAMPLE)(run)


def run(
    index: output.IndexOption,
    label: _LabelOption = None,
    title_field: _TitleOption = "title",
    bundle: output.BundleOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the body and change nothing.")] = False,
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Add the code fields to the mapping of an existing index. Its documents and its writers are left alone.

    The first label of an index becomes the active one, which searches use.
    """
    from gram_os.cluster.labels import LabelState, attach, build_attachment
    from gram_os.embedded import resolve_cluster
    from gram_os.model.bundle import Bundle
    from gram_os.settings import load_settings

    model = Bundle.load(bundle)
    state = LabelState(label or model.manifest.label, model.id, title_field)
    with resolve_cluster(load_settings(cluster={"url": url})) as cluster:
        if dry_run:
            body = build_attachment(cluster.get_mapping(index), index, state)
            request = f"PUT /{index}/_mapping"
            output.print_json({"request": request, "body": body}) if as_json else print(
                f"{request}\n{json.dumps(body, indent=2)}"
            )
            return
        attach(cluster, index, state)
    if as_json:
        output.print_json({"index": index, "label": state.label, "bundle": state.bundle, "title_field": title_field})
    else:
        print(f"{index}: label {state.label} (bundle {state.bundle}, titles in '{title_field}') is attached")
        print(f"next: gram-os backfill --index {index}")
