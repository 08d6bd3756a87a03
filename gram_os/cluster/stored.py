"""Documents as the index holds them now: the request that reads many of them at once, and its answer.

Such a read sees every write, also those that no refresh has shown to searches. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gram_os.files.raw_json import Member, split_objects


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
    written = split_objects(text, text.index("["))
    return [_read_one(document, members) for document, members in zip(documents, written, strict=True)]


def _read_one(document: Mapping[str, Any], written: Sequence[Member]) -> StoredDocument | Mapping[str, Any] | None:
    if "error" in document:
        return dict(document["error"])
    if not document["found"]:
        return None
    source = next((member.value for member in written if member.name == "_source"), None)
    return StoredDocument(source, document["_version"], document["_seq_no"], document["_primary_term"])
