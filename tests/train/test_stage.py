"""Stages that are made once, a run that is killed and goes on, and the curves that it leaves."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest
import torch
from pydantic import BaseModel

from gram_os.errors import InputError
from gram_os.train.loop.checkpoint import BatchStream, TrainingState
from gram_os.train.loop.curves import CurveWriter, Point, plot_curves, read_curves
from gram_os.train.loop.processes import SCRATCH
from gram_os.train.stage import StageRunner, StageState, hash_input
from tests.train.tiny_loop import run_loop

ROOT = Path(__file__).parents[2]


class Settings(BaseModel):
    rate: float = 0.1
    words: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Limits:
    least: int = 1


class Kind(Enum):
    RED = "red"


def _writes(text: str, calls: list[str]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        calls.append(text)
        (folder / "out.txt").write_text(text)

    return make


def test_a_stage_is_made_once(tmp_path: Path) -> None:
    calls: list[str] = []
    first = StageRunner(tmp_path)
    folder = first.run("tag", {"settings": Settings()}, _writes("a", calls))
    again = StageRunner(tmp_path)
    assert again.run("tag", {"settings": Settings()}, _writes("a", calls)) == folder
    assert calls == ["a"]
    assert {path.name for path in folder.iterdir()} == {"out.txt", "stage.json"}
    assert [(cost.stage, cost.cached) for cost in first.costs() + again.costs()] == [
        ("tag", False),
        ("tag", True),
    ]
    costs = json.loads((tmp_path / "costs.json").read_text())
    assert [(cost["stage"], cost["cached"], cost["resumed"]) for cost in costs] == [("tag", True, False)]


@pytest.mark.parametrize(
    "other",
    [
        {"settings": Settings(rate=0.2)},
        {"settings": Settings(words={"a": 1})},
        {"settings": Limits()},
        {"settings": Settings(), "more": None},
    ],
)
def test_other_inputs_are_another_stage(tmp_path: Path, other: dict[str, object]) -> None:
    calls: list[str] = []
    runner = StageRunner(tmp_path)
    folder = runner.run("tag", {"settings": Settings()}, _writes("a", calls))
    assert runner.run("tag", other, _writes("b", calls)) != folder
    assert runner.run("mine", {"settings": Settings()}, _writes("c", calls)) != folder
    assert calls == ["a", "b", "c"]


def test_equal_values_are_equal_whatever_their_order() -> None:
    assert hash_input({"a": 1, "b": {Kind.RED, "blue"}}) == hash_input({"b": {"blue", Kind.RED}, "a": 1})
    assert hash_input(Limits(1)) != hash_input(Limits(2))
    assert hash_input(Kind.RED) != hash_input("red")
    with pytest.raises(TypeError, match="cannot be a function"):
        hash_input({"make": lambda: None})


def test_files_count_by_content_and_stages_by_key(tmp_path: Path) -> None:
    calls: list[str] = []
    source = tmp_path / "products.tsv"
    source.write_text("one")
    runner = StageRunner(tmp_path / "work")

    def run() -> list[Path]:
        tagged = runner.run("tag", {"products": source}, _writes("tagged", calls))
        return [tagged, runner.run("mine", {"tagged": tagged}, _writes("mined", calls))]

    before = run()
    source.write_text("two")
    after = run()
    assert calls == ["tagged", "mined"] * 2
    assert not set(before) & set(after)
    source.write_text("one")
    assert run() == before
    assert calls == ["tagged", "mined"] * 2
    with pytest.raises(InputError, match=r"missing\.tsv does not exist"):
        runner.run("tag", {"products": tmp_path / "missing.tsv"}, _writes("", calls))


def test_a_folder_counts_by_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("x")
    before = hash_input(tmp_path)
    (tmp_path / "sub" / "a").rename(tmp_path / "sub" / "b")
    renamed = hash_input(tmp_path)
    (tmp_path / "sub" / "b").write_text("y")
    assert len({before, renamed, hash_input(tmp_path)}) == 3


def test_a_stage_that_fails_is_made_again_with_its_scratch_only(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / SCRATCH / "kept").write_text("kept")
        (folder / "half").mkdir()
        raise RuntimeError("no more disk")

    seen: list[list[str]] = []

    def succeed(folder: Path) -> None:
        seen.append(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")))

    with pytest.raises(RuntimeError, match="no more disk"):
        StageRunner(tmp_path).run("sft", {}, fail)
    runner = StageRunner(tmp_path)
    folder = runner.run("sft", {}, succeed)
    assert seen == [["checkpoint", "checkpoint/kept"]]
    assert [path.name for path in folder.iterdir()] == ["stage.json"]
    assert runner.costs()[0].resumed
    assert {path.name for path in tmp_path.iterdir()} == {folder.name, "costs.json"}


def test_a_plan_knows_what_a_run_would_do(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / SCRATCH / "step").write_text("3")
        raise RuntimeError("killed")

    runner = StageRunner(tmp_path / "work")
    key = runner.key("sft", {"steps": 3})
    assert runner.state("sft", key) is StageState.RUNS
    assert not (tmp_path / "work").exists()  # looking writes nothing
    with pytest.raises(RuntimeError):
        runner.run("sft", {"steps": 3}, fail)
    assert runner.state("sft", key) is StageState.RESUMES
    assert runner.last_seconds("sft") is None  # it was never whole
    runner.run("sft", {"steps": 3}, _writes("a", []))
    assert runner.state("sft", key) is StageState.CACHED
    assert runner.state("sft", runner.key("sft", {"steps": 4})) is StageState.RUNS
    assert runner.last_seconds("sft") is None  # of a stage that went on, nobody knows how long a whole one takes
    runner.run("sft", {"steps": 4}, _writes("b", []))
    assert runner.last_seconds("sft") == 0.0


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    expected = run_loop(whole)
    command = [sys.executable, "-m", "tests.train.tiny_loop", str(broken), "13"]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (killed.returncode, killed.stderr) == (-signal.SIGKILL, "")
    assert [path.name for path in broken.glob("loop-*")] == [expected.name + ".partial"]
    assert read_curves(broken / "curves.csv")[-1].step == 13
    starts: list[int] = []
    folder = run_loop(broken, starts=starts)
    assert starts == [10]
    assert folder.name == expected.name
    weights, other = (torch.load(path / "model.pt", weights_only=True) for path in (expected, folder))
    assert all(torch.equal(weights[name], other[name]) for name in weights)
    assert (broken / "curves.csv").read_bytes() == (whole / "curves.csv").read_bytes()
    assert {path.name for path in folder.iterdir()} == {"model.pt", "half.txt", "stage.json"}
    assert json.loads((folder / "stage.json").read_text())["resumed"]


def test_the_last_two_states_are_kept(tmp_path: Path) -> None:
    state, chance = TrainingState(tmp_path, every=5), random.Random(1)
    assert [step for step in range(1, 11) if state.due(step)] == [5, 10]
    assert state.load({"chance": chance}) == 0
    for step in (5, 10, 15):
        state.save(step, {"chance": chance})
    following = chance.random()
    assert {path.name for path in tmp_path.iterdir()} == {"step-10.0.pt", "step-15.0.pt"}
    assert state.load({"chance": chance}) == 15
    assert chance.random() == following


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    state = TrainingState(tmp_path)
    state.save(1, {"chance": random.Random(1)})
    with pytest.raises(InputError, match="holds chance and the training wants luck"):
        state.load({"luck": random.Random(1)})
    (tmp_path / "step-1.0.pt").write_bytes(b"PK damaged")
    with pytest.raises(InputError, match=r"step-1\.0\.pt is damaged or no checkpoint of ours; delete it"):
        state.load({"chance": random.Random(1)})


def _pairs(rng: random.Random) -> Iterator[int]:
    yield from rng.sample(range(4), 4)


def test_a_stream_is_found_again_at_any_place() -> None:
    whole = BatchStream(_pairs, seed=5)
    numbers = [next(whole) for _ in range(12)]
    assert [sorted(numbers[i : i + 4]) for i in (0, 4, 8)] == [[0, 1, 2, 3]] * 3
    assert len({tuple(numbers[i : i + 4]) for i in (0, 4, 8)}) > 1  # each pass in an order of its own
    for taken in range(12):
        first, second = BatchStream(_pairs, seed=5), BatchStream(_pairs, seed=5)
        for _ in range(taken):
            next(first)
        second.load_state_dict(first.state_dict())
        assert [next(second) for _ in range(12 - taken)] == numbers[taken:]
    assert list(BatchStream(lambda _: iter(()))) == []


def test_curves_survive_a_torn_row_and_forget_what_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    with CurveWriter(path) as writer:
        for step in (1, 2, 3):
            writer.write("sft", step, {"loss": 1 / step, "dev, R@10": float("nan")})
        writer.write("align", 2, {"loss": 7})
    with path.open("a") as stream:
        stream.write("align,3,lo")
    with CurveWriter(path) as writer:
        assert len(read_curves(path)) == 7
        writer.resume("sft", 1)
        writer.write("sft", 2, {"loss": 0.25})
        expected = [
            Point("sft", 1, "loss", 1.0),
            Point("align", 2, "loss", 7.0),
            Point("sft", 2, "loss", 0.25),
        ]
        assert [point for point in read_curves(path) if point.name == "loss"] == expected
    with CurveWriter(tmp_path / "new.csv"):
        assert read_curves(tmp_path / "new.csv") == []


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".html", b"<!doctype")])
def test_curves_are_plotted(tmp_path: Path, suffix: str, start: bytes) -> None:
    pytest.importorskip("matplotlib")
    path, out = tmp_path / "curves.csv", tmp_path / f"curves{suffix}"
    with CurveWriter(path) as writer:
        for step in range(1, 100):
            writer.write("sft", step, {"loss": 1 / step} | ({"R@10": 0.5} if step == 9 else {}))
        writer.write("align", 1, {"loss": float("nan")})
    plot_curves(path, out)
    content = out.read_bytes()
    assert content.startswith(start)
    if suffix == ".html":
        assert b"<script" not in content
        assert b"sft: R@10" in content
        assert b"align" not in content  # a curve without a finite value


def test_plots_that_cannot_be_made(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    CurveWriter(path).close()
    with pytest.raises(InputError, match="holds no point yet"):
        plot_curves(path, tmp_path / "curves.png")
    with pytest.raises(InputError, match=r"not '\.gif'"):
        plot_curves(path, tmp_path / "curves.gif")
