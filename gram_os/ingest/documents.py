"""A document becomes codes: read a hit, hash what is coded, code it, write the codes and see what became of it.

A document's `source` is the hash of the bundle and of everything that its codes are made from. If the index holds the
same hash, its codes are current, unless people have edited meanwhile (`gram_os.edits`). Backfill, watch, the hook and
dead letters all work through `LabelWriter`. How a document is written back stands in `writing`.

Knows the generator by the Protocol `ProductCoder`. Which documents are read, and when, is up to the caller.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Protocol

import orjson

from gram_os.catalogue import Product
from gram_os.cluster.blocks import explain_block
from gram_os.cluster.bulk import CHUNK
from gram_os.cluster.checks import check_index, require_fit
from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import code_field
from gram_os.cluster.labels import LabelState
from gram_os.cluster.source_filter import find_wordy_fields, read_source_filter
from gram_os.cluster.stored import DocumentKey, read_key
from gram_os.edits.edit import Edit
from gram_os.edits.label_edits import NO_EDITS, LabelEdits, Ruling
from gram_os.errors import GramError
from gram_os.fields import read_field
from gram_os.ingest.dead_letters import DeadLetters
from gram_os.ingest.packing import pack_weights
from gram_os.ingest.writing import Refusal, Rewrite, WriteOutcome, rewrite_documents
from gram_os.loading import sources
from gram_os.model.bundle import Bundle
from gram_os.model.coded import CodedText

log = logging.getLogger(__name__)

# A coder that fails for so many texts one after the other is broken. It is not the texts' fault.
_HOPELESS: Final = 16
_ROUNDS: Final = 5  # how often a document is read because others keep changing it


class ProductCoder(Protocol):
    """Makes the codes of products."""

    bundle: Bundle

    def code_products(self, products: Iterable[Product]) -> Iterator[CodedText]:
        """Yield the codes of each product, in order. The first codes may come after hundreds of products."""

    def code_batch(self, products: Sequence[Product]) -> list[CodedText]:
        """Return the codes of each product, in order. For a handful that should not wait for more to come."""


@dataclass(frozen=True, slots=True)
class Document:
    """A product in an index, in the version that was read.

    key: what names it on the cluster. source: the hash of what the codes are made from. is_current: the index holds the
    codes of this source already, with the edits that are for it. seq_no, primary_term: the cluster's name for the
    version. edits: of people, that may change its codes.
    """

    key: DocumentKey
    product: Product
    source: str
    is_current: bool
    seq_no: int
    primary_term: int
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class CodedDocument:
    """A document and its new codes. edits: those that are in the codes (`Edit.token`)."""

    document: Document
    coded: CodedText
    edits: tuple[str, ...] = ()


def source_fields(state: LabelState, bundle: Bundle) -> list[str]:
    """Return the fields of a hit's `_source` that `read_document` needs."""
    name = code_field(state.label)
    return [state.title_field, *bundle.manifest.coded_fields, f"{name}.source", f"{name}.edits"]


def read_document(
    hit: Mapping[str, Any], state: LabelState, bundle: Bundle, ruling: Ruling = NO_EDITS
) -> Document | Refusal:
    """Read a hit of a scan; a document without a title is a Refusal.

    A list of texts counts as one title, joined by commas. ruling: what edits say about it.
    """
    found = read_field(hit["_source"], state.title_field)
    title = sources.read_title(found)
    if title is None:
        what = "has no title" if found in (None, [], "") else f"has a title that is no text: {str(found)[:40]!r}"
        return Refusal(read_key(hit), f"{what} in field '{state.title_field}'")
    product = Product(hit["_id"], title, hit["_source"])
    source = source_hash(product, bundle)
    is_current = ruling.is_kept and read_field(hit["_source"], f"{code_field(state.label)}.source") == source
    return Document(read_key(hit), product, source, is_current, hit["_seq_no"], hit["_primary_term"], ruling.edits)


def source_hash(product: Product, bundle: Bundle) -> str:
    """Return sixteen hexadecimal digits of the bundle and of everything in the product that its codes are made from."""
    return sources.source_hash(bundle.id, bundle.manifest.coded_fields, product.title, product.fields)


def code_documents(coder: ProductCoder, documents: Iterable[Document]) -> Generator[CodedDocument | Refusal]:
    """Code a stream of documents, in order. The coder reads ahead, and works while the caller writes.

    A document that the coder fails for is a Refusal. The stream goes on behind it. Raises what `documents` raises, and
    the coder's error when it fails for `_HOPELESS` documents one after the other.
    """
    stream = iter(documents)
    uncoded: deque[Document] = deque()
    broken: list[Exception] = []

    def read_ahead() -> Iterator[Product]:
        try:
            for document in stream:
                uncoded.append(document)
                yield document.product
        except Exception as error:
            broken.append(error)
            raise

    while True:
        try:
            for coded in coder.code_products(read_ahead()):
                yield CodedDocument(uncoded.popleft(), coded)
        except Exception as error:
            if broken or isinstance(error, GramError):
                raise
            log.warning("the model failed (%s); %d products are coded one by one", error, len(uncoded))
            yield from _code_one_by_one(coder, [uncoded.popleft() for _ in range(len(uncoded))])
        else:
            return


def code_batch(coder: ProductCoder, documents: Sequence[Document]) -> list[CodedDocument | Refusal]:
    """Code a handful of documents now, in order. See `code_documents`."""
    try:
        coded = coder.code_batch([document.product for document in documents])
    except GramError:
        raise
    except Exception as error:
        log.warning("the model failed (%s); %d products are coded one by one", error, len(documents))
        return list(_code_one_by_one(coder, documents))
    return [CodedDocument(document, codes) for document, codes in zip(documents, coded, strict=True)]


def gather_chunks(items: Iterable[CodedDocument | Refusal], seconds: float) -> Iterator[list[CodedDocument | Refusal]]:
    """Gather what is coded into chunks for `write`: full ones, or what was coded in so many seconds."""
    chunk: list[CodedDocument | Refusal] = []
    started = time.monotonic()
    for item in items:
        chunk.append(item)
        if len(chunk) >= CHUNK or time.monotonic() - started > seconds:
            yield chunk
            chunk, started = [], time.monotonic()
    if chunk:
        yield chunk


def _code_one_by_one(coder: ProductCoder, documents: Sequence[Document]) -> Iterator[CodedDocument | Refusal]:
    failures = 0
    for document in documents:
        try:
            (coded,) = coder.code_batch([document.product])
        except Exception as error:
            failures += 1
            if failures >= _HOPELESS:
                raise
            reason = f"could not be coded: {type(error).__name__}: {error}"
            yield Refusal(document.key, reason, source=document.source)
        else:
            failures = 0
            yield CodedDocument(document, coded)


def build_code_fields(coded: CodedText, source: str, edits: Sequence[str] = ()) -> dict[str, Any]:
    """Build the value of a document's field `code_field(label)`. `build_code_mapping` explains its parts."""
    attributes: dict[str, list[str]] = {}
    for found in coded.attributes:
        attributes.setdefault(found.type.value, []).append(found.value)
    packed = pack_weights(coded.weights)
    return {
        "codes": [str(scored.code) for scored in coded.codes],
        "attributes": attributes,
        "weights": packed.features,
        "probabilities": packed.probabilities,
        "source": source,
        "coded_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **({"edits": list(edits)} if edits else {}),
    }


def write_documents(
    cluster: Cluster, state: LabelState, coded: Sequence[CodedDocument], wordy: Iterable[str] = ()
) -> WriteOutcome:
    """Write the codes of one chunk and say what became of each document. See `rewrite_documents`."""
    return rewrite_documents(cluster, [_plan(state, item) for item in coded], frozenset(wordy))


def _plan(state: LabelState, coded: CodedDocument) -> Rewrite:
    document = coded.document
    fields = _write_json(build_code_fields(coded.coded, document.source, edits=coded.edits))
    change = partial(sources.put_codes, code_field(state.label), fields)
    return Rewrite(document.key, document.seq_no, document.primary_term, change, document.source)


def _write_json(value: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(value).decode()  # six times as fast as json, and a third of our own work
    except orjson.JSONEncodeError:  # a text with half a surrogate pair, which has no UTF-8
        return json.dumps(value, ensure_ascii=False)


class LabelWriter:
    """Reads documents, codes them and writes the codes under one label: what all ways into an index share.

    name: an index, or an alias of several that have the label. Documents that cannot be coded or written become dead
    letters. A document that is coded leaves them. written: how many documents got codes so far. edits: of people.
    """

    def __init__(self, cluster: Cluster, name: str, state: LabelState, coder: ProductCoder):
        self.cluster, self.name, self.state, self.coder = cluster, name, state, coder
        self.letters = DeadLetters(cluster)
        self.edits = LabelEdits(cluster, name, state, coder.bundle)
        self.written = 0
        self._wordy: frozenset[str] = frozenset()
        self._is_filtered = False

    @property
    def fields(self) -> list[str]:
        """The fields of a hit's `_source` that `read` needs."""
        return source_fields(self.state, self.coder.bundle)

    def check(self) -> None:
        """Check that codes can be written safely. Raises IndexUnfitError, and IndexMissingError."""
        indices = self.cluster.get_indices(self.name)
        for facts in indices:
            state = self.state
            checks = check_index(self.cluster, facts.name, state.label, state.title_field, state.products)
            # A block shows when there is something to write, and the error then says how far the run came.
            require_fit([check for check in checks if check.name != "writes"], facts.name)
        self._wordy = frozenset().union(*(find_wordy_fields(facts.mapping) for facts in indices))
        self._is_filtered = any(not read_source_filter(facts.mapping).is_open for facts in indices)

    def read(self, hit: Mapping[str, Any]) -> Document | Refusal:
        """Read a hit. `read_all` takes many at once."""
        return self.read_all([hit])[0]

    def read_all(self, hits: Sequence[Mapping[str, Any]]) -> list[Document | Refusal]:
        """Read hits. See `read_document`."""
        ruled = zip(hits, self.edits.judge(hits), strict=True)
        return [read_document(hit, self.state, self.coder.bundle, ruling) for hit, ruling in ruled]

    def code(self, documents: Iterable[Document]) -> Generator[CodedDocument | Refusal]:
        """Code a stream of documents. See `code_documents`."""
        with closing(code_documents(self.coder, documents)) as stream:
            for item in stream:
                yield self._edit(item)

    def code_now(self, documents: Sequence[Document]) -> list[CodedDocument | Refusal]:
        """Code a handful of documents. See `code_batch`."""
        return [self._edit(item) for item in code_batch(self.coder, documents)]

    def _edit(self, item: CodedDocument | Refusal) -> CodedDocument | Refusal:
        """Return new codes as people want them."""
        if isinstance(item, Refusal) or not item.document.edits:
            return item
        corrected = self.edits.apply(item.coded, item.document.edits)
        return CodedDocument(item.document, corrected.coded, corrected.tokens)

    def write(self, chunk: Sequence[CodedDocument | Refusal]) -> WriteOutcome:
        """Write what was coded, and keep what was refused as dead letters. Return what became of each document.

        Raises IndexUnfitError or ClusterBusyError when a block keeps writes out, and what `rewrite_documents` raises.
        """
        if self._is_filtered:
            self.check()  # a writer may have brought a field that _source leaves out
        coded = [item for item in chunk if isinstance(item, CodedDocument)]
        outcome = write_documents(self.cluster, self.state, coded, self._wordy)
        outcome.refused += [item for item in chunk if isinstance(item, Refusal)]
        self.letters.put(self.state.label, outcome.refused)
        self.letters.clear(self.state.label, [*outcome.written, *outcome.deleted])
        self.written += len(outcome.written)
        if outcome.block is not None:
            raise explain_block(outcome.block, self.name, progress=f"{self.written} products were coded")
        return outcome

    def code_keys(self, keys: Sequence[DocumentKey]) -> WriteOutcome:
        """Read some documents as they are now, whatever searches see, and code those without current codes.

        Returns what became of each; those with current codes are in no list. A document that others keep changing is
        among the conflicts in the end.
        """
        total = WriteOutcome()
        for start in range(0, len(keys), CHUNK):
            waiting: Sequence[DocumentKey] = keys[start : start + CHUNK]
            for _ in range(_ROUNDS):
                outcome = self._code_keys(waiting)
                total.written += outcome.written
                total.deleted += outcome.deleted
                total.refused += outcome.refused
                waiting = outcome.conflicts
                if not waiting:
                    break
            total.conflicts += waiting
        return total

    def _code_keys(self, keys: Sequence[DocumentKey]) -> WriteOutcome:
        hits: list[dict[str, Any]] = []
        deleted: list[DocumentKey] = []
        for key, stored in zip(keys, self.cluster.read_documents(keys), strict=True):
            if stored is None:
                deleted.append(key)
                continue
            source = json.loads(stored.source or "{}")
            routing = {} if key.routing is None else {"_routing": key.routing}
            version = {"_seq_no": stored.seq_no, "_primary_term": stored.primary_term}
            hits.append({"_index": key.index, "_id": key.id, "_source": source, **version, **routing})
        read = self.read_all(hits)
        current = [item.key for item in read if isinstance(item, Document) and item.is_current]
        self.letters.clear(self.state.label, [*deleted, *current])
        outdated = [item for item in read if isinstance(item, Document) and not item.is_current]
        outcome = self.write([*self.code_now(outdated), *(item for item in read if isinstance(item, Refusal))])
        outcome.deleted += deleted
        return outcome
