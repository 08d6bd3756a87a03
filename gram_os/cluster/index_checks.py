"""Each check of an index: what is there, why it matters, and what cures it. Pure: facts and counts in, a line out.

A check refuses where a write of codes would lose something, or where backfill or search could only fail.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gram_os.cluster.blocks import explain_settings
from gram_os.cluster.dsl import build_code_mapping, code_field
from gram_os.cluster.facts import IndexFacts
from gram_os.cluster.mapping import MappedField, count_fields, find_copies, find_title, is_on, walk_fields
from gram_os.cluster.source_filter import find_lost_fields, read_source_filter

_FIELD_LIMIT: Final = 1000  # the default of index.mapping.total_fields.limit
_SMALL_WINDOW: Final = 1000
_SHOWN: Final = 8  # names in a message


class Verdict(StrEnum):
    """What a check says. A note tells of a limit that codes can live with."""

    OK = "ok"
    NOTE = "note"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table. found: what is there, and why it matters. cure: what to change, empty when all is well."""

    name: str
    verdict: Verdict
    found: str
    cure: str = ""

    def __str__(self) -> str:
        """The words of an error."""
        return f"{self.found}; {self.cure}" if self.cure else self.found


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an index is checked for.

    asked: the name that the user gave. found: the indices that it stands for. label, title_field: see `LabelState`.
    products: the number of documents that will be coded. untitled: how many of them have no title. is_held: whether
    `_source` holds the titles that the index finds, by a look at some documents. These three are None without a look.
    """

    asked: str
    found: Sequence[IndexFacts]
    label: str
    title_field: str
    products: int | None = None
    untitled: int | None = None
    is_held: bool | None = None

    @property
    def index(self) -> IndexFacts:
        """The index. `check_name` makes sure that there is only one."""
        return self.found[0]

    @property
    def titles(self) -> tuple[str, str] | None:
        """The field of `_source` that holds the titles, and the text field that BM25 searches (`find_title`)."""
        return find_title(self.index.mapping, self.title_field)

    @property
    def fields(self) -> Mapping[str, MappedField]:
        """The fields of the mapping by their names."""
        return {field.path: field for field in walk_fields(self.index.mapping)}

    @property
    def code_fields(self) -> Sequence[MappedField]:
        """The fields that the label adds, objects too."""
        return list(walk_fields({"properties": build_code_mapping(self.label)}))


def cure_older(index: str) -> str:
    """Say what to do with a label that an older gram-os attached."""
    return (
        "attach a new label beside it, backfill that, make it the active one and drop the old one "
        f"(docs/upgrade-a-bundle.md); begin with: gram-os attach --index {index} --label NEW"
    )


def check_name(wanted: Wanted) -> Check:
    """The name stands for one index whose documents can be changed."""
    line, name = "name", wanted.asked
    names = _list([facts.name for facts in wanted.found])
    if stream := next((facts.data_stream for facts in wanted.found if facts.data_stream), None):
        found = f"it belongs to the data stream '{stream}', which takes new documents only"
        return _refuse(line, found, "codes are written into documents that are there: keep products in an index")
    if name == "_all" or any(sign in name for sign in "*,"):
        return _refuse(line, f"it is a pattern, for {names}", "name one index")
    if len(wanted.found) > 1:
        found = f"it is an alias of {len(wanted.found)} indices ({names})"
        return _refuse(line, found, "attach each of them under one label; search and backfill then take the alias")
    index = wanted.index.name
    return _ok(line, "it is an index" if index == name else f"it is an alias of the index '{index}'")


def _check_writes(wanted: Wanted) -> Check:
    """No block keeps writes out."""
    blocked = explain_settings(wanted.index.settings, wanted.index.name)
    return _refuse("writes", *blocked) if blocked else _ok("writes", "no block keeps them out")


def _check_updates(wanted: Wanted) -> Check:
    """A document can be written again, and nothing else changes it then."""
    line, settings = "updates", wanted.index.settings
    if is_on(settings.get("index.append_only.enabled", False)):
        found = "index.append_only.enabled is true, so no document can be changed"
        return _refuse(line, found, "reindex into an index without that setting")
    if settings.get("index.store.type") == "remote_snapshot":
        return _refuse(line, "it is a searchable snapshot, which takes no writes", "restore it as an index")
    if (origin := str(settings.get("index.ingestion_source.type", "none"))).lower() != "none":
        found = f"it pulls its documents from {origin} (index.ingestion_source) and takes no other writes"
        return _refuse(line, found, "reindex into an index without an ingestion source")
    if (pipeline := settings.get("index.final_pipeline", "_none")) != "_none":
        found = f"its final pipeline '{pipeline}' would run once more over each document that gets codes"
        body = f'{{"index.final_pipeline": null, "index.default_pipeline": "{pipeline}"}}'
        cure = f"make it the default pipeline, which codes go around: PUT /{wanted.index.name}/_settings {body}"
        return _refuse(line, found, cure)
    return _ok(line, "documents can be changed")


def _check_source(wanted: Wanted) -> Check:
    """`_source` holds the whole document: a document that gets codes is written back from it."""
    line, mapping = "_source", wanted.index.mapping
    cure = "reindex from the products' own source into an index whose mapping keeps all of _source"
    if is_on(wanted.index.settings.get("index.derived_source.enabled", False)):
        found = "index.derived_source.enabled is true: _source is not kept, and codes' rank_features are not allowed"
        return _refuse(line, found, "reindex into an index without that setting")
    source = read_source_filter(mapping)
    if not source.enabled:
        return _refuse(line, "_source is disabled, so no document can be read or written back", cure)
    title = wanted.titles[0] if wanted.titles else wanted.title_field
    needed = [title, *(field.path for field in wanted.code_fields if not field.is_object)]
    if missing := [path for path in needed if not source.holds(path)]:
        return _refuse(line, f"_source leaves out {_list(missing)}, which codes need", cure)
    if lost := find_lost_fields(mapping):
        found = f"_source leaves out {_list(lost)}, and each document that gets codes would lose these fields for good"
        return _refuse(line, found, cure)
    return _ok(line, "it holds whole documents" if source.is_open else "its filter leaves out no mapped field")


def _check_title(wanted: Wanted) -> Check:
    """The title is a text that BM25 can search and that `_source` holds."""
    line, title = "title", wanted.title_field
    fields, titles = wanted.fields, wanted.titles
    field = fields.get(title)
    copies = find_copies(wanted.index.mapping, titles[0] if titles else title)
    if titles is None or field is None:
        found = f"field '{title}' {_describe(field)}"
    elif field.nested is not None:
        found = f"field '{title}' is part of the nested '{field.nested}', which is searched apart from its document"
    elif wanted.is_held or not copies:
        held, searched = titles
        return _ok(line, f"'{held}'" + (f", searched as '{searched}'" if searched != held else ""))
    else:
        found = f"field '{title}' is filled by copy_to, so no _source holds it"
        return _refuse(line, found, f"give what is copied with --title-field: {_list(copies)}")
    texts = _find_texts(wanted)
    near = difflib.get_close_matches(title, texts, n=5) or texts[:5]
    found += f"; its text fields: {', '.join(near)}" if near else "; it has no text field at all"
    return _refuse(line, found, "name the title with --title-field")


def _find_texts(wanted: Wanted) -> list[str]:
    """Return the fields that could be the title."""
    return sorted(
        path
        for path, field in wanted.fields.items()
        if field.is_text and field.nested is None and field.parent is None
        and not path.startswith(code_field("")) and not find_copies(wanted.index.mapping, path)
    )  # fmt: skip


def _describe(field: MappedField | None) -> str:
    if field is None:
        return "does not exist"
    if field.type == "alias":
        return f"is an alias of '{field.body.get('path')}'"
    if not field.is_object and not is_on(field.body.get("index", True)):
        return 'is not indexed ("index": false), so no search finds it'
    return f"is of type {field.type}, no text"


def _check_free(wanted: Wanted) -> Check:
    """The fields of the label are free, or are those that attach made."""
    line, name = "code fields", code_field(wanted.label)
    fields = wanted.fields
    if any(fields.get(field.path, field).type != field.type for field in wanted.code_fields):
        cure = "choose another --label, or reindex without that field"
        return _refuse(line, f"it has a field '{name}' already, and not as codes need it", cure)
    if f"{name}.source" in fields and f"{name}.attributes" not in fields:
        found = f"its field '{name}' is of an older gram-os: it has no attributes, and all weighted codes in 'codes'"
        return _refuse(line, found, cure_older(wanted.index.name))
    return _ok(line, f"'{name}' is {'there' if f'{name}.source' in fields else 'free'}")


def _check_room(wanted: Wanted) -> Check:
    """The mapping has room for the label's fields."""
    line, mapping = "field limit", wanted.index.mapping
    limit = int(wanted.index.settings.get("index.mapping.total_fields.limit", _FIELD_LIMIT))
    used = count_fields(mapping)
    more = sum(field.path not in wanted.fields for field in wanted.code_fields)
    found = f"{used:,} of {limit:,} fields are used (index.mapping.total_fields.limit)"
    if used + more > limit:
        cure = f'PUT /{wanted.index.name}/_settings {{"index.mapping.total_fields.limit": {used + more + 100}}}'
        return _refuse(line, f"{found}, and codes take {more}", cure)
    return _ok(line, found)


def _check_window(wanted: Wanted) -> Check:
    """Searches return enough hits to rank."""
    line, window = "result window", wanted.index.result_window
    if window < _SMALL_WINDOW:
        found = f"index.max_result_window is {window}, so a search ranks {window} hits, and its pages end there"
        return Check(line, Verdict.NOTE, found, "raise the setting to let shoppers page further")
    return _ok(line, f"a search returns up to {window:,} hits")


def _check_products(wanted: Wanted) -> Check:
    """The documents have titles."""
    line = "products"
    if wanted.products is None or wanted.untitled is None:
        return _ok(line, "not counted")
    if not wanted.products:
        return Check(line, Verdict.NOTE, "no document is a product", "load products, or correct --query")
    if not wanted.untitled:
        return _ok(line, f"all {wanted.products:,} have a title")
    found = f"{wanted.untitled:,} of {wanted.products:,} documents have no title, and backfill will name them"
    return Check(line, Verdict.NOTE, found, f"say which documents are products: --query '{_suggest_query(wanted)}'")


def _suggest_query(wanted: Wanted) -> str:
    """Return a clause for the parents of a join field, else for the documents with a title."""
    for field in wanted.fields.values():
        if field.type == "join" and (parents := list(field.body.get("relations", {}))):
            return f'{{"term": {{"{field.path}": "{parents[0]}"}}}}'
    return f'{{"exists": {{"field": "{wanted.titles[1] if wanted.titles else wanted.title_field}"}}}}'


#: The table, in the order in which it is printed. `check_name` comes before it.
CHECKS: Final[Sequence[Callable[[Wanted], Check]]] = (
    _check_writes,
    _check_updates,
    _check_source,
    _check_title,
    _check_free,
    _check_room,
    _check_window,
    _check_products,
)


def _ok(line: str, found: str) -> Check:
    return Check(line, Verdict.OK, found)


def _refuse(line: str, found: str, cure: str) -> Check:
    return Check(line, Verdict.REFUSED, found, cure)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
