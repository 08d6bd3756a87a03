"""Codes into all documents of an index.

Scans the index, codes the documents without current codes, and writes them. Documents that others change meanwhile are
read and coded again. A second run writes nothing. What happens to a single document stands in `documents`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from gram_os.cluster.blocks import explain_block
from gram_os.cluster.bulk import CHUNK
from gram_os.cluster.checks import check_index, require_fit
from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import build_uncoded_query
from gram_os.cluster.labels import LabelState
from gram_os.cluster.source_filter import find_wordy_fields, read_source_filter
from gram_os.cluster.stored import DocumentKey, read_key
from gram_os.ingest.documents import (
    CodedDocument,
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
    """Code every product of an index under a label, and return what was done.

    state: the label, as `require_label` returns it. progress: called with the number of documents that are settled
    since the last call.

    Raises IndexMissingError. Raises IndexUnfitError when the index has come to a state in which codes cannot be written
    safely (`gram_os.cluster.checks`) or takes no writes. Raises other ClusterErrors. What was written until then stays,
    so the next run goes on from there.

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
    run.check()
    cluster.refresh(index)
    query: Mapping[str, Any] = state.product_query
    for _ in range(_ROUNDS):
        found = run.code_all(query)
        cluster.refresh(index)
        if run.conflicts:
            query = {"ids": {"values": sorted({key.id for key in run.conflicts})}}
        elif query is run.uncoded and not found:
            return run.report
        else:
            # Another gram-os may have written the documents of a moment ago, and writers may have added some.
            query = run.uncoded
    reason = f"was changed by others {_ROUNDS} times in a row; run backfill again"
    run.report.refused += [Refusal(key, reason) for key in run.conflicts]
    progress(len(run.conflicts))
    return run.report


@dataclass(slots=True)
class _Run:
    """One backfill.

    conflicts: the documents that others changed meanwhile. refused: documents that are not read again. is_filtered:
    whether the `_source` of some index leaves fields out. wordy: its fields in which no number is safe. uncoded: the
    query that finds products without codes.
    """

    cluster: Cluster
    index: str
    state: LabelState
    coder: ProductCoder
    progress: Callable[[int], None]
    report: BackfillReport = field(default_factory=BackfillReport)
    conflicts: set[DocumentKey] = field(default_factory=set)
    refused: set[DocumentKey] = field(default_factory=set)
    is_filtered: bool = False
    wordy: frozenset[str] = frozenset()
    uncoded: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.uncoded = build_uncoded_query(self.state.label, self.state.product_query)

    def check(self) -> None:
        """Raise IndexUnfitError when codes cannot be written safely."""
        state = self.state
        for facts in self.cluster.get_indices(self.index):
            checks = check_index(self.cluster, facts.name, state.label, state.title_field, state.products)
            # A block shows when there is something to write, and the error then says how far the run came.
            require_fit([check for check in checks if check.name != "writes"], facts.name)
            self.is_filtered |= not read_source_filter(facts.mapping).is_open
            self.wordy |= find_wordy_fields(facts.mapping)

    def code_all(self, query: Mapping[str, Any]) -> int:
        """Code the documents that a query finds, and return their number. After conflicts, only those count."""
        wanted, self.conflicts = self.conflicts, set()
        found = 0

        def choose() -> Iterator[Mapping[str, Any]]:
            nonlocal found
            for hit in self.cluster.scan(self.index, query=query, source=fields):
                key = read_key(hit)
                if key not in self.refused and (not wanted or key in wanted):
                    found += 1
                    yield hit

        fields = source_fields(self.state, self.coder.bundle)
        with closing(code_documents(self.coder, self._find_outdated(choose()))) as coded:
            while chunk := list(islice(coded, CHUNK)):
                self._write(chunk)
        return found

    def _write(self, chunk: Sequence[CodedDocument]) -> None:
        if self.is_filtered:
            self.check()  # a writer may have brought a field that _source leaves out
        outcome = write_documents(self.cluster, self.state, chunk, self.wordy)
        self.report.coded += len(outcome.written)
        self.conflicts.update(outcome.conflicts)
        for refusal in outcome.refused:
            self._refuse(refusal)
        if outcome.block is not None:
            raise explain_block(outcome.block, self.index, progress=f"{self.report.coded} products were coded")
        self.progress(len(chunk) - len(outcome.conflicts))

    def _refuse(self, refusal: Refusal) -> None:
        self.report.refused.append(refusal)
        self.refused.add(refusal.key)

    def _find_outdated(self, hits: Iterable[Mapping[str, Any]]) -> Iterator[Document]:
        """Yield the documents without current codes; the others are settled as they are read."""
        for hit in hits:
            document = read_document(hit, self.state, self.coder.bundle)
            if isinstance(document, Document) and not document.is_current:
                yield document
                continue
            if isinstance(document, Refusal):
                self._refuse(document)
            else:
                self.report.unchanged += 1
            self.progress(1)
