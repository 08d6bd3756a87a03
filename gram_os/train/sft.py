"""Supervised fine-tuning of the compact backbone (GRAM section 3): L = L_q + lambda L_t.

Each side's loss is the negative log-likelihood of a text's codes, weighted by their shares. The first token's part is
exact, over all codes of the text at once; the later tokens' part is taken over codes drawn by share. The tagger's
loss goes along, so that the shared encoder keeps its tags.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn import functional

from gram_os.attribute import Side
from gram_os.train.compact import CompactModel
from gram_os.train.encoder import pad
from gram_os.train.targets import Target


@dataclass(frozen=True, slots=True)
class Example:
    """A text's token ids and the codes that it should get."""

    ids: Sequence[int]
    target: Target


@dataclass(frozen=True, slots=True)
class SftSettings:
    """How the generator is trained; rates are AdamW's peaks, batches are texts a step."""

    steps: int = 1200
    queries: int = 64
    titles: int = 32
    title_weight: float = 0.7  # lambda
    drawn: int = 4  # codes of a text whose later tokens are learned in a step
    encoder_rate: float = 1e-4
    decoder_rate: float = 6e-4
    warm_up: float = 0.06
    tagging_weight: float = 0.3
    seed: int = 0


def train_generator(
    model: CompactModel,
    queries: Sequence[Example],
    titles: Sequence[Example],
    settings: SftSettings,
    *,
    tagging_loss: Callable[[], Tensor] | None = None,
    extra_parameters: Sequence[Tensor] = (),
    report: Callable[[int, float], None] = lambda *_: None,
) -> None:
    """Train in place. `tagging_loss` gives the tagger's loss on a batch of its own; `extra_parameters` are its head's."""
    torch.manual_seed(settings.seed)
    rng = random.Random(settings.seed)  # noqa: S311
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="bf16")
    optimiser = torch.optim.AdamW(
        [
            {
                "params": [p for p in model.encoder.parameters() if p.requires_grad],
                "lr": settings.encoder_rate,
            },
            {"params": [*model.decoder.parameters(), *extra_parameters], "lr": settings.decoder_rate},
        ],
        weight_decay=0.01,
        fused=True,
    )
    warm = max(1, int(settings.warm_up * settings.steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda s: min((s + 1) / warm, max(0.02, (settings.steps - s) / (settings.steps - warm)))
    )
    model, optimiser = accelerator.prepare(model, optimiser)
    model.train()
    query_batches = batches(queries, settings.queries, rng)
    title_batches = batches(titles, settings.titles, rng)
    for step in range(settings.steps):
        with accelerator.autocast():
            loss = code_loss(model, next(query_batches), Side.QUERY, settings.drawn, rng)
            loss = loss + settings.title_weight * code_loss(
                model, next(title_batches), Side.TITLE, settings.drawn, rng
            )
            if tagging_loss is not None:
                loss = loss + settings.tagging_weight * tagging_loss()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
        report(step, float(loss.detach()))
    # Without this the model's forward would go on computing in bfloat16.
    accelerator.unwrap_model(model, keep_fp32_wrapper=False).eval()


def code_loss(
    model: CompactModel, batch: Sequence[Example], side: Side, drawn: int, rng: random.Random
) -> Tensor:
    """Mean negative log-likelihood of the batch's codes on one side, natural logarithm."""
    shape = model.decoder.shape
    opening = shape.side_tokens[side is Side.TITLE]
    ids, mask = pad([example.ids for example in batch])
    memory = model.decoder.memory(model.encode(ids, mask))
    first = model.decoder(torch.full((len(batch), 1, 1), opening), memory, mask)[:, 0, 0]
    loss = -(first_shares(batch, shape.values + 1) * functional.log_softmax(first.float(), -1)).sum(-1).mean()
    prefixes, labels = draw_codes(batch, drawn, opening, shape.end, rng)
    hidden = model.decoder.hidden(prefixes, memory, mask)[:, :, 1:]
    learned = labels >= 0  # codes differ in length; only what is learned goes through the large output layer
    logits = model.decoder.logits(hidden[learned]).float()
    later = functional.cross_entropy(logits, labels[learned], reduction="sum")
    return loss + later / (len(batch) * drawn)


def first_shares(batch: Sequence[Example], values: int) -> Tensor:
    """Share of the codes that begin with each value: float (texts, values)."""
    shares = torch.zeros(len(batch), values)
    for row, example in enumerate(batch):
        for code, share in zip(example.target.codes, example.target.shares, strict=True):
            shares[row, code[0]] += share
    return shares


def draw_codes(
    batch: Sequence[Example], drawn: int, opening: int, end: int, rng: random.Random
) -> tuple[Tensor, Tensor]:
    """Draw codes of each text by share.

    Returns prefixes int64 (texts, drawn, tokens + 1) with the opening token first, and labels int64 (texts, drawn,
    tokens): what follows from the second token on, -1 where there is nothing to learn.
    """
    codes = [rng.choices(e.target.codes, e.target.shares, k=drawn) for e in batch]
    longest = max(len(code) for row in codes for code in row)
    prefixes = torch.full((len(batch), drawn, longest + 1), end)
    labels = torch.full((len(batch), drawn, longest), -1)
    for row, drawn_codes in enumerate(codes):
        for at, code in enumerate(drawn_codes):
            prefixes[row, at, : len(code) + 1] = torch.tensor([opening, *code])
            labels[row, at, : len(code)] = torch.tensor([*code[1:], end])
    return prefixes, labels


def batches(examples: Sequence[Example], size: int, rng: random.Random) -> Iterator[list[Example]]:
    """Endless batches of texts of like length, in random order; texts without codes are left out."""
    usable = [example for example in examples if example.target.codes]
    while True:
        shuffled = rng.sample(range(len(usable)), len(usable))
        for start in range(0, len(shuffled), 32 * size):
            chunk = sorted(shuffled[start : start + 32 * size], key=lambda i: len(usable[i].ids))
            batches = [chunk[i : i + size] for i in range(0, len(chunk), size)]
            rng.shuffle(batches)
            for batch in batches:
                yield [usable[i] for i in batch]
