"""The one training loop: every stage gives it an objective and a stream of batches.

An objective is a module that turns a batch into losses. The loop knows optimisers, schedules, checkpoints and
processes. It knows no codes. Accelerate prepares the objective and not the model inside it: under `torchrun` or
`accelerate launch` the gradients of every part of the model that a loss touches are then averaged over the processes.
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

_REPORT_EVERY = 50  # steps between two lines in the log
_LOWEST_RATE = 0.02  # the rate never falls below this share of its peak after the warm-up


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How long to train, and how fast.

    The rate rises over the first steps (`warm_up` is their share of all steps), then falls linearly.
    """

    steps: int
    warm_up: float = 0.06
    seed: int = 0
    save_every: int = 100


@dataclass(frozen=True, slots=True)
class RateGroup:
    """Parameters that AdamW trains at one peak rate."""

    parameters: Sequence[Tensor]
    rate: float
    weight_decay: float = 0.01


@dataclass(frozen=True, slots=True)
class Journal:
    """Where a stage writes its traces: checkpoints into `folder`, losses under the name `stage` into `curves`.

    curves: the writer of the first process; None in the other processes of a distributed training.
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
    """Train in place for `settings.steps` steps; with a journal, continue from its last checkpoint.

    objective: batch -> {name: loss}. "loss" is minimised, all of them are logged. batches: seed -> stream; each
    process has a seed of its own. The same settings give the same weights, with and without an interruption.
    """
    # Accelerate is told no precision: it keeps one for the whole process, and the tagger's training uses another.
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
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, _make_schedule(settings))
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


def _make_schedule(settings: LoopSettings) -> Callable[[int], float]:
    """Return the function step (from 0) -> share of the peak rate."""
    warm = max(1, int(settings.warm_up * settings.steps))
    falling = max(1, settings.steps - warm)
    return lambda step: min((step + 1) / warm, max(_LOWEST_RATE, (settings.steps - step) / falling))


class _Report:
    """Writes the losses of every step to the curves, and their mean to the log every `_REPORT_EVERY` steps."""

    def __init__(self, steps: int, done: int, journal: Journal | None):
        self._steps = steps
        self._stage = "training" if journal is None else journal.stage
        self._curves = None if journal is None else journal.curves
        self._sum: dict[str, float] = {}
        self._count = 0
        if self._curves is not None:
            self._curves.resume(self._stage, done)
        if done:
            log.info("%s continues after step %d of %d", self._stage, done, steps)

    def add(self, step: int, losses: Mapping[str, Tensor]) -> None:
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        if self._curves is not None:
            self._curves.write(self._stage, step, values)
        for name, value in values.items():
            self._sum[name] = self._sum.get(name, 0.0) + value
        self._count += 1
        if step % _REPORT_EVERY == 0 or step == self._steps:
            means = ", ".join(f"{name} {total / self._count:.4f}" for name, total in self._sum.items())
            log.info("%s, step %d of %d: %s", self._stage, step, self._steps, means)
            self._sum, self._count = {}, 0
