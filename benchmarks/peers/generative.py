"""The shared part of the generative-retrieval peers: clicks as lessons, the model, its training, helpers of ranking.

All of them use the encoder, the decoder and the loss of GRAM's compact backbone. So the comparison is between the
identifiers that they generate. This module knows token sequences. Each peer knows what its sequences stand for.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn import functional

from benchmarks.peers.interface import Benchmark
from gram_os.arrays import FloatArray
from gram_os.text.attribute import Side
from gram_os.text.normalise import Normaliser
from gram_os.train.models.compact import CompactModel
from gram_os.train.models.compact_decoder import CompactDecoder, CompactShape
from gram_os.train.models.encoder import embed, load_encoder, load_tokenizer, pad
from gram_os.train.models.torch_lm import TorchLanguageModel

log = logging.getLogger(__name__)

Tokens = tuple[int, ...]

QUERY_TOKENS, TITLE_TOKENS = 32, 64


@dataclass(frozen=True, slots=True)
class Plan:
    """Settings of a peer's training. `queries` and `titles` are texts in a step, rates are AdamW's peak rates."""

    steps: int = 400
    queries: int = 64
    titles: int = 32
    title_weight: float = 0.7
    drawn: int = 4  # sequences of a text whose later tokens are in the loss of a step
    any_order: bool = False  # the tokens of a sequence are a set, in a new random order each time
    encoder_rate: float = 1e-4
    decoder_rate: float = 6e-4
    warm_up: float = 0.06


@dataclass(frozen=True, slots=True)
class Clicked:
    """A train query with places in the catalogue: its clicked products, and those judged but not clicked."""

    text: str
    clicked: tuple[int, ...]
    passed_over: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lesson:
    """A text's token ids and its target sequences, with shares that add up to 1."""

    ids: Sequence[int]
    sequences: tuple[Tokens, ...]
    shares: tuple[float, ...]


def clicked_queries(bench: Benchmark) -> list[Clicked]:
    """Return the train queries with at least one click on a product of the catalogue."""
    place = {product.id: at for at, product in enumerate(bench.products)}
    clicked: dict[str, list[int]] = {}
    for query_id, product_id in bench.clicks:
        clicked.setdefault(query_id, []).append(place[product_id])
    found = []
    for query_id, places in clicked.items():
        judged = {place[id_] for id_ in bench.train.judgments.grades[query_id] if id_ in place}
        passed_over = tuple(sorted(judged - set(places)))
        found.append(Clicked(bench.train.queries[query_id], tuple(sorted(places)), passed_over))
    return found


def words_of(texts: Sequence[str]) -> list[list[str]]:
    """Return the normalised words of each text in order. A measure ("1/4 in.") is one word, "strong-tie" is two."""
    normaliser = Normaliser()
    return [
        [
            word
            for token in normaliser.tokens(text)
            for word in ([token.value] if any(map(str.isdigit, token.value)) else token.value.split())
        ]
        for text in texts
    ]


def encode_texts(texts: Sequence[str], most: int, encoder: Path | None = None) -> list[list[int]]:
    """Return at most `most` token ids of each text, by the tokenizer in the encoder's folder (None: MiniLM)."""
    return [item.ids[:most] for item in load_tokenizer(encoder).encode_batch(list(texts))]


def embed_texts(texts: Sequence[str], encoder: Path | None = None) -> FloatArray:
    """Return unit vectors of texts by the encoder as published, float32 (texts, width)."""
    return embed(load_encoder(encoder), load_tokenizer(encoder), texts, most=TITLE_TOKENS)


def title_vectors(bench: Benchmark, encoder: Path | None = None) -> FloatArray:
    """Return unit vectors of the titles, float32 (products, width). They are cached under `bench.work`."""
    titles = [product.title for product in bench.products]
    path = bench.work / "vectors" / f"titles-{fingerprint(titles, str(encoder))}.npy"
    if not path.is_file():
        log.info("encoding %d titles", len(titles))
        vectors = embed_texts(titles, encoder)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npy")
        np.save(part, vectors)
        part.replace(path)
    return cast(FloatArray, np.load(path))


def fingerprint(*parts: object) -> str:
    """Return a hash of JSON-like values, ten hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()[:10]


def data_fingerprint(bench: Benchmark) -> str:
    """Return a hash of a model's training data: the catalogue's titles, and the clicks with their queries."""
    products = [(product.id, product.title) for product in bench.products]
    return fingerprint(products, [(bench.train.queries[query], product) for query, product in bench.clicks])


def trained_model(path: Path, make: Callable[[], CompactModel], train: Callable[[CompactModel], None]) -> CompactModel:
    """Return the model with the weights at `path`. Without such a file, the model is trained and saved there."""
    model = make()
    if path.is_file():
        log.info("model from %s", path)
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    train(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(model.state_dict(), part)
    part.replace(path)
    return model.eval()


def make_model(vectors: FloatArray, longest: int, seed: int, folder: Path | None = None) -> CompactModel:
    """Return the encoder with a new decoder.

    vectors: float32 (values, width), the initial embeddings of the decoder's values. `longest` is the length of the
    longest sequence.
    """
    torch.manual_seed(seed)
    encoder = load_encoder(folder)
    encoder.embeddings.word_embeddings.weight.requires_grad_(False)
    shape = CompactShape(values=len(vectors), width=vectors.shape[1], max_tokens=longest + 1)
    model = CompactModel(encoder, CompactDecoder(shape))
    model.decoder.initialise(torch.from_numpy(vectors))
    return model


def train_model(
    model: CompactModel,
    queries: Sequence[Lesson],
    titles: Sequence[Lesson],
    plan: Plan,
    seed: int,
    *,
    extra_loss: Callable[[], Tensor] | None = None,
) -> None:
    """Train in place on L_q + title_weight * L_t, plus `extra_loss` where there is one."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="bf16")
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in model.encoder.parameters() if p.requires_grad], "lr": plan.encoder_rate},
            {"params": [*model.decoder.parameters()], "lr": plan.decoder_rate},
        ],
        weight_decay=0.01,
        fused=True,
    )
    warm = max(1, int(plan.warm_up * plan.steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda s: min((s + 1) / warm, max(0.02, (plan.steps - s) / (plan.steps - warm)))
    )
    model, optimiser = accelerator.prepare(model, optimiser)
    model.train()
    query_batches, title_batches = _batches(queries, plan.queries, rng), _batches(titles, plan.titles, rng)
    started, losses = time.monotonic(), []
    for step in range(1, plan.steps + 1):
        with accelerator.autocast():
            loss = sequence_loss(model, next(query_batches), Side.QUERY, plan, rng)
            loss = loss + plan.title_weight * sequence_loss(model, next(title_batches), Side.TITLE, plan, rng)
            if extra_loss is not None:
                loss = loss + extra_loss()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
        losses.append(loss.detach().item())
        if step % 50 == 0 or step == plan.steps:
            each = (time.monotonic() - started) / step
            log.info("step %d of %d: loss %.3f, %.2f s a step", step, plan.steps, np.mean(losses[-50:]), each)
    # Without this, the model would still compute in bfloat16.
    accelerator.unwrap_model(model, keep_fp32_wrapper=False).eval()


def sequence_loss(model: CompactModel, batch: Sequence[Lesson], side: Side, plan: Plan, rng: random.Random) -> Tensor:
    """Return the mean negative log-likelihood of the batch's sequences, natural logarithm.

    The part of the first token is exact, over all sequences of a text. The part of the later tokens is estimated from
    `plan.drawn` sequences, which are drawn by share.
    """
    shape = model.decoder.shape
    ids, mask = (part.to(_device(model)) for part in pad([lesson.ids for lesson in batch]))
    memory = model.decoder.memory(model.encode(ids, mask))
    drawn = [_draw(lesson, plan, rng) for lesson in batch]
    prefixes, labels = prefix_grid(drawn, shape.side_tokens[side is Side.TITLE], shape.end)
    prefixes, labels = prefixes.to(ids.device), labels.to(ids.device)
    hidden = model.decoder.hidden(prefixes, memory, mask)  # (texts, drawn, tokens + 1, width)
    first = functional.log_softmax(model.decoder.logits(hidden[:, 0, 0]).float(), -1)
    shares = first_shares(batch, shape.end + 1, any_order=plan.any_order).to(first.device)
    later = labels[:, :, 1:]
    labelled = later >= 0  # the output layer is large, so it only gets positions with a label
    logits = model.decoder.logits(hidden[:, :, 1:][labelled]).float()
    rest = functional.cross_entropy(logits, later[labelled], reduction="sum")
    return -(shares * first).sum(-1).mean() + rest / (len(batch) * plan.drawn)


def first_shares(batch: Sequence[Lesson], values: int, *, any_order: bool) -> Tensor:
    """Return the target probability of each value as the first token, float (texts, values). Rows add up to 1."""
    shares = torch.zeros(len(batch), values)
    for row, lesson in enumerate(batch):
        for sequence, share in zip(lesson.sequences, lesson.shares, strict=True):
            firsts = sequence if any_order else sequence[:1]
            for token in firsts:
                shares[row, token] += share / len(firsts)
    return shares


def prefix_grid(drawn: Sequence[Sequence[Tokens]], opening: int, end: int) -> tuple[Tensor, Tensor]:
    """Return the decoder's inputs and labels for the sequences of each text.

    All texts have the same number of sequences. Both results are int64 (texts, sequences, longest + 1). Prefixes are
    the opening token and the sequence. Labels are the sequence and the end token, and -1 behind it.
    """
    longest = max(len(sequence) for row in drawn for sequence in row)
    prefixes = torch.full((len(drawn), len(drawn[0]), longest + 1), end)
    labels = torch.full_like(prefixes, -1)
    for row, sequences in enumerate(drawn):
        for at, sequence in enumerate(sequences):
            prefixes[row, at, : len(sequence) + 1] = torch.tensor([opening, *sequence])
            labels[row, at, : len(sequence) + 1] = torch.tensor([*sequence, end])
    return prefixes, labels


def sequence_log_probs(
    model: CompactModel, ids: Sequence[Sequence[int]], sequences: Sequence[Sequence[Tokens]]
) -> Tensor:
    """Return log P(sequence | query) with the closing token, float (texts, sequences), natural logarithm."""
    shape = model.decoder.shape
    rows, mask = (part.to(_device(model)) for part in pad(ids))
    prefixes, labels = (part.to(rows.device) for part in prefix_grid(sequences, shape.side_tokens[0], shape.end))
    log_probs = model(rows, mask, prefixes).float().log_softmax(-1)
    picked = log_probs.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    return torch.where(labels >= 0, picked, 0.0).sum(-1)


def _draw(lesson: Lesson, plan: Plan, rng: random.Random) -> list[Tokens]:
    drawn = rng.choices(lesson.sequences, lesson.shares, k=plan.drawn)
    return [tuple(rng.sample(s, len(s))) for s in drawn] if plan.any_order else drawn


def _batches(lessons: Sequence[Lesson], size: int, rng: random.Random) -> Iterator[list[Lesson]]:
    """Yield batches of texts of similar length in random order, without end. Texts without sequences are left out."""
    usable = [lesson for lesson in lessons if lesson.sequences]
    while True:
        shuffled = rng.sample(usable, len(usable))
        for start in range(0, len(shuffled), 32 * size):
            chunk = sorted(shuffled[start : start + 32 * size], key=lambda lesson: len(lesson.ids))
            batches = [chunk[i : i + size] for i in range(0, len(chunk), size)]
            yield from rng.sample(batches, len(batches))


def _device(model: CompactModel) -> torch.device:
    return model.decoder.bias.device


class TorchModel(TorchLanguageModel):
    """A trained model as `gram_os.model.decode.LanguageModel`. It reads the same number of tokens as the training."""

    def __init__(self, model: CompactModel, encoder: Path | None = None):
        most = {Side.QUERY: QUERY_TOKENS, Side.TITLE: TITLE_TOKENS}
        super().__init__(model.eval(), load_tokenizer(encoder), most)


def in_batches(queries: Mapping[str, str], size: int) -> Iterator[tuple[list[str], list[str]]]:
    """Yield batches of ids and texts of the queries, with texts of similar length together. Logs the progress."""
    order = sorted(queries, key=lambda id_: (len(queries[id_]), id_))
    started = time.monotonic()
    for start in range(0, len(order), size):
        ids = order[start : start + size]
        yield ids, [queries[id_] for id_ in ids]
        done = start + len(ids)
        if done == len(order) or (start // size) % 10 == 9:
            log.info("ranked %d of %d queries in %.0f s", done, len(order), time.monotonic() - started)


def rank_down(
    generated: Sequence[tuple[int, float]], fill: Iterator[int], depth: int, ids: Sequence[str]
) -> list[tuple[str, float]]:
    """Return at most `depth` products: the generated ones by score, then those of `fill` in their order.

    Each product of `fill` scores a little less than the one before it. Products are places in the catalogue. Equal
    scores keep their order.
    """
    best: dict[int, float] = {}
    for place, score in sorted(generated, key=lambda pair: -pair[1]):
        best.setdefault(place, score)
        if len(best) == depth:
            break
    score = min(best.values(), default=0.0)
    for place in fill:
        if len(best) >= depth:
            break
        if place not in best:
            score -= 1e-3
            best[place] = score
    return [(ids[place], value) for place, value in best.items()]


def unit(vectors: Any) -> FloatArray:
    """Scale rows to length 1, float32. Rows of zeros stay."""
    array = np.asarray(vectors, np.float32)
    lengths: FloatArray = np.linalg.norm(array, axis=1, keepdims=True)
    return cast(FloatArray, array / np.maximum(lengths, 1e-9))
