"""How far a reader of a shard has come, and who reads it: leases in the index `.gram-state`.

A slice is a range of a shard's numbers (feed.py). Whoever holds its lease reads it, and writes its position there. A
worker that dies leaves the position. Another one takes the lease over when its record has not changed for `LEASE_S`,
measured by the taker's own clock, so the clocks of machines need not agree. On one machine a dead process is known by
its number, and its leases are taken at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from gram_os.cluster.bulk import TRANSIENT
from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState
from gram_os.cluster.records import Record, Records

INDEX: Final = ".gram-state"
PROPERTIES: Final = {name: {"type": "keyword"} for name in ("kind", "job", "label", "index", "uuid", "owner")}

LEASE_S: Final = 60.0
_BEAT_S: Final = 10.0


def open_state(cluster: Cluster) -> Records:
    """Return the records of `.gram-state`."""
    return Records(cluster, INDEX, PROPERTIES)


def name_worker() -> str:
    """Return a name for a worker of this process. It holds the machine and the process, so that a dead one is known."""
    return f"{socket.gethostname()}/{os.getpid()}/{_PROCESS}/{uuid.uuid4().hex[:8]}"


_PROCESS: Final = uuid.uuid4().hex[:8]  # another process may get the same number later


def is_dead(owner: str) -> bool:
    """Say whether the process of a worker is known to have ended. A worker of another machine is never known to."""
    host, number, process, *_ = (*owner.split("/"), "", "", "")
    if host != socket.gethostname() or not number.isdigit():
        return False
    if int(number) == os.getpid():
        return process != _PROCESS
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


@dataclass(slots=True)
class Leases:
    """The leases that a worker holds or waits for. seen: when this process first saw a record as it is."""

    records: Records
    owner: str
    lease_s: float = LEASE_S
    seen: dict[str, tuple[int, float]] = field(default_factory=dict)

    def take(self, id_: str, body: Mapping[str, Any]) -> Lease | None:
        """Take the lease of a slice. None when somebody else holds it, or it is done.

        body: the record that is written when there is none; it has a `position`.
        """
        record = self.records.get(id_)
        if record is None:
            if not self.records.create(id_, {**body, "owner": self.owner, "beat": 0}):
                return None
            record = self.records.get(id_)
            return None if record is None or record.body["owner"] != self.owner else Lease(self.records, record)
        if record.body.get("done") or not self._is_free(record):
            return None
        taken = self.records.put(id_, {**record.body, "owner": self.owner, "beat": record.body["beat"] + 1}, record)
        return None if taken is None else Lease(self.records, taken)

    def _is_free(self, record: Record) -> bool:
        owner = record.body.get("owner")
        if owner in (None, self.owner) or is_dead(str(owner)):
            return True
        now = time.monotonic()
        seq_no, since = self.seen.get(record.id, (-1, now))
        if seq_no != record.seq_no:
            self.seen[record.id] = (record.seq_no, now)
            return False
        return now - since > self.lease_s


class Positions:
    """How far the changes of each shard are coded under a label: one record a shard, without a lease."""

    def __init__(self, records: Records, state: LabelState):
        self._records, self._state = records, state
        known = json.dumps([state.bundle, state.title_field, state.products], sort_keys=True)
        self._prefix = f"watch.{state.label}.{hashlib.sha256(known.encode()).hexdigest()[:12]}"

    def read(self, shard_key: str) -> int:
        """Return the number up to which all documents of a shard are settled, -1 when nobody has read it."""
        record = self._records.get(f"{self._prefix}.{shard_key}")
        return -1 if record is None else int(record.body["position"])

    def begin(self, shard_key: str, position: int) -> None:
        """Write a position, unless there is one."""
        self._records.create(f"{self._prefix}.{shard_key}", self._build(position))

    def save(self, shard_key: str, position: int) -> None:
        """Write a position."""
        self._records.put(f"{self._prefix}.{shard_key}", self._build(position))

    def read_edits(self, name: str) -> str | None:
        """Return up to where the edits of an index of this name are in its documents, None when nobody has looked."""
        record = self._records.get(f"{self._prefix}.edits@{name}")
        return None if record is None else str(record.body["edits"])

    def save_edits(self, name: str, edits: str) -> None:
        """Write up to where the edits are in the documents."""
        self._records.put(f"{self._prefix}.edits@{name}", {**self._build(-1), "index": name, "edits": edits})

    def lease(self, name: str) -> tuple[str, dict[str, Any]]:
        """Return the id and the first record of the lease of whoever follows an index of this name."""
        return f"{self._prefix}@{name}", {"kind": "watching", "label": self._state.label, "index": name, "position": -1}

    def _build(self, position: int) -> dict[str, Any]:
        return {"kind": "watch", "label": self._state.label, "position": position}


class Lease:
    """A slice that this worker reads. A thread renews the lease until the end of a `with` block.

    lost: another worker has taken it over. What this one still writes is safe, because each document is written only as
    it was read. But it should stop.
    """

    def __init__(self, records: Records, record: Record):
        self.body: dict[str, Any] = dict(record.body)
        self.lost = False
        self._records, self._record, self._owner = records, record, record.body["owner"]
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="gram-os-lease", daemon=True)

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        if not self.body.get("done"):
            with suppress(*TRANSIENT):  # another worker takes it over anyway, only later
                self.save(owner=None)

    @property
    def id(self) -> str:
        """The id of the slice's record."""
        return self._record.id

    @property
    def position(self) -> int:
        """All documents up to this number are settled."""
        return int(self.body["position"])

    def save(self, **changes: Any) -> None:
        """Write what changed in the record, such as its position, and renew the lease."""
        with self._lock:
            if self.lost:
                return
            self.body = {**self.body, **changes, "beat": self.body["beat"] + 1}
            saved = self._records.put(self._record.id, self.body, self._record)
            if saved is None:  # the answer to an earlier write of ours may have been lost
                found = self._records.get(self._record.id)
                if found is not None and found.body["owner"] == self._owner:
                    saved = self._records.put(self._record.id, self.body, found)
            if saved is None:
                self.lost = True
            else:
                self._record = saved

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_S) and not self.lost:
            with suppress(*TRANSIENT):  # the next beat tries again
                self.save()
