"""Codes into all documents of an index, by any number of workers, and after a crash from where the last run was.

Each worker takes slices of the index by lease, reads them in the order of the change feed (feed.py), codes what has no
current codes, and writes it. Documents that others change meanwhile stand further back in the feed, and a later pass
reads them again. A run over coded documents writes nothing. What happens to a document stands in `documents`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field, replace
from threading import Event, Lock
from typing import Final

from gram_os.cluster.bulk import CHUNK
from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState
from gram_os.cluster.stored import DocumentKey
from gram_os.errors import TooManyRefusedError
from gram_os.ingest.backfill_job import MOST_PASSES, Job, Part, Run, join_runs
from gram_os.ingest.documents import CodedDocument, Document, LabelWriter, ProductCoder, gather_chunks
from gram_os.ingest.feed import PAGE, Page, Shard, ShardReader, look_at_shards
from gram_os.ingest.pace import Pace, SearchLoad, read_search_load
from gram_os.ingest.slices import Lease, Leases, name_worker, open_state
from gram_os.ingest.writing import Refusal, WriteOutcome

_CHUNK_S: Final = 5.0  # a slow model's codes are written so often
_SAVE_S: Final = 2.0
_IN_FLIGHT: Final = 2  # chunks that are written while others are coded
_POLL_S: Final = 0.5
_MOST_RUNS: Final = 1000  # runs of numbers that a slice keeps; what it forgets is read again
_MOST_NAMED: Final = 1000  # refused documents that a report names; the dead letters name all


@dataclass(slots=True)
class BackfillReport:
    """What a run did, in numbers of documents.

    coded: new codes were written. unchanged: the codes were current. refused: could not be coded or written, each with
    its reason (the first 1,000). Documents that were deleted meanwhile are not counted.

    refusals: how many were refused. batches: chunks that were written. conflicts: documents that somebody changed
    between our reading and our writing, which were then read again. retries: requests that were sent again.
    throttled_ms: how long writers waited for their pace. resumed: documents that an earlier run had settled.
    """

    coded: int = 0
    unchanged: int = 0
    refused: list[Refusal] = field(default_factory=list)
    refusals: int = field(default=0, compare=False)
    batches: int = field(default=0, compare=False)
    conflicts: int = field(default=0, compare=False)
    retries: int = field(default=0, compare=False)
    throttled_ms: int = field(default=0, compare=False)
    resumed: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class BackfillOptions:
    """How a backfill runs.

    workers: threads that each read, code and write a slice of their own. slices: about how many slices the index is cut
    into; by default four or more, of 2,000 to 50,000 writes that the index has seen. rate: the most documents a second,
    None for no limit. max_refused: stop when more documents are refused. resume: go on with an interrupted run.
    """

    workers: int = 1
    slices: int | None = None
    rate: float | None = None
    max_refused: int | None = None
    resume: bool = True


def backfill(
    cluster: Cluster,
    index: str,
    state: LabelState,
    coder: ProductCoder,
    options: BackfillOptions | None = None,
    *,
    progress: Callable[[int], None] = lambda _: None,
    stop: Event | None = None,
) -> BackfillReport:
    """Code every product of an index under a label, and return what was done.

    state: the label, as `require_label` returns it. progress: called with the number of documents that are settled
    since the last call. stop: set it to end the run early; the next one goes on from there.

    Raises IndexMissingError. Raises IndexUnfitError when the index has come to a state in which codes cannot be written
    safely (`gram_os.cluster.checks`) or takes no writes. Raises TooManyRefusedError. Raises other ClusterErrors. What
    was written until then stays, and the next run goes on from there.

    >>> from gram_os import Cluster, backfill, load_generator, load_settings
    >>> from gram_os.cluster.labels import require_label
    >>> cluster = Cluster.connect(load_settings().cluster)  # reads OPENSEARCH_URL
    >>> state = require_label(cluster, "products")  # `gram-os attach` has put it there
    >>> report = backfill(cluster, "products", state, load_generator())
    >>> report.coded + report.unchanged, report.refused
    (100, [])
    >>> cluster.close()
    """
    options = options or BackfillOptions()
    run = _Run(cluster, index, state, coder, options, progress, stop or Event())
    with ThreadPoolExecutor(options.workers, thread_name_prefix="gram-os-backfill") as pool:
        workers = [pool.submit(run.work) for _ in range(options.workers)]
        try:
            for worker in as_completed(workers):
                worker.result()
        except BaseException:
            run.end()
            raise
    return run.finish()


class _Run:
    """The part of a backfill that one process does. Its workers share it."""

    def __init__(
        self,
        cluster: Cluster,
        index: str,
        state: LabelState,
        coder: ProductCoder,
        options: BackfillOptions,
        progress: Callable[[int], None],
        stop: Event,
    ):
        self.report = BackfillReport()
        self.stop, self._failed = stop, Event()
        self._readers: list[ShardReader] = []  # their searches are not those of others
        self.pace = Pace(rate=options.rate, look=self._look_at_searches(cluster.patient(), index))
        self.cluster = cluster.patient(replace(cluster.backoff, on_retry=self.pace.slow_down))
        self.writer = LabelWriter(self.cluster, index, state, coder)
        self.progress, self.options, self._index, self._state = progress, options, index, state
        self._lock = Lock()
        self._disturbed: set[DocumentKey] = set()  # of the last pass
        self.writer.check()
        records, shards = open_state(self.cluster), self._look()
        self.page = min(facts.result_window for facts in self.cluster.get_indices(index))
        self.job = Job.open(records, index, state, shards, options.slices, resume=options.resume)
        self.records = records
        if self.job.is_resumed:
            self.report.resumed = self.job.count("settled")
            progress(self.report.resumed)

    def end(self) -> None:
        """Let the workers end soon."""
        self._failed.set()

    @property
    def is_ending(self) -> bool:
        """True when the workers should end."""
        return self.stop.is_set() or self._failed.is_set()

    def finish(self) -> BackfillReport:
        """Name the documents that never rested, and return the report."""
        reason = f"was changed by others {MOST_PASSES} times in a row; run backfill again"
        self.count(refused=[Refusal(key, reason) for key in sorted(self._disturbed, key=lambda key: key.id)])
        self.progress(len(self._disturbed))
        self.report.retries, self.report.throttled_ms = self.pace.retries, round(self.pace.throttled_ms)
        return self.report

    def work(self) -> None:
        """Read slices until nothing is left to do."""
        leases = Leases(self.records, name_worker())
        while not self.is_ending and not self.job.is_done:
            found = self.job.take(leases)
            if found is not None:
                part, lease = found
                with lease:
                    _SliceWork(self, part, lease, self.job.turn).run()
                continue
            with self._lock:
                turn = self.job.turn
                self.job.look()
                if turn == self.job.turn and not self.job.is_done and self.job.is_pass_done():
                    self._advance()
                    continue
            self.stop.wait(_POLL_S)

    def _advance(self) -> None:
        shards = self._look()
        self.job.advance(shards)
        if not self.job.is_done:
            self._disturbed.clear()

    def _look(self) -> list[Shard]:
        """Look at the shards, and let searches see everything up to their checkpoints."""
        shards = look_at_shards(self.cluster, self._index)
        self.cluster.refresh(self._index)
        return shards

    def open_reader(self, part: Part) -> ShardReader:
        """Return a reader of a slice's shard."""
        shard = Shard(part.index, part.uuid, part.shard, part.last)
        reader = ShardReader(self.cluster, shard, self._state.product_query, self.writer.fields, min(PAGE, self.page))
        self._readers.append(reader)
        return reader

    def count(
        self, *, coded: int = 0, unchanged: int = 0, conflicts: Sequence[DocumentKey] = (),
        refused: Sequence[Refusal] = (), batches: int = 0,
    ) -> None:  # fmt: skip
        """Add to the report. Raises TooManyRefusedError when too much was refused."""
        with self._lock:
            report = self.report
            report.coded += coded
            report.unchanged += unchanged
            report.conflicts += len(conflicts)
            report.batches += batches
            report.refusals += len(refused)
            report.refused += refused[: max(0, _MOST_NAMED - len(report.refused))]
            self._disturbed.update(conflicts)
        most = self.options.max_refused
        if most is not None and report.refusals > most:
            first = report.refused[0]
            raise TooManyRefusedError(
                f"{report.refusals} documents were refused, more than {most} (such as '{first.id}': {first.reason}); "
                "gram-os dead-letters list has them all; run backfill again to go on"
            )

    def _look_at_searches(self, cluster: Cluster, index: str) -> Callable[[], SearchLoad]:
        def look() -> SearchLoad:
            load = read_search_load(cluster, index)
            searches, took = sum(r.searches for r in self._readers), sum(r.took_ms for r in self._readers)
            return SearchLoad(load.searches - searches, load.milliseconds - took)

        return look


@dataclass(slots=True)
class _SliceWork:
    """One slice on its way: documents that are being coded, and chunks that are being written, in order.

    turn: the pass. in_coding: documents that went to the coder and have not come back. refused: documents that could
    not be read, for the next chunk. chunks: the number behind each chunk, and its write. writes: the numbers of our own
    writes, which no later pass has to read.
    """

    run_: _Run
    part: Part
    lease: Lease
    turn: int
    in_coding: int = 0
    refused: list[Refusal] = field(default_factory=list)
    chunks: deque[tuple[int, Future[WriteOutcome]]] = field(default_factory=deque)
    counts: dict[str, int] = field(default_factory=lambda: {"coded": 0, "conflicts": 0, "settled": 0})
    unchanged: int = 0
    writes: list[Run] = field(default_factory=list)
    saved_at: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Read the slice from where it was left to its end."""
        for name in self.counts:
            self.counts[name] = int(self.lease.body.get(name, 0))
        self.writes = [(first, last) for first, last in self.lease.body.get("writes", ())]
        with ThreadPoolExecutor(_IN_FLIGHT, thread_name_prefix="gram-os-writing") as pool:
            try:
                with closing(self.run_.writer.code(self._read())) as coded:
                    for chunk in gather_chunks(coded, _CHUNK_S):
                        self._send(pool, chunk)
                while self.chunks:
                    self._settle()
            finally:
                for _, write in self.chunks:
                    write.cancel()
        if self._may_go_on():
            self._write_refused()
            self._save(self.part.last, done=True)

    def _may_go_on(self) -> bool:
        return not self.lease.lost and not self.run_.is_ending

    def _read(self) -> Iterator[Document]:
        """Yield the documents that need codes. The others are settled as they are read."""
        for page in self.run_.open_reader(self.part).pages(self.lease.position, self.part.last):
            for document in self.run_.writer.read_all(page.hits):
                if not self._may_go_on():
                    return
                if isinstance(document, Refusal):
                    self.refused.append(document)
                elif document.is_current:
                    self.unchanged += 1
                else:
                    self.in_coding += 1
                    yield document
            self._settle_page(page)

    def _settle_page(self, page: Page) -> None:
        """Count what needed no codes. Save the position when nothing before it is on its way."""
        self._count_unchanged()
        if len(self.refused) >= CHUNK:
            self._write_refused()
        is_idle = not self.in_coding and not self.chunks and not self.refused
        if is_idle and time.monotonic() - self.saved_at > _SAVE_S:
            self._save(page.position)

    def _count_unchanged(self) -> None:
        if self.turn == 1:
            self.run_.count(unchanged=self.unchanged)
            self.counts["settled"] += self.unchanged
            self.run_.progress(self.unchanged)
        self.unchanged = 0

    def _send(self, pool: ThreadPoolExecutor, chunk: Sequence[CodedDocument | Refusal]) -> None:
        """Write a chunk in the background. Wait for an earlier one when too many are on their way."""
        last = max((item.document.seq_no for item in chunk if isinstance(item, CodedDocument)), default=None)
        self.in_coding -= len(chunk)
        refused, self.refused = self.refused, []
        self.run_.pace.wait(len(chunk))
        write = pool.submit(self.run_.writer.write, [*chunk, *refused])
        before = self.chunks[-1][0] if self.chunks else self.lease.position
        self.chunks.append((before if last is None else last, write))
        while len(self.chunks) >= _IN_FLIGHT + 1 or (self.chunks and self.chunks[0][1].done()):
            self._settle()

    def _settle(self) -> None:
        """Wait for the oldest write, and count what became of its documents."""
        position, write = self.chunks.popleft()
        self._count(write.result())
        if not self.lease.lost:
            self._save(position)

    def _write_refused(self) -> None:
        refused, self.refused = self.refused, []
        if refused:
            self._count(self.run_.writer.write(refused))

    def _count(self, outcome: WriteOutcome) -> None:
        settled = len(outcome.written) + len(outcome.deleted) + len(outcome.refused)
        self.writes = join_runs([*self.writes, *((number, number) for number in outcome.numbers)])[-_MOST_RUNS:]
        self.counts["coded"] += len(outcome.written)
        self.counts["conflicts"] += len(outcome.conflicts)
        self.counts["settled"] += settled
        self.run_.progress(settled)
        self.run_.count(coded=len(outcome.written), conflicts=outcome.conflicts, refused=outcome.refused, batches=1)

    def _save(self, position: int, *, done: bool = False) -> None:
        self.saved_at = time.monotonic()
        if done:
            self._count_unchanged()
        self.lease.save(position=max(position, self.lease.position), done=done, writes=self.writes, **self.counts)
