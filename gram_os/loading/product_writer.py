"""Products into an index that exists: each is written as a whole, and keeps its codes if its coded texts are the same.

Used by `load` and by the drain of the hook. A write without codes is a change like any other, so `gram-os watch` sees
it. Knows no files.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from gram_os.catalogue import Product
from gram_os.cluster.bulk import CHUNK, BulkItem, retry
from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import code_field
from gram_os.cluster.labels import Attachment, LabelState
from gram_os.cluster.stock import TITLE_HASH
from gram_os.errors import ClusterBusyError, InputError
from gram_os.fields import read_field
from gram_os.files.casts import cast_value
from gram_os.files.names import FieldNames, safe_value
from gram_os.loading.sources import find_source, read_title
from gram_os.loading.survey import TITLE, Survey

# Which types of an existing index take a number or a truth value where the file has its text.
_NUMBER_TYPES = ("long", "integer", "short", "byte", "unsigned_long", "double", "float", "half_float", "scaled_float")
_TAKES = {"integer": _NUMBER_TYPES, "float": _NUMBER_TYPES, "boolean": ("boolean",)}

_CODE_PARTS: Final = "codes|attributes|weights|probabilities|source|title_hash|coded_at|edits"
_CODE_COLUMN: Final = re.compile(rf"gram_[a-z0-9][a-z0-9_-]{{0,63}}(\.({_CODE_PARTS})(\..*)?)?")
_NO_ROUTING: Final = "routing_missing_exception"


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document as it will stand in the index, without codes. `ProductWriter` adds those to the body."""

    id: str
    body: dict[str, Any]


def is_code_column(name: str, value: object) -> bool:
    """Say whether a column of a catalogue holds codes of gram-os, as an export of a coded index has them.

    >>> is_code_column("gram_v1", {"codes": ["lamp"], "source": "5e1c"}), is_code_column("gram_v1.source", "5e1c")
    (True, True)
    >>> is_code_column("gram_weight", 250), is_code_column("gram_v1", {"net": 250})
    (False, False)
    """
    if not name.startswith("gram_"):
        return False
    if name == TITLE_HASH:
        return True
    found = _CODE_COLUMN.fullmatch(name)
    if found is None:
        return False
    return found[1] is not None or (isinstance(value, Mapping) and "source" in value and "codes" in value)


def make_document(row: Mapping[str, Any], *, id_field: str = "id", title_field: str = TITLE) -> NewDocument:
    """Make the document of a row that is no part of a file. Its fields keep their names, where the cluster takes them.

    Codes that the row brings are left out. Raises InputError for a row without an id or a title, with the field's name.

    >>> make_document({"id": 7, "title": "Lamp", "price": 9.5})
    NewDocument(id='7', body={'id': 7, 'title': 'Lamp', 'price': 9.5})
    """
    found = read_field(row, id_field)
    id_ = str(found) if isinstance(found, int) and not isinstance(found, bool) else found
    if not isinstance(id_, str) or not id_.strip():
        raise InputError(f"field '{id_field}' must be a text or an integer that names the product, not {found!r}")
    title = read_field(row, title_field)
    if read_title(title) is None:
        raise InputError(f"product '{id_}': field '{title_field}' must be a text, not {str(title)[:40]!r}")
    names = FieldNames(row)
    kept = {name: value for name, value in row.items() if not is_code_column(name, value)}
    return NewDocument(id_, {names.find(name): safe_value(value) for name, value in kept.items()})


class DocumentMaker:
    """Makes the documents of a catalogue file: names made safe, texts that stand for numbers written as numbers."""

    def __init__(self, id_field: str, title_field: str, survey: Survey | None, types: Mapping[str, str]) -> None:
        """Take over the survey's names. types: those of an index that exists; it may keep a number as text."""
        self._id_field, self._title_field = id_field, title_field
        self._names = survey.names if survey else FieldNames(taken=(TITLE,))
        self._inner: dict[str, str] = dict(survey.inner_names) if survey else {}
        self._casts = {
            name: kind
            for name, kind in (survey.casts.items() if survey else ())
            if types.get(self._names.find(name), kind) in (kind, *_TAKES[kind])
        }

    def make(self, product: Product) -> NewDocument:
        """Make the document of a product. Raises InputError for a second title column."""
        check_title_column(self._title_field, product)
        body: dict[str, Any] = {}
        if read_field(product.fields, self._id_field) is None:  # an id inside an object stands there already
            body[self._names.find(self._id_field)] = product.id
        for name, value in product.fields.items():
            if name in self._casts:
                value = cast_value(value, self._casts[name])
            elif isinstance(value, list | dict):
                value = safe_value(value, self._inner)
            body[self._names.find(name)] = value
        body[TITLE] = product.title
        return NewDocument(product.id, body)

    def renamed(self) -> Mapping[str, str]:
        """Return the names that could not stay -> those in the index."""
        return {**self._names.changed, **self._inner}


def check_title_column(title_field: str, product: Product) -> None:
    """Raise InputError when a product has a column `title` beside the one that the user names as its title."""
    if TITLE in product.fields and not title_field.startswith(f"{TITLE}."):
        raise InputError(
            f"product '{product.id}' has a column '{TITLE}' beside the one given as title; "
            f"the index keeps the title under that name: use that column, or rename it in the file"
        )


class ProductWriter:
    """Writes documents of products into an index, and keeps the codes of those whose coded texts are the same.

    attachment: the labels of the index, as `read_attachment` returns them, None when it has none. Codes are kept for
    each label that knows its coded fields. A document's codes under a label are kept as they stand there, with what
    people have edited. A new or changed product is written without them.

    kept: label -> the number of documents that kept their codes.

    >>> from gram_os import Cluster, load_settings
    >>> from gram_os.cluster.labels import read_attachment
    >>> cluster = Cluster.connect(load_settings().cluster)  # reads OPENSEARCH_URL
    >>> hit = cluster.search("products", {"size": 1})["hits"]["hits"][0]
    >>> row = {**hit["_source"], "id": hit["_id"]}
    >>> writer = ProductWriter(cluster, "products", read_attachment(cluster, "products"))
    >>> [item.status for item in writer.write([make_document(row)])]
    [200]
    >>> writer.kept.total()
    1
    """

    def __init__(self, cluster: Cluster, index: str, attachment: Attachment | None) -> None:
        """Contact nobody."""
        self.kept: Counter[str] = Counter()
        self._cluster, self._index = cluster, index
        labels = attachment.labels.values() if attachment else ()
        self._fields = [code_field(state.label) for state in labels]
        self._states = [state for state in labels if state.coded_fields is not None]

    def write(self, documents: Iterable[NewDocument]) -> Iterator[BulkItem]:
        """Write documents, and yield what became of each, in order. The documents are read as the items are taken.

        A refused document is an item with an `error`. Raises what `Cluster.bulk` raises.
        """
        labels: deque[list[str]] = deque()  # of the documents on their way: those whose codes are kept

        def make_actions() -> Iterator[dict[str, object]]:
            for document, codes in self._find_codes(documents):
                labels.append([state.label for state in self._states if code_field(state.label) in codes])
                for field in self._fields:
                    document.body.pop(field, None)
                document.body.update(codes)
                yield {"op": "index", "index": self._index, "id": document.id, "body": document.body}

        for item in self._cluster.bulk(make_actions()):
            kept = labels.popleft()
            if item.ok:
                self.kept.update(kept)
            yield item

    def _find_codes(self, documents: Iterable[NewDocument]) -> Iterator[tuple[NewDocument, Mapping[str, Any]]]:
        """Yield each document with its code fields that still hold."""
        if not self._states:  # nothing to keep, nothing to read
            yield from ((document, {}) for document in documents)
            return
        stream = iter(documents)
        while chunk := list(islice(stream, CHUNK)):
            stored = self._read_codes([document.id for document in chunk])
            for document in chunk:
                yield document, self._choose(document, stored.get(document.id, {}))

    def _choose(self, document: NewDocument, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        fields = {code_field(state.label): state for state in self._states}
        return {
            name: stored[name]
            for name, state in fields.items()
            if name in stored and _is_current(state, document.body, stored[name])
        }

    def _read_codes(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Return the code fields of the documents that are there, with all writes so far."""
        fields = ",".join(code_field(state.label) for state in self._states)
        found = retry(lambda: self._read_once(ids, fields), self._cluster.backoff)
        return {document["_id"]: document.get("_source", {}) for document in found if document.get("found")}

    def _read_once(self, ids: Sequence[str], fields: str) -> list[dict[str, Any]]:
        path = f"/{quote(self._index, safe='')}/_mget"
        body = {"ids": list(dict.fromkeys(ids))}
        answer = self._cluster.request("POST", path, body, params={"_source_includes": fields}, index=self._index)
        for document in answer["docs"]:
            error = document.get("error", {})
            if error and error.get("type") != _NO_ROUTING:  # such a document is refused when it is written
                raise ClusterBusyError(f"document '{document['_id']}' cannot be read now: {error.get('reason')}")
        return list(answer["docs"])


def _is_current(state: LabelState, body: Mapping[str, Any], codes: object) -> bool:
    if not isinstance(codes, Mapping) or not codes.get("source"):
        return False
    return bool(codes["source"] == find_source(state, body))
