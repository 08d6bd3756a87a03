"""Stage 1 as a whole: it reads the data sets and writes a checkpoint of encoder and tag head, with its figures.

A checkpoint is a folder: `model.safetensors` (keys `encoder.*` as transformers names them, `head.project.*`) and
`measures.json`. Mining and the tag branch read it. Serving never does.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from gram_os.errors import InputError
from gram_os.train.loop.processes import processes
from gram_os.train.models.annotation import MarkedText, read_marked, score_tagger
from gram_os.train.models.encoder import load_encoder, load_tokenizer
from gram_os.train.models.tagger import TagHead, TagModel, TagRecipe, encode_marked, make_tagger, train_tagger

log = logging.getLogger(__name__)

_WEIGHTS, _MEASURES = "model.safetensors", "measures.json"


def run_tagger_stage(
    data: Path,
    out: Path,
    recipe: TagRecipe,
) -> dict[str, float]:
    """Train on `data`/queryner and `data`/oa_mine, write the checkpoint to `out`, return the exact-span F1 of both.

    Under a launcher all processes call it, and the first one writes.
    """
    tokenizer = load_tokenizer()
    texts = read_training_texts(data, recipe)
    encoder = load_encoder()
    model = TagModel(encoder, TagHead(encoder.config.hidden_size))
    for epoch, loss in enumerate(train_tagger(model, encode_marked(tokenizer, texts), recipe), 1):
        log.info("tagger, epoch %d of %d: loss %.4f", epoch, recipe.epochs, loss)
    found = measure_tagger(model, tokenizer, data)
    measures = {"queryner_validation_f1": found["queryner"], "oa_mine_test_f1": found["oa_mine"]}
    if not processes().is_main_process:
        return measures
    save_checkpoint(model, out)
    record = {"measures": measures, "recipe": asdict(recipe)}
    (out / _MEASURES).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return measures


def read_training_texts(data: Path, recipe: TagRecipe) -> list[MarkedText]:
    """Read the queries and titles that taggers are trained on, at most `recipe.most_texts` of each."""
    sets = (read_marked(data / name / "train.jsonl") for name in ("queryner", "oa_mine"))
    return [text for marked in sets for text in islice(marked, recipe.most_texts)]


def measure_tagger(model: TagModel, tokenizer: Tokenizer, data: Path) -> dict[str, float]:
    """Measure exact-span F1 on QueryNER's validation set and OA-Mine's test set; the keys are their folders' names."""
    tagger = make_tagger(model, tokenizer)
    sets = {"queryner": data / "queryner/validation.jsonl", "oa_mine": data / "oa_mine/test.jsonl"}
    return {name: score_tagger(tagger, read_marked(path))["micro"].f1 for name, path in sets.items()}


def save_checkpoint(model: TagModel, folder: Path) -> None:
    """Write the weights, and make the folder when it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / _WEIGHTS)


def load_checkpoint(folder: Path) -> TagModel:
    """Load the model of a checkpoint, with MiniLM's configuration. Raises InputError where there is none."""
    path = folder / _WEIGHTS
    if not path.is_file():
        raise InputError(
            f"{path} does not exist; train a tagger with gram_os.train.models.tagger_checkpoint.run_tagger_stage"
        )
    encoder = load_encoder()
    model = TagModel(encoder, TagHead(encoder.config.hidden_size))
    model.load_state_dict(load_file(path))
    return model.eval()
