"""The pair scorer's training: the loss by hand, the titles' part against the gradient of the whole, and what is learned."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from torch import Tensor, nn

from gram_os.attribute import Side
from gram_os.train.checkpoint import BatchStream
from gram_os.train.coding import GENERATED, OWN, UNKNOWN, CodedTexts, idf
from gram_os.train.likelihood import Tokens
from gram_os.train.loop import LoopSettings, RateGroup, run_loop
from gram_os.train.pair import (
    PairBatch,
    PairData,
    PairObjective,
    PairParameters,
    PairSettings,
    PairSide,
    pair_batches,
)

VALUES = 4
TOKENS: Sequence[Tokens] = [(value,) for value in range(VALUES)]


class _Table(nn.Module):
    """A `CodeModel` that knows its texts (a text is its number) by heart: free logits of the values on each side."""

    def __init__(self, queries: int, titles: int):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.logits = nn.ParameterList(
            nn.Parameter(torch.randn(n, VALUES, generator=generator)) for n in (queries, titles)
        )

    def log_probs(
        self, texts: Sequence[Sequence[int]], side: Side, codes: Sequence[Tokens], wanted: Tensor
    ) -> Tensor:
        rows = torch.tensor([text[0] for text in texts])
        scores = self.logits[int(side is Side.TITLE)][rows].log_softmax(-1)
        found: Tensor = (scores[:, [code[0] for code in codes]] * wanted)[..., None]
        return found


def _codes(model: _Table, side: Side, rows: Sequence[dict[int, int]]) -> CodedTexts:
    """Codes whose ratios are the model's as it is now."""
    table = model.logits[int(side is Side.TITLE)].detach().log_softmax(-1).numpy()
    ratios: list[float] = []
    for text, row in enumerate(rows):
        known = {c: float(table[text, c]) for c, kind in row.items() if kind != UNKNOWN}
        ratios += [known[c] - max(known.values()) if c in known else 0.0 for c in row]
    return CodedTexts(
        np.cumsum([0, *map(len, rows)]).astype(np.int64),
        np.array([c for row in rows for c in row], np.int64),
        np.array([k for row in rows for k in row.values()], np.int8),
        np.array(ratios, np.float32),
    )


QUERIES = [{0: OWN, 1: GENERATED}, {2: OWN, 4: UNKNOWN}]
TITLES = [{0: OWN, 3: OWN}, {1: OWN, 2: GENERATED}, {2: OWN, 4: UNKNOWN}, {0: GENERATED, 2: OWN}]
CLICKED = sparse.csr_matrix(np.array([[1, 0, 0, 0], [0, 0, 0.5, 0.5]], np.float32))


def _setting(**changes: Any) -> tuple[_Table, PairParameters, PairData, PairSettings]:
    model = _Table(len(QUERIES), len(TITLES))
    data = PairData(
        PairSide([[0], [1]], _codes(model, Side.QUERY, QUERIES)),
        PairSide([[0], [1], [2], [3]], _codes(model, Side.TITLE, TITLES)),
        CLICKED,
        real=2,
    )
    return model, PairParameters(), data, replace(PairSettings(), **changes)


def _scores(data: PairData, parameters: PairParameters) -> np.ndarray:
    """S of every pair, shared code by shared code."""
    weights = parameters.values()
    rarity = idf(data.titles.codes.frequencies(5), 4)
    scales = parameters.log_scales.detach().exp().numpy()
    found = np.zeros((len(data.queries.codes), len(data.titles.codes)))
    for q in range(len(found)):
        for t in range(found.shape[1]):
            for i in range(*data.queries.codes.of(q).indices(99)):
                for j in range(*data.titles.codes.of(t).indices(99)):
                    column = data.queries.codes.columns[i]
                    if column != data.titles.codes.columns[j]:
                        continue
                    part = rarity[column] ** weights.idf_exponent
                    for row, codes, at in ((0, data.queries.codes, i), (1, data.titles.codes, j)):
                        kind = codes.kinds[at]
                        exponent = (0.2 if row == 0 else 0.1) if kind != UNKNOWN else 0.0
                        part *= scales[row, kind] * exp(exponent * codes.log_ratios[at])
                    part *= float(data.titles.codes.lengths()[t]) ** -0.15
                    found[q, t] += part
    return found


def test_the_query_loss_by_hand() -> None:
    model, parameters, data, settings = _setting(margin=0.7, title_weight=0.0)
    scores, tau = _scores(data, parameters), 1.6
    expected = 0.0
    for q, clicked in enumerate(CLICKED.toarray()):
        logits = [(s + (0 if w else 0.7)) / tau for s, w in zip(scores[q], clicked, strict=True)]
        total = log(sum(exp(x) for x in logits))
        expected += sum(w * (total - x) for w, x in zip(clicked, logits, strict=True)) / 2
    losses = PairObjective(model, parameters, data, TOKENS, settings)(PairBatch([0, 1], []))
    assert float(losses["loss"].detach()) == pytest.approx(expected, rel=1e-4)


def test_the_titles_part_has_the_gradient_of_the_whole_loss() -> None:
    model, parameters, data, settings = _setting()
    objective = PairObjective(model, parameters, data, TOKENS, settings)
    titles = list(range(len(TITLES)))
    objective(PairBatch([0, 1], titles))["title"].backward()
    learned = model.logits[1].grad
    assert learned is not None
    # The whole loss as a function of the titles' logits, differentiated by steps of a thousandth.
    step = 1e-3
    for title, column in ((0, 0), (2, 2), (3, 0), (3, 2)):
        around = []
        for sign in (1, -1):
            moved = _Table(len(QUERIES), len(TITLES))
            with torch.no_grad():
                moved.logits[1][title, column] += sign * step
            changed = replace(data, titles=replace(data.titles, codes=_codes(moved, Side.TITLE, TITLES)))
            found = PairObjective(moved, PairParameters(), changed, TOKENS, settings)
            around.append(float(found(PairBatch([0, 1], []))["query"].detach()))
        # The mean over titles stands for a sum, the mean over queries for one over two of them.
        whole = (around[0] - around[1]) / (2 * step) * len(QUERIES) / len(TITLES)
        assert float(learned[title, column]) == pytest.approx(whole, rel=0.02, abs=2e-4)


def test_training_brings_the_clicked_products_to_the_top(tmp_path: Path) -> None:
    model, parameters, data, settings = _setting(queries=2, titles=4)
    objective = PairObjective(model, parameters, data, TOKENS, settings)
    before = float(objective(PairBatch([0, 1], []))["query"].detach())
    run_loop(
        objective,
        [RateGroup([*model.parameters(), *parameters.parameters()], 0.05)],
        lambda seed: BatchStream(lambda rng: pair_batches(data, settings, rng), seed),
        LoopSettings(40),
    )
    assert float(objective(PairBatch([0, 1], []))["query"].detach()) < before - 0.3
    parameters.write(tmp_path / "pair.json")
    assert PairParameters.read(tmp_path / "pair.json").values() == parameters.values()


def test_batches_hold_their_share_of_synthetic_queries() -> None:
    clicked = sparse.csr_matrix(np.eye(30, dtype=np.float32))
    side = PairSide([[0]] * 30, _codes(_Table(30, 30), Side.QUERY, [{0: OWN}] * 30))
    data = PairData(side, side, clicked, real=12)
    settings = PairSettings(queries=8, titles=3, synthetic=0.25)
    batches = list(pair_batches(data, settings, random.Random(0)))
    assert [sum(place < 12 for place in batch.queries) for batch in batches] == [6, 6]
    assert all(len(batch.queries) == 8 and len(batch.titles) == 3 for batch in batches)
    seen = [place for batch in batches for place in batch.queries if place < 12]
    assert sorted(seen) == list(range(12))  # a pass reads each shopper's query once


def test_without_shoppers_queries_the_synthetic_ones_make_the_pass() -> None:
    clicked = sparse.csr_matrix(np.eye(10, dtype=np.float32))
    side = PairSide([[0]] * 10, _codes(_Table(10, 10), Side.QUERY, [{0: OWN}] * 10))
    batches = list(
        pair_batches(PairData(side, side, clicked, real=0), PairSettings(queries=4), random.Random(0))
    )
    assert [len(batch.queries) for batch in batches] == [4, 4]
