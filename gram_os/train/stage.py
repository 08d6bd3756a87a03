"""Stages of a training: each made once for what goes into it, taken from its folder when nothing of that changed.

Knows folders, keys and seconds, and nothing of what a stage does. A stage's key is a hash over its name, its version, its
settings and the contents of its inputs; its folder is `<name>-<first 8 digits of the key>`. It is made under that name plus
`.partial` and renamed when it is whole, so a kill leaves nothing that counts as done.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gram_os.errors import InputError
from gram_os.train.loop.processes import SCRATCH, processes, write_whole

log = logging.getLogger(__name__)

RECORD = "stage.json"  # in every whole stage folder
COSTS = "costs.json"
_PARTIAL = ".partial"
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_FOLDER = re.compile(r"[a-z][a-z0-9-]*-[0-9a-f]{8}(\.partial)?")


@dataclass(frozen=True, slots=True)
class StageCost:
    """What a stage cost.

    seconds: in this run; made_in: seconds of the run that made it, the same where nothing was cached; resumed: that run
    went on with what a killed one had left, whose seconds are not in either figure.
    """

    stage: str
    seconds: float
    cached: bool
    made_in: float
    resumed: bool


class StageRunner:
    """Runs stages under a folder `work`.

    Under `torchrun` or `accelerate launch` every process calls `run` alike; a stage is made by the first process while
    the others wait, unless it is said to be made by all.
    """

    def __init__(self, work: Path):
        self.work = work
        self._costs: list[StageCost] = []
        self._used: set[str] = set()
        self._processes = processes()
        work.mkdir(parents=True, exist_ok=True)

    def run(
        self,
        name: str,
        inputs: Mapping[str, object],
        make: Callable[[Path], None],
        *,
        version: str = "1",
        by_all: bool = False,
    ) -> Path:
        """Return the folder of a stage, made by `make(folder)` if there is none of this key.

        inputs: what decides the outcome, by name. A path counts by its content, the folder of another stage by that
        stage's key, everything else (settings, numbers, texts) by its value. Change `version` when `make` itself does.
        make: writes its files into the folder that it is given, which is empty but for `checkpoint/`: whatever the same
        stage had put there when it was killed. What it raises passes through, and the next run makes the stage again.
        by_all: `make` is called in all processes (a training loop); it lets only the first one write.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"stage name {name!r}: use small letters, digits and hyphens")
        hashes = {label: hash_input(value) for label, value in inputs.items()}
        key = _sha256(json.dumps([name, version, hashes], sort_keys=True).encode())
        folder = self.work / f"{name}-{key[:8]}"
        self._used.add(folder.name)
        started = time.monotonic()
        self._processes.wait_for_everyone()
        cached = _recorded_key(folder) == key
        self._processes.wait_for_everyone()  # all have looked before the first one writes
        if not cached:
            log.info("stage %s: making %s", name, folder.name)
            record = {"key": key, "name": name, "version": version, "inputs": hashes}
            self._make(folder, record, make, by_all=by_all)
        self._note(name, folder, time.monotonic() - started, cached=cached)
        return folder

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
            write_whole(partial / RECORD, json.dumps(facts, indent=2).encode() + b"\n")
            shutil.rmtree(folder, ignore_errors=True)  # of another key with the same 8 digits, or damaged
            partial.rename(folder)
        self._processes.wait_for_everyone()

    def _note(self, name: str, folder: Path, seconds: float, *, cached: bool) -> None:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        cost = StageCost(name, round(seconds, 1), cached, float(record["seconds"]), bool(record["resumed"]))
        log.info("stage %s: %s", name, "cached" if cached else f"{cost.seconds:.1f} s")
        self._costs.append(cost)
        if self._processes.is_main_process:
            facts = [dataclasses.asdict(cost) for cost in self._costs]
            write_whole(self.work / COSTS, json.dumps(facts, indent=2).encode() + b"\n")

    def costs(self) -> tuple[StageCost, ...]:
        """The stages of this run in order, as they also stand in `work/costs.json`."""
        return tuple(self._costs)

    def prune(self) -> tuple[str, ...]:
        """Delete the stage folders, whole and partial, that this run has not used; their names."""
        used = self._used | {name + _PARTIAL for name in self._used}
        stale = [
            path
            for path in sorted(self.work.iterdir())
            if path.is_dir() and _FOLDER.fullmatch(path.name) and path.name not in used
        ]
        if self._processes.is_main_process:
            for path in stale:
                shutil.rmtree(path)
        return tuple(path.name for path in stale)


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
    if folder.name.endswith(_PARTIAL) or not (folder / RECORD).is_file():
        return None
    record: Any = json.loads((folder / RECORD).read_text(encoding="utf-8"))
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
