"""Bulk writes: actions in, one `BulkItem` for each out, in order. What the cluster refused for now is sent again.

Knows the wire form and which answers are worth a retry. Knows no HTTP: the caller passes `send`, which takes the bytes
of a request (NDJSON) and returns the items of the answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    retry_if_result,
    stop_after_attempt,
    wait_random_exponential,
)

from gram_os.cluster.blocks import ERROR_TYPES
from gram_os.errors import ClusterBusyError, ClusterGarbledError, ClusterUnreachableError, InputError
from gram_os.files.raw_json import on_one_line

T = TypeVar("T")
Send = Callable[[bytes], Sequence[Mapping[str, Any]]]

_OPERATIONS: Final = ("index", "create", "update", "delete")
_RETRIED: Final = (429, 503)
#: Errors after which the same request may pass: it can be sent again as it is.
TRANSIENT: Final = (ClusterBusyError, ClusterUnreachableError, ClusterGarbledError)
#: The most actions in one request. A caller that collects actions takes this number too: its chunk is one request.
CHUNK: Final = 512
# A request of this size is indexed in well under a second, and is far from http.max_content_length (100 MB).
_CHUNK_BYTES: Final = 8 * 1024 * 1024
_LARGEST_ACTION: Final = 100_000_000  # bytes; http.max_content_length


@dataclass(frozen=True, slots=True)
class BulkItem:
    """What became of one action.

    error: None when the action was done, else the cluster's error type and reason. seq_no: the number that the shard
    gave to the write.
    """

    id: str | None
    op: str
    status: int
    error: str | None = None
    seq_no: int | None = field(default=None, compare=False)

    @property
    def ok(self) -> bool:
        """True when the action was done."""
        return self.error is None

    @property
    def conflict(self) -> bool:
        """True when another writer was first (`if_seq_no`, or `create` of an existing id)."""
        return self.status == 409

    @property
    def refused_for_now(self) -> bool:
        """True for 429 and 503, except from a block: a full disk answers 429, and waiting does not free it."""
        return self.status in _RETRIED and not self.blocked

    @property
    def blocked(self) -> bool:
        """True when a block refused the write. `explain_block` has the cure. Sending again does not help."""
        return self.error is not None and self.error.startswith(ERROR_TYPES)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often refused actions are sent again, and with which pauses. The default takes about a minute in all.

    attempts: how often an action is sent, the first time included. The n-th pause is random between 0 and
    `initial_s` * 2^n seconds, at most `max_s`. It is random so that several writers do not come in step. on_retry is
    called before each pause.
    """

    attempts: int = 10
    initial_s: float = 0.5
    max_s: float = 20.0
    on_retry: Callable[[], None] | None = None


@dataclass(slots=True)
class _Entry:
    """An action on its way: its encoded lines, and what became of it."""

    id: str | None
    op: str
    lines: bytes
    item: BulkItem | None = field(default=None)


def retry(
    attempt: Callable[[], T],
    backoff: Backoff,
    *,
    again: Callable[[T], bool] = lambda _: False,
    is_transient: Callable[[BaseException], bool] = lambda error: isinstance(error, TRANSIENT),
) -> T:
    """Call `attempt` and return what it returns. Call it again, with growing pauses, while the cluster cannot answer.

    That is: `attempt` raises what `is_transient` says, or `again` is true of what it returns. After the last attempt,
    what it returned is final, and what it raised is raised.
    """

    def give_up(state: RetryCallState) -> T:
        assert state.outcome is not None  # noqa: S101  (tenacity calls this after an attempt)
        return cast("T", state.outcome.result())

    return Retrying(
        stop=stop_after_attempt(backoff.attempts),
        wait=wait_random_exponential(multiplier=backoff.initial_s, max=backoff.max_s),
        retry=retry_if_result(again) | retry_if_exception(is_transient),
        before_sleep=lambda _: backoff.on_retry() if backoff.on_retry else None,
        retry_error_callback=give_up,
    )(attempt)


def write_bulk(
    actions: Iterable[Mapping[str, Any]], send: Send, *, chunk: int = CHUNK, backoff: Backoff | None = None
) -> Iterator[BulkItem]:
    """Send actions, and yield what became of each, in order.

    An action has an `op` of `_OPERATIONS`, an `index`, an `id` and a `body` (none for "delete"). A body of type str is
    JSON already, and is sent as it is written. Other keys, such as `version` and `routing`, go into the action's
    metadata. A request has at most `chunk` actions and 8 MiB. One request is in memory at a time.

    Items that were refused with 429 or 503, and requests without an answer, are sent again with growing pauses. This is
    safe: at worst an action that was done before answers 409.

    Raises ClusterUnreachableError or ClusterBusyError when the last attempt got no answer. All items that were yielded
    before are settled. Raises InputError for an unknown `op`.
    """
    for entries in _chunks(actions, chunk):
        _settle([entry for entry in entries if entry.item is None], send, backoff or Backoff())
        for entry in entries:
            assert entry.item is not None  # noqa: S101  (every entry has an answer, or _settle raised)
            yield entry.item


def _chunks(actions: Iterable[Mapping[str, Any]], chunk: int) -> Iterator[list[_Entry]]:
    """Group encoded actions by number and by bytes."""
    entries: list[_Entry] = []
    size = 0
    for entry in map(_encode, actions):
        if entries and (len(entries) >= chunk or size + len(entry.lines) > _CHUNK_BYTES):
            yield entries
            entries, size = [], 0
        entries.append(entry)
        size += len(entry.lines)
    if entries:
        yield entries


def _encode(action: Mapping[str, Any]) -> _Entry:
    """Make the one or two NDJSON lines. An action that JSON or the cluster cannot take is settled at once."""
    op = action.get("op")
    if op not in _OPERATIONS:
        raise InputError(f"bulk action with op {op!r}: must be one of {', '.join(_OPERATIONS)}")
    names = {"index": "_index", "id": "_id"}
    meta = {names.get(key, key): value for key, value in action.items() if key not in ("op", "body")}
    entry = _Entry(action.get("id"), op, b"")
    try:
        parts = [{op: meta}] if op == "delete" else [{op: meta}, action["body"]]
        entry.lines = b"".join(_encode_line(part) for part in parts)
    except ValueError as error:
        entry.item = BulkItem(entry.id, op, 400, f"not JSON: {error}")
    if len(entry.lines) > _LARGEST_ACTION:
        problem = f"document of {len(entry.lines)} bytes: OpenSearch takes at most {_LARGEST_ACTION} in a request"
        entry.item, entry.lines = BulkItem(entry.id, op, 413, problem), b""
    return entry


def _encode_line(value: object) -> bytes:
    if isinstance(value, str):
        return on_one_line(value).encode("utf-8", "surrogatepass") + b"\n"
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8; escaped, it is refused for this document only
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _settle(entries: Sequence[_Entry], send: Send, backoff: Backoff) -> None:
    """Send until every entry has a final item. After the last attempt, the last answer is final."""

    def attempt() -> bool:
        waiting = [entry for entry in entries if entry.item is None or entry.item.refused_for_now]
        if waiting:
            answers = send(b"".join(entry.lines for entry in waiting))
            if len(answers) != len(waiting):
                raise ClusterGarbledError(f"the cluster answered {len(answers)} of {len(waiting)} actions; try again")
            for entry, answer in zip(waiting, answers, strict=True):
                entry.item = _read_answer(entry, answer)
        return any(entry.item is not None and entry.item.refused_for_now for entry in waiting)

    retry(attempt, backoff, again=bool)


def _read_answer(entry: _Entry, answer: Mapping[str, Any]) -> BulkItem:
    (outcome,) = answer.values()
    error = outcome.get("error")
    text = None
    if error is not None:
        cause = error.get("caused_by") or {}
        text = f"{error['type']}: {error['reason']}" + (f" ({cause['reason']})" if cause.get("reason") else "")
    elif outcome["status"] >= 400:  # deleting what is not there has a status but no error
        text = str(outcome.get("result", "failed"))
    return BulkItem(outcome.get("_id", entry.id), entry.op, int(outcome["status"]), text, outcome.get("_seq_no"))
