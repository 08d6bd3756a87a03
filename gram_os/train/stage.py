"""The runner of stages: each is run once for what goes into it, and taken from its folder when nothing of that changed.

Knows folders, keys and seconds, and nothing of what a stage does. A stage's key is a hash over its name and its inputs.
Its folder is `NAME-KEY`, with the first 8 digits of the key. A stage writes into `NAME-KEY.partial`, which is renamed
when it is whole, so a kill leaves nothing that counts as done.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from gram_os.errors import InputError
from gram_os.train.loop.processes import SCRATCH, processes, write_whole

log = logging.getLogger(__name__)

_RECORD = "stage.json"  # in every whole stage folder
_COSTS = "costs.json"
_PARTIAL = ".partial"
_NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class StageCost:
    """What a stage cost.

    seconds: in this run. made_in: seconds of the run that made it, equal to `seconds` where nothing was cached.
    resumed: that run went on from the checkpoints of a killed one. The killed run's seconds are in neither figure.
    """

    stage: str
    seconds: float
    cached: bool
    made_in: float
    resumed: bool


@runtime_checkable
class HasContent(Protocol):
    """Settings that name something outside of themselves, such as a folder with a model."""

    def content(self) -> object:
        """What a stage that reads these settings depends on."""


class StageState(Enum):
    """What a run would do with a stage."""

    CACHED = "cached"
    RESUMES = "resumes"
    RUNS = "runs"


class StageRunner:
    """Runs stages under a folder `work`.

    Under `torchrun` or `accelerate launch` every process calls `run` alike. The first process makes a stage while the
    others wait, unless `by_all` says otherwise.
    """

    def __init__(self, work: Path):
        self.work = work
        self._costs: list[StageCost] = []
        self._processes = processes()

    def key(self, name: str, inputs: Mapping[str, object]) -> str:
        """The key of a stage: 64 hexadecimal digits.

        inputs: what decides the outcome, by name. A path counts by its content, the folder of another stage by that
        stage's key, everything else (settings, numbers, texts, keys) by its value.
        """
        return self._key(name, {label: hash_input(value) for label, value in inputs.items()})

    def state(self, name: str, key: str) -> StageState:
        """What a run would do with the stage of this key."""
        folder = self._folder(name, key)
        if _recorded_key(folder) == key:
            return StageState.CACHED
        scratch = folder.with_name(folder.name + _PARTIAL) / SCRATCH
        return StageState.RESUMES if scratch.is_dir() and any(scratch.iterdir()) else StageState.RUNS

    def last_seconds(self, name: str) -> float | None:
        """Seconds of the latest stage of this name in `work`, whatever its key. None without one."""
        records = [
            json.loads(path.read_text(encoding="utf-8")) for path in self.work.glob(f"{name}-????????/{_RECORD}")
        ]
        latest = max((r for r in records if not r["resumed"]), key=lambda r: str(r["finished_at"]), default=None)
        return None if latest is None else float(latest["seconds"])

    def run(
        self, name: str, inputs: Mapping[str, object], make: Callable[[Path], None], *, by_all: bool = False
    ) -> Path:
        """Return the folder of a stage. `make(folder)` writes it if there is none of this key.

        inputs: as in `key`.
        make: writes its files into the folder that it is given. That folder is empty but for `checkpoint/`, which
        keeps what a killed run of the same stage left there. What `make` raises passes through, and the next run
        begins again.
        by_all: `make` is called in all processes (a training loop), and lets only the first one write.
        """
        hashes = {label: hash_input(value) for label, value in inputs.items()}
        key = self._key(name, hashes)
        folder = self._folder(name, key)
        started = time.monotonic()
        self.work.mkdir(parents=True, exist_ok=True)
        self._processes.wait_for_everyone()
        cached = _recorded_key(folder) == key
        self._processes.wait_for_everyone()  # all have looked before the first one writes
        if not cached:
            log.info("stage %s: making %s", name, folder.name)
            self._make(folder, {"key": key, "name": name, "inputs": hashes}, make, by_all=by_all)
        self._note(name, folder, time.monotonic() - started, cached=cached)
        return folder

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Count the seconds of something that is not kept in a folder as those of a stage."""
        started = time.monotonic()
        yield
        seconds = round(time.monotonic() - started, 1)
        self._add(StageCost(name, seconds, cached=False, made_in=seconds, resumed=False))

    def _key(self, name: str, hashes: Mapping[str, str]) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"stage name {name!r}: use small letters, digits and hyphens")
        return _sha256(json.dumps([name, hashes], sort_keys=True).encode())

    def _folder(self, name: str, key: str) -> Path:
        return self.work / f"{name}-{key[:8]}"

    def _make(self, folder: Path, record: Mapping[str, object], make: Callable[[Path], None], *, by_all: bool) -> None:
        partial = folder.with_name(folder.name + _PARTIAL)
        first = self._processes.is_main_process
        started = time.monotonic()
        resumed = (partial / SCRATCH).is_dir() and any((partial / SCRATCH).iterdir())
        self._processes.wait_for_everyone()
        if first:
            _clear(partial)
        self._processes.wait_for_everyone()
        if first or by_all:
            make(partial)
        self._processes.wait_for_everyone()
        if first:
            if (partial / SCRATCH).is_dir():  # a training may have cleared it itself
                shutil.rmtree(partial / SCRATCH)
            seconds = round(time.monotonic() - started, 1)
            finished = datetime.now(UTC).isoformat(timespec="seconds")
            facts = {**record, "seconds": seconds, "resumed": resumed, "finished_at": finished}
            write_whole(partial / _RECORD, json.dumps(facts, indent=2).encode() + b"\n")
            shutil.rmtree(folder, ignore_errors=True)  # of another key with the same 8 digits, or damaged
            partial.rename(folder)
        self._processes.wait_for_everyone()

    def _note(self, name: str, folder: Path, seconds: float, *, cached: bool) -> None:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        cost = StageCost(name, round(seconds, 1), cached, float(record["seconds"]), bool(record["resumed"]))
        self._add(cost)

    def _add(self, cost: StageCost) -> None:
        log.info("stage %s: %s", cost.stage, "cached" if cost.cached else f"{cost.seconds:.1f} s")
        self._costs.append(cost)
        if self._processes.is_main_process:
            facts = [dataclasses.asdict(cost) for cost in self._costs]
            write_whole(self.work / _COSTS, json.dumps(facts, indent=2).encode() + b"\n")

    def costs(self) -> tuple[StageCost, ...]:
        """The stages of this run in order, as they also stand in `work/costs.json`."""
        return tuple(self._costs)


def hash_input(value: object) -> str:
    """SHA-256 of an input: of a file's content, a folder's names and contents, a stage's key, or a value's JSON."""
    if not isinstance(value, Path):
        return _sha256(json.dumps(_as_json(value), sort_keys=True, allow_nan=False).encode())
    if value.is_file():
        return _hash_file(value)
    if not value.is_dir():
        raise InputError(f"{value} does not exist; a stage of the training needs it")
    if key := _recorded_key(value):
        return key
    files = sorted(path for path in value.rglob("*") if path.is_file())
    return _sha256(json.dumps([[p.relative_to(value).as_posix(), _hash_file(p)] for p in files]).encode())


def _as_json(value: object) -> object:
    """Write settings and values as JSON that is the same for equal values; a dataclass goes with its class's name."""
    if value is None or (isinstance(value, str | int | float) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Path):
        return hash_input(value)
    if isinstance(value, Enum):
        return [type(value).__name__, _as_json(value.value)]
    if isinstance(value, BaseModel):
        return [type(value).__name__, _as_json(dict(value))]
    if isinstance(value, HasContent):
        return [type(value).__name__, _as_json(value.content())]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return [type(value).__name__, _as_json(fields)]
    if isinstance(value, Mapping):
        return [
            "mapping",
            sorted(([_as_json(k), _as_json(v)] for k, v in value.items()), key=lambda pair: json.dumps(pair[0])),
        ]
    if isinstance(value, set | frozenset):
        return ["set", sorted(map(_as_json, value), key=json.dumps)]
    if isinstance(value, tuple | list):
        return [_as_json(item) for item in value]
    raise TypeError(f"a stage's input cannot be a {type(value).__name__}; give a path, settings or plain values")


def _recorded_key(folder: Path) -> str | None:
    """Key of a whole stage folder; None for any other."""
    if folder.name.endswith(_PARTIAL) or not (folder / _RECORD).is_file():
        return None
    record: Any = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    return str(record["key"])


def _clear(partial: Path) -> None:
    """Make the folder if there is none, and delete everything in it but its scratch."""
    (partial / SCRATCH).mkdir(parents=True, exist_ok=True)
    for path in partial.iterdir():
        if path.name == SCRATCH:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _hash_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
