"""Documents and their codes: read a hit, hash what is coded, code it, write a chunk and see what became of it.

A document's `source` is the hash of the bundle and of everything that its codes are made from. If the index holds the
same hash, its codes are current. A write names the version that was read, so it never overwrites somebody else's
change. Knows the generator by the Protocol `ProductCoder`. Which documents are read, and when, is up to the caller.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from gram_os.catalogue import Product
from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import build_weights, code_field
from gram_os.cluster.labels import LabelState
from gram_os.fields import read_field
from gram_os.ingest.packing import pack_codes
from gram_os.model.bundle import Bundle
from gram_os.model.generator import ScoredCode


class ProductCoder(Protocol):
    """Makes the codes of products."""

    bundle: Bundle

    def code_products(self, products: Iterable[Product]) -> Iterator[list[ScoredCode]]:
        """Yield the codes of each product, in order. The first codes may come after hundreds of products."""

    def code_batch(self, products: Sequence[Product]) -> list[list[ScoredCode]]:
        """Return the codes of each product, in order. For a handful that should not wait for more to come."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document that could not be coded or written, and why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Document:
    """A product in an index, in the version that was read.

    source: the hash of what the codes are made from. is_current: the index holds the codes of this source already.
    seq_no, primary_term: the cluster's name for the version.
    """

    product: Product
    source: str
    is_current: bool
    seq_no: int
    primary_term: int


@dataclass(frozen=True, slots=True)
class CodedDocument:
    """A document and its new codes."""

    document: Document
    codes: Sequence[ScoredCode]


@dataclass(slots=True)
class WriteOutcome:
    """What became of a chunk of coded documents, by id.

    conflicts: somebody changed them since they were read; read and code them again. deleted: somebody deleted them.
    refused: the cluster does not take their codes. block: the cluster's words when a block refused documents, else
    None. Those documents are in no list. `explain_block` in `gram_os.cluster.blocks` has the cure.
    """

    written: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    block: str | None = None


def source_fields(state: LabelState, bundle: Bundle) -> list[str]:
    """Return the fields of a hit's `_source` that `read_document` needs."""
    return [state.title_field, *bundle.manifest.coded_fields, f"{code_field(state.label)}.source"]


def read_document(hit: Mapping[str, Any], state: LabelState, bundle: Bundle) -> Document | Refusal:
    """Read a hit with `_id`, `_source`, `_seq_no` and `_primary_term`; a document without a title is a Refusal."""
    title = read_field(hit["_source"], state.title_field)
    if not isinstance(title, str) or not title.strip():
        what = "has no title" if title is None else f"has a title that is no text: {str(title)[:40]!r}"
        return Refusal(hit["_id"], f"{what} in field '{state.title_field}'")
    product = Product(hit["_id"], title, hit["_source"])
    source = source_hash(product, bundle)
    stored = hit["_source"].get(code_field(state.label))
    is_current = isinstance(stored, Mapping) and stored.get("source") == source
    return Document(product, source, is_current, hit["_seq_no"], hit["_primary_term"])


def source_hash(product: Product, bundle: Bundle) -> str:
    """Return sixteen hexadecimal digits of the bundle and of everything in the product that its codes are made from."""
    coded = {name: product.fields[name] for name in bundle.manifest.coded_fields if name in product.fields}
    text = json.dumps([bundle.id, product.title, coded], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def code_documents(coder: ProductCoder, documents: Iterable[Document]) -> Generator[CodedDocument]:
    """Code a stream of documents. The coder reads ahead, and works while the caller writes."""
    uncoded: deque[Document] = deque()

    def read_ahead() -> Iterator[Product]:
        for document in documents:
            uncoded.append(document)
            yield document.product

    for codes in coder.code_products(read_ahead()):
        yield CodedDocument(uncoded.popleft(), codes)


def build_code_fields(codes: Sequence[ScoredCode], source: str) -> dict[str, Any]:
    """Build the value of a document's field `code_field(label)`. `build_code_mapping` explains its parts."""
    packed = pack_codes(codes)
    return {
        "codes": list(packed.codes),
        "weights": build_weights({str(scored.code): scored.weight for scored in codes}),
        "probabilities": packed.probabilities,
        "source": source,
        "coded_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_documents(cluster: Cluster, index: str, state: LabelState, coded: Sequence[CodedDocument]) -> WriteOutcome:
    """Write the codes of one chunk and say what became of each document.

    Up to `gram_os.cluster.bulk.CHUNK` documents and 8 MiB are one request. Raises ClusterError when
    the cluster does not answer.
    """
    outcome = WriteOutcome()
    actions = (_build_update(index, state, item) for item in coded)
    for item, answer in zip(coded, cluster.bulk(actions), strict=True):
        id_ = item.document.product.id
        if answer.ok:
            outcome.written.append(id_)
        elif answer.conflict:
            outcome.conflicts.append(id_)
        elif answer.blocked:
            outcome.block = outcome.block or answer.error
        elif answer.status == 404:
            outcome.deleted.append(id_)
        else:
            outcome.refused.append(Refusal(id_, answer.error or f"status {answer.status}"))
    return outcome


def _build_update(index: str, state: LabelState, coded: CodedDocument) -> dict[str, Any]:
    document = coded.document
    fields = build_code_fields(coded.codes, document.source)
    return {
        "op": "update", "index": index, "id": document.product.id,
        "if_seq_no": document.seq_no, "if_primary_term": document.primary_term,
        "body": {"doc": {code_field(state.label): fields}},
    }  # fmt: skip
