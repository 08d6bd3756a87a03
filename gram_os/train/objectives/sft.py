"""Supervised fine-tuning of the compact backbone (GRAM section 3): L = L_q + lambda L_t.

Each side's loss is the negative log-likelihood of a text's codes, weighted by their shares. The part of the first
token is exact, over all codes of the text at once. The part of the later tokens is taken over codes that are drawn by
share. All drawing happens in the stream of batches, whose place is saved with the training. So a resumed run draws
the same as an uninterrupted one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from gram_os.errors import InputError
from gram_os.text.attribute import Side
from gram_os.text.dictionary import Tokens
from gram_os.train.lessons.targets import Target
from gram_os.train.loop.checkpoint import BatchStream
from gram_os.train.loop.training_loop import Journal, LoopSettings, RateGroup, run_loop
from gram_os.train.models.compact import CompactModel
from gram_os.train.models.encoder import pad


@dataclass(frozen=True, slots=True)
class Example:
    """A text's token ids and the codes that it should get.

    weight: how often the text is read in a pass over all texts. The fraction of a weight is the probability of one
    more time.
    """

    ids: Sequence[int]
    target: Target
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class SftSettings:
    """How the generator is trained; the rates are AdamW's peaks; queries, titles: texts of a side at a step."""

    steps: int = 200
    queries: int = 64
    titles: int = 32
    title_weight: float = 0.7  # lambda
    drawn: int = 4  # codes a text and step whose later tokens are trained on
    encoder_rate: float = 2e-5
    decoder_rate: float = 2e-4
    warm_up: float = 0.06
    seed: int = 0


@dataclass(frozen=True, slots=True)
class DrawnTexts:
    """Texts of one side, and the codes that were drawn for each by their shares; equally many codes a text."""

    examples: Sequence[Example]
    codes: Sequence[Sequence[Tokens]]


@dataclass(frozen=True, slots=True)
class SftBatch:
    """The texts of one training step."""

    queries: DrawnTexts
    titles: DrawnTexts


class SftObjective(nn.Module):
    """L_q + lambda L_t."""

    def __init__(self, model: CompactModel, settings: SftSettings):
        super().__init__()
        self.model = model
        self.settings = settings

    def forward(self, batch: SftBatch) -> dict[str, Tensor]:
        """Return the losses of both sides, and their weighted sum as "loss"."""
        query = code_loss(self.model, batch.queries, Side.QUERY)
        title = code_loss(self.model, batch.titles, Side.TITLE)
        return {"loss": query + self.settings.title_weight * title, "query": query, "title": title}


def train_generator(
    model: CompactModel,
    queries: Sequence[Example],
    titles: Sequence[Example],
    settings: SftSettings,
    *,
    journal: Journal | None = None,
) -> None:
    """Train in place; co-training calls it again with new targets.

    Raises InputError where no text of a side has a code.
    """
    objective = SftObjective(model, settings)
    groups = [
        RateGroup([p for p in model.encoder.parameters() if p.requires_grad], settings.encoder_rate),
        RateGroup(list(model.decoder.parameters()), settings.decoder_rate),
    ]
    sizes, drawn = (settings.queries, settings.titles), settings.drawn
    run_loop(
        objective,
        groups,
        lambda seed: draw_batches(queries, titles, sizes, drawn=drawn, seed=seed),
        LoopSettings(settings.steps, warm_up=settings.warm_up, seed=settings.seed),
        journal=journal,
    )


def draw_batches(
    queries: Sequence[Example],
    titles: Sequence[Example],
    sizes: tuple[int, int],
    *,
    drawn: int,
    seed: int,
) -> BatchStream[SftBatch]:
    """Return endless batches of `sizes` (queries, titles) with `drawn` codes a text, for either backbone.

    Raises InputError where no text of a side has a code.
    """
    usable = [_with_codes(queries, Side.QUERY), _with_codes(titles, Side.TITLE)]

    def epoch(rng: random.Random) -> Iterator[SftBatch]:
        query_batches, title_batches = (
            make_batches(found, size, rng) for found, size in zip(usable, sizes, strict=True)
        )
        while True:
            drawn_queries = draw_codes(next(query_batches), drawn, rng)
            yield SftBatch(drawn_queries, draw_codes(next(title_batches), drawn, rng))

    return BatchStream(epoch, seed)


def _with_codes(examples: Sequence[Example], side: Side) -> list[Example]:
    usable = [example for example in examples if example.target.codes and example.weight > 0]
    if not usable:
        raise InputError(
            f"none of {len(examples)} {side.value} texts has a code to learn; "
            "give texts whose values the dictionary holds"
        )
    return usable


def code_loss(model: CompactModel, texts: DrawnTexts, side: Side) -> Tensor:
    """Return the mean negative log-likelihood (natural logarithm) of the texts' codes on one side."""
    shape = model.decoder.shape
    opening, device = shape.side_tokens[side is Side.TITLE], model.decoder.bias.device
    ids, mask = (part.to(device) for part in pad([example.ids for example in texts.examples]))
    memory = model.decoder.memory(model.encode(ids, mask))
    alone = torch.full((len(ids), 1, 1), opening, device=device)
    first = functional.log_softmax(model.decoder(alone, memory, mask)[:, 0, 0].float(), -1)
    shares = first_shares(texts.examples, shape.values + 1).to(device)
    prefixes, labels = (part.to(device) for part in prefix_grid(texts.codes, opening, shape.end))
    hidden = model.decoder.hidden(prefixes, memory, mask)[:, :, 1:]
    labelled = labels >= 0  # codes differ in length; only places with a label go through the large output layer
    logits = model.decoder.logits(hidden[labelled]).float()
    later = functional.cross_entropy(logits, labels[labelled], reduction="sum")
    return later / (labels.shape[0] * labels.shape[1]) - (shares * first).sum(-1).mean()


def first_shares(batch: Sequence[Example], values: int) -> Tensor:
    """Return for each value the share of the text's codes that begin with it: float (texts, values)."""
    shares = torch.zeros(len(batch), values)
    for row, example in enumerate(batch):
        for code, share in zip(example.target.codes, example.target.shares, strict=True):
            shares[row, code[0]] += share
    return shares


def draw_codes(batch: Sequence[Example], drawn: int, rng: random.Random) -> DrawnTexts:
    """Draw `drawn` codes for each text by share, with repetition."""
    return DrawnTexts(batch, [rng.choices(e.target.codes, e.target.shares, k=drawn) for e in batch])


def prefix_grid(codes: Sequence[Sequence[Tokens]], opening: int, end: int) -> tuple[Tensor, Tensor]:
    """Turn the codes of each text, equally many, into the decoder's input and the answer that it should give.

    Returns prefixes int64 (texts, drawn, tokens + 1) with the opening token first, and labels int64 (texts, drawn,
    tokens): the token after each prefix of one code token and more, -1 where nothing follows.
    """
    drawn, longest = len(codes[0]), max(len(code) for row in codes for code in row)
    prefixes = torch.full((len(codes), drawn, longest + 1), end)
    labels = torch.full((len(codes), drawn, longest), -1)
    for row, drawn_codes in enumerate(codes):
        for at, code in enumerate(drawn_codes):
            prefixes[row, at, : len(code) + 1] = torch.tensor([opening, *code])
            labels[row, at, : len(code)] = torch.tensor([*code[1:], end])
    return prefixes, labels


def make_batches(examples: Sequence[Example], size: int, rng: random.Random) -> Iterator[list[Example]]:
    """Yield endless batches of texts of similar length in random order; a text comes as often as its weight says."""
    while True:
        read = [at for at, example in enumerate(examples) for _ in range(_draw_times(example.weight, rng))]
        rng.shuffle(read)
        for start in range(0, len(read), 32 * size):
            chunk = sorted(read[start : start + 32 * size], key=lambda i: len(examples[i].ids))
            found = [chunk[i : i + size] for i in range(0, len(chunk), size)]
            rng.shuffle(found)
            for batch in found:
                yield [examples[i] for i in batch]


def _draw_times(weight: float, rng: random.Random) -> int:
    """Draw how often a text is read in one pass."""
    whole = int(weight)
    return whole + (weight > whole and rng.random() < weight - whole)
