"""A stage that trains a tiny model in 30 steps, every source of chance in use; run as a program it can kill itself.

python tests/train/tiny_loop.py WORK KILL_AFTER_STEP
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from gram_os.train.loop.checkpoint import BatchStream, Part, TrainingState
from gram_os.train.loop.curves import CurveWriter
from gram_os.train.loop.processes import SCRATCH
from gram_os.train.stage import StageRunner

STEPS = 30


def run_loop(work: Path, *, kill_after: int = 0, starts: list[int] | None = None) -> Path:
    """Run the one stage; `starts` is told at which step training set in."""

    def make(folder: Path) -> None:
        assert {path.name for path in folder.iterdir()} == {SCRATCH}
        (folder / "half.txt").write_text("written by whoever was killed")
        started = train(folder, work / "curves.csv", kill_after)
        if starts is not None:
            starts.append(started)

    return StageRunner(work).run("loop", {"steps": STEPS}, make)


def train(folder: Path, curves: Path, kill_after: int) -> int:
    """Train from the last checkpoint on; the step that was."""
    torch.manual_seed(3)
    random.seed(3)
    chance = random.Random(3)
    model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 1))
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / STEPS)
    stream = BatchStream(_epoch, seed=3)
    parts: dict[str, Part] = {
        "model": model,
        "optimiser": optimiser,
        "schedule": schedule,
        "stream": stream,
        "chance": chance,
    }
    state = TrainingState(folder / SCRATCH, every=5)
    start = state.load(parts)
    with CurveWriter(curves) as writer:
        writer.resume("loop", start)
        for step in range(start + 1, STEPS + 1):
            batch = torch.tensor(next(stream))  # (3,)
            inputs = torch.stack([batch + chance.random(), batch * random.random()], -1)  # (3, 2)
            loss = ((model(inputs)[:, 0] - batch) ** 2).mean()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
            writer.write("loop", step, {"loss": float(loss.detach())})
            if state.due(step):
                state.save(step, parts)
            if step == kill_after:
                os.kill(os.getpid(), signal.SIGKILL)
    torch.save(model.state_dict(), folder / "model.pt")
    return start


def _epoch(rng: random.Random) -> Iterator[list[float]]:
    numbers = [float(n) for n in range(12)]
    rng.shuffle(numbers)
    yield from (numbers[i : i + 3] for i in range(0, 12, 3))


if __name__ == "__main__":
    run_loop(Path(sys.argv[1]), kill_after=int(sys.argv[2]))
