"""Codes in memory: merging by hand, weights by hand, and ranking against sums over shared codes one by one."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest

from gram_os.model.pair_weights import GENERATED, OWN, UNKNOWN, Emphasis, PairWeights, SideWeights
from gram_os.train.pair.coding import (
    CodedTexts,
    Columns,
    combine_codes,
    idf,
    rank_products,
)

KNOWN = 4
VALUES = ("red", "toner cartridge", "m18", "20 in", "zebra", "006r90321")
COLUMNS = Columns.of(VALUES)


def _coded(rows: list[list[tuple[int, int, float]]]) -> CodedTexts:
    flat = [item for row in rows for item in row]
    bounds = np.cumsum([0, *map(len, rows)])
    return CodedTexts(
        bounds.astype(np.int64),
        np.array([c for c, _, _ in flat], np.int64),
        np.array([k for _, k, _ in flat], np.int8),
        np.array([r for _, _, r in flat], np.float32),
    )


def test_own_and_generated_values_are_merged_with_ratios_to_the_likeliest() -> None:
    coded = combine_codes(
        [np.array([1, 5])],
        [np.array([log(0.2)], np.float32)],
        np.array([[3, 1]]),
        np.array([[log(0.4), log(0.2)]], np.float32),
        KNOWN,
    )
    # Value 1 is the text's own although it was generated too; 5 is not in the dictionary.
    assert coded.columns.tolist() == [1, 3, 5]
    assert coded.kinds.tolist() == [OWN, GENERATED, UNKNOWN]
    assert coded.log_ratios == pytest.approx([log(0.5), 0.0, 0.0])


def test_an_own_value_that_the_model_cannot_write_is_unknown() -> None:
    coded = combine_codes(
        [np.array([0, 2])],
        [np.array([np.nan, log(0.2)], np.float32)],
        np.array([[3]]),
        np.array([[log(0.4)]], np.float32),
        KNOWN,
    )
    assert coded.kinds.tolist() == [UNKNOWN, OWN, GENERATED]
    assert coded.log_ratios == pytest.approx([0.0, log(0.5), 0.0])


def test_a_text_without_values_keeps_its_row() -> None:
    coded = combine_codes(
        [np.empty(0, np.int64), np.array([4])],
        [np.empty(0, np.float32)] * 2,
        np.empty((2, 0), np.int64),
        np.empty((2, 0), np.float32),
        KNOWN,
    )
    assert len(coded) == 2
    assert coded.of(0) == slice(0, 0)
    assert coded.columns[coded.of(1)].tolist() == [4]


def test_weights_by_hand() -> None:
    coded = _coded([[(0, OWN, log(0.25)), (2, GENERATED, log(0.5)), (5, UNKNOWN, 0.0)]])
    side = SideWeights(own=Emphasis(scale=2, exponent=0.5), generated=Emphasis(scale=3, exponent=1), unknown=0.7)
    formed = side.model_copy(update={"number": 1.5, "phrase": 0.3})
    assert coded.weigh(formed, COLUMNS).toarray()[0] == pytest.approx([2 * 0.5, 0, 3 * 0.5, 0, 0, 0.7 * 1.5])
    said = _coded([[(n, OWN, 0.0) for n in range(4)]])
    assert said.weigh(formed, COLUMNS).toarray()[0] == pytest.approx([2, 2 * 0.3, 2 * 1.5, 2 * 0.3, 0, 0])
    assert coded.weigh(side, COLUMNS).toarray()[0] == pytest.approx([2 * 0.5, 0, 3 * 0.5, 0, 0, 0.7])
    shorter = side.model_copy(update={"length_exponent": 0.5})  # two values of its own, one generated
    assert coded.weigh(shorter, COLUMNS).toarray()[0] == pytest.approx(
        [2 * 0.5 / 2**0.5, 0, 3 * 0.5 / 2**0.5, 0, 0, 0.7 / 2**0.5]
    )


def test_ranking_is_the_sum_over_shared_codes() -> None:
    rng = np.random.default_rng(0)

    def some(texts: int) -> CodedTexts:
        rows = []
        for _ in range(texts):
            columns = sorted(rng.choice(len(VALUES), size=rng.integers(1, 5), replace=False).tolist())
            rows.append([
                (c, UNKNOWN, 0.0) if c >= KNOWN else (c, int(rng.integers(2)), -float(rng.random())) for c in columns
            ])  # fmt: skip
        return _coded(rows)

    queries, titles = some(5), some(12)
    weights = PairWeights(
        query=SideWeights(
            own=Emphasis(exponent=0.3), generated=Emphasis(scale=0.5, exponent=0.7), unknown=0.9, number=1.7, phrase=0.6
        ),
        title=SideWeights(own=Emphasis(exponent=0.1), generated=Emphasis(scale=0.4, exponent=0.2), unknown=0.8),
        idf_exponent=0.9,
    )  # fmt: skip
    counts = [sum(c in titles.columns[titles.of(t)] for t in range(12)) for c in range(len(VALUES))]
    rarity = [log(1 + (12 - n + 0.5) / (n + 0.5)) ** 0.9 if n else 0.0 for n in counts]

    def weight(side: SideWeights, coded: CodedTexts, at: int) -> float:
        kind, value = coded.kinds[at], VALUES[coded.columns[at]]
        emphasis = side.own if kind == OWN else side.generated
        found = side.unknown if kind == UNKNOWN else emphasis.scale * exp(emphasis.exponent * coded.log_ratios[at])
        if kind != GENERATED:
            found *= side.phrase if " " in value else side.number if value[-1].isdigit() else 1
        return found

    for query, ranked in enumerate(rank_products(queries, titles, weights, COLUMNS, depth=12)):
        scores = np.zeros(12)
        for title in range(12):
            for i in range(*queries.of(query).indices(10**6)):
                for j in range(*titles.of(title).indices(10**6)):
                    if queries.columns[i] == titles.columns[j]:
                        scores[title] += (
                            weight(weights.query, queries, i)
                            * weight(weights.title, titles, j)
                            * rarity[queries.columns[i]]
                        )
        expected = [t for t in np.argsort(-scores, kind="stable") if scores[t] > 0]
        assert scores[ranked] == pytest.approx(scores[expected], rel=1e-4)
        assert sorted(ranked) == sorted(expected)


def test_idf_is_that_of_serving() -> None:
    assert idf(np.array([0, 1, 10]), 10) == pytest.approx([0, log(1 + 9.5 / 1.5), log(1 + 0.5 / 10.5)])
