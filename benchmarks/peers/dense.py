"""Dense retrieval with sentence-transformers: MiniLM as published, and MiniLM fine-tuned on the train clicks.

Both search all titles exactly, so that no approximate index costs them quality.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules.transformer import Transformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from sentence_transformers.util import batch_to_device

from benchmarks.peers.exact import rank_by_vectors, remember_vectors
from benchmarks.peers.interface import Benchmark, Rankings
from gram_os.arrays import FloatArray
from gram_os.relevance import Run
from gram_os.train.models.encoder import pretrained_folder

log = logging.getLogger(__name__)


MOST_TOKENS = 64
# In training. Batches are padded to their longest text. 32 tokens are the whole title in nine of ten cases, and cost
# half.
MOST_TRAINING_TOKENS = 32
LOG_EVERY = 50


@dataclass(frozen=True)
class Dense:
    """The encoder as published, without training (zero-shot)."""

    name: str = "dense"

    def rank(self, bench: Benchmark, queries: Mapping[str, str]) -> Rankings:
        """Rank without learning anything. The vectors of the titles are kept in the benchmark's work folder."""
        model = load_sentence_model()
        texts = [product.title for product in bench.products]
        titles = remember_vectors(bench.work / "vectors", self.name, texts, lambda given: _encode(model, given))
        vectors = _encode(model, list(queries.values()))
        return rank_by_vectors([product.id for product in bench.products], titles, list(queries), vectors)


@dataclass(frozen=True)
class TunedDense:
    """The same encoder after contrastive training on the clicks.

    An epoch uses each query once, with one of its clicked titles. Negatives are the other titles of the batch, and
    `negatives` titles for the query itself. Those are judged titles that are not relevant, and titles that BM25 ranks
    from `hard_from` to `hard_to` and nobody judged relevant. BM25's very best titles are not used, because many of them
    are relevant but not judged. `lexical` returns BM25's run of the train queries.
    """

    lexical: Callable[[], Run] = field(repr=False, compare=False)
    seed: int = 0
    epochs: int = 2
    batch: int = 64
    rate: float = 5e-5
    negatives: int = 1
    hard_from: int = 20
    hard_to: int = 200
    warm_up: float = 0.1
    scale: float = 20.0
    name: str = "dense_tuned"

    def rank(self, bench: Benchmark, queries: Mapping[str, str]) -> Rankings:
        """Fine-tune on `bench.train`, then search."""
        return rank_densely(self.train(bench), bench, queries)

    def train(self, bench: Benchmark) -> SentenceTransformer:
        """Return the fine-tuned model."""
        torch.manual_seed(self.seed)
        model = load_sentence_model()
        loss = MultipleNegativesRankingLoss(model, scale=self.scale)
        lessons = find_lessons(bench, self.lexical(), self.hard_from, self.hard_to)
        steps = self.epochs * -(-len(lessons) // self.batch)
        optimizer = torch.optim.AdamW(model.parameters(), lr=self.rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _ramp(step, steps, self.warm_up))
        model.max_seq_length = MOST_TRAINING_TOKENS
        model.train()
        for step, columns in enumerate(self._batches(bench, lessons)):
            with torch.autocast(model.device.type, torch.bfloat16):
                value = loss([_features(model, texts) for texts in columns], None)
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            if step % LOG_EVERY == 0:
                log.info("%s: step %d of %d, loss %.4f", self.name, step, steps, value.item())
        model.max_seq_length = MOST_TOKENS
        return model

    def _batches(self, bench: Benchmark, lessons: Sequence[Lesson]) -> Iterator[list[list[str]]]:
        """Yield the columns of texts of each batch: queries, clicked titles, and one column for each negative."""
        titles = {product.id: product.title for product in bench.products}
        rng = random.Random(self.seed)
        for _ in range(self.epochs):
            order = rng.sample(lessons, len(lessons))
            for start in range(0, len(order), self.batch):
                rows = [lesson.draw(titles, self.negatives, rng) for lesson in order[start : start + self.batch]]
                yield [list(column) for column in zip(*rows, strict=True)]


@dataclass(frozen=True, slots=True)
class Lesson:
    """A train query with three kinds of products.

    `clicked`: the clicked ones. `passed_over`: judged ones that are not relevant. `lexical`: ones of BM25 that nobody
    judged relevant.
    """

    text: str
    clicked: tuple[str, ...]
    passed_over: tuple[str, ...]
    lexical: tuple[str, ...]

    def draw(self, titles: Mapping[str, str], negatives: int, rng: random.Random) -> list[str]:
        """Return the query, a clicked title and `negatives` titles.

        Where there are judged and lexical titles, both kinds are drawn equally often.
        """
        drawn = [self.text, titles[rng.choice(self.clicked)]]
        for _ in range(negatives):
            pools = [pool for pool in (self.passed_over, self.lexical) if pool] or [tuple(titles)]
            drawn.append(titles[rng.choice(rng.choice(pools))])
        return drawn


def find_lessons(bench: Benchmark, lexical: Run, hard_from: int, hard_to: int) -> list[Lesson]:
    """Return one lesson for each train query that has a click."""
    known = {product.id for product in bench.products}
    clicked: dict[str, list[str]] = {}
    for query_id, product_id in bench.clicks:
        clicked.setdefault(query_id, []).append(product_id)
    return [
        Lesson(
            bench.train.queries[query_id],
            tuple(products),
            tuple(sorted((bench.train.judgments.grades[query_id].keys() & known) - set(products))),
            tuple(
                id_ for id_ in lexical.product_ids(query_id)[hard_from:hard_to] if id_ in known and id_ not in products
            ),
        )
        for query_id, products in clicked.items()
    ]


def load_sentence_model() -> SentenceTransformer:
    """Load MiniLM with mean pooling and unit vectors, as its authors publish it."""
    words = Transformer(str(pretrained_folder()), max_seq_length=MOST_TOKENS)
    return SentenceTransformer(modules=[words, Pooling(words.get_embedding_dimension()), Normalize()])


def rank_densely(model: SentenceTransformer, bench: Benchmark, queries: Mapping[str, str]) -> Rankings:
    """Rank all titles exactly, by the inner product of unit vectors."""
    titles = _encode(model, [product.title for product in bench.products])
    vectors = _encode(model, list(queries.values()))
    return rank_by_vectors([product.id for product in bench.products], titles, list(queries), vectors)


def _encode(model: SentenceTransformer, texts: Sequence[str]) -> FloatArray:
    with torch.autocast(model.device.type, torch.bfloat16):
        vectors = model.encode(list(texts), batch_size=256, show_progress_bar=False)
    return np.asarray(vectors, dtype=np.float32)


def _features(model: SentenceTransformer, texts: Sequence[str]) -> dict[str, Any]:
    return dict(batch_to_device(model.preprocess(list(texts)), model.device))


def _ramp(step: int, steps: int, warm_up: float) -> float:
    """Return the share of the peak rate. It rises over `warm_up` of the steps, then falls to 0, both linearly."""
    first = max(1.0, warm_up * steps)
    return min((step + 1) / first, max(0.0, (steps - step) / max(1.0, steps - first)))
