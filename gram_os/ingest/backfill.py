"""Codes into the documents that are in an index: read, code, write, and leave alone what is up to date.

A document's `source` is the hash of the bundle and of the text that was coded: equal means nothing to do, so a second run
writes nothing. Writes carry `if_seq_no`; a document that someone else changed meanwhile is read and coded again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol

from gram_os.attachment import LabelState
from gram_os.bundle import Bundle
from gram_os.catalogue import Product
from gram_os.cluster import Cluster
from gram_os.dsl import build_weights, code_field, read_field
from gram_os.errors import IndexUnfitError
from gram_os.generator import ScoredCode
from gram_os.packing import pack_codes

_ROUNDS = 5  # times that a document is read again because someone else wrote it
_CHUNK = 512  # documents that are coded and written together


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
        while chunk := list(islice(documents, _CHUNK)):
            before = report.coded + report.unchanged + len(report.refused)
            changed += _write_chunk(cluster, index, state, coder, chunk, report)
            progress(report.coded + report.unchanged + len(report.refused) - before)
        cluster.refresh(index)
        if not changed:
            return report
        query = {"ids": {"values": changed}}
    report.refused += [
        Refusal(i, f"was changed by others {_ROUNDS} times in a row; run backfill again") for i in changed
    ]
    return report


def _write_chunk(
    cluster: Cluster,
    index: str,
    state: LabelState,
    coder: ProductCoder,
    documents: Sequence[Mapping[str, Any]],
    report: BackfillReport,
) -> list[str]:
    """Code and write some documents; the ids of those that changed under our hands."""
    stale: list[tuple[Mapping[str, Any], Product, str]] = []
    for document in documents:
        product = _read_product(document, state, report)
        if product is None:
            continue
        source = source_hash(product, coder.bundle)
        written = document["_source"].get(code_field(state.label))
        if isinstance(written, Mapping) and written.get("source") == source:
            report.unchanged += 1
        else:
            stale.append((document, product, source))
    codes = coder.code_products(product for _, product, _ in stale)
    actions = (_action(index, state, d, source, c) for (d, _, source), c in zip(stale, codes, strict=True))
    changed: list[str] = []
    for item, (document, _, _) in zip(cluster.bulk(actions), stale, strict=True):
        if item.ok:
            report.coded += 1
        elif item.conflict:
            changed.append(document["_id"])
        elif (item.error or "").startswith("cluster_block_exception"):
            raise _blocked(index, str(item.error), report.coded)
        elif item.status != 404:  # deleted meanwhile: nothing left to code
            report.refused.append(Refusal(document["_id"], item.error or f"status {item.status}"))
    return changed


def _blocked(index: str, error: str, coded: int) -> IndexUnfitError:
    return IndexUnfitError(
        f"index '{index}' takes no writes ({error}); {coded} products were coded. Free disk space if it is full, lift the "
        f'block with PUT {index}/_settings {{"index.blocks.write": null, "index.blocks.read_only": null, '
        f'"index.blocks.read_only_allow_delete": null}}, and run the same command again'
    )


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


def _action(
    index: str, state: LabelState, document: Mapping[str, Any], source: str, codes: Sequence[ScoredCode]
) -> dict[str, Any]:
    packed = pack_codes(codes)
    fields = {
        "codes": list(packed.codes),
        "weights": build_weights({str(scored.code): scored.weight for scored in codes}),
        "probabilities": packed.probabilities,
        "source": source,
        "coded_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return {
        "op": "update", "index": index, "id": document["_id"],
        "if_seq_no": document["_seq_no"], "if_primary_term": document["_primary_term"],
        "body": {"doc": {code_field(state.label): fields}},
    }  # fmt: skip
