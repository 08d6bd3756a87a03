"""The encoder learns which titles shoppers meant by a query, before any code is made from its vectors.

GRAM's paper starts from a language model that has seen its shop's texts; ours starts from a sentence encoder that has
not. Codes follow the vectors (values begin as the mean of the titles that hold them, `compact.CompactDecoder.initialise`; the
teacher ranks by them, targets.py), so they are tuned on the clicks first: contrastive training (InfoNCE, arXiv 1807.03748),

    L(q, t+) = -log softmax over the batch's titles t of  sharpness cos(q, t)

with the other queries' titles as negatives, and of each query's own some that were judged bad, or that are alike by their
words and were not clicked. docs/log.md has what it gives, and what scores of words inside of the softmax did not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from gram_os.arrays import IntArray
from gram_os.text.own_values import query_values
from gram_os.train.lessons.clicks import Feedback
from gram_os.train.lessons.ranking import weigh_queries, weigh_titles
from gram_os.train.lessons.sparse_rows import best_places, dense_rows
from gram_os.train.loop.checkpoint import BatchStream
from gram_os.train.loop.training_loop import Journal, LoopSettings, RateGroup, run_loop
from gram_os.train.mining.catalogue import Mined
from gram_os.train.models.encoder import QUERY_TOKENS, mean_pool, pad


@dataclass(frozen=True, slots=True)
class MatchingSettings:
    """How the encoder is tuned; the rate is AdamW's peak."""

    epochs: int = 2
    batch: int = 64  # queries a step, each with a clicked title
    negatives: int = 1  # further titles of each query
    rate: float = 5e-5
    sharpness: float = 20.0
    hard_from: int = (
        20  # literal ranks that hard negatives are drawn from: the very best are often relevant and not judged
    )
    hard_to: int = 200
    most_tokens: int = 32  # of a title; nine of ten are no longer, at half the cost
    seed: int = 0


@dataclass(frozen=True)
class Lessons:
    """What is learned from.

    queries, titles: token ids; clicked: float (queries, titles), how much each clicked product counts; judged, hard:
    titles of each query that were judged bad, and that are alike by their words and were not clicked.
    """

    queries: Sequence[Sequence[int]]
    titles: Sequence[Sequence[int]]
    clicked: sparse.csr_matrix
    judged: Sequence[IntArray]
    hard: Sequence[IntArray]

    def steps(self, settings: MatchingSettings) -> int:
        """Steps of all epochs."""
        return settings.epochs * max(1, len(self.queries) // settings.batch)


@dataclass(frozen=True, slots=True)
class MatchingBatch:
    """Places of the queries and of the titles of a step, each once."""

    queries: Sequence[int]
    titles: Sequence[int]


def learn_matching(
    encoder: Any,
    tokenizer: Tokenizer,
    mined: Mined,
    feedback: Feedback,
    settings: MatchingSettings,
    journal: Journal | None = None,
) -> None:
    """Tune `encoder` in place; its word table stays as it is, so that words without clicks keep their place beside others."""
    encoder.embeddings.word_embeddings.weight.requires_grad_(False)
    texts = clicked_queries(mined, feedback)
    queries = [item.ids[:QUERY_TOKENS] for item in tokenizer.encode_batch(texts)]
    titles = [item.ids for item in tokenizer.encode_batch([product.title for product in mined.products])]
    lessons = gather_lessons(mined, feedback, queries, titles, settings)
    run_loop(
        MatchingObjective(encoder, lessons, settings),
        [RateGroup([p for p in encoder.parameters() if p.requires_grad], settings.rate)],
        lambda seed: BatchStream(lambda rng: matching_batches(lessons, settings, rng), seed),
        LoopSettings(lessons.steps(settings), warm_up=0.1, seed=settings.seed),
        journal=journal,
    )


def gather_lessons(
    mined: Mined,
    feedback: Feedback,
    query_ids: Sequence[Sequence[int]],
    title_ids: Sequence[Sequence[int]],
    settings: MatchingSettings,
) -> Lessons:
    """The clicked queries (`clicked_queries`) with their products, `query_ids` and `title_ids` being their tokens."""
    places = {product.id: place for place, product in enumerate(mined.products)}
    texts = clicked_queries(mined, feedback)
    rows = [query_values(text, mined.normaliser, mined.dictionary, mined.vocabulary) for text in texts]
    asked, offered = weigh_queries(mined, rows), weigh_titles(mined)
    found = [[pair for pair in feedback.by_query[text] if pair.product in places] for text in texts]
    bounds = np.cumsum([0, *(sum(pair.positive for pair in pairs) for pairs in found)])
    clicked = [(places[p.product], p.weight) for pairs in found for p in pairs if p.positive]
    return Lessons(
        query_ids,
        [ids[: settings.most_tokens] for ids in title_ids],
        sparse.csr_matrix(
            (np.array([w for _, w in clicked], np.float32), [place for place, _ in clicked], bounds),
            shape=(len(texts), len(mined.products)),
        ),
        [np.array([places[p.product] for p in pairs if not p.positive], np.int64) for pairs in found],
        _hard_titles(asked, offered, [{places[p.product] for p in pairs} for pairs in found], settings),
    )


def clicked_queries(mined: Mined, feedback: Feedback) -> list[str]:
    """The queries that clicked a product of the catalogue."""
    known = {product.id for product in mined.products}
    return [q for q in feedback.by_query if any(p.product in known for p in feedback.positives(q))]


def _hard_titles(
    asked: sparse.csr_matrix,
    offered: sparse.csr_matrix,
    told: Sequence[set[int]],
    settings: MatchingSettings,
) -> list[IntArray]:
    """Titles that the words rank from `hard_from` to `hard_to`, without those that something is known of."""
    return [
        np.array(
            [p for p in best_places(scores, settings.hard_to)[settings.hard_from :] if p not in known],
            np.int64,
        )
        for scores, known in zip(dense_rows(asked, offered), told, strict=True)
    ]


class MatchingObjective(nn.Module):
    """The loss above over one batch."""

    def __init__(self, encoder: Any, lessons: Lessons, settings: MatchingSettings):
        super().__init__()
        self.encoder = encoder
        self._lessons, self._settings = lessons, settings

    def forward(self, batch: MatchingBatch) -> dict[str, Tensor]:
        """The loss; the queries' other clicked titles that happen to be in the batch share in being right."""
        lessons, settings = self._lessons, self._settings
        queries = self._vectors([lessons.queries[place] for place in batch.queries])
        titles = self._vectors([lessons.titles[place] for place in batch.titles])
        clicked = torch.from_numpy(lessons.clicked[batch.queries][:, batch.titles].toarray()).to(queries.device)
        scores = settings.sharpness * (queries @ titles.T).float()
        right = clicked / clicked.sum(1, keepdim=True)
        return {"loss": -(right * torch.log_softmax(scores, 1)).sum(1).mean()}

    def _vectors(self, texts: Sequence[Sequence[int]]) -> Tensor:
        device = next(self.encoder.parameters()).device
        ids, mask = (part.to(device) for part in pad(texts))
        return mean_pool(self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state, mask)


def matching_batches(lessons: Lessons, settings: MatchingSettings, rng: random.Random) -> Iterator[MatchingBatch]:
    """One pass over the queries in random order, each with one clicked title and `negatives` others."""
    order = list(range(len(lessons.queries)))
    rng.shuffle(order)
    size = min(settings.batch, len(order))
    for start in range(0, len(order) - size + 1, size):
        queries = order[start : start + size]
        titles: dict[int, None] = {}
        for query in queries:
            row = lessons.clicked[query]
            titles[rng.choices(row.indices.tolist(), row.data.tolist())[0]] = None
            pools = [pool for pool in (lessons.judged[query], lessons.hard[query]) if len(pool)]
            for _ in range(settings.negatives if pools else 0):
                titles[int(rng.choice(rng.choice(pools)))] = None
        yield MatchingBatch(queries, list(titles))
