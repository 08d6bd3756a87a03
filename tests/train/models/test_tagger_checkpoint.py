"""Stage 1 as a whole, on MiniLM itself and five rows: the checkpoint gives back the trained model and its figures."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from gram_os.errors import InputError
from gram_os.train.models.annotation import read_marked, score_tagger
from gram_os.train.models.encoder import load_tokenizer
from gram_os.train.models.tagger import TagRecipe, make_tagger
from gram_os.train.models.tagger_checkpoint import load_checkpoint, run_tagger_stage

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "tagger.py"
QUERY = {"tokens": ["red", "hat"], "tags": ["B-color", "B-core_product_type"]}
TITLE = {"input": "Nike Pegasus, Red", "target_scores": {"Brand": {"Nike": 1}, "Color": {"Red": 1}}}


def test_checkpoint_holds_what_was_measured(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "gram_os.train")
    for name, row in (("queryner", QUERY), ("oa_mine", TITLE)):
        (tmp_path / name).mkdir()
        for part in ("train", "validation", "test"):
            (tmp_path / name / f"{part}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    recipe = TagRecipe(epochs=12, average=0.5)
    measures = run_tagger_stage(tmp_path, tmp_path / "out", recipe)
    told = [record.getMessage() for record in caplog.records if "epoch" in record.message]
    assert [line.split(":")[0] for line in told] == [f"tagger, epoch {epoch} of 12" for epoch in range(1, 13)]
    record = json.loads((tmp_path / "out" / "measures.json").read_text(encoding="utf-8"))
    assert record["measures"] == measures
    assert record["recipe"]["epochs"] == 12
    tagger = make_tagger(load_checkpoint(tmp_path / "out"), load_tokenizer())
    again = score_tagger(tagger, read_marked(tmp_path / "queryner" / "validation.jsonl"))["micro"].f1
    assert again == measures["queryner_validation_f1"] == 1.0

    spec = importlib.util.spec_from_file_location("benchmark_tagger", BENCHMARK)
    assert spec is not None and spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    data = str(tmp_path / "queryner" / "validation.jsonl")
    monkeypatch.setattr(sys, "argv", ["tagger.py", "--data", data, "--bundle", str(tmp_path / "out"), "--json"])
    assert benchmark.main() == 0
    rows = json.loads(capsys.readouterr().out)["measures"]
    assert rows[0] == {"name": "span_f1", "value": 1.0, "unit": "ratio", "goal": 0.64, "holds": True}


def test_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.safetensors does not exist"):
        load_checkpoint(tmp_path)
