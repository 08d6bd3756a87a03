"""The plan of a backfill on the cluster: which ranges of which shards are read, in which pass, by many workers.

A job is a record in `.gram-state`. Its first pass covers what is in the index at the start. Each later pass covers what
was written meanwhile, by others and by the job itself. Workers of several machines that code the same index under the
same label take part in one job.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from gram_os.cluster.labels import LabelState
from gram_os.cluster.records import Record, Records
from gram_os.ingest.feed import Shard
from gram_os.ingest.slices import Lease, Leases, Positions, is_dead

_PART: Final = 50_000  # numbers of a shard that are one slice: some minutes of coding
_LEAST_PART: Final = 2000
_PARTS: Final = 4  # slices of a smaller index, so that workers and machines that come later find some
MOST_PASSES: Final = 5


@dataclass(frozen=True, slots=True)
class Part:
    """A slice: the numbers of a shard above `start` and up to `last`."""

    index: str
    uuid: str
    shard: int
    start: int
    last: int

    @property
    def shard_key(self) -> str:
        """What names the shard for good, as `Shard.key` does."""
        return f"{self.uuid}.{self.shard}"


def split_shards(shards: Iterable[Shard], parts: int | None, starts: Mapping[str, int] | None = None) -> list[Part]:
    """Cut the shards' numbers into slices: about `parts`, by default 4 or more, of 2,000 to 50,000 numbers.

    starts: key of a shard -> the number behind which it begins.

    >>> shard = Shard("shop", "u", 0, checkpoint=99)
    >>> [(part.start, part.last) for part in split_shards([shard], parts=2)]
    [(-1, 49), (49, 99)]
    """
    found = [(shard, (starts or {}).get(shard.key, -1)) for shard in shards]
    total = sum(shard.checkpoint - start for shard, start in found)
    width = max(1, -(-total // (parts or _PARTS)))
    width = width if parts else max(_LEAST_PART, min(width, _PART))
    return [
        Part(shard.index, shard.uuid, shard.number, at, min(at + width, shard.checkpoint))
        for shard, start in found
        for at in range(start, shard.checkpoint, width)
    ]


def _ends(shards: Iterable[Shard]) -> dict[str, int]:
    return {shard.key: shard.checkpoint for shard in shards}


Run = tuple[int, int]  # numbers from the first to the last, both included


def join_runs(runs: Iterable[Run]) -> list[Run]:
    """Join runs of numbers that meet or overlap.

    >>> join_runs([(7, 9), (1, 3), (4, 5)])
    [(1, 5), (7, 9)]
    """
    joined: list[Run] = []
    for first, last in sorted(runs):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def leave_out(parts: Iterable[Part], written: Mapping[str, Sequence[Run]]) -> list[Part]:
    """Return what is left of slices without some numbers, such as those of our own writes. written: by shard.

    >>> whole = Part("shop", "u", 0, start=9, last=99)
    >>> [(part.start, part.last) for part in leave_out([whole], {"u.0": [(10, 49), (60, 99)]})]
    [(49, 59)]
    """
    left: list[Part] = []
    for part in parts:
        at = part.start
        for first, last in written.get(part.shard_key, ()):
            if at < first - 1 and first <= part.last:
                left.append(replace(part, start=at, last=first - 1))
            at = max(at, last) if first <= part.last else at
        if at < part.last:
            left.append(replace(part, start=at))
    return left


class Job:
    """One backfill as all of its workers see it.

    is_resumed: the job was there already.
    """

    def __init__(self, records: Records, record: Record, state: LabelState, *, is_resumed: bool):
        self.is_resumed = is_resumed
        self._records, self._record, self._state = records, record, state

    @classmethod
    def open(
        cls, records: Records, name: str, state: LabelState, shards: Sequence[Shard], parts: int | None, *, resume: bool
    ) -> Job:
        """Take part in the job that runs or was interrupted, or begin one: always without `resume`."""
        id_ = "backfill." + hashlib.sha256(f"{state.label}\0{name}".encode()).hexdigest()[:24]
        while True:
            record = records.get(id_)
            if record and resume and not record.body["done"] and _fits(record.body, state, shards):
                return cls(records, record, state, is_resumed=True)
            body = {
                "kind": "backfill", "job": uuid.uuid4().hex, "label": state.label, "bundle": state.bundle,
                "name": name, "products": state.products, "done": False, "pass": 1,
                "plan": [asdict(part) for part in split_shards(shards, parts)], "ends": _ends(shards),
            }  # fmt: skip
            if (record is None and records.create(id_, body)) or (record and records.put(id_, body, record)):
                made = records.get(id_)
                if made is not None and made.body["job"] == body["job"]:
                    return cls(records, made, state, is_resumed=False)

    @property
    def turn(self) -> int:
        """The number of the pass, from 1."""
        return int(self._record.body["pass"])

    @property
    def is_done(self) -> bool:
        """True when nothing is left to do."""
        return bool(self._record.body["done"])

    @property
    def plan(self) -> list[Part]:
        """The slices of the pass."""
        return [Part(**part) for part in self._record.body["plan"]]

    def look(self) -> None:
        """Read the job as it is now."""
        self._record = self._records.get(self._record.id) or self._record

    def take(self, leases: Leases) -> tuple[Part, Lease] | None:
        """Take the lease of a slice that nobody reads. None when there is no such slice."""
        known = self._records.get_many(self._slice_ids())
        for id_, part in zip(self._slice_ids(), self.plan, strict=True):
            if id_ in known and known[id_].body.get("done"):
                continue
            body = {
                "kind": "slice", "job": self._record.body["job"], "label": self._record.body["label"],
                "index": part.index, "uuid": part.uuid, "position": part.start, "done": False,
            }  # fmt: skip
            lease = leases.take(id_, body)
            if lease is not None:
                return part, lease
        return None

    def count(self, name: str) -> int:
        """Return a count over the slices of this pass, such as "coded" or "conflicts"."""
        return sum(int(record.body.get(name, 0)) for record in self._slices())

    def is_pass_done(self) -> bool:
        """Return whether all slices of the pass are read."""
        slices = self._slices()
        return len(slices) == len(self.plan) and all(record.body.get("done") for record in slices)

    def advance(self, shards: Sequence[Shard]) -> None:
        """Begin the next pass, or end the job when nothing was written since. Another worker may have been first.

        shards: as they are now, all of them refreshed.
        """
        ends: dict[str, int] = self._record.body["ends"]
        ahead = leave_out(split_shards(shards, None, ends), self._find_own_writes())
        is_quiet = self.turn > 1 and not self.count("coded") and not self.count("conflicts")
        body = {**self._record.body, "done": True, "ends": ends if ahead else _ends(shards)}
        if ahead and not is_quiet and self.turn < MOST_PASSES:
            plan = [asdict(part) for part in ahead]
            body = {**self._record.body, "pass": self.turn + 1, "plan": plan, "ends": {**ends, **_ends(shards)}}
        is_ours = self._records.put(self._record.id, body, self._record) is not None
        self.look()
        if is_ours and self.is_done:
            self._leave_positions()
            self._forget_slices()

    def _find_own_writes(self) -> dict[str, list[Run]]:
        """Return the numbers that the writes of this pass have, by shard. Their codes are known to be current."""
        found: dict[str, list[Run]] = {}
        for record, part in zip(self._slices(), self.plan, strict=True):
            runs = ((int(first), int(last)) for first, last in record.body.get("writes", ()))
            found.setdefault(part.shard_key, []).extend(runs)
        return {shard: join_runs(runs) for shard, runs in found.items()}

    def _leave_positions(self) -> None:
        """Tell `watch` from where on changes may be uncoded. Where a watch has been before, it knows better."""
        positions = Positions(self._records, self._state)
        for shard_key, end in self._record.body["ends"].items():
            positions.begin(shard_key, end)

    def _forget_slices(self) -> None:
        for record in self._records.find({"term": {"job": self._record.body["job"]}}):
            if record.body["kind"] == "slice":
                self._records.delete(record.id)

    def _slice_ids(self) -> list[str]:
        return _slice_ids(self._record.body)

    def _slices(self) -> list[Record]:
        found = self._records.get_many(self._slice_ids())
        return [found[id_] for id_ in self._slice_ids() if id_ in found]


def stop_jobs(records: Records, label: str, is_wanted: Callable[[str], bool]) -> bool:
    """End the unfinished jobs of a label. Return whether somebody may be at work on them.

    is_wanted: says of the name of an index or alias whether its job ends. A worker notices when it next renews its
    lease, and writes what it has coded until then.
    """
    is_busy = False
    of_label = {"bool": {"filter": [{"term": {"kind": "backfill"}}, {"term": {"label": label}}]}}
    for record in list(records.find(of_label)):
        body = record.body
        if body["done"] or not is_wanted(str(body["name"])):
            continue
        ended = {
            "kind": "slice", "job": body["job"], "label": label, "position": -1, "done": True,
            "owner": "gram-os label drop", "beat": 0,
        }  # fmt: skip
        slices = records.get_many(_slice_ids(body)).values()
        owners = [str(one.body["owner"]) for one in slices if one.body.get("owner") and not one.body.get("done")]
        is_busy |= not all(is_dead(owner) for owner in owners)
        records.put(record.id, {**body, "done": True})
        records.put_many(dict.fromkeys(_slice_ids(body), ended))
    return is_busy


def _slice_ids(body: Mapping[str, Any]) -> list[str]:
    """Return the ids of the slices of a job's pass."""
    return [f"slice.{body['job']}.{body['pass']}.{number}" for number in range(len(body["plan"]))]


def _fits(body: Mapping[str, Any], state: LabelState, shards: Sequence[Shard]) -> bool:
    """Say whether an unfinished job codes what is asked for now."""
    is_same = (body["bundle"], body["products"]) == (state.bundle, state.products)
    return is_same and set(body["ends"]) <= {shard.key for shard in shards}
