"""Coded Parquet into an index, from all workers at once. A second run writes nothing that is there.

A document that is there gets its codes and nothing else, and only if the codes belong to its texts: somebody may have
changed it since the catalogue was exported. A document that is not there is written as a whole, if the caller wants so.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from gram_os.cluster.blocks import explain_block
from gram_os.cluster.bulk import CHUNK, retry
from gram_os.cluster.checks import check_index, require_fit
from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import build_index_body, code_field
from gram_os.cluster.labels import LabelState, attach, require_bundle, require_label
from gram_os.cluster.source_filter import find_wordy_fields
from gram_os.cluster.stored import DocumentKey, StoredDocument
from gram_os.errors import IndexUnfitError, InputError
from gram_os.fields import read_field
from gram_os.ingest.ray import parquet
from gram_os.ingest.ray.catalogue_rows import REASON, RowReader
from gram_os.ingest.ray.coding import CODED, Progress
from gram_os.ingest.ray.parquet import Part
from gram_os.ingest.ray.run_file import Run, read_run
from gram_os.ingest.ray.workers import Workers, run_parts
from gram_os.ingest.writing import Rewrite, rewrite_documents
from gram_os.loading.sources import find_source, put_codes
from gram_os.loading.survey import TITLE
from gram_os.settings import ClusterSettings

NOT_INDEXED: Final = "not-indexed"
_ROUNDS: Final = 5
_COUNTS: Final = ("created", "updated", "unchanged", "refused")


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What became of the rows of coded Parquet.

    created: documents that were written as a whole. updated: documents that got codes. unchanged: documents that had
    them. refused: rows in `not-indexed`, each with its reason.
    """

    index: str
    label: str
    created: int
    updated: int
    unchanged: int
    refused: int
    seconds: float
    workers: int

    @property
    def rows(self) -> int:
        """All rows."""
        return self.created + self.updated + self.unchanged + self.refused

    @property
    def rate(self) -> float:
        """Rows a second, with the start of the workers."""
        return self.rows / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class _Job:
    """What every worker needs to know. index: its own name, no alias. wordy: see `rewrite_documents`."""

    target: str
    index: str
    state: LabelState
    run: Run
    create: bool
    wordy: frozenset[str]


def index_parquet(
    target: str,
    settings: ClusterSettings,
    index: str,
    *,
    create: bool = False,
    workers: Workers | None = None,
    progress: Progress = lambda _: None,
    on_plan: Progress = lambda _: None,
) -> IndexReport:
    """Write what `code_parquet` left in `target` into an index.

    settings: how each worker reaches the cluster. create: write the documents that are not there as a whole, and make
    the index when it is missing. progress, on_plan: see `code_parquet`.

    Raises InputError when `target` holds no coded catalogue, IndexMissingError, IndexUnfitError when the index is not
    attached under the run's label or takes no codes, BundleError when the label belongs to another bundle, and what
    `run_parts` raises.
    """
    started = time.monotonic()
    workers = workers or Workers()
    run = read_run(target)
    files = parquet.find_files([parquet.table_folder(target, CODED)])
    cluster = Cluster.connect(settings)
    try:
        if create and not cluster.index_exists(index):
            _create(cluster, index, run, files)
        job = _prepare(cluster, index, target, run, create=create)
        parts = [part for file in files for part in parquet.cut_parts(file, max(file.rows, 1))]
        on_plan(sum(part.rows for part in parts))
        counts: Counter[str] = Counter()
        for answer in run_parts(workers, partial(_IndexWorker, settings, job), parts):
            counts.update(answer)
            progress(sum(answer.values()))
        cluster.refresh(index)
    finally:
        cluster.close()
    numbers = {name: counts[name] for name in _COUNTS}
    return IndexReport(index, run.label, **numbers, seconds=time.monotonic() - started, workers=workers.count)


def _create(cluster: Cluster, index: str, run: Run, files: Sequence[parquet.InputFile]) -> None:
    reader = RowReader(run.id_field, run.title_field, run.columns)
    names = reader.names()
    kinds = {name: kind for file in files for name, kind in parquet.find_kinds(file.columns).items()}
    kept = {name: kind for name, kind in kinds.items() if name not in (run.title_field, code_field(run.label))}
    mapped = {names.find(name): "prose" if name == run.id_field else kind for name, kind in kept.items()}
    cluster.create_index(index, build_index_body(mapped))
    attach(cluster, index, LabelState(run.label, run.bundle, TITLE, coded_fields=run.coded_fields))


def _prepare(cluster: Cluster, index: str, target: str, run: Run, *, create: bool) -> _Job:
    """Check that the index takes the codes."""
    state = require_label(cluster, index, run.label)
    require_bundle(state, index, run.bundle, Path(target))
    facts = cluster.get_indices(index)
    if len(facts) > 1:
        raise IndexUnfitError(f"'{index}' stands for {len(facts)} indices; name one of them")
    require_fit(check_index(cluster, facts[0].name, state.label, state.title_field, state.products), facts[0].name)
    if state.coded_fields is None:
        raise IndexUnfitError(
            f"label '{state.label}' of index '{index}' was attached by an older gram-os, and does not say what codes "
            f"are made from; run: gram-os attach --index {index} --label {state.label}"
        )
    if create and state.title_field != TITLE:
        raise IndexUnfitError(
            f"index '{index}' has its titles in '{state.title_field}', and new documents have them in '{TITLE}'; "
            "leave out --create, or name a new index"
        )
    return _Job(target, facts[0].name, state, run, create, frozenset(find_wordy_fields(facts[0].mapping)))


@dataclass(frozen=True, slots=True)
class _CodedRow:
    """A row on its way. body: the document without codes. codes: the label's object, as JSON. source: its hash."""

    body: Mapping[str, Any]
    codes: str
    source: str


@dataclass(slots=True)
class _Outcome:
    """What became of the rows of a part. reasons: id and reason of each refused one."""

    counts: Counter[str] = field(default_factory=Counter)
    reasons: list[dict[str, str]] = field(default_factory=list)

    def refuse(self, id_: str, reason: str) -> None:
        self.counts["refused"] += 1
        self.reasons.append({"id": id_, REASON: reason})


class _IndexWorker:
    """Writes parts."""

    def __init__(self, settings: ClusterSettings, job: _Job) -> None:
        self._cluster, self._job = Cluster(settings), job
        self._field = code_field(job.state.label)
        self._reader = RowReader(job.run.id_field, job.run.title_field, job.run.columns)
        self._names = self._reader.names()

    def work(self, part: Part) -> dict[str, int]:
        """Write a part into the index."""
        outcome = _Outcome()
        table = parquet.read_part(part)
        for start in range(0, table.num_rows, CHUNK):
            waiting = self._read(parquet.read_rows(table.slice(start, CHUNK)), outcome)
            for _ in range(_ROUNDS):
                waiting = self._write(waiting, outcome) if waiting else waiting
            for key in waiting:
                outcome.refuse(key.id, f"was changed by others {_ROUNDS} times in a row; run this again")
        parquet.remove_table(self._job.target, NOT_INDEXED, part.name)
        if outcome.reasons:
            reasons = parquet.make_table(outcome.reasons, ("id", REASON))
            parquet.write_table(reasons, self._job.target, NOT_INDEXED, part.name)
        return {name: outcome.counts[name] for name in _COUNTS}

    def _read(self, rows: Sequence[parquet.Row], outcome: _Outcome) -> dict[DocumentKey, _CodedRow]:
        read: dict[DocumentKey, _CodedRow] = {}
        for row in rows:
            codes = str(row.pop(self._field))
            try:
                product = self._reader.read(row, self._names)
            except InputError as error:
                outcome.refuse(str(read_field(row, self._job.run.id_field)), str(error))
                continue
            key = DocumentKey(self._job.index, product.id)
            if key in read:
                outcome.refuse(product.id, "the catalogue has this id twice; the first row counts")
                continue
            body = self._reader.build_document(product, self._names)
            read[key] = _CodedRow(body, codes, json.loads(codes)["source"])
        return read

    def _write(self, waiting: Mapping[DocumentKey, _CodedRow], outcome: _Outcome) -> dict[DocumentKey, _CodedRow]:
        """Write rows, and return those that somebody else changed in the meantime."""
        keys = list(waiting)
        stored = retry(lambda: self._cluster.read_documents(keys), self._cluster.backoff)
        missing, rewrites = [], []
        for key, document in zip(keys, stored, strict=True):
            if document is None:
                missing.append(key)
            elif (rewrite := self._plan(key, document, waiting[key], outcome)) is not None:
                rewrites.append(rewrite)
        again = [*self._create(missing, waiting, outcome), *self._rewrite(rewrites, outcome)]
        return {key: waiting[key] for key in again}

    def _plan(self, key: DocumentKey, stored: StoredDocument, row: _CodedRow, outcome: _Outcome) -> Rewrite | None:
        """Return the change of a document that is there, or settle its row."""
        body = json.loads(stored.source or "{}")
        if read_field(body, f"{self._field}.source") == row.source:
            outcome.counts["unchanged"] += 1
        elif find_source(self._job.state, body) != row.source:
            cure = f"run: gram-os backfill --index {self._job.index}"
            outcome.refuse(key.id, f"the document has another title or other attributes than the catalogue; {cure}")
        else:
            change = partial(put_codes, self._field, row.codes)
            return Rewrite(key, stored.seq_no, stored.primary_term, change, row.source)
        return None

    def _create(
        self, keys: Sequence[DocumentKey], rows: Mapping[DocumentKey, _CodedRow], outcome: _Outcome
    ) -> list[DocumentKey]:
        if not self._job.create:
            for key in keys:
                outcome.refuse(key.id, "the index has no such document; --create writes it")
            return []
        again = []
        actions = (
            {"op": "create", "index": key.index, "id": key.id,
             "body": {**rows[key].body, self._field: json.loads(rows[key].codes)}}
            for key in keys
        )  # fmt: skip
        for key, item in zip(keys, self._cluster.bulk(actions), strict=True):
            if item.ok:
                outcome.counts["created"] += 1
            elif item.conflict:
                again.append(key)
            elif item.blocked:
                raise explain_block(str(item.error), key.index, progress="parts before this one were written")
            else:
                outcome.refuse(key.id, str(item.error))
        return again

    def _rewrite(self, rewrites: Sequence[Rewrite], outcome: _Outcome) -> list[DocumentKey]:
        done = rewrite_documents(self._cluster, rewrites, self._job.wordy)
        if done.block is not None:
            raise explain_block(done.block, self._job.index, progress="parts before this one were written")
        outcome.counts["updated"] += len(done.written)
        for refusal in done.refused:
            outcome.refuse(refusal.id, refusal.reason)
        for key in done.deleted:
            outcome.refuse(key.id, "was deleted in the meantime")
        return done.conflicts
