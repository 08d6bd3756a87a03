"""A training loop's state on disk: a killed run continues where it was and ends in the same weights.

Knows parts with a `state_dict`, and random generators. Knows no model. The files hold only tensors and plain values.
They are read with `weights_only`, so nothing in them is executed.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import torch

from gram_os.errors import InputError
from gram_os.train.loop.processes import processes, write_whole

_FILE = re.compile(r"step-(\d+)\.(\d+)\.pt")
_KEEP = 2  # states a process; processes are at most one save apart, so all of them have the last but one

T = TypeVar("T")


class Stateful(Protocol):
    """What has a state to save: a model, an optimiser, a schedule, a `BatchStream`."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return the whole state as tensors and plain values."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Take over a state."""


Part = Stateful | random.Random


class TrainingState:
    """Saves and loads the parts of a loop, together with Python's and torch's own random states.

    In a distributed training all processes have the same parts, so the first process writes them. Each process writes
    its own random states. A step is the number of optimiser steps that are done.
    """

    def __init__(self, folder: Path, *, every: int = 200):
        self.folder = folder
        self.every = every
        self._rank, self._processes = processes().process_index, processes().num_processes
        folder.mkdir(parents=True, exist_ok=True)

    def due(self, step: int) -> bool:
        """Say whether a save is due after `step` steps."""
        return step % self.every == 0

    def save(self, step: int, parts: Mapping[str, Part]) -> None:
        """Write the state after `step` steps, and keep the one before it; older ones are deleted.

        A kill at any moment leaves a whole state.
        """
        state: dict[str, Any] = {"step": step, "random": _own_random()}
        if self._rank == 0:
            state["parts"] = {name: _state_of(part) for name, part in parts.items()}
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_whole(self.folder / f"step-{step}.{self._rank}.pt", buffer.getvalue())
        mine = sorted(step for step, rank in self._files() if rank == self._rank)
        for old in mine[:-_KEEP]:
            (self.folder / f"step-{old}.{self._rank}.pt").unlink()

    def load(self, parts: Mapping[str, Part]) -> int:
        """Bring the parts to the last whole state and return its step; 0 where there is none.

        A state is whole when every process wrote its file. Raises InputError for a damaged file, and for one with
        other parts.
        """
        ranks: dict[int, set[int]] = {}
        for step, rank in self._files():
            ranks.setdefault(step, set()).add(rank)
        whole = [step for step, found in ranks.items() if found >= set(range(self._processes))]
        if not whole:
            return 0
        step = max(whole)
        saved = self._read(step, 0)["parts"]
        if set(saved) != set(parts):
            raise InputError(
                f"{self.folder}: the checkpoint holds {', '.join(sorted(saved))} and the training wants "
                f"{', '.join(sorted(parts))}; another version wrote it, delete the folder"
            )
        for name, part in parts.items():
            _restore(part, saved[name])
        _set_own_random(self._read(step, self._rank)["random"])
        return step

    def _files(self) -> set[tuple[int, int]]:
        names = (_FILE.fullmatch(path.name) for path in self.folder.iterdir())
        return {(int(match[1]), int(match[2])) for match in names if match}

    def _read(self, step: int, rank: int) -> dict[str, Any]:
        path = self.folder / f"step-{step}.{rank}.pt"
        try:
            return cast("dict[str, Any]", torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # a damaged file can raise any error of pickle and of zip
            # Torch's own message stays out: it advises to read the file with fewer checks.
            raise InputError(f"{path} is damaged or no checkpoint of ours; delete it") from error


class BatchStream(Generic[T]):
    """Endless batches; the place in the stream can be saved and found again.

    make_epoch: returns the batches of one pass over the data. Their order must depend on the given generator alone.
    Each pass gets a generator of its own, seeded by `seed` and the number of the pass.
    """

    def __init__(self, make_epoch: Callable[[random.Random], Iterable[T]], seed: int = 0):
        self._make_epoch, self._seed = make_epoch, seed
        self._epoch = self._taken = 0
        self._rest = self._open()

    def _open(self) -> Iterator[T]:
        return iter(self._make_epoch(random.Random(f"{self._seed}:{self._epoch}")))  # noqa: S311

    def __iter__(self) -> BatchStream[T]:
        return self

    def __next__(self) -> T:
        for batch in self._rest:
            self._taken += 1
            return batch
        if self._taken == 0:
            raise StopIteration  # an epoch without batches: the search for one would never end
        self._epoch, self._taken = self._epoch + 1, 0
        self._rest = self._open()
        return next(self)

    def state_dict(self) -> dict[str, int]:
        """Return how many passes are done, and how many batches of the current one were taken."""
        return {"epoch": self._epoch, "taken": self._taken}

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Go to a place in the stream; the batches of the pass before that place are made and thrown away."""
        self._epoch, self._taken = state_dict["epoch"], 0
        self._rest = self._open()
        for _ in range(state_dict["taken"]):
            next(self)


def _state_of(part: Part) -> Any:
    return part.getstate() if isinstance(part, random.Random) else part.state_dict()


def _restore(part: Part, state: Any) -> None:
    if isinstance(part, random.Random):
        part.setstate(state)
    else:
        part.load_state_dict(state)


def _own_random() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"python": random.getstate(), "torch": torch.get_rng_state(), "cuda": cuda}


def _set_own_random(state: Mapping[str, Any]) -> None:
    random.setstate(state["python"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
