"""Documents and their codes: read a hit, hash what is coded, code it, write a chunk and see what became of it.

A document's `source` is the hash of the bundle and of everything that its codes are made from. If the index holds the
same hash, its codes are current.

Codes are written with the whole document, byte for byte as it is stored, under the version number that it has
(`external_gte`). The cluster refuses our write when somebody else has written in between. A partial update would be
simpler. But it raises the number, and a writer that numbers its documents itself is locked out. It also writes numbers
anew, so that a keyword 1.10 becomes 1.1. The cluster forgets the number of a deleted document after a minute
(`index.gc_deletes`), so each write comes right behind a read.

Knows the generator by the Protocol `ProductCoder`. Which documents are read, and when, is up to the caller.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from gram_os.catalogue import Product
from gram_os.cluster.bulk import Backoff, BulkItem, retry
from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import build_weights, code_field
from gram_os.cluster.labels import LabelState
from gram_os.cluster.source_filter import find_number
from gram_os.cluster.stored import DocumentKey, StoredDocument, read_key
from gram_os.fields import read_field
from gram_os.files.raw_json import replace_member
from gram_os.ingest.packing import pack_probabilities
from gram_os.model.bundle import Bundle
from gram_os.model.coded import CodedText

_READ_TOGETHER: Final = 128  # documents
_ONCE: Final = Backoff(attempts=1)  # a write is not repeated as it is: the documents are read anew before


class ProductCoder(Protocol):
    """Makes the codes of products."""

    bundle: Bundle

    def code_products(self, products: Iterable[Product]) -> Iterator[CodedText]:
        """Yield the codes of each product, in order. The first codes may come after hundreds of products."""

    def code_batch(self, products: Sequence[Product]) -> list[CodedText]:
        """Return the codes of each product, in order. For a handful that should not wait for more to come."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document that could not be coded or written, and why."""

    key: DocumentKey
    reason: str

    @property
    def id(self) -> str:
        """The document's id."""
        return self.key.id


@dataclass(frozen=True, slots=True)
class Document:
    """A product in an index, in the version that was read.

    key: what names it on the cluster. source: the hash of what the codes are made from. is_current: the index holds the
    codes of this source already. seq_no, primary_term: the cluster's name for the version.
    """

    key: DocumentKey
    product: Product
    source: str
    is_current: bool
    seq_no: int
    primary_term: int


@dataclass(frozen=True, slots=True)
class CodedDocument:
    """A document and its new codes."""

    document: Document
    coded: CodedText


@dataclass(slots=True)
class WriteOutcome:
    """What became of a chunk of coded documents.

    conflicts: somebody changed them since they were read; read and code them again. deleted: somebody deleted them.
    refused: the cluster does not take their codes. block: the cluster's words when a block refused documents, else
    None. Those documents are in no list. `explain_block` in `gram_os.cluster.blocks` has the cure.
    """

    written: list[DocumentKey] = field(default_factory=list)
    conflicts: list[DocumentKey] = field(default_factory=list)
    deleted: list[DocumentKey] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    block: str | None = None


def source_fields(state: LabelState, bundle: Bundle) -> list[str]:
    """Return the fields of a hit's `_source` that `read_document` needs."""
    return [state.title_field, *bundle.manifest.coded_fields, f"{code_field(state.label)}.source"]


def read_document(hit: Mapping[str, Any], state: LabelState, bundle: Bundle) -> Document | Refusal:
    """Read a hit of a scan; a document without a title is a Refusal.

    A list of texts counts as one title, joined by commas.
    """
    found = read_field(hit["_source"], state.title_field)
    title = _read_title(found)
    if title is None:
        what = "has no title" if found in (None, [], "") else f"has a title that is no text: {str(found)[:40]!r}"
        return Refusal(read_key(hit), f"{what} in field '{state.title_field}'")
    product = Product(hit["_id"], title, hit["_source"])
    source = source_hash(product, bundle)
    is_current = read_field(hit["_source"], f"{code_field(state.label)}.source") == source
    return Document(read_key(hit), product, source, is_current, hit["_seq_no"], hit["_primary_term"])


def _read_title(value: object) -> str | None:
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, list) and value and all(isinstance(item, str) and item.strip() for item in value):
        return ", ".join(value)
    return None


def source_hash(product: Product, bundle: Bundle) -> str:
    """Return sixteen hexadecimal digits of the bundle and of everything in the product that its codes are made from."""
    fields = {name: read_field(product.fields, name) for name in bundle.manifest.coded_fields}
    coded = {name: value for name, value in fields.items() if value is not None}
    text = json.dumps([bundle.id, product.title, coded], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def code_documents(coder: ProductCoder, documents: Iterable[Document]) -> Generator[CodedDocument]:
    """Code a stream of documents. The coder reads ahead, and works while the caller writes."""
    uncoded: deque[Document] = deque()

    def read_ahead() -> Iterator[Product]:
        for document in documents:
            uncoded.append(document)
            yield document.product

    for coded in coder.code_products(read_ahead()):
        yield CodedDocument(uncoded.popleft(), coded)


def build_code_fields(coded: CodedText, source: str) -> dict[str, Any]:
    """Build the value of a document's field `code_field(label)`. `build_code_mapping` explains its parts."""
    attributes: dict[str, list[str]] = {}
    for found in coded.attributes:
        attributes.setdefault(found.type.value, []).append(found.value)
    return {
        "codes": [str(scored.code) for scored in coded.codes],
        "attributes": attributes,
        "weights": build_weights({str(scored.code): scored.weight for scored in coded.weights}),
        "probabilities": pack_probabilities(coded.weights),
        "source": source,
        "coded_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_documents(
    cluster: Cluster, state: LabelState, coded: Sequence[CodedDocument], wordy: Collection[str] = ()
) -> WriteOutcome:
    """Write the codes of one chunk and say what became of each document.

    wordy: fields of a filtered `_source` in which no number is safe (`find_wordy_fields` in
    `gram_os.cluster.source_filter`). A document with one is refused.

    Up to `gram_os.cluster.bulk.CHUNK` documents and 8 MiB are one request. A request that the cluster refuses for now
    is sent again, and each time the documents are read anew. Raises ClusterError when the cluster does not answer.
    """
    chunk = _Chunk(cluster, state, {item.document.key: item for item in coded}, wordy)
    retry(chunk.attempt, cluster.backoff)
    chunk.outcome.refused += [Refusal(key, chunk.late[key]) for key in chunk.waiting]
    return chunk.outcome


@dataclass(slots=True)
class _Chunk:
    """Coded documents on their way. waiting: those that are not settled. late: why the cluster took some not yet."""

    cluster: Cluster
    state: LabelState
    waiting: dict[DocumentKey, CodedDocument]
    wordy: Collection[str]
    outcome: WriteOutcome = field(default_factory=WriteOutcome)
    late: dict[DocumentKey, str] = field(default_factory=dict)

    def attempt(self) -> bool:
        """Read what waits as it is now, and write what is as it was coded. Return whether something still waits."""
        sent: list[DocumentKey] = []
        for place, answer in enumerate(self.cluster.bulk(self._build_writes(sent), backoff=_ONCE)):
            self._settle(sent[place], answer)
        return bool(self.waiting)

    def _build_writes(self, sent: list[DocumentKey]) -> Iterator[dict[str, Any]]:
        """Yield the writes, and note their keys in `sent`. The documents are read in parts, since they may be large."""
        keys = list(self.waiting)
        for start in range(0, len(keys), _READ_TOGETHER):
            part = keys[start : start + _READ_TOGETHER]
            for key, stored in zip(part, self.cluster.read_documents(part), strict=True):
                action = self._plan(key, stored)
                if action is not None:
                    sent.append(key)
                    yield action

    def _plan(self, key: DocumentKey, stored: StoredDocument | None) -> dict[str, Any] | None:
        """Return the write of a document, or settle it when there is nothing to write."""
        document = self.waiting[key].document
        if stored is None:
            self.outcome.deleted.append(key)
        elif (stored.seq_no, stored.primary_term) != (document.seq_no, document.primary_term):
            self.outcome.conflicts.append(key)
        elif stored.source is None:
            self.outcome.refused.append(Refusal(key, "has no _source, so it cannot be written back"))
        elif self.wordy and (path := find_number(json.loads(stored.source), self.wordy)):
            reason = f"field '{path}' holds a number, and the filter of _source has not kept how it was written"
            self.outcome.refused.append(Refusal(key, f"{reason}; write it as a text"))
        else:
            return _build_write(self.state, self.waiting[key], stored.source, stored.version)
        del self.waiting[key]
        return None

    def _settle(self, key: DocumentKey, answer: BulkItem) -> None:
        if answer.refused_for_now:
            self.late[key] = str(answer.error)
            return
        del self.waiting[key]
        if answer.ok:
            self.outcome.written.append(key)
        elif answer.conflict:
            self.outcome.conflicts.append(key)
        elif answer.blocked:
            self.outcome.block = self.outcome.block or answer.error
        else:
            self.outcome.refused.append(Refusal(key, answer.error or f"status {answer.status}"))


def _build_write(state: LabelState, coded: CodedDocument, source: str, version: int) -> dict[str, Any]:
    """Build the write of a document with its codes. `pipeline`: the index's default pipeline has seen it before."""
    key, fields = coded.document.key, build_code_fields(coded.coded, coded.document.source)
    routing = {} if key.routing is None else {"routing": key.routing}
    return {
        "op": "index", "index": key.index, "id": key.id, **routing,
        "version": version, "version_type": "external_gte", "pipeline": "_none",
        "body": replace_member(source, code_field(state.label), json.dumps(fields, ensure_ascii=False)),
    }  # fmt: skip
