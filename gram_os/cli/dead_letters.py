"""`gram-os dead-letters`: documents that could not be coded or written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gram_os.cli import output
from gram_os.errors import InputError

if TYPE_CHECKING:
    from gram_os.cluster.client import Cluster
    from gram_os.ingest.dead_letters import DeadLetter

SHOWN = 100

EXAMPLE = """Example:

\b
  gram-os dead-letters list --index products
  gram-os dead-letters retry --index products
  gram-os dead-letters drop --index products --id 4711
"""

app = typer.Typer(epilog=EXAMPLE)

_LabelOption = Annotated[
    str | None, typer.Option("--label", help="Of one label; by default of all.", show_default=False)
]
_IdOption = Annotated[
    list[str] | None, typer.Option("--id", help="A document. May be repeated; by default all.", show_default=False)
]


@app.command("list", epilog=EXAMPLE)
def list_letters(
    index: output.IndexOption,
    label: _LabelOption = None,
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """List the documents that could not be coded or written, oldest first, each with its reason."""
    from gram_os.embedded import resolve_cluster
    from gram_os.settings import load_settings

    with resolve_cluster(load_settings(cluster={"url": url})) as cluster:
        letters = _find(cluster, index, label, None)
    if as_json:
        output.print_json({"index": index, "count": len(letters), "letters": [_describe(one) for one in letters]})
        return
    if not letters:
        print(f"{index}: no dead letters")
        return
    columns = ["id", "label", "attempts", "first", "last", "status", "reason"]
    rows = [
        [one.key.id, one.label, str(one.attempts), one.first_at, one.last_at, str(one.status or ""), one.reason]
        for one in letters[:SHOWN]
    ]
    more = f"{len(letters) - SHOWN:,} more; --json lists them all" if len(letters) > SHOWN else ""
    output.print_table(f"{index}: {len(letters):,} dead letters", columns, rows, caption=more, text_columns=True)


@app.command("retry", epilog=EXAMPLE)
def retry_letters(
    index: output.IndexOption,
    label: _LabelOption = None,
    id_: _IdOption = None,
    bundle: output.BundleOption = None,
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Code the documents once more. Those that pass leave the dead letters. Exit code 3: some did not pass."""
    from gram_os.cluster.labels import require_bundle, require_label
    from gram_os.embedded import resolve_cluster
    from gram_os.ingest.documents import LabelWriter
    from gram_os.ingest.queue_drain import HOOK
    from gram_os.model.backbone import load_generator
    from gram_os.settings import load_settings

    settings = load_settings(cluster={"url": url})
    with resolve_cluster(settings) as cluster:
        letters = _find(cluster, index, label, id_)
        generator = load_generator(bundle, settings.model.device, settings.model.threads)
        coded, waiting = 0, 0
        waiting += sum(letter.label == HOOK for letter in letters)  # only their writer has these products
        for name in sorted({letter.label for letter in letters} - {HOOK}):
            state = require_label(cluster, index, name)
            require_bundle(state, index, generator.bundle.id, generator.bundle.path)
            writer = LabelWriter(cluster, index, state, generator)
            writer.check()
            outcome = writer.code_keys([letter.key for letter in letters if letter.label == name])
            coded += len(outcome.written)
            waiting += len(outcome.refused) + len(outcome.conflicts)
    gone = len(letters) - coded - waiting
    if as_json:
        output.print_json({"index": index, "coded": coded, "gone": gone, "waiting": waiting})
    else:
        print(f"{index}: {coded:,} coded, {gone:,} deleted or coded by others, {waiting:,} still dead letters")
    if waiting:
        raise typer.Exit(output.DONE_IN_PART)


@app.command("drop", epilog=EXAMPLE)
def drop_letters(
    index: output.IndexOption,
    label: _LabelOption = None,
    id_: _IdOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Drop all letters of the index.")] = False,
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Forget dead letters. The documents stay in the index, without codes."""
    from gram_os.embedded import resolve_cluster
    from gram_os.ingest.dead_letters import DeadLetters
    from gram_os.settings import load_settings

    if bool(id_) == everything:
        raise InputError("dead-letters drop: name documents with --id, or give --all")
    with resolve_cluster(load_settings(cluster={"url": url})) as cluster:
        letters = _find(cluster, index, label, id_)
        for name in {letter.label for letter in letters}:
            DeadLetters(cluster).clear(name, [letter.key for letter in letters if letter.label == name])
    if as_json:
        output.print_json({"index": index, "dropped": len(letters)})
    else:
        print(f"{index}: {len(letters):,} dead letters dropped")


def _find(cluster: Cluster, index: str, label: str | None, ids: list[str] | None) -> list[DeadLetter]:
    """Return the letters of an index, or of all indices of an alias. Raises InputError for an id that has none."""
    from gram_os.ingest.dead_letters import DeadLetters

    names = [index, *(facts.name for facts in cluster.get_indices(index))]
    letters = list(DeadLetters(cluster).list(indices=names, label=label))
    if ids is None:
        return letters
    missing = set(ids) - {letter.key.id for letter in letters}
    if missing:
        raise InputError(
            f"index '{index}': document '{min(missing)}' has no dead letter; see gram-os dead-letters list"
        )
    return [letter for letter in letters if letter.key.id in ids]


def _describe(letter: DeadLetter) -> dict[str, object]:
    return {
        "index": letter.key.index, "id": letter.key.id, "routing": letter.key.routing, "label": letter.label,
        "reason": letter.reason, "status": letter.status, "attempts": letter.attempts,
        "first_at": letter.first_at, "last_at": letter.last_at, "payload_hash": letter.source,
    }  # fmt: skip
