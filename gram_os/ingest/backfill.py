"""Codes into all documents of an index.

Scans the index, codes the documents without current codes, and writes them. Documents that others change meanwhile are
read and coded again. A second run writes nothing. What happens to a single document stands in `documents`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from gram_os.cluster.blocks import explain_block
from gram_os.cluster.bulk import CHUNK
from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState
from gram_os.ingest.documents import (
    Document,
    ProductCoder,
    Refusal,
    code_documents,
    read_document,
    source_fields,
    write_documents,
)

_ROUNDS = 5  # how often a document is read because others keep changing it


@dataclass(slots=True)
class BackfillReport:
    """What a backfill did, in numbers of documents.

    coded: new codes were written. unchanged: the codes were current. refused: could not be coded or written, each with
    its reason. Documents that were deleted meanwhile are not counted.
    """

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
    """Code every document of an index under a label, and return what was done.

    state: the label, as `require_label` returns it. progress: called with the number of documents that are settled
    since the last call.

    Raises IndexMissingError, IndexUnfitError when the index takes no writes, and other ClusterErrors. What was written
    until then stays, so the next run goes on from there.

    >>> from gram_os import Cluster, backfill, load_generator, load_settings
    >>> from gram_os.cluster.labels import require_label
    >>> cluster = Cluster.connect(load_settings().cluster)  # reads OPENSEARCH_URL
    >>> state = require_label(cluster, "products")  # `gram-os attach` has put it there
    >>> report = backfill(cluster, "products", state, load_generator())
    >>> report.coded + report.unchanged, report.refused
    (100, [])
    >>> cluster.close()
    """
    run = _Run(cluster, index, state, coder, progress)
    cluster.refresh(index)
    query: Mapping[str, object] = {"match_all": {}}
    for _ in range(_ROUNDS):
        conflicts = run.code_all(query)
        cluster.refresh(index)
        if not conflicts:
            return run.report
        query = {"ids": {"values": conflicts}}
    reason = f"was changed by others {_ROUNDS} times in a row; run backfill again"
    run.report.refused += [Refusal(id_, reason) for id_ in conflicts]
    progress(len(conflicts))
    return run.report


@dataclass(slots=True)
class _Run:
    """One backfill."""

    cluster: Cluster
    index: str
    state: LabelState
    coder: ProductCoder
    progress: Callable[[int], None]
    report: BackfillReport = field(default_factory=BackfillReport)

    def code_all(self, query: Mapping[str, object]) -> list[str]:
        """Code the documents that match; return the ids of those that others changed meanwhile."""
        conflicts: list[str] = []
        hits = self.cluster.scan(self.index, query=query, source=source_fields(self.state, self.coder.bundle))
        with closing(code_documents(self.coder, self._find_outdated(hits))) as coded:
            while chunk := list(islice(coded, CHUNK)):
                outcome = write_documents(self.cluster, self.index, self.state, chunk)
                self.report.coded += len(outcome.written)
                self.report.refused += outcome.refused
                conflicts += outcome.conflicts
                if outcome.block is not None:
                    progress = f"{self.report.coded} products were coded"
                    raise explain_block(outcome.block, self.index, progress=progress)
                self.progress(len(chunk) - len(outcome.conflicts))
        return conflicts

    def _find_outdated(self, hits: Iterable[Mapping[str, Any]]) -> Iterator[Document]:
        """Yield the documents without current codes; the others are settled as they are read."""
        for hit in hits:
            document = read_document(hit, self.state, self.coder.bundle)
            if isinstance(document, Document) and not document.is_current:
                yield document
                continue
            if isinstance(document, Refusal):
                self.report.refused.append(document)
            else:
                self.report.unchanged += 1
            self.progress(1)
