"""Matching: the encoder learns which titles shoppers mean by a query, before any code is made from its vectors.

GRAM's paper starts from a language model that has seen the texts of its shop. Here the start is a sentence encoder
that has not. Codes depend on its vectors: a value starts as the mean of the titles that have it
(`CompactDecoder.initialise`), and the teacher ranks by them (`lessons/teacher.py`). So the encoder is tuned on the
clicks first, by contrastive training (InfoNCE, arXiv 1807.03748):

    L(q, t+) = -log softmax over the batch's titles t of  sharpness cos(q, t)

Negatives are the titles of the batch's other queries, and for each query some titles that were judged bad, or that
share words with it and were not clicked. docs/log.md has the results, also those of word scores inside the softmax,
which did not help.
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
from gram_os.train.mining.catalogue import MinedCatalogue
from gram_os.train.models.encoder import QUERY_TOKENS, mean_pool, pad


@dataclass(frozen=True, slots=True)
class MatchingSettings:
    """How the encoder is tuned; the rate is AdamW's peak.

    hard_from, hard_to: hard negatives are drawn from these ranks by words; the very best titles are often relevant
    although nobody judged them. most_tokens: of a title; nine of ten titles are no longer, and 32 tokens cost half of
    64.
    """

    epochs: int = 2
    batch: int = 64  # queries a step, each with a clicked title
    negatives: int = 1  # further titles of each query
    rate: float = 5e-5
    sharpness: float = 20.0
    hard_from: int = 20
    hard_to: int = 200
    most_tokens: int = 32
    seed: int = 0


@dataclass(frozen=True)
class MatchingData:
    """What the encoder is trained on.

    queries, titles: token ids. clicked: float (queries, titles), the weight of each clicked product. judged: for each
    query the titles that were judged bad. hard: for each query titles that share words with it and have no feedback.
    """

    queries: Sequence[Sequence[int]]
    titles: Sequence[Sequence[int]]
    clicked: sparse.csr_matrix
    judged: Sequence[IntArray]
    hard: Sequence[IntArray]

    def steps(self, settings: MatchingSettings) -> int:
        """Return the number of steps of all epochs."""
        return settings.epochs * max(1, len(self.queries) // settings.batch)


@dataclass(frozen=True, slots=True)
class MatchingBatch:
    """The places of the queries and of the titles of one step, each once."""

    queries: Sequence[int]
    titles: Sequence[int]


def learn_matching(
    encoder: Any,
    tokenizer: Tokenizer,
    mined: MinedCatalogue,
    feedback: Feedback,
    settings: MatchingSettings,
    journal: Journal | None = None,
) -> None:
    """Tune `encoder` in place.

    Its word table is not trained, so words without clicks keep their vectors beside those of other words.
    """
    encoder.embeddings.word_embeddings.weight.requires_grad_(False)
    texts = clicked_queries(mined, feedback)
    queries = [item.ids[:QUERY_TOKENS] for item in tokenizer.encode_batch(texts)]
    titles = [item.ids for item in tokenizer.encode_batch([product.title for product in mined.products])]
    data = _gather_data(mined, feedback, queries, titles, settings)
    run_loop(
        MatchingObjective(encoder, data, settings),
        [RateGroup([p for p in encoder.parameters() if p.requires_grad], settings.rate)],
        lambda seed: BatchStream(lambda rng: make_batches(data, settings, rng), seed),
        LoopSettings(data.steps(settings), warm_up=0.1, seed=settings.seed),
        journal=journal,
    )


def _gather_data(
    mined: MinedCatalogue,
    feedback: Feedback,
    query_ids: Sequence[Sequence[int]],
    title_ids: Sequence[Sequence[int]],
    settings: MatchingSettings,
) -> MatchingData:
    """Gather the clicked queries (`clicked_queries`) with their products; query_ids, title_ids: their tokens."""
    places = {product.id: place for place, product in enumerate(mined.products)}
    texts = clicked_queries(mined, feedback)
    rows = [query_values(text, mined.normaliser, mined.dictionary, mined.vocabulary) for text in texts]
    query_weights, title_weights = weigh_queries(mined, rows), weigh_titles(mined)
    found = [[pair for pair in feedback.by_query[text] if pair.product in places] for text in texts]
    bounds = np.cumsum([0, *(sum(pair.positive for pair in pairs) for pairs in found)])
    clicked = [(places[p.product], p.weight) for pairs in found for p in pairs if p.positive]
    return MatchingData(
        query_ids,
        [ids[: settings.most_tokens] for ids in title_ids],
        sparse.csr_matrix(
            (np.array([w for _, w in clicked], np.float32), [place for place, _ in clicked], bounds),
            shape=(len(texts), len(mined.products)),
        ),
        [np.array([places[p.product] for p in pairs if not p.positive], np.int64) for pairs in found],
        _hard_titles(query_weights, title_weights, [{places[p.product] for p in pairs} for pairs in found], settings),
    )


def clicked_queries(mined: MinedCatalogue, feedback: Feedback) -> list[str]:
    """Return the queries that clicked a product of the catalogue."""
    known = {product.id for product in mined.products}
    return [q for q in feedback.by_query if any(p.product in known for p in feedback.positives(q))]


def _hard_titles(
    query_weights: sparse.csr_matrix,
    title_weights: sparse.csr_matrix,
    with_feedback: Sequence[set[int]],
    settings: MatchingSettings,
) -> list[IntArray]:
    """Return the titles that rank from `hard_from` to `hard_to` by words, without those that have feedback."""
    return [
        np.array(
            [p for p in best_places(scores, settings.hard_to)[settings.hard_from :] if p not in known],
            np.int64,
        )
        for scores, known in zip(dense_rows(query_weights, title_weights), with_feedback, strict=True)
    ]


class MatchingObjective(nn.Module):
    """The loss above over one batch."""

    def __init__(self, encoder: Any, data: MatchingData, settings: MatchingSettings):
        super().__init__()
        self.encoder = encoder
        self._data, self._settings = data, settings

    def forward(self, batch: MatchingBatch) -> dict[str, Tensor]:
        """Return the loss; all titles of the batch that a query clicked are right, by their weights."""
        data, settings = self._data, self._settings
        queries = self._vectors([data.queries[place] for place in batch.queries])
        titles = self._vectors([data.titles[place] for place in batch.titles])
        clicked = torch.from_numpy(data.clicked[batch.queries][:, batch.titles].toarray()).to(queries.device)
        scores = settings.sharpness * (queries @ titles.T).float()
        right = clicked / clicked.sum(1, keepdim=True)
        return {"loss": -(right * torch.log_softmax(scores, 1)).sum(1).mean()}

    def _vectors(self, texts: Sequence[Sequence[int]]) -> Tensor:
        device = next(self.encoder.parameters()).device
        ids, mask = (part.to(device) for part in pad(texts))
        return mean_pool(self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state, mask)


def make_batches(data: MatchingData, settings: MatchingSettings, rng: random.Random) -> Iterator[MatchingBatch]:
    """Yield one pass over the queries in random order, each with one clicked title and `negatives` other titles."""
    order = list(range(len(data.queries)))
    rng.shuffle(order)
    size = min(settings.batch, len(order))
    for start in range(0, len(order) - size + 1, size):
        queries = order[start : start + size]
        titles: dict[int, None] = {}
        for query in queries:
            row = data.clicked[query]
            titles[rng.choices(row.indices.tolist(), row.data.tolist())[0]] = None
            pools = [pool for pool in (data.judged[query], data.hard[query]) if len(pool)]
            for _ in range(settings.negatives if pools else 0):
                titles[int(rng.choice(rng.choice(pools)))] = None
        yield MatchingBatch(queries, list(titles))
