"""The benchmark for a GPU: its tiny form on this machine's processor, its time limit, and what it trains on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from benchmarks.gpu_encoder import make_encoder
from benchmarks.gpu_inputs import FULL, make_checkpoint, make_clicks, make_recipe
from benchmarks.gpu_parts import Clock, OutOfTime, Report
from gram_os.catalogue import Product, read_products
from gram_os.data import sample_file
from gram_os.text.normalise import fold
from gram_os.train.models.causal import load_causal
from gram_os.train.models.encoder import embed, load_encoder, load_tokenizer

ROOT = Path(__file__).parents[2]


def _run(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run the benchmark. Returns the exit code, the JSON that it prints, and what it says."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.gpu", "--tiny", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def test_the_tiny_form_goes_through_every_part(tmp_path: Path) -> None:
    code, printed, said = _run("--out", str(tmp_path / "gpu.json"))
    assert code == 0, said
    found = {row["name"]: row for row in printed["measures"]}
    stages = [name.removeprefix("gpu.stage.") for name in found if name.startswith("gpu.stage.")]
    needed = ["tags", "mine", "matching", "codes", "sft", "relevance", "co-train-1", "align", "coded-titles", "pair"]
    assert [name for name in stages if name in needed] == needed
    assert found["gpu.stages"]["holds"]
    for side in ("query", "title"):
        assert found[f"gpu.parity.{side}.largest_gap"]["value"] > 0  # fp16 is not float32
        assert found[f"gpu.parity.{side}.largest_gap"]["holds"]
    assert found["gpu.seconds"]["value"] < 540
    written = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in written["measures"]] == list(found)
    assert [stage["stage"] for stage in written["stages"]] == stages
    steps = {stage["stage"]: stage["steps"] for stage in written["stages"] if "steps" in stage}
    assert (steps["sft"], steps["co-train-1"], steps["align"]) == (4, 2, 1)
    assert written["versions"]["torch"] in torch.__version__
    if torch.cuda.is_available():
        assert written["hardware"]["gpu"]
    else:
        assert written["hardware"]["gpu"] is None
        assert any("no GPU" in note for note in written["notes"])
        assert any("onnxruntime-gpu" in note for note in written["notes"])
        assert {"gpu.cpu.query.p50", "gpu.cpu.titles", "gpu.torch.query.p50"} <= found.keys()


def test_out_of_time_it_writes_what_there_is(tmp_path: Path) -> None:
    code, _, _ = _run("--minutes", "0.02", "--steps", "100000", "--out", str(tmp_path / "gpu.json"))
    assert code == 1
    written = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert any(note.startswith("stopped in stage '") for note in written["notes"])
    assert {"hardware", "versions", "sizes", "model"} <= written.keys()
    assert next(row for row in written["measures"] if row["name"] == "gpu.stages")["holds"] is False


def test_a_clock_stops_what_runs_and_what_would_begin_too_late() -> None:
    clock = Clock(0.01)
    started = time.monotonic()
    with pytest.raises(OutOfTime), clock.until(0.5):  # 0.3 s
        while True:
            try:
                time.sleep(5)
            except Exception:  # the limit is no error that a part may handle
                pytest.fail("swallowed")
    assert time.monotonic() - started < 3
    with pytest.raises(OutOfTime), clock.until(0.1):
        pytest.fail("began")
    with Clock(1).until(1):
        pass
    time.sleep(0.01)  # no alarm is left


def test_a_report_is_on_disk_after_each_figure(tmp_path: Path) -> None:
    report = Report(tmp_path / "x.json")
    report.add("a", 2.0, "s", 1.0)
    first = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert first["measures"] == [
        {"name": "a", "value": 2.0, "unit": "s", "goal": 1.0, "at_least": False, "holds": False}
    ]
    report.note("slow")
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["notes"] == ["slow"]


def test_a_part_that_fails_is_noted_and_the_others_go_on(tmp_path: Path) -> None:
    report = Report(tmp_path / "x.json")
    with report.attempt("division"):
        1 / 0  # noqa: B018
    assert report.failed
    written = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert written["notes"] == ["division failed: ZeroDivisionError: division by zero"]
    assert "1 / 0" in "".join(written["tracebacks"]["division"])
    with pytest.raises(OutOfTime), report.attempt("a long part"):
        raise OutOfTime  # a limit is no failure
    assert len(written["tracebacks"]) == 1


def test_clicks_are_on_titles_that_hold_the_query() -> None:
    products = list(islice(read_products(sample_file("products.jsonl.gz")), 60))
    clicks = make_clicks(products, 40)
    titles = {product.id: set(fold(product.title).split()) for product in products}
    assert clicks.pairs == make_clicks(products, 40).pairs
    assert len(clicks.by_query) == 40
    for pair in clicks.pairs:
        assert (set(pair.query.split()) <= titles[pair.product]) == pair.positive
    assert all({pair.positive for pair in pairs} == {True, False} for pairs in clicks.by_query.values())


def test_titles_without_two_words_make_no_query() -> None:
    assert make_clicks([Product("1", "x1 y2 z3", {}), Product("2", "toner", {})], 5).pairs == ()


def test_the_full_form_has_the_shape_of_smollm2_135m(tmp_path: Path) -> None:
    source = load_causal(make_checkpoint(tmp_path / "model", ["black toner", "xerox laser printer"], FULL))
    assert 134e6 < sum(weight.numel() for weight in source.model.parameters()) < 135e6
    config = source.model.config
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (30, 576, 9)
    assert (config.num_key_value_heads, config.intermediate_size, config.vocab_size) == (3, 1536, 49_152)
    recipe = make_recipe("x", None, FULL)
    assert (recipe.precision, recipe.sft.steps, recipe.cotraining.steps, recipe.alignment.steps) == (
        "fp16",
        200,
        100,
        50,
    )
    assert (recipe.cotraining.rounds, recipe.matching.epochs, recipe.tagger_checkpoint) == (1, 1, None)


def test_an_encoder_of_random_weights_stands_in_for_minilm(tmp_path: Path) -> None:
    make_encoder(tmp_path / "model", layers=1)
    vectors = embed(load_encoder(tmp_path / "model"), load_tokenizer(tmp_path / "model"), ["black toner", "hp"])
    assert vectors.shape == (2, 384)
    loaded = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert loaded("black toner", "xerox")["input_ids"] != loaded("black toner")["input_ids"]
    assert loaded.pad_token == "[PAD]"
