"""`gram-os edit codes / forbid / list / undo / import`: people's corrections of products."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gram_os.cli import output
from gram_os.errors import FileFormatError, GramError, InputError, SettingsError

if TYPE_CHECKING:
    from gram_os.cluster.client import Cluster
    from gram_os.edits.corrections import Corrector
    from gram_os.edits.edit import Correction, Edit
    from gram_os.edits.reach import Reach
    from gram_os.settings import Settings

EXAMPLE = """Example:

\b
  gram-os edit codes --index products --id 4711 --add "HP | notebook" --remove toner
  gram-os edit codes --index products --query '{"term": {"supplier": "Acme"}}' --add brand=acme
  gram-os edit forbid notebook --type case --index products
  gram-os edit list --index products
  gram-os edit undo 7
"""
_SHOWN = 20  # bad lines and missing ids that are named

app = typer.Typer(rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXAMPLE)

_NoteOption = Annotated[str | None, typer.Option("--note", help="Why, for whoever reads the list.", show_default=False)]


@app.command("codes", epilog=EXAMPLE)
def edit_codes(
    index: output.IndexOption,
    id_: Annotated[list[str] | None, typer.Option("--id", help="A product; may repeat.", show_default=False)] = None,
    query: Annotated[
        str | None, typer.Option("--query", help="An OpenSearch clause (JSON): which products.", show_default=False)
    ] = None,
    add: Annotated[
        list[str] | None, typer.Option("--add", help="A code that they get; may repeat.", show_default=False)
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", help="A code that they lose; may repeat.", show_default=False)
    ] = None,
    note: _NoteOption = None,
    bundle: output.BundleOption = None,
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Give codes to products and take codes away, by ids or by a query. It also holds for new titles and new labels.

    A code is values with " | " between them: "hp | notebook". Each may have its type in front: "brand=hp". A code that
    is taken away goes with all codes that hold it. With a type in front ("product_type=notebook") only the fact goes,
    and the word still counts for the score.
    """
    from gram_os.edits.edit import Correction

    clause = output.parse_clause("--query", query)
    correction = Correction(
        index, tuple(dict.fromkeys(id_ or ())), clause, tuple(add or ()), tuple(remove or ()), note=note
    )
    _write([correction], bundle, url, as_json=as_json)


@app.command("forbid", epilog=EXAMPLE)
def forbid(
    value: Annotated[str, typer.Argument(help="A value or code that no such product has.", show_default=False)],
    kind: Annotated[str, typer.Option("--type", help="A product type, such as notebook.", show_default=False)],
    index: output.IndexOption,
    note: _NoteOption = None,
    bundle: output.BundleOption = None,
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Forbid a value for all products of a type, also for those that come later."""
    from gram_os.edits.edit import Correction

    _write([Correction(index, forbid=value, type=kind, note=note)], bundle, url, as_json=as_json)


@app.command("import", epilog="Example: gram-os edit import edits.jsonl --index products")
def import_edits(
    file: Annotated[Path, typer.Argument(help="JSON lines, one edit a line.", show_default=False)],
    index: Annotated[str | None, typer.Option("--index", help="For lines without 'index'.", show_default=False)] = None,
    bundle: output.BundleOption = None,
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Write the edits of a file: all of them, or none if a line is wrong.

    A line has "ids" or "query" with "add" and "remove", or "forbid" with "type". "index" and "note" may stand in each:
    {"ids": ["4711"], "add": ["hp | notebook"], "note": "wrong title"}
    """
    from gram_os.edits.edit import parse_correction
    from gram_os.files.json_lines import read_json_lines

    corrections, lines, errors = [], [], []
    for number, row in read_json_lines(file):
        if isinstance(row, FileFormatError):
            errors.append(str(row))
            continue
        try:
            corrections.append(parse_correction(row, index))
            lines.append(number)
        except InputError as error:
            errors.append(str(FileFormatError(file, str(error), line=number)))
    _refuse(errors)
    _write(corrections, bundle, url, as_json=as_json, source=(file, lines))


@app.command("list", epilog=EXAMPLE)
def list_edits(
    index: output.IndexOption,
    everything: Annotated[bool, typer.Option("--all", help="Also those that were undone.")] = False,
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """List the edits of an index, with who made them and when."""
    from gram_os.edits.book import EditBook, find_names
    from gram_os.embedded import resolve_cluster
    from gram_os.settings import load_settings

    with resolve_cluster(load_settings(cluster={"url": url})) as cluster:
        names = frozenset({index}).union(*find_names(cluster, index).values())
        found = [edit for edit in EditBook(cluster).list() if edit.correction.index in names]
    shown = [edit for edit in found if everything or edit.is_active]
    if as_json:
        output.print_json({"index": index, "edits": [_describe(edit) for edit in shown]})
        return
    rows = [[str(e.number), e.correction.describe(), e.who, e.at, _say_state(e)] for e in shown]
    hidden = len(found) - len(shown)
    caption = f"{hidden} more were undone: --all" if hidden else "" if rows else "no edit"
    output.print_table(f"{index}: edits", ["", "what", "who", "at", "note"], rows, caption=caption, text_columns=True)


@app.command("undo", epilog="Example: gram-os edit undo 7")
def undo(
    number: Annotated[int, typer.Argument(min=1, help="As gram-os edit list shows it.", show_default=False)],
    url: output.UrlOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Take an edit back. Its products then get what the model says. The edit stays in the list as undone."""
    from gram_os.edits.book import EditBook
    from gram_os.embedded import resolve_cluster
    from gram_os.settings import load_settings

    settings = load_settings(cluster={"url": url})
    who = _name_user(settings)
    with resolve_cluster(settings) as cluster:
        edit = EditBook(cluster).undo(number, who)
    if as_json:
        output.print_json(_describe(edit))
        return
    print(f"edit {number} is undone: {edit.correction.describe()}")
    _say_when([edit])


def _write(
    corrections: Sequence[Correction],
    bundle: Path | None,
    url: str | None,
    *,
    as_json: bool,
    source: tuple[Path, Sequence[int]] | None = None,
) -> None:
    """Check corrections, write all of them, and print what they do. source: the file and the line of each."""
    from gram_os.edits.book import EditBook
    from gram_os.embedded import resolve_cluster
    from gram_os.settings import load_settings

    for correction in corrections:
        correction.check()
    settings = load_settings(cluster={"url": url})
    who = _name_user(settings)
    with resolve_cluster(settings) as cluster:
        checked = _Checks(cluster, bundle)
        reaches: list[Reach] = []
        errors = []
        for place, correction in enumerate(corrections):
            try:
                reaches.append(checked.look(correction))
            except GramError as error:
                if source is None:
                    raise
                errors.append(str(FileFormatError(source[0], str(error), line=source[1][place])))
        _refuse(errors)
        edits = EditBook(cluster).add_all(corrections, who)
    if as_json:
        found = [{**_describe(e), "products": r.products} for e, r in zip(edits, reaches, strict=True)]
        output.print_json({"edits": found, "notes": checked.notes})
        return
    for note in checked.notes:
        print(f"note: {note}")
    for edit, reach in zip(edits, reaches, strict=True):
        count = "" if reach.products is None else f" (now {reach.products:,} product{'s' * (reach.products != 1)})"
        print(f"edit {edit.number}: {edit.correction.describe()}{count}")
    _say_when(edits)


class _Checks:
    """Looks at corrections before they are written, and collects notes."""

    def __init__(self, cluster: Cluster, bundle: Path | None):
        self.notes: list[str] = []
        self._cluster, self._path = cluster, bundle
        self._correctors: dict[str, Corrector | None] = {}

    def look(self, correction: Correction) -> Reach:
        """Return the products of a correction. Raises GramError when it cannot be written."""
        from gram_os.cluster.labels import require_label
        from gram_os.edits.reach import explain_reading, find_reach

        state = require_label(self._cluster, correction.index)
        corrector = self._open(correction.index, state.bundle)
        reach = find_reach(self._cluster, state, correction, corrector)
        self.notes += [] if corrector is None else explain_reading(corrector, correction)
        if reach.missing:
            shown = ", ".join(reach.missing[:_SHOWN]) + (" ..." if len(reach.missing) > _SHOWN else "")
            self.notes.append(f"'{correction.index}' has no product {shown} yet; the edit waits for it")
        if correction.forbid is not None and reach.products == 0:
            self.notes.append(f"no product of '{correction.index}' is of the type '{correction.type}' now")
        return reach

    def _open(self, index: str, wanted: str) -> Corrector | None:
        """Return what reads words as the active label does. None, with a note, when the bundle is another one."""
        from gram_os.edits.corrections import Corrector
        from gram_os.model.bundle import Bundle

        if wanted not in self._correctors:
            bundle = Bundle.load(self._path)
            self._correctors[wanted] = Corrector(bundle) if bundle.id == wanted else None
            if bundle.id != wanted:
                self.notes.append(f"'{index}' is coded by the bundle {wanted}; --bundle shows how it reads the words")
        return self._correctors[wanted]


def _refuse(errors: Sequence[str]) -> None:
    """Raise InputError with all errors, if there are any."""
    if errors:
        more = [f"{len(errors) - _SHOWN} more lines are wrong"] if len(errors) > _SHOWN else []
        raise InputError("\n".join([*errors[:_SHOWN], *more, "nothing was written"]))


def _name_user(settings: Settings) -> str:
    """Return who edits. Raises SettingsError when nobody can say."""
    import getpass

    try:
        return settings.user or getpass.getuser()
    except (KeyError, OSError) as error:
        raise SettingsError("the machine has no name for its user; set GRAM_OS_USER to who edits") from error


def _describe(edit: Edit) -> dict[str, object]:
    """Return an edit as JSON."""
    from gram_os.edits.edit import write_edit

    body = write_edit(edit)
    return {"edit": body.pop("number"), **body}


def _say_state(edit: Edit) -> str:
    undone = "" if edit.is_active else f"undone by {edit.undone_by} at {edit.undone_at}"
    return "; ".join(part for part in (edit.correction.note, undone) if part)


def _say_when(edits: Sequence[Edit]) -> None:
    for index in dict.fromkeys(edit.correction.index for edit in edits):
        print(f"gram-os watch shows it within a minute; without one, run: gram-os backfill --index {index}")
