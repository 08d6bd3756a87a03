"""The training loop: it minimises, continues after a break, writes curves; two processes end in the same weights."""

from __future__ import annotations

import logging
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from gram_os.train.loop.checkpoint import BatchStream
from gram_os.train.loop.curves import CurveWriter, read_curves
from gram_os.train.loop.training_loop import Journal, LoopSettings, RateGroup, run_loop


class Guess(nn.Module):
    """Learns y = 2 x; `unused` gets no gradient, `idle` no rate."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.slope = nn.Linear(1, 1)
        self.drop = nn.Dropout(0.1)
        self.unused = nn.Parameter(torch.ones(1))
        self.seen: list[list[float]] = []

    def forward(self, batch: list[float]) -> dict[str, Tensor]:
        self.seen.append(batch)
        x = torch.tensor(batch)[:, None]
        loss = (self.slope(self.drop(x)).float() - 2 * x).square().mean()
        return {"loss": loss, "double": 2 * loss}


def numbers(seed: int) -> BatchStream[list[float]]:
    def epoch(rng: random.Random) -> Iterator[list[float]]:
        yield from ([rng.uniform(-1, 1) for _ in range(8)] for _ in range(4))

    return BatchStream(epoch, seed)


def train(objective: Guess, settings: LoopSettings, journal: Journal | None = None, rate: float = 0.05) -> list[Tensor]:
    groups = [RateGroup(list(objective.parameters()), rate, weight_decay=0)]
    run_loop(objective, groups, numbers, settings, journal=journal)
    return [p.detach().clone() for p in objective.parameters()]


def test_the_loss_falls_and_every_step_is_in_the_curves(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with CurveWriter(tmp_path / "curves.csv") as curves:
        train(objective := Guess(), LoopSettings(120), Journal("guess", tmp_path / "state", curves))
    points = read_curves(tmp_path / "curves.csv")
    assert [(p.stage, p.step, p.name) for p in points[:3]] == [
        ("guess", 1, "loss"), ("guess", 1, "double"), ("guess", 2, "loss"),
    ]  # fmt: skip
    losses = [p.value for p in points if p.name == "loss"]
    assert len(losses) == 120
    assert sum(losses[-10:]) < 0.1 * sum(losses[:10])
    assert points[1].value == pytest.approx(2 * points[0].value, rel=1e-4)
    assert objective.slope.weight.item() == pytest.approx(2, abs=0.3)
    assert not objective.training
    assert "guess, step 120 of 120: loss" in caplog.text


def test_a_first_step_is_one_rate_long() -> None:
    """AdamW's first step moves every parameter by its group's rate; no warm-up in a loop of one step."""
    objective = Guess()
    before = objective.slope.weight.detach().clone()
    groups = [RateGroup([objective.slope.weight], 0.01, weight_decay=0)]
    run_loop(objective, groups, numbers, LoopSettings(1))
    assert abs(objective.slope.weight - before).item() == pytest.approx(0.01, rel=1e-3)
    assert torch.equal(objective.slope.bias, Guess().slope.bias)  # in no group


def test_a_broken_off_training_ends_in_the_same_weights(tmp_path: Path) -> None:
    settings = LoopSettings(10, save_every=3, seed=4)
    outcomes = []
    for name, breaks in (("whole", False), ("broken", True)):
        with CurveWriter(tmp_path / f"{name}.csv") as curves:
            journal = Journal("guess", tmp_path / name, curves)
            if breaks:
                broken = Guess()
                broken.register_forward_pre_hook(_interrupt_after(broken, 8))
                with pytest.raises(KeyboardInterrupt):
                    train(broken, settings, journal)
            torch.rand(5)  # whatever else drew chances meanwhile
            outcomes.append(train(objective := Guess(), settings, journal))
    assert len(objective.seen) == 4  # steps 7 to 10: the last save was after step 6
    assert objective.seen == list(islice(numbers(4), 6, 10))
    assert all(torch.equal(a, b) for a, b in zip(*outcomes, strict=True))
    assert read_curves(tmp_path / "whole.csv") == read_curves(tmp_path / "broken.csv")


def _interrupt_after(objective: Guess, steps: int):  # type: ignore[no-untyped-def]
    def interrupt(*_: object) -> None:
        if len(objective.seen) == steps:
            raise KeyboardInterrupt

    return interrupt


def test_a_training_of_another_precision_may_come_before() -> None:
    Accelerator()  # as the tagger's training makes it; accelerate keeps its precision for the process
    train(objective := Guess(), LoopSettings(2))
    assert len(objective.seen) == 2


def test_two_processes_end_in_the_same_weights(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        **os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    running = [
        subprocess.Popen(
            [sys.executable, __file__, str(tmp_path)],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in running:
        _, errors = process.communicate(timeout=600)  # of some 20 s on an idle machine
        assert process.returncode == 0, errors
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first["weights"], second["weights"], strict=True))
    assert first["seen"] != second["seen"]  # each process has a stream of its own
    losses = [p.value for p in read_curves(tmp_path / "curves.csv") if p.name == "loss"]
    assert len(losses) == 60
    assert sum(losses[-10:]) < 0.3 * sum(losses[:10])
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["step-60.0.pt", "step-60.1.pt"]


def _be_one_of_two(folder: Path) -> None:
    rank = int(os.environ["RANK"])
    curves = CurveWriter(folder / "curves.csv") if rank == 0 else None
    journal = Journal("guess", folder / "state", curves)
    weights = train(objective := Guess(), LoopSettings(60, save_every=60), journal)
    torch.save({"weights": weights, "seen": objective.seen}, folder / f"{rank}.pt")


if __name__ == "__main__":
    _be_one_of_two(Path(sys.argv[1]))
