"""Documents as the index holds them now: the request that reads many of them at once, and its answer.

Such a read sees every write, also those that no refresh has shown to searches. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gram_os.files.raw_json import find_end, split_object

_SOURCE: Final = '"_source":'


@dataclass(frozen=True, slots=True)
class DocumentKey:
    """What names a document: its index (no alias), its id, and the routing that its writer gave it.

    Two documents of an index may share an id when their routings lead to different shards.
    """

    index: str
    id: str
    routing: str | None = None


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as it is now.

    source: its `_source` as it is written (JSON), None when the index keeps none. version: its number, which the writer
    or the cluster gave it. seq_no, primary_term: the cluster's name for this state of the document.
    """

    source: str | None
    version: int
    seq_no: int
    primary_term: int


def read_key(hit: Mapping[str, Any]) -> DocumentKey:
    """Return the key of a hit."""
    return DocumentKey(hit["_index"], hit["_id"], hit.get("_routing"))


def build_multi_get(keys: Iterable[DocumentKey]) -> dict[str, Any]:
    """Build the body of `_mget`."""
    return {
        "docs": [
            {"_index": key.index, "_id": key.id, **({} if key.routing is None else {"routing": key.routing})}
            for key in keys
        ]
    }


def read_multi_get(
    documents: Sequence[Mapping[str, Any]], text: str
) -> list[StoredDocument | Mapping[str, Any] | None]:
    """Read the answer of `_mget`: a document, None for one that is not there, or the cluster's error for one.

    documents: the answer's `docs`. text: the whole answer as it came.
    """
    at = text.index("[") + 1
    read = []
    for document in documents:
        found, at = _read_one(document, text, at)
        read.append(found)
    return read


def _read_one(document: Mapping[str, Any], text: str, at: int) -> tuple[StoredDocument | Mapping[str, Any] | None, int]:
    """Read the document that is written at `at` or behind it, and return the place behind it."""
    start = text.index("{", at)
    end = find_end(text, start)
    if "error" in document:
        return dict(document["error"]), end
    if not document["found"]:
        return None, end
    source = _find_source(document, text, start, end)
    return StoredDocument(source, document["_version"], document["_seq_no"], document["_primary_term"]), end


def _find_source(document: Mapping[str, Any], text: str, start: int, end: int) -> str | None:
    """Return `_source` as it is written between two places."""
    if "_source" not in document:
        return None
    at = text.find(_SOURCE, start, end)
    if at >= 0 and next(reversed(list(document))) == "_source":
        # Nothing before it but numbers and texts, and the quotes of a text are escaped. So the first one is the member.
        return text[at + len(_SOURCE) : end - 1].strip()
    return next(member.value for member in split_object(text[start:end]) if member.name == "_source")
