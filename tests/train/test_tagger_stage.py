"""Stage 1 as a whole, on MiniLM itself and five rows: the checkpoint gives back the trained model and its figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gram_os.annotation import read_marked, score_tagger
from gram_os.errors import InputError
from gram_os.train.encoder import load_tokenizer
from gram_os.train.tagger import TagRecipe, make_tagger
from gram_os.train.tagger_stage import load_checkpoint, run_tagger_stage

QUERY = {"tokens": ["red", "hat"], "tags": ["B-color", "B-core_product_type"]}
TITLE = {"input": "Nike Pegasus, Red", "target_scores": {"Brand": {"Nike": 1}, "Color": {"Red": 1}}}


def test_checkpoint_holds_what_was_measured(tmp_path: Path) -> None:
    for name, row in (("queryner", QUERY), ("oa_mine", TITLE)):
        (tmp_path / name).mkdir()
        for part in ("train", "validation", "test"):
            (tmp_path / name / f"{part}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    heard: list[int] = []
    recipe = TagRecipe(epochs=12, average=0.5)
    measures = run_tagger_stage(
        tmp_path, tmp_path / "out", recipe, report=lambda epoch, _: heard.append(epoch)
    )
    assert heard == list(range(1, 13))
    record = json.loads((tmp_path / "out" / "measures.json").read_text(encoding="utf-8"))
    assert record["measures"] == measures
    assert record["recipe"]["epochs"] == 12
    tagger = make_tagger(load_checkpoint(tmp_path / "out"), load_tokenizer())
    again = score_tagger(tagger, read_marked(tmp_path / "queryner" / "validation.jsonl"))["micro"].f1
    assert again == measures["queryner_validation_f1"] == 1.0


def test_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.safetensors does not exist"):
        load_checkpoint(tmp_path)
