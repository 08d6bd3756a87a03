"""The relevance model of co-training (GRAM section 4): a cross-encoder that says how relevant a product is for a query.

It reads query and product text together, is trained on graded judgments, and filters what the generator proposes.
Knows texts and numbers. The caller decides which products a query is paired with, what a click is worth and where the
limit lies.
"""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint

from gram_os.arrays import BoolArray, FloatArray
from gram_os.errors import BundleError, InputError
from gram_os.train.loop.processes import SCRATCH
from gram_os.train.models.encoder import length_buckets, pretrained_folder

_CHUNK = 32_768  # pairs whose tokens are in memory at once while scoring
_SCORED = 128  # pairs that are scored together


@dataclass(frozen=True, slots=True)
class RelevanceSettings:
    """How the relevance model is trained."""

    start: str = ""  # a Hugging Face name or a folder; empty is MiniLM
    epochs: int = 1
    batch: int = 64
    rate: float = 1e-4  # AdamW's peak
    warm_up: float = 0.1  # share of all steps
    most_tokens: int = 64  # of query and text together
    most_pairs: int = 60_000  # drawn at random where there are more
    negatives: float = 0.25  # pairs of a query with a random text, relevance 0, for each given pair
    checkpoint_steps: int = 500
    seed: int = 0


@dataclass(frozen=True, slots=True)
class RelevanceModel:
    """A transformers sequence classifier with one label, and its tokenizer, which knows the token limit of a pair."""

    classifier: Any
    tokenizer: Any


@dataclass(frozen=True, slots=True)
class GradedPair:
    """A query, a product's text, and the product's relevance for the query, 0..1."""

    query: str
    text: str
    relevance: float


def product_text(title: str, values: Iterable[str], *, most: int = 6) -> str:
    """Return the title, followed by at most `most` of the product's values that it does not contain.

    >>> product_text("Delta Vero Faucet in Chrome", ["Delta", "Chrome", "Metal", "metal"])
    'Delta Vero Faucet in Chrome | Metal'
    """
    seen = title.lower()
    added: list[str] = []
    for value in values:
        if len(added) < most and value.lower() not in seen:
            added.append(value)
            seen += f" | {value.lower()}"
    return " | ".join([title, *added])


def train_relevance_model(
    queries: Sequence[str],
    texts: Sequence[str],
    relevances: Sequence[float],
    settings: RelevanceSettings,
    folder: Path,
    *,
    report: Callable[[int, float], None] = lambda *_: None,
) -> RelevanceModel:
    """Train on pairs of a query and a product's text with a relevance of 0..1, and write the model to `folder`.

    The loss is the binary cross-entropy of the graded relevance, so a score is an expected relevance. A killed training
    continues from the newest checkpoint in `folder/checkpoint`; give it the same pairs and settings, or another folder.
    `report` is called with a step and the mean loss since the last call. Raises InputError without pairs, and for a
    relevance outside 0..1.
    """
    pairs = [GradedPair(*row) for row in zip(queries, texts, relevances, strict=True)]
    _check(pairs)
    set_seed(settings.seed)  # the classifier's head starts at random
    rng = random.Random(settings.seed)  # noqa: S311
    tokenizer = AutoTokenizer.from_pretrained(_start(settings), model_max_length=settings.most_tokens)
    classifier = AutoModelForSequenceClassification.from_pretrained(
        _start(settings), num_labels=1, problem_type="multi_label_classification"
    )
    if len(pairs) > settings.most_pairs:
        pairs = rng.sample(pairs, settings.most_pairs)
    examples = _examples(tokenizer, pairs, settings, rng)
    trainer = _InOrder(
        model=classifier,
        args=_arguments(settings, len(examples), folder),
        train_dataset=examples,
        data_collator=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8),
        callbacks=[_Report(report)],
    )
    trainer.remove_callback(PrinterCallback)
    checkpoints = folder / SCRATCH
    checkpoints.mkdir(parents=True, exist_ok=True)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(checkpoints))
    trainer.save_model(str(folder))
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(folder)
        shutil.rmtree(checkpoints)
    trainer.accelerator.wait_for_everyone()
    # The trained object is not returned: the trainer wrapped its forward in bfloat16 and leaves it so.
    return load_relevance_model(folder)


def load_relevance_model(folder: Path) -> RelevanceModel:
    """Load what `train_relevance_model` wrote to `folder`, onto the GPU where there is one.

    Raises BundleError where the folder holds no model.
    """
    if not (folder / "config.json").is_file():
        raise BundleError(f"{folder} holds no relevance model: there is no config.json; train one into it")
    classifier = AutoModelForSequenceClassification.from_pretrained(folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return RelevanceModel(classifier.to(device).eval(), AutoTokenizer.from_pretrained(folder))


@torch.inference_mode()
def score(model: RelevanceModel, queries: Sequence[str], texts: Sequence[str]) -> FloatArray:
    """Score each query with the text at the same place: its expected relevance, float32 (pairs,), 0..1."""
    if len(queries) != len(texts):
        raise InputError(f"{len(queries)} queries and {len(texts)} texts; each query needs one text beside it")
    device, collate = model.classifier.device, DataCollatorWithPadding(model.tokenizer)
    scores = np.zeros(len(queries), np.float32)
    for start in range(0, len(queries), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        rows = _token_rows(model.tokenizer, queries[chunk], texts[chunk])
        for places in length_buckets([len(row["input_ids"]) for row in rows], _SCORED):
            tokens = collate([rows[i] for i in places]).to(device)
            with torch.autocast(device.type, torch.bfloat16):
                logits = model.classifier(**tokens).logits[:, 0]
            scores[start + np.array(places)] = logits.float().sigmoid().cpu().numpy()
    return scores


def auc(scores: Sequence[float] | FloatArray, labels: Sequence[bool] | BoolArray) -> float:
    """Return the probability that a positive scores above a negative; ties count half.

    Raises InputError where one of the two kinds is missing.

    >>> auc([0.9, 0.5, 0.5, 0.1], [True, True, False, False])
    0.875
    """
    positive = np.asarray(labels, bool)
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        raise InputError(f"AUC of {positives} positives and {negatives} negatives; it needs at least one of each")
    ranks = rankdata(np.asarray(scores))
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _check(pairs: Sequence[GradedPair]) -> None:
    if not pairs:
        raise InputError("no pairs to train the relevance model on; give at least one judged or clicked pair")
    for pair in pairs:
        if not 0 <= pair.relevance <= 1:
            raise InputError(
                f"relevance {pair.relevance} of '{pair.query}' and '{pair.text}' is not within 0..1; scale it"
            )


def _start(settings: RelevanceSettings) -> str:
    return settings.start or str(pretrained_folder())


def _arguments(settings: RelevanceSettings, examples: int, folder: Path) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=str(folder / SCRATCH),
        num_train_epochs=1,  # one list holds the examples of all epochs
        per_device_train_batch_size=settings.batch,
        learning_rate=settings.rate,
        weight_decay=0.01,
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        seed=settings.seed,
        save_steps=settings.checkpoint_steps,
        save_total_limit=1,
        logging_steps=25,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    # Given as a number of steps: the argument for a share has different names in transformers 4 and 5.
    steps = math.ceil(examples / (arguments.train_batch_size * arguments.world_size))
    arguments.warmup_steps = int(settings.warm_up * steps)
    return arguments


def _examples(
    tokenizer: Any, pairs: Sequence[GradedPair], settings: RelevanceSettings, rng: random.Random
) -> list[dict[str, Any]]:
    """Make the examples of all epochs in the order of training; each epoch has random pairs of its own."""
    examples = []
    for _ in range(settings.epochs):
        epoch = [*pairs, *draw_negatives(pairs, round(settings.negatives * len(pairs)), rng)]
        rows = _token_rows(tokenizer, [p.query for p in epoch], [p.text for p in epoch])
        for place in order_by_length([len(row["input_ids"]) for row in rows], settings.batch, rng):
            examples.append({**rows[place], "labels": [epoch[place].relevance]})
    return examples


def draw_negatives(pairs: Sequence[GradedPair], count: int, rng: random.Random) -> list[GradedPair]:
    """Pair `count` random queries with random texts, relevance 0, without the given pairs.

    The model filters pairs that mostly no rater saw, so it must know irrelevant ones.
    """
    given = {(pair.query, pair.text) for pair in pairs}
    drawn = ((rng.choice(pairs).query, rng.choice(pairs).text) for _ in range(count))
    return [GradedPair(query, text, 0.0) for query, text in drawn if (query, text) not in given]


def order_by_length(lengths: Sequence[int], batch: int, rng: random.Random) -> list[int]:
    """Return all places once in random order, but so that each run of `batch` places has texts of similar length."""
    shuffled = rng.sample(range(len(lengths)), len(lengths))
    batches = []
    for start in range(0, len(shuffled), 32 * batch):
        near = sorted(shuffled[start : start + 32 * batch], key=lengths.__getitem__)
        batches += [near[at : at + batch] for at in range(0, len(near), batch)]
    whole, rest = batches[: len(lengths) // batch], batches[len(lengths) // batch :]
    rng.shuffle(whole)
    return [place for places in whole + rest for place in places]


def _token_rows(tokenizer: Any, queries: Sequence[str], texts: Sequence[str]) -> list[dict[str, list[int]]]:
    encoded = tokenizer(list(queries), list(texts), truncation="longest_first")
    return [dict(zip(encoded, row, strict=True)) for row in zip(*encoded.values(), strict=True)]


class _InOrder(Trainer):  # type: ignore[misc]
    """A Trainer that keeps the order of the examples; how transformers groups lengths differs between versions."""

    def get_train_dataloader(self) -> Any:
        loader: DataLoader[Any] = DataLoader(
            self.train_dataset,
            batch_size=self.args.train_batch_size,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)


class _Report(TrainerCallback):  # type: ignore[misc]
    """Passes the mean loss to `report`."""

    def __init__(self, report: Callable[[int, float], None]):
        self.report = report

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ARG002
        """Trainer calls this after every 25 steps."""
        if "loss" in logs:
            self.report(state.global_step, logs["loss"])
