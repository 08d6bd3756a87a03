"""The one training loop: every stage hands it an objective (a module that turns a batch into losses) and a stream of batches.

Knows optimisers, schedules, checkpoints and processes; knows no codes. The objective is what accelerate prepares, so that
under `torchrun` or `accelerate launch` gradients meet whatever part of the model a loss touches.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from gram_os.train.loop.checkpoint import BatchStream, TrainingState
from gram_os.train.loop.curves import CurveWriter

log = logging.getLogger(__name__)

_REPORTED = 50  # steps between two lines in the log
_LOWEST = 0.02  # share of the peak rate that the last step has


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How long and how fast; the rate rises over the first `warm_up` of the steps and then falls linearly."""

    steps: int
    warm_up: float = 0.06
    seed: int = 0
    save_every: int = 100


@dataclass(frozen=True, slots=True)
class RateGroup:
    """Parameters that learn at one peak rate (AdamW)."""

    parameters: Sequence[Tensor]
    rate: float
    weight_decay: float = 0.01


@dataclass(frozen=True, slots=True)
class Journal:
    """Where a stage leaves its traces: checkpoints in `folder`, losses under `stage` in `curves`.

    curves: the first process's; None in the others of a distributed training.
    """

    stage: str
    folder: Path
    curves: CurveWriter | None


def run_loop(
    objective: nn.Module,
    groups: Iterable[RateGroup],
    batches: Callable[[int], BatchStream[Any]],
    settings: LoopSettings,
    *,
    journal: Journal | None = None,
) -> None:
    """Train in place for `settings.steps` steps; with a journal, go on from its last checkpoint.

    objective: batch -> {name: loss}, of which "loss" is minimised and all are logged. batches: seed -> stream; each
    process has one of its own seed. The same settings give the same weights, whether the run was broken off or not.
    """
    # The precision is not accelerate's business: it keeps one for the process, and the tagger's training has another.
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    torch.manual_seed(settings.seed + accelerator.process_index)
    objective.to(accelerator.device)
    optimiser = torch.optim.AdamW(
        [{"params": list(group.parameters), "lr": group.rate, "weight_decay": group.weight_decay} for group in groups],
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, _shape(settings))
    prepared, optimiser = accelerator.prepare(objective, optimiser)
    stream = batches(settings.seed * accelerator.num_processes + accelerator.process_index)
    parts = {"model": objective, "optimiser": optimiser, "schedule": schedule, "batches": stream}
    state = None if journal is None else TrainingState(journal.folder, every=settings.save_every)
    done = 0 if state is None else state.load(parts)
    objective.train()
    report = _Report(settings.steps, done, journal)
    for step in range(done, settings.steps):
        with torch.autocast(accelerator.device.type, torch.bfloat16):
            losses = prepared(next(stream))
        accelerator.backward(losses["loss"])
        accelerator.clip_grad_norm_(prepared.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
        report.add(step + 1, losses)
        if state is not None and state.due(step + 1):
            state.save(step + 1, parts)
    objective.cpu().eval()


def _shape(settings: LoopSettings) -> Callable[[int], float]:
    warm = max(1, int(settings.warm_up * settings.steps))
    falling = max(1, settings.steps - warm)
    return lambda step: min((step + 1) / warm, max(_LOWEST, (settings.steps - step) / falling))


class _Report:
    """Writes every step's losses to the curves and now and then their mean to the log."""

    def __init__(self, steps: int, done: int, journal: Journal | None):
        self._steps = steps
        self._stage = "training" if journal is None else journal.stage
        self._curves = None if journal is None else journal.curves
        self._sum: dict[str, float] = {}
        self._count = 0
        if self._curves is not None:
            self._curves.resume(self._stage, done)
        if done:
            log.info("%s goes on after step %d of %d", self._stage, done, steps)

    def add(self, step: int, losses: Mapping[str, Tensor]) -> None:
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        if self._curves is not None:
            self._curves.write(self._stage, step, values)
        for name, value in values.items():
            self._sum[name] = self._sum.get(name, 0.0) + value
        self._count += 1
        if step % _REPORTED == 0 or step == self._steps:
            means = ", ".join(f"{name} {total / self._count:.4f}" for name, total in self._sum.items())
            log.info("%s, step %d of %d: %s", self._stage, step, self._steps, means)
            self._sum, self._count = {}, 0
