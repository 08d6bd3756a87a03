"""An edit: codes that products get or lose, or a value that products of a type never have.

An edit is a record that nobody changes. It can be undone, and stays as a record then. People write codes as they like
("HP | Notebook"), and each bundle reads them by its own rules. Pure: knows neither bundles nor the cluster.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gram_os.errors import InputError
from gram_os.text.attribute import AttributeType
from gram_os.text.code import MAX_ATTRIBUTES, SEPARATOR

_MOST_CHARACTERS: Final = 100  # of a value; the model reads no longer ones
_MOST_IDS: Final = 10_000
_OWN_FIELD: Final = re.compile(r"(?<![\w.])gram_[a-z0-9]")
_RANKERS: Final = frozenset({"knn", "neural", "neural_sparse", "hybrid"})
_TYPES: Final = {kind.value: kind for kind in AttributeType}
_FIELDS: Final = ("index", "ids", "query", "add", "remove", "forbid", "type", "note")


@dataclass(frozen=True, slots=True)
class WrittenValue:
    """A value as somebody wrote it. type: None where its writer gave none."""

    text: str
    type: AttributeType | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """What somebody wants of the products of an index. The index may be an alias.

    Either codes to `add` and `remove`, for the products of some `ids` or of a `query` (an OpenSearch clause), or a code
    that products of a type shall not have (`forbid`, `type`).

    >>> Correction("products", ids=("7",), add=("Notebook | brand=HP",)).describe()
    'add Notebook | brand=HP to 7'
    >>> Correction("products", forbid="toner", type="notebook").describe()
    'no toner for the type notebook'
    """

    index: str
    ids: tuple[str, ...] = ()
    query: Mapping[str, Any] | None = None
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    forbid: str | None = None
    type: str | None = None
    note: str | None = None

    def check(self) -> None:
        """Raise InputError for a correction that says nothing, contradicts itself or cannot be applied."""
        if not self.index:
            raise InputError("an edit needs the index of its products")
        if self.forbid is not None:
            self._check_forbidden()
        else:
            self._check_codes()

    def describe(self) -> str:
        """Return the correction in one line."""
        if self.forbid is not None:
            return f"no {self.forbid} for the type {self.type}"
        changes = [f"add {code}" for code in self.add] + [f"remove {code}" for code in self.remove]
        shown = ", ".join(self.ids[:3]) + (f" and {len(self.ids) - 3} more" if len(self.ids) > 3 else "")
        where = f"to {shown}" if self.ids else f"to the products of {json.dumps(self.query, ensure_ascii=False)}"
        return f"{', '.join(changes)} {where}"

    def _check_forbidden(self) -> None:
        if self.ids or self.query is not None or self.add or self.remove:
            raise InputError("an edit forbids a value or changes codes, not both; make two edits")
        if not (self.type or "").strip():
            raise InputError(f"forbid {self.forbid}: for which product type? Give one with --type")
        parse_target(str(self.forbid))

    def _check_codes(self) -> None:
        if self.type is not None:
            raise InputError("an edit of codes has no product type; write the type of a value as brand=hp")
        if not self.add and not self.remove:
            raise InputError("an edit of codes needs a code to add or to remove")
        if bool(self.ids) == (self.query is not None):
            raise InputError("an edit of codes is for ids or for a query, not for both and not for neither")
        if len(self.ids) > _MOST_IDS or not all(self.ids):
            raise InputError(f"an edit has 1 to {_MOST_IDS:,} ids that are not empty, not {len(self.ids):,}")
        if self.query is not None:
            _check_query(self.query)
        added = [{value.text.casefold() for value in parse_code(code)} for code in self.add]
        for code in self.remove:
            removed = {value.text.casefold() for value in parse_target(code)}
            if any(removed <= values for values in added):
                raise InputError(f"the edit adds and removes {code}; leave out one of the two")


@dataclass(frozen=True, slots=True)
class Edit:
    """A correction, and who made it when.

    number: for people, 1 for the first edit of a cluster. at, undone_at: ISO 8601, UTC. undone_by: None while the edit
    is in force. seq_no: grows with every change of any edit. token: what documents name the edit by. It is the number
    and a hash, since another cluster has other edits.

    >>> Edit(7, Correction("products", ids=("1",), add=("lamp",)), "anna", "2026-12-01T10:00:00+00:00").token
    '7.ad54'
    """

    number: int
    correction: Correction
    who: str
    at: str
    undone_by: str | None = None
    undone_at: str | None = None
    seq_no: int = -1
    token: str = field(init=False, default="")

    def __post_init__(self) -> None:
        made = json.dumps([_write_correction(self.correction), self.who, self.at], sort_keys=True)
        digest = hashlib.sha256(made.encode("utf-8", "surrogatepass")).hexdigest()
        object.__setattr__(self, "token", f"{self.number}.{digest[:4]}")

    @property
    def is_active(self) -> bool:
        """True until the edit is undone."""
        return self.undone_by is None


def parse_code(text: str) -> tuple[WrittenValue, ...]:
    """Read a code as people write it: values with " | " between them, each with its type in front if they like.

    Raises InputError for a code without a value, with too many, and for a value that is too long.

    >>> [(value.text, value.type and value.type.value) for value in parse_code("Notebook | brand=HP")]
    [('Notebook', None), ('HP', 'brand')]
    """
    values = tuple(_parse_value(part.strip(), text) for part in text.split(SEPARATOR.strip()))
    if len(values) > MAX_ATTRIBUTES:
        raise InputError(f"{text!r} has {len(values)} values; a code has at most {MAX_ATTRIBUTES}")
    return values


def parse_target(text: str) -> tuple[WrittenValue, ...]:
    """Read a code that products lose. Raises InputError as `parse_code` does, and for a type beside other values."""
    values = parse_code(text)
    if len(values) > 1 and any(value.type for value in values):
        raise InputError(f"{text!r}: a code that is taken away has a type only if it is a single value")
    return values


def parse_correction(row: Mapping[str, Any], index: str | None = None) -> Correction:
    """Read a correction from a JSON object with the fields of `Correction`. index: for a row that names none.

    Raises InputError for other fields, for fields of other types, and as `Correction.check` does.

    >>> parse_correction({"ids": ["7"], "remove": ["toner"]}, "products").describe()
    'remove toner to 7'
    """
    if unknown := sorted(set(row) - set(_FIELDS)):
        raise InputError(f"unknown field '{unknown[0]}'; an edit has {', '.join(_FIELDS)}")
    for name in ("index", "forbid", "type", "note"):
        if name in row and not isinstance(row[name], str):
            raise InputError(f"field '{name}' must be a text, not {row[name]!r}")
    query = row.get("query")
    if query is not None and not isinstance(query, dict):
        raise InputError(f"field 'query' must be an OpenSearch clause, not {query!r}")
    found = Correction(
        row.get("index", index) or "", _read_texts(row, "ids"), query, _read_texts(row, "add"),
        _read_texts(row, "remove"), row.get("forbid"), row.get("type"), row.get("note"),
    )  # fmt: skip
    found.check()
    return found


def write_edit(edit: Edit) -> dict[str, Any]:
    """Return the body of an edit's record."""
    undone = {} if edit.is_active else {"undone_by": edit.undone_by, "undone_at": edit.undone_at}
    kind = "codes" if edit.correction.forbid is None else "forbid"
    made = {"number": edit.number, "kind": kind, "who": edit.who, "at": edit.at}
    return {**made, **_write_correction(edit.correction), **undone}


def read_edit(body: Mapping[str, Any], seq_no: int) -> Edit:
    """Read the body of an edit's record."""
    correction = Correction(
        body["index"], _read_texts(body, "ids"), body.get("query"), _read_texts(body, "add"),
        _read_texts(body, "remove"), body.get("forbid"), body.get("type"), body.get("note"),
    )  # fmt: skip
    undone_by, undone_at = body.get("undone_by"), body.get("undone_at")
    return Edit(body["number"], correction, body["who"], body["at"], undone_by, undone_at, seq_no)


def _write_correction(correction: Correction) -> dict[str, Any]:
    kept = {
        "index": correction.index, "ids": list(correction.ids), "query": correction.query,
        "add": list(correction.add), "remove": list(correction.remove), "forbid": correction.forbid,
        "type": correction.type, "note": correction.note,
    }  # fmt: skip
    return {name: value for name, value in kept.items() if value not in (None, [])}


def _read_texts(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = row.get(name, ())
    texts = [found] if isinstance(found, str) else found
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        raise InputError(f"field '{name}' must be a text or a list of texts, not {found!r}")
    return tuple(texts)


def _parse_value(text: str, code: str) -> WrittenValue:
    name, sign, rest = text.partition("=")
    kind = _TYPES.get(name.strip().casefold()) if sign else None
    if sign and kind is None:
        raise InputError(f"{text!r}: '{name.strip()}' is no type of values; the types are {', '.join(_TYPES)}")
    value = rest.strip() if kind else text
    if not value:
        raise InputError(f"{code!r} is no code: write values with ' | ' between them, such as 'hp | notebook'")
    if len(value) > _MOST_CHARACTERS:
        raise InputError(f"{value[:40]!r}... has {len(value)} characters; a value has at most {_MOST_CHARACTERS}")
    return WrittenValue(value, kind)


def _check_query(query: Mapping[str, Any]) -> None:
    words = list(_walk(query))
    if any(_OWN_FIELD.search(word) for word in words):
        raise InputError(
            "the query asks for codes of gram-os, and the edit changes them, so it would change its own answer; "
            "ask for other fields, or name the products with --id"
        )
    if ranker := next((word for word in words if word in _RANKERS), None):
        raise InputError(f"a query of the kind '{ranker}' ranks products; an edit needs one that picks them")


def _walk(value: object) -> Iterator[str]:
    """Yield all texts in a JSON value, names too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield str(name)
            yield from _walk(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _walk(inner)
