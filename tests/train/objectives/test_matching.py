"""The encoder's tuning on clicks: the loss by hand, what a batch holds, and that it learns what words do not say."""

from __future__ import annotations

import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from torch import Tensor, nn

from gram_os.train.loop.checkpoint import BatchStream
from gram_os.train.loop.training_loop import LoopSettings, RateGroup, run_loop
from gram_os.train.objectives.matching import (
    MatchingBatch,
    MatchingData,
    MatchingObjective,
    MatchingSettings,
    make_batches,
)

SETTINGS = MatchingSettings(batch=3, negatives=1, sharpness=5.0)


class _Words(nn.Module):
    """An encoder whose hidden states are its word vectors."""

    def __init__(self, words: int, width: int = 6):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.vectors = nn.Parameter(torch.randn(words, width, generator=generator))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        return SimpleNamespace(last_hidden_state=self.vectors[input_ids] * attention_mask[..., None])


def _data(queries: Sequence[Sequence[int]], titles: Sequence[Sequence[int]], **changes: Any) -> MatchingData:
    parts = {
        "clicked": sparse.csr_matrix(np.eye(len(queries), len(titles), dtype=np.float32)),
        "judged": [np.array([], np.int64)] * len(queries),
        "hard": [np.array([], np.int64)] * len(queries),
    }
    return MatchingData(queries, titles, **(parts | changes))


def test_the_loss_by_hand() -> None:
    data = _data(
        [[0, 1], [2]],
        [[1, 3], [2, 2, 0], [4]],
        clicked=sparse.csr_matrix(np.array([[1, 0, 3], [0, 1, 0]], np.float32)),
    )
    encoder = _Words(5)
    vectors = encoder.vectors.detach().numpy()

    def unit(words: Sequence[int]) -> np.ndarray:
        mean = vectors[list(words)].mean(0)
        return np.asarray(mean / np.linalg.norm(mean))

    expected = 0.0
    for query, clicked in enumerate(data.clicked.toarray()):
        scores = [5.0 * unit(data.queries[query]) @ unit(title) for title in data.titles]
        total = np.log(np.exp(scores).sum())
        expected += sum(w * (total - s) for w, s in zip(clicked, scores, strict=True)) / clicked.sum() / 2
    found = MatchingObjective(encoder, data, SETTINGS)(MatchingBatch([0, 1], [0, 1, 2]))["loss"]
    assert float(found.detach()) == pytest.approx(expected, rel=1e-4)


def test_batches_hold_each_query_once_its_clicked_title_and_a_title_that_is_not() -> None:
    data = _data(
        [[n] for n in range(8)],
        [[n] for n in range(12)],
        judged=[np.array([8]), *[np.array([], np.int64)] * 7],
        hard=[np.array([9, 10, 11])] * 8,
    )
    batches = list(make_batches(data, SETTINGS, random.Random(0)))
    assert [len(batch.queries) for batch in batches] == [3, 3]
    seen = [query for batch in batches for query in batch.queries]
    assert len(set(seen)) == 6
    for batch in batches:
        assert set(batch.queries) <= set(batch.titles)  # query n clicked title n
        assert len(set(batch.titles)) == len(batch.titles)
        assert set(batch.titles) - set(batch.queries) <= {8, 9, 10, 11}


def test_words_that_mean_the_same_come_together() -> None:
    # Query word n means title word 8 + n; no word is on both sides.
    queries, titles = [[n] for n in range(8)], [[8 + n] for n in range(8)]
    data = _data(queries, titles)
    encoder = _Words(16)
    settings = MatchingSettings(batch=8)
    run_loop(
        MatchingObjective(encoder, data, settings),
        [RateGroup(list(encoder.parameters()), 0.1)],
        lambda seed: BatchStream(lambda rng: make_batches(data, settings, rng), seed),
        LoopSettings(60),
    )
    unit = nn.functional.normalize(encoder.vectors.detach(), dim=1)
    assert (unit[:8] @ unit[8:].T).argmax(1).tolist() == list(range(8))
