"""Stage 1 of training: an encoder and a tag head learn from QueryNER's queries and OA-Mine's titles.

One encoder, and one linear head with columns for both sides. A batch holds texts of one side and trains that side's
columns. Mining reads its tags. The tagger of a bundle starts from its last layers (tag_branch.py). Knows tensors and
labels. Knows neither ONNX nor bundles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import get_cosine_schedule_with_warmup

from gram_os.arrays import FloatArray, IntArray
from gram_os.text.attribute import HEAD_WIDTH, SIDE_LABELS, Side, head_columns
from gram_os.text.tagger import TagFunction, Tagger, Words, encode_words, pad_ids
from gram_os.train.models.annotation import MarkedText

IGNORED = -100  # label of every token that does not begin a word


@dataclass(frozen=True, slots=True)
class TagRecipe:
    """How stage 1 is trained; the defaults are the best ones in docs/tagger.md."""

    epochs: int = 3
    most_texts: int | None = None  # of each data set, the first ones; all by default
    query_batch: int = 32
    title_batch: int = 8  # titles are about five times as long
    learning_rate: float = 2e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1  # share of all steps
    average: float = 0.99  # decay of the moving average of the weights; the average is the result
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TagExample:
    """A text of one side as tokens, and the label of each word that has a token."""

    words: Words
    labels: tuple[int, ...]
    side: Side


@dataclass(frozen=True, slots=True)
class TagBatch:
    """Texts of one side: ids, mask and labels, each int64 (texts, tokens).

    A label stands at the first token of a word and is `IGNORED` at all other tokens.
    """

    ids: Tensor
    mask: Tensor
    labels: Tensor
    side: Side


class TagHead(nn.Module):
    """Linear layer over the encoder's last hidden states; it has the columns of both sides."""

    def __init__(self, width: int = 384, *, dropout: float = 0.1):
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.project = nn.Linear(width, HEAD_WIDTH)

    def forward(self, hidden: Tensor) -> Tensor:
        """Turn hidden states, float (texts, tokens, width), into logits (texts, tokens, HEAD_WIDTH)."""
        logits: Tensor = self.project(self.drop(hidden))
        return logits

    def loss(self, hidden: Tensor, batch: TagBatch) -> Tensor:
        """Return the mean cross entropy over the words of the batch; only labels of its side compete."""
        logits = self(hidden)[:, :, head_columns(batch.side)]
        return functional.cross_entropy(logits.flatten(0, 1).float(), batch.labels.flatten(), ignore_index=IGNORED)


class TagModel(nn.Module):
    """Encoder and tag head; the encoder is any transformers model with a `last_hidden_state`."""

    def __init__(self, encoder: Any, head: TagHead):
        super().__init__()
        self.encoder = encoder
        self.head = head

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Read texts: ids and mask, int64 (texts, tokens) -> float (texts, tokens, width)."""
        hidden: Tensor = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden

    def forward(self, batch: TagBatch) -> Tensor:
        """Return the loss of a batch."""
        return self.head.loss(self.encode(batch.ids, batch.mask), batch)


def encode_marked(tokenizer: Tokenizer, texts: Sequence[MarkedText]) -> list[TagExample]:
    """Turn marked texts into tokens and word labels, in the same order."""
    plain = Tokenizer.from_str(tokenizer.to_str())
    plain.no_padding()
    plain.no_truncation()
    words = [encode_words(plain, [text.text], text.side)[0] for text in texts]
    return [TagExample(item, _label_words(text, item), text.side) for text, item in zip(texts, words, strict=True)]


def _label_words(text: MarkedText, words: Words) -> tuple[int, ...]:
    names = SIDE_LABELS[text.side]
    labels = [0] * len(words.places)
    for mark in text.marks:
        begin = names.index(f"B-{mark.label}")
        inside = [i for i, (start, end) in enumerate(words.places) if mark.start <= start and end <= mark.end]
        for word in inside:
            labels[word] = begin + (word != inside[0])
    return tuple(labels)


def make_batches(examples: Sequence[TagExample], recipe: TagRecipe, rng: np.random.Generator) -> list[TagBatch]:
    """Make the batches of one epoch in random order; a batch holds texts of one side and of similar length."""
    batches = []
    for side, size in ((Side.QUERY, recipe.query_batch), (Side.TITLE, recipe.title_batch)):
        rows = [item for item in examples if item.side == side]
        # The order among texts of equal length is random, so batches differ from epoch to epoch.
        order = sorted(rng.permutation(len(rows)), key=lambda row: len(rows[row].words.ids))
        batches += [_stack([rows[row] for row in order[at : at + size]], side) for at in range(0, len(rows), size)]
    return [batches[at] for at in rng.permutation(len(batches))]


def _stack(examples: Sequence[TagExample], side: Side) -> TagBatch:
    ids, mask = pad_ids([item.words.ids for item in examples])
    labels = np.full(ids.shape, IGNORED, np.int64)
    for row, item in enumerate(examples):
        for first, label in zip(item.words.first, item.labels, strict=True):
            if first >= 0:
                labels[row, first] = label
    return TagBatch(torch.from_numpy(ids), torch.from_numpy(mask), torch.from_numpy(labels), side)


def train_tagger(model: TagModel, examples: Sequence[TagExample], recipe: TagRecipe) -> Iterator[float]:
    """Train in place and yield the mean loss of each epoch; in the end the model has the averaged weights.

    The average over about the last hundred steps is two points of F1 better than the current weights while the rate
    is high, and no worse after it has fallen (docs/tagger.md). The caller must run the iterator to its end.
    """
    set_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    steps = recipe.epochs * len(make_batches(examples, recipe, rng))
    accelerator = Accelerator()
    optimizer = torch.optim.AdamW(_groups(model, recipe))
    schedule = get_cosine_schedule_with_warmup(optimizer, int(recipe.warmup * steps), steps)
    prepared, optimizer, schedule = accelerator.prepare(model, optimizer, schedule)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.average))  # type: ignore[no-untyped-call]
    for _ in range(recipe.epochs):
        model.train()
        losses = []
        for batch in make_batches(examples, recipe, rng):
            loss = prepared(_to(batch, accelerator.device))
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(prepared.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            average.update_parameters(model)
            losses.append(loss.detach())
        yield float(torch.stack(losses).mean())
    model.load_state_dict(average.module.state_dict())
    model.eval()


def _to(batch: TagBatch, device: torch.device) -> TagBatch:
    return TagBatch(batch.ids.to(device), batch.mask.to(device), batch.labels.to(device), batch.side)


def _groups(model: TagModel, recipe: TagRecipe) -> list[dict[str, Any]]:
    """Parameter groups: the head has a higher rate, and only the matrices of the encoder's layers have weight decay."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in model.encoder.named_parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 and "embeddings" not in name else plain).append(parameter)
    return [
        {"params": decayed, "lr": recipe.learning_rate, "weight_decay": recipe.weight_decay},
        {"params": plain, "lr": recipe.learning_rate, "weight_decay": 0.0},
        {"params": list(model.head.parameters()), "lr": recipe.head_learning_rate, "weight_decay": 0.0},
    ]


def _tag_function(model: TagModel) -> TagFunction:
    """Return the model as the function that `Tagger` calls; in serving `onnx_lm.py` is that function."""

    def score(ids: IntArray, mask: IntArray) -> FloatArray:
        model.eval()
        device = next(model.parameters()).device
        with torch.no_grad():
            hidden = model.encode(torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device))
            logits: FloatArray = model.head(hidden).float().cpu().numpy()
        return logits

    return score


def make_tagger(model: TagModel, tokenizer: Tokenizer) -> Tagger:
    """Return a tagger that runs in torch, to measure a model before it is exported."""
    return Tagger(tokenizer, _tag_function(model))
