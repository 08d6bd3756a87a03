"""Codes into the documents that are in an index: read, code, write, and leave alone what is up to date.

A document's `source` is the hash of the bundle and of the text that was coded: equal means nothing to do, so a second run
writes nothing. Writes carry `if_seq_no`; a document that someone else changed meanwhile is read and coded again.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol

from gram_os.catalogue import Product
from gram_os.cluster.blocks import explain_block
from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import build_weights, code_field, read_field
from gram_os.cluster.labels import LabelState
from gram_os.ingest.packing import pack_codes
from gram_os.model.bundle import Bundle
from gram_os.model.generator import ScoredCode

_ROUNDS = 5  # times that a document is read again because someone else wrote it
_CHUNK = 512  # documents that are written together


class ProductCoder(Protocol):
    """Makes the codes of products."""

    bundle: Bundle

    def code_products(self, products: Iterable[Product]) -> Iterator[list[ScoredCode]]:
        """The codes of each product, in order."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document that could not be coded or written, and why."""

    id: str
    reason: str


@dataclass(slots=True)
class BackfillReport:
    """What a backfill did; `coded + unchanged + len(refused)` documents were read."""

    coded: int = 0
    unchanged: int = 0
    refused: list[Refusal] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Stale:
    """A document whose codes have to be made, and the hash of what they are made from."""

    document: Mapping[str, Any]
    product: Product
    source: str


def backfill(
    cluster: Cluster,
    index: str,
    state: LabelState,
    coder: ProductCoder,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> BackfillReport:
    """Code every document of the index under the label. `progress` is told how many more documents are settled."""
    report = BackfillReport()
    cluster.refresh(index)
    query: Mapping[str, object] = {"match_all": {}}
    for _ in range(_ROUNDS):
        changed: list[str] = []
        documents = cluster.scan(index, query=query, source=_source_fields(state, coder.bundle))
        coded = _code(coder, _find_stale(documents, state, coder.bundle, report, progress))
        with closing(coded):
            while chunk := list(islice(coded, _CHUNK)):
                before = report.coded + len(report.refused)
                changed += _write_chunk(cluster, index, state, chunk, report)
                progress(report.coded + len(report.refused) - before)
        cluster.refresh(index)
        if not changed:
            return report
        query = {"ids": {"values": changed}}
    report.refused += [
        Refusal(i, f"was changed by others {_ROUNDS} times in a row; run backfill again") for i in changed
    ]
    progress(len(changed))
    return report


def _find_stale(
    documents: Iterable[Mapping[str, Any]],
    state: LabelState,
    bundle: Bundle,
    report: BackfillReport,
    progress: Callable[[int], None],
) -> Iterator[_Stale]:
    """The documents whose codes are missing or of another text; the others are settled as they are read."""
    for document in documents:
        product = _read_product(document, state, report)
        if product is None:
            progress(1)
            continue
        source = source_hash(product, bundle)
        written = document["_source"].get(code_field(state.label))
        if isinstance(written, Mapping) and written.get("source") == source:
            report.unchanged += 1
            progress(1)
        else:
            yield _Stale(document, product, source)


def _code(coder: ProductCoder, stale: Iterable[_Stale]) -> Generator[tuple[_Stale, list[ScoredCode]]]:
    """Each document with its codes; the coder reads ahead, and works on what it read while chunks are written."""
    waiting: deque[_Stale] = deque()

    def products() -> Iterator[Product]:
        for item in stale:
            waiting.append(item)
            yield item.product

    for codes in coder.code_products(products()):
        yield waiting.popleft(), codes


def _write_chunk(
    cluster: Cluster,
    index: str,
    state: LabelState,
    coded: Sequence[tuple[_Stale, list[ScoredCode]]],
    report: BackfillReport,
) -> list[str]:
    """Write the codes of some documents; the ids of those that changed under our hands."""
    actions = (_action(index, state, item, codes) for item, codes in coded)
    changed: list[str] = []
    for done, (item, _) in zip(cluster.bulk(actions), coded, strict=True):
        id_ = item.document["_id"]
        if done.ok:
            report.coded += 1
        elif done.conflict:
            changed.append(id_)
        elif done.blocked:
            raise explain_block(str(done.error), index, progress=f"{report.coded} products were coded")
        elif done.status != 404:  # deleted meanwhile: nothing left to code
            report.refused.append(Refusal(id_, done.error or f"status {done.status}"))
    return changed


def source_hash(product: Product, bundle: Bundle) -> str:
    """Sixteen hexadecimal digits of the bundle and of everything of the product that its codes are made from."""
    coded = {name: product.fields[name] for name in bundle.manifest.coded_fields if name in product.fields}
    text = json.dumps([bundle.id, product.title, coded], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _source_fields(state: LabelState, bundle: Bundle) -> list[str]:
    return [state.title_field, *bundle.manifest.coded_fields, f"{code_field(state.label)}.source"]


def _read_product(document: Mapping[str, Any], state: LabelState, report: BackfillReport) -> Product | None:
    found = read_field(document["_source"], state.title_field)
    if isinstance(found, str) and found.strip():
        return Product(document["_id"], found, document["_source"])
    what = "has no title" if found is None else f"has a title that is no text: {str(found)[:40]!r}"
    report.refused.append(Refusal(document["_id"], f"{what} in field '{state.title_field}'"))
    return None


def _action(index: str, state: LabelState, item: _Stale, codes: Sequence[ScoredCode]) -> dict[str, Any]:
    packed = pack_codes(codes)
    fields = {
        "codes": list(packed.codes),
        "weights": build_weights({str(scored.code): scored.weight for scored in codes}),
        "probabilities": packed.probabilities,
        "source": item.source,
        "coded_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return {
        "op": "update", "index": index, "id": item.document["_id"],
        "if_seq_no": item.document["_seq_no"], "if_primary_term": item.document["_primary_term"],
        "body": {"doc": {code_field(state.label): fields}},
    }  # fmt: skip
