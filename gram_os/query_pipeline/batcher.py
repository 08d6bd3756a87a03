"""Queries of many threads, coded together: a batch of eight costs a fraction of eight queries.

A batch begins as soon as the generator is free, with all that wait. Only right after a batch does it wait a moment for as
many as were there when that one ended, who tend to come back with their next query; so a lone query never waits for company.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread
from types import TracebackType
from typing import Self

from gram_os.errors import QueryRefusedError
from gram_os.model.generator import ScoredCode
from gram_os.query_pipeline.search import CodeGenerator


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    text: str
    codes: Future[list[ScoredCode]] = field(default_factory=Future)


class QueryBatcher:
    """A `CodeGenerator` for many threads, which runs another one in a thread of its own; close it.

    max_batch: texts that the generator gets at a time; max_wait_ms: how long a batch waits for company after the last one
    ended; max_waiting: texts that may wait for their batch.
    """

    def __init__(self, generator: CodeGenerator, *, max_batch: int, max_wait_ms: float, max_waiting: int):
        self._generator = generator
        self._max_batch, self._max_wait_s, self._max_waiting = max_batch, max_wait_ms / 1000, max_waiting
        self._waiting: deque[_Asked] = deque()
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._work, name="gram-os-queries", daemon=True)
        self._thread.start()

    def code_queries(self, texts: Sequence[str]) -> list[list[ScoredCode]]:
        """See `CodeGenerator.code_queries`; what the generator raises comes to all who were in its batch.

        Raises QueryRefusedError, without asking for any of the texts, when they do not all find a place among those that
        wait, or after `close`.
        """
        return [asked.codes.result() for asked in self._enqueue(texts)]

    def close(self) -> None:
        """Take no more queries, answer those that wait, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _enqueue(self, texts: Sequence[str]) -> list[_Asked]:
        asked = [_Asked(text) for text in texts]
        with self._changed:
            if self._closed:
                raise QueryRefusedError("the generator was closed and codes no more queries; open a new one")
            if len(self._waiting) + len(asked) > self._max_waiting:
                raise QueryRefusedError(
                    f"{len(self._waiting)} queries wait for their codes and {len(asked)} more would pass the limit of "
                    f"{self._max_waiting}; ask again later, or raise queries.max_waiting"
                )
            self._waiting.extend(asked)
            self._changed.notify_all()
        return asked

    def _work(self) -> None:
        served = 0
        while batch := self._take(served):
            self._answer(batch)
            served = len(batch)

    def _take(self, served: int) -> list[_Asked]:
        """The next batch; empty when all is answered and no more may come. `served`: the size of the last one."""
        with self._changed:
            company = min(self._max_batch, served + len(self._waiting))
            self._changed.wait_for(lambda: self._closed or len(self._waiting) >= company, self._max_wait_s)
            self._changed.wait_for(lambda: self._closed or bool(self._waiting))
            size = min(self._max_batch, len(self._waiting))
            return [self._waiting.popleft() for _ in range(size)]

    def _answer(self, batch: Sequence[_Asked]) -> None:
        texts = list(dict.fromkeys(asked.text for asked in batch))  # who asks the same shares the work
        try:
            codes = dict(zip(texts, self._generator.code_queries(texts), strict=True))
        except BaseException as error:  # whatever it is, those who wait must hear of it
            for asked in batch:
                asked.codes.set_exception(error)
        else:
            for asked in batch:
                asked.codes.set_result(list(codes[asked.text]))
