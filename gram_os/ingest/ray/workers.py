"""Ray: start it, give parts to a pool of workers, and stop it. The only module that imports ray.

Ray Data keeps the pool: a worker is an actor that opens what it needs once and takes one part at a time. A worker that
dies is started again, and its part is given out again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from gram_os.errors import GramError, InputError, MissingExtraError
from gram_os.ingest.ray.parquet import Part

_OBJECT_STORE: Final = 100 * 2**20  # bytes; a part is a path and two numbers
_QUIET: Final = ("ray", "ray.data")


class PartWorker(Protocol):
    """What a worker does with a part. The answer says what became of it."""

    def work(self, part: Part) -> dict[str, int]:
        """Do the work of one part, and return numbers by name."""


class OpenWorker(Protocol):
    """Opens a worker in the process where it works. Must be picklable."""

    def __call__(self) -> PartWorker:
        """Open it."""


@dataclass(frozen=True, slots=True)
class Workers:
    """How many processes work, and where.

    threads: CPU cores that a worker takes when it has no GPU. gpus: GPUs of a worker; less than 1 shares one, None
    shares out those that there are. address: a Ray cluster, "auto" for the one of this machine; None starts Ray here
    and stops it at the end. A Ray that this process is connected to already is used, and left as it is.
    """

    count: int = 2
    threads: int = 1
    gpus: float | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        if self.count < 1 or self.threads < 1 or (self.gpus is not None and self.gpus < 0):
            raise InputError(
                f"{self.count} workers of {self.threads} threads and {self.gpus} GPUs: "
                "give at least 1 worker, 1 thread and 0 GPUs"
            )


def run_parts(workers: Workers, open_worker: OpenWorker, parts: Sequence[Part]) -> Iterator[dict[str, int]]:
    """Give parts to workers, and yield the answer to each as it comes, in any order.

    Raises MissingExtraError without Ray, InputError for more GPUs than there are, and GramError when a worker fails.
    """
    if not parts:
        return
    with _running(workers) as ray:
        strategy = ray.data.ActorPoolStrategy(
            # With a queue before each, one worker may have two parts when another has none.
            min_size=1, max_size=workers.count, initial_size=workers.count, max_tasks_in_flight_per_actor=1
        )  # fmt: skip
        resources = _share_out(workers, ray.cluster_resources().get("GPU", 0.0))
        items = ray.data.from_items([asdict(part) for part in parts], override_num_blocks=len(parts))
        answers = items.map_batches(
            _Actor, batch_size=1, compute=strategy, fn_constructor_args=(open_worker,), **resources
        )
        try:
            yield from answers.iter_rows()
        except ray.exceptions.RayError as error:
            raise GramError(f"a Ray worker failed: {_innermost(error)}") from error


class _Actor:
    """A worker as Ray Data calls it: rows in, rows out."""

    def __init__(self, open_worker: OpenWorker) -> None:
        self._worker = open_worker()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[int]]:
        rows = zip(*(batch[name].tolist() for name in ("name", "path", "start", "stop")), strict=True)
        answers = [self._worker.work(Part(*row)) for row in rows]
        return {name: [answer[name] for answer in answers] for name in answers[0]}


def _share_out(workers: Workers, gpus: float) -> dict[str, float]:
    """Return what each worker takes. gpus: those of the cluster."""
    wanted = min(gpus / workers.count, 1.0) if workers.gpus is None else workers.gpus
    if workers.address is None and wanted * workers.count > gpus:
        raise InputError(
            f"{workers.count} workers of {wanted:g} GPUs are more than the {gpus:g} of this machine; "
            "lower --workers or --gpus-per-worker (0.5 shares one)"
        )
    return {"num_gpus": wanted} if wanted else {"num_cpus": workers.threads}


@contextmanager
def _running(workers: Workers) -> Iterator[Any]:
    """Yield ray. It is started and stopped unless this process uses it already."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray starts: nothing is sent to its makers
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("Ray", "ray") from error
    is_ours = not ray.is_initialized()
    if is_ours:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if workers.address is None:
            cores = workers.count * workers.threads
            ray.init(
                address="local", num_cpus=cores, include_dashboard=False, object_store_memory=_OBJECT_STORE, **quiet
            )
        else:
            ray.init(address=workers.address, **quiet)
    try:
        with _quiet(ray):
            yield ray
    finally:
        if is_ours:
            ray.shutdown()


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Keep Ray Data from writing about each run to the terminal."""
    context = ray.data.DataContext.get_current()
    before = (context.enable_progress_bars, context.print_on_execution_start)
    levels = {name: logging.getLogger(name).level for name in _QUIET}
    context.enable_progress_bars, context.print_on_execution_start = False, False
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # an error that we report is logged with three tracebacks
    try:
        yield
    finally:
        context.enable_progress_bars, context.print_on_execution_start = before
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _innermost(error: BaseException | None) -> str:
    """Return the words of the error in the worker. Ray puts its traceback before it and its own errors around it."""
    words, found = type(error).__name__, error
    while found is not None:
        lines = [line.strip() for line in str(found).splitlines() if line.strip()]
        words = lines[-1] if lines else words
        found = getattr(found, "cause", None) or found.__cause__
    return words
