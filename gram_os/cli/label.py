"""`gram-os label`: the versions of the code fields, which one is active, and the end of one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from gram_os.cli import output

if TYPE_CHECKING:
    from gram_os.ingest.versions.coverage import Coverage, LabelVersion, Store
    from gram_os.ingest.versions.drop import DropReport
    from gram_os.ingest.versions.switch import LabelSwitch

SHOWN = 20  # refused documents that are named one by one

EXAMPLE = """Example:

\b
  gram-os label list --index products
  gram-os label promote v2 --index products
  gram-os label rollback --index products
  gram-os label drop v1 --index products
"""

app = typer.Typer(rich_markup_mode=None, epilog=EXAMPLE, context_settings={"help_option_names": ["-h", "--help"]})

_LabelArgument = Annotated[str, typer.Argument(help="The label.", show_default=False)]
_ShareOption = Annotated[
    float,
    typer.Option("--min-share", min=0, max=1, help="Refuse a label that covers less of what the active one covers."),
]


@app.command("list", epilog="Example: gram-os label list --index products")
def list_versions(index: output.IndexOption, url: output.UrlOption = None, as_json: output.JsonOption = False) -> None:
    """List the labels of an index: which one is active, how many products have its codes, and what they take on disk.

    The size is an estimate, because OpenSearch does not tell the size of a field: the codes' part of 200 documents,
    times the size of the index.
    """
    from gram_os.embedded import resolve_cluster
    from gram_os.ingest.versions.coverage import list_labels
    from gram_os.settings import load_settings

    with resolve_cluster(load_settings(cluster={"url": url})) as cluster:
        found = list_labels(cluster, index)
    if as_json:
        output.print_json({"index": index, "labels": [_describe_version(one) for one in found]})
        return
    several = len({one.index for one in found}) > 1
    columns = ["label", "", "bundle", "format", "title field", "products", "with codes", "mean codes"]
    columns += ["disk, about", "last coded"]
    rows = [[*([one.index] if several else []), *_version_row(one)] for one in found]
    output.print_table(f"Labels of {index}", [*(["index"] if several else []), *columns], rows, ruled=False)
    for one in found:
        if one.state is None:
            print(f"'{one.label}' was dropped, and {one.coverage.coded:,} documents of '{one.index}' still have its "
                  f"codes; finish with: gram-os label drop {one.label} --index {one.index}")  # fmt: skip


@app.command("promote", epilog="Example: gram-os label promote v2 --index products")
def promote_label(
    label: _LabelArgument,
    index: output.IndexOption,
    min_share: _ShareOption = 0.99,
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Make a label the active one, which searches use. The former one stays, for `label rollback`.

    Both labels are compared first. A label that covers too little of the products is refused. Documents are left alone.
    Of an alias, all indices change.
    """
    from gram_os.embedded import resolve_cluster
    from gram_os.ingest.versions.switch import promote
    from gram_os.settings import load_settings

    with resolve_cluster(load_settings(cluster={"url": url})) as cluster:
        show = _show_nothing if as_json else _print_comparison
        _report_switch(index, promote(cluster, index, label, min_share=min_share, show=show), as_json=as_json)


@app.command("rollback", epilog="Example: gram-os label rollback --index products")
def roll_back_label(
    index: output.IndexOption,
    min_share: _ShareOption = 0.99,
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Make the label active that was active before the last `label promote`.

    Products that came since then may have codes of the newer label only. When the previous label covers too little
    because of that, backfill it first, or go back all the same with --min-share 0.
    """
    from gram_os.embedded import resolve_cluster
    from gram_os.ingest.versions.switch import roll_back
    from gram_os.settings import load_settings

    with resolve_cluster(load_settings(cluster={"url": url})) as cluster:
        show = _show_nothing if as_json else _print_comparison
        _report_switch(index, roll_back(cluster, index, min_share=min_share, show=show), as_json=as_json)


@app.command("drop", epilog="Example: gram-os label drop v1 --index products --expunge")
def drop(
    label: _LabelArgument,
    index: output.IndexOption,
    rate: Annotated[
        float | None, typer.Option("--rate", min=1, help="The most documents a second.", show_default=False)
    ] = None,
    expunge: Annotated[
        bool, typer.Option("--expunge", help="Merge what deleted documents hold, and wait for it.")
    ] = False,
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Take a label that is not active out of an index: its codes out of every document, and what was kept about it.

    Each document is written back without the label's field, and only if nobody has changed it meanwhile. A drop that
    was interrupted is finished by running it again. Exit code 3: some documents still have the field.
    """
    from gram_os.embedded import resolve_cluster
    from gram_os.ingest.versions.drop import count_labelled, drop_label
    from gram_os.settings import load_settings

    started = time.perf_counter()
    with resolve_cluster(load_settings(cluster={"url": url})) as cluster:
        total = count_labelled(cluster, index, label)
        with output.show_progress(f"drop {label}", total=total, unit="documents") as advance:
            report = drop_label(cluster, index, label, rate=rate, expunge=expunge, progress=advance)
    seconds = time.perf_counter() - started
    if as_json:
        output.print_json({"index": index, **_describe_drop(report), "seconds": round(seconds, 1)})
    else:
        _print_drop(index, report, seconds)
    if report.left:
        raise typer.Exit(output.DONE_IN_PART)


def _show_nothing(switch: LabelSwitch) -> None:
    del switch


def _print_comparison(switch: LabelSwitch) -> None:
    """Print both labels side by side."""
    if not switch.changed:
        return
    replaced = dict.fromkeys(one.active for one in switch.indices if one.active != switch.label)
    before, after = _coverage_cells(switch.before), _coverage_cells(switch.after)
    rows = [[name, before[name], after[name]] for name in before]
    output.print_table("", ["", f"{', '.join(replaced)} (active)", switch.label], rows)


def _coverage_cells(coverage: Coverage) -> dict[str, str]:
    return {
        "products": f"{coverage.products:,}",
        "coded": f"{coverage.coded:,}",
        "with codes": f"{coverage.with_codes:,} ({100 * coverage.share:.1f} %)",
        "codes of a product, mean": f"{coverage.mean_codes:.2f}",
        "without a product type": f"{100 * coverage.untyped_share:.1f} %",
        "last coded": coverage.last_coded_at or "",
    }


def _report_switch(index: str, switch: LabelSwitch, *, as_json: bool) -> None:
    """Print what is active now. An index where it was active already has no former label."""
    replaced = list(dict.fromkeys(one.active for one in switch.indices if one.active != switch.label))
    if as_json:
        output.print_json({
            "index": index, "active": switch.label, "replaced": replaced, "changed": list(switch.changed),
            "before": _describe_coverage(switch.before), "after": _describe_coverage(switch.after),
        })  # fmt: skip
    elif not replaced:
        print(f"{index}: '{switch.label}' is the active label already")
    else:
        print(f"{index}: '{switch.label}' is the active label now, in place of '{', '.join(replaced)}'")
        print("Processes that are open keep their label until they are opened again.")


def _version_row(version: LabelVersion) -> list[str]:
    coverage, state = version.coverage, version.state
    role = "active" if version.is_active else "dropped" if state is None else "previous" if version.is_previous else ""
    return [
        version.label,
        role,
        *((state.bundle, str(state.format), state.title_field) if state else ("", "", "")),
        f"{coverage.products:,}",
        f"{coverage.with_codes:,} ({100 * coverage.share:.1f} %)",
        f"{coverage.mean_codes:.2f}",
        _show_bytes(version.disk_bytes),
        coverage.last_coded_at or "",
    ]


def _describe_version(version: LabelVersion) -> dict[str, object]:
    state = version.state
    return {
        "index": version.index,
        "label": version.label,
        "active": version.is_active,
        "previous": version.is_previous,
        "dropped": state is None,
        "bundle": state.bundle if state else None,
        "format": state.format if state else None,
        "title_field": state.title_field if state else None,
        **_describe_coverage(version.coverage),
        "disk_bytes_estimate": version.disk_bytes,
    }


def _describe_coverage(coverage: Coverage) -> dict[str, object]:
    return {
        "products": coverage.products,
        "coded": coverage.coded,
        "with_codes": coverage.with_codes,
        "share": round(coverage.share, 6),
        "mean_codes": round(coverage.mean_codes, 3),
        "without_product_type": round(coverage.untyped_share, 6),
        "last_coded_at": coverage.last_coded_at,
    }


def _describe_drop(report: DropReport) -> dict[str, object]:
    return {
        "label": report.label,
        "was_attached": report.was_attached,
        "documents": report.documents,
        "conflicts": report.conflicts,
        "refused": [{"id": one.id, "reason": one.reason} for one in report.refused],
        "left": report.left,
        "dead_letters": report.letters,
        "store": {
            "before": _describe_store(report.before),
            "after": _describe_store(report.after),
            "expunged": _describe_store(report.expunged) if report.expunged else None,
        },
    }


def _describe_store(store: Store) -> dict[str, int]:
    return {"bytes": store.bytes, "deleted_documents": store.deleted}


def _print_drop(index: str, report: DropReport, seconds: float) -> None:
    """Print what is gone, what it freed, and what is left."""
    if not report.was_attached:
        print(f"{index}: '{report.label}' was taken out of the labels before; this run finishes with the documents")
    changed = f", {report.conflicts:,} were changed by others meanwhile and read again" if report.conflicts else ""
    print(
        f"{index}: the codes of '{report.label}' are out of {report.documents:,} documents in {seconds:.0f} s{changed}"
    )
    if report.letters:
        print(f"dead letters of '{report.label}' deleted: {report.letters:,}")
    for refusal in report.refused[:SHOWN]:
        print(f"not written: {refusal.id}: {refusal.reason}")
    if len(report.refused) > SHOWN:
        print(f"not written: {len(report.refused) - SHOWN:,} more; --json names them all")
    if report.left > len(report.refused):
        print(f"{report.left:,} documents still have codes of '{report.label}': another process writes them. End it, "
              "and run drop again")  # fmt: skip
    print(f"store, with replicas: {_show_bytes(report.before.bytes)} before, {_show_bytes(report.after.bytes)} now")
    if report.expunged:
        print(f"after the merge: {_show_bytes(report.expunged.bytes)}")
    if waiting := (report.expunged or report.after).deleted:
        cure = "" if report.expunged else " (--expunge merges now)"
        print(f"{waiting:,} old versions of documents hold their space until the cluster merges them{cure}")
    print(f"The empty field 'gram_{report.label}' stays in the mapping. OpenSearch cannot take a field out.")


def _show_bytes(count: int) -> str:
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"
