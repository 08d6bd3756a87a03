"""`gram-os attach`: the code fields of a label into the mapping of an existing index."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from gram_os.cli import output

if TYPE_CHECKING:
    from gram_os.cluster.checks import Check
    from gram_os.cluster.client import Cluster
    from gram_os.cluster.labels import LabelState

EXAMPLE = """Example:

\b
  gram-os attach --index products --dry-run
  gram-os attach --index products --title-field name --label v1
  gram-os attach --index offers --query '{"term": {"kind": "product"}}'
"""

_TitleOption = Annotated[str, typer.Option("--title-field", help="Field that holds the product's title.")]
_LabelOption = Annotated[
    str | None,
    typer.Option("--label", help="Version of the code fields; by default the bundle's own.", show_default=False),
]
_QueryOption = Annotated[
    str | None,
    typer.Option(
        "--query", help="An OpenSearch clause (JSON): which documents are products. By default all.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("attach", help=run.__doc__, epilog=EXAMPLE)(run)


def run(
    index: output.IndexOption,
    label: _LabelOption = None,
    title_field: _TitleOption = "title",
    query: _QueryOption = None,
    bundle: output.BundleOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print checks and body, and change nothing.")] = False,
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Add the code fields to the mapping of an existing index. Its documents and its writers are left alone.

    Everything that codes need is checked first. An index in which codes cannot be written safely is refused with the
    reason and the cure. The first label of an index becomes the active one, which searches use.
    """
    from gram_os.cluster.checks import check_index, require_fit
    from gram_os.cluster.labels import LabelState, attach
    from gram_os.embedded import resolve_cluster
    from gram_os.model.bundle import Bundle
    from gram_os.settings import load_settings

    products = output.parse_clause("--query", query)
    model = Bundle.load(bundle)
    state = LabelState(label or model.manifest.label, model.id, title_field, products=products)
    with resolve_cluster(load_settings(cluster={"url": url})) as cluster:
        if dry_run:
            checks = check_index(cluster, index, state.label, title_field, products)
            _print_plan(cluster, index, state, checks, as_json=as_json)
            require_fit(checks, index)
            return
        checks = attach(cluster, index, state)
    notes = [str(check) for check in checks if check.verdict == "note"]
    if as_json:
        done = {"index": index, "label": state.label, "bundle": state.bundle, "title_field": title_field}
        output.print_json(done | ({"notes": notes} if notes else {}))
        return
    for note in notes:
        print(f"note: {note}")
    print(f"{index}: label {state.label} (bundle {state.bundle}, titles in '{title_field}') is attached")
    print(f"next: gram-os backfill --index {index}")


def _print_plan(cluster: Cluster, index: str, state: LabelState, checks: Sequence[Check], *, as_json: bool) -> None:
    """Print all checks, and the request unless a check refuses the index."""
    from gram_os.cluster.labels import build_attachment

    plan: dict[str, object] = {}
    if all(check.verdict != "refused" for check in checks):
        facts = cluster.get_indices(index)[0]
        plan = {"request": f"PUT /{facts.name}/_mapping", "body": build_attachment(facts.mapping, index, state)}
    if as_json:
        output.print_json({**plan, "checks": [_describe(check) for check in checks]})
        return
    rows = [[check.name, check.verdict, str(check)] for check in checks]
    output.print_table(f"{index}: what codes need", ["check", "", "found"], rows, text_columns=True, beside=True)
    if plan:
        print(f"{plan['request']}\n{json.dumps(plan['body'], indent=2)}")


def _describe(check: Check) -> dict[str, str]:
    return {"name": check.name, "verdict": check.verdict, "found": check.found, "cure": check.cure}
