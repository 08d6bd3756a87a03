"""The pair scorer's training: both losses by hand, what a fit finds, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log1p

import numpy as np
import pytest
import torch

from gram_os.model.pair_weights import GENERATED, OWN, UNKNOWN, Emphasis, PairWeights, SideWeights
from gram_os.train.lessons.sparse_rows import best_places
from gram_os.train.pair.coding import CodedTexts, Columns, idf, score_products
from gram_os.train.pair.data import ClickedQueries
from gram_os.train.pair.fit import PairObjective, PairSettings, fit_pair_weights, pack, pair_loss, unpack
from gram_os.train.pair.shortlists import PairData, Shortlists

WEIGHTS = PairWeights(
    query=SideWeights(
        own=Emphasis(exponent=0.2),
        generated=Emphasis(scale=0.5, exponent=0.4),
        unknown=0.9,
        number=1.6,
        phrase=0.4,
    ),
    title=SideWeights(generated=Emphasis(scale=0.7, exponent=0.3), unknown=1.2, length_exponent=0.25),
    idf_exponent=0.8,
)
START = PairWeights(query=SideWeights(generated=Emphasis(scale=0.9), unknown=0.5))


def _codes(rows: Sequence[Mapping[int, tuple[int, float]]]) -> CodedTexts:
    """column -> (kind, log ratio) of each text."""
    return CodedTexts(
        np.cumsum([0, *map(len, rows)]).astype(np.int64),
        np.array([column for row in rows for column in sorted(row)], np.int64),
        np.array([row[column][0] for row in rows for column in sorted(row)], np.int8),
        np.array([row[column][1] for row in rows for column in sorted(row)], np.float32),
    )


DATA = PairData(
    queries=_codes([{0: (OWN, -0.5), 1: (GENERATED, 0.0)}, {2: (OWN, 0.0), 3: (GENERATED, -1.0), 4: (UNKNOWN, 0.0)}]),
    titles=_codes(
        [
            {0: (OWN, 0.0), 3: (OWN, -2.0)},
            {1: (OWN, 0.0), 2: (GENERATED, -1.0)},
            {2: (OWN, 0.0), 4: (UNKNOWN, 0.0)},
            {0: (GENERATED, 0.0), 2: (OWN, -0.3), 3: (OWN, -0.1)},
            {5: (OWN, 0.0)},
        ]
    ),
    clicked=[{0: 1.0}, {3: 2.0, 2: 1.0}],
    columns=Columns.of(["red", "x", "x", "20 in", "m18", "x"]),
)


def _scores(data: PairData, weights: PairWeights) -> list[list[float]]:
    """S of every pair, shared code by shared code."""
    rarity = idf(data.titles.frequencies(len(data.columns)), len(data.titles))
    sides = ((data.queries, weights.query), (data.titles, weights.title))

    def weigh(side: int, text: int, at: int) -> float:
        codes, own = sides[side]
        kind, ratio = codes.kinds[at], float(codes.log_ratios[at])
        found = {
            OWN: own.own.scale * np.exp(own.own.exponent * ratio),
            GENERATED: own.generated.scale * np.exp(own.generated.exponent * ratio),
            UNKNOWN: own.unknown,
        }[int(kind)]
        if kind != GENERATED:
            found *= {3: own.phrase, 4: own.number}.get(int(codes.columns[at]), 1)
        return float(found * max(1, (codes.kinds[codes.of(text)] != GENERATED).sum()) ** -own.length_exponent)

    def score(query: int, title: int) -> float:
        total = 0.0
        for i in range(*data.queries.of(query).indices(99)):
            for j in range(*data.titles.of(title).indices(99)):
                column = data.queries.columns[i]
                if column == data.titles.columns[j]:
                    total += rarity[column] ** weights.idf_exponent * weigh(0, query, i) * weigh(1, title, j)
        return total

    return [[score(q, t) for t in range(len(data.titles))] for q in range(len(data.queries))]


def _drawn() -> PairData:
    """Six queries with three clicked products each, and forty titles, of codes of all kinds."""
    rng = np.random.default_rng(3)

    def some(texts: int) -> CodedTexts:
        kinds = (OWN, GENERATED, UNKNOWN)
        rows = (rng.choice(9, rng.integers(1, 6), replace=False) for _ in range(texts))
        return _codes([{int(c): (kinds[rng.integers(3)], -float(rng.random())) for c in row} for row in rows])

    clicked = [{int(p): 1.0 + int(p) % 3 for p in rng.choice(40, 3, replace=False)} for _ in range(6)]
    return PairData(some(6), some(40), clicked, Columns.of(["red", "x", "20 in", "m18", *"abcde"]))


def test_a_shortlist_scores_its_products_as_the_whole_catalogue_is_scored() -> None:
    data = _drawn()
    clicked = data.clicked
    whole = list(score_products(data.queries, data.titles, WEIGHTS, data.columns))
    for most in (0, 7, 40):
        lists = Shortlists.draw(data, START, most)
        found = list(lists.scores(WEIGHTS))
        for query, first in enumerate(score_products(data.queries, data.titles, START, data.columns)):
            expected = sorted({*best_places(first, most).tolist(), *clicked[query]})
            assert found[query] == pytest.approx(whole[query][expected], rel=1e-5)
            places, shares = lists.clicked[query]
            assert {expected[p]: s for p, s in zip(places.tolist(), shares.tolist(), strict=True)} == clicked[query]


def test_the_log_rank_loss_by_hand() -> None:
    expected = 0.0
    for scores, clicked in zip(_scores(DATA, WEIGHTS), DATA.clicked, strict=True):
        losses = [
            (weight, log1p(sum(s > scores[p] for s in scores) + 0.5 * (scores.count(scores[p]) - 1)))
            for p, weight in clicked.items()
        ]
        expected += sum(w * x for w, x in losses) / sum(w for w, _ in losses) / 2
    assert pair_loss(Shortlists.draw(DATA, START, 5), WEIGHTS, PairSettings()) == pytest.approx(expected, rel=1e-5)


def test_a_product_that_shares_nothing_is_level_with_all_that_the_shortlist_leaves_out() -> None:
    titles = _codes([{n: (OWN, 0.0)} for n in range(4)])
    data = PairData(_codes([{0: (OWN, 0.0)}]), titles, [{3: 1.0}], Columns.of(["x"] * 4))
    for most in (1, 4):  # one product is ahead, two are level
        found = pair_loss(Shortlists.draw(data, START, most), WEIGHTS, PairSettings())
        assert found == pytest.approx(log1p(1 + 0.5 * 2))


def test_the_margin_loss_by_hand() -> None:
    expected = 0.0
    for scores, clicked in zip(_scores(DATA, WEIGHTS), DATA.clicked, strict=True):
        others = [s for p, s in enumerate(scores) if s > 0 and p not in clicked]
        for p, weight in clicked.items():
            hinge = [max(0.0, s - scores[p] + 0.6) for s in others]
            expected += weight * sum(hinge) / len(hinge) / sum(clicked.values()) / 2
    found = pair_loss(Shortlists.draw(DATA, START, 5), WEIGHTS, PairSettings(loss="margin", margin=0.6))
    assert found == pytest.approx(expected, rel=1e-5)


def test_what_is_fitted_scores_as_the_pair_score_does() -> None:
    lists = Shortlists.draw(_drawn(), START, 12)
    x = pack(WEIGHTS)
    found = PairObjective(lists, PairSettings(), 0.1).scores(torch.from_numpy(x).float())
    for scores, expected in zip(found, lists.scores(unpack(x, START)), strict=True):
        assert scores.numpy() == pytest.approx(expected, rel=1e-5)


def test_what_is_fitted_keeps_weights_within_their_bounds_as_the_pair_score_does() -> None:
    lists = Shortlists.draw(_drawn(), START, 12)
    x = pack(WEIGHTS)
    x[[5, 9, 10]] = np.log([1e9, 1e-9, 40])  # scales of generated codes on both sides, and an exponent
    found = PairObjective(lists, PairSettings(), 0.1).scores(torch.from_numpy(x).float())
    expected = list(lists.scores(unpack(x, START)))
    assert max(scores.max() for scores in expected) > 0
    for scores, of_query in zip(found, expected, strict=True):
        assert scores.numpy() == pytest.approx(of_query, rel=1e-4)


def test_what_is_not_fitted_stays_as_it_was() -> None:
    start = PairWeights(granularity=(1, 2, 3))  # the defaults say what product types, their names and strays count
    found = unpack(pack(start) + 0.5, start)
    for side, fitted in ((start.query, found.query), (start.title, found.title)):
        assert (fitted.type, fitted.modifier, fitted.stray) == (side.type, side.modifier, side.stray)
        assert fitted.generated.scale == pytest.approx(side.generated.scale * np.exp(0.5))
    assert found.granularity == start.granularity


def test_the_smoothed_rank_is_the_rank_where_nothing_is_smoothed_and_the_margin_is_itself() -> None:
    data = _drawn()
    lists = Shortlists.draw(data, START, 12)
    x = pack(WEIGHTS)
    for settings in (PairSettings(), PairSettings(loss="margin", margin=0.6)):
        found, _ = PairObjective(lists, settings, 1e-4)(x)
        assert found == pytest.approx(pair_loss(lists, unpack(x, START), settings), rel=1e-4)


@pytest.mark.parametrize("settings", [PairSettings(), PairSettings(loss="margin")])
def test_the_gradient_is_that_of_small_steps(settings: PairSettings) -> None:
    objective = PairObjective(Shortlists.draw(_drawn(), START, 12), settings, 0.3)
    x = pack(WEIGHTS)
    _, gradient = objective(x)
    for at in range(len(x)):
        step = np.zeros_like(x)
        step[at] = 1e-2
        slope = (objective(x + step)[0] - objective(x - step)[0]) / 2e-2
        assert gradient[at] == pytest.approx(slope, rel=0.02, abs=2e-4)


def _torn(count: int, *, useful: bool) -> PairData:
    """Each query's own value names one title, its generated value another; the generated one is right if `useful`."""
    other = np.roll(np.arange(count), 1)
    queries = [{n: (OWN, 0.0), count + int(other[n]): (GENERATED, 0.0)} for n in range(count)]
    titles = [{n: (OWN, 0.0), count + n: (GENERATED, 0.0)} for n in range(count)]
    right = other if useful else np.arange(count)
    return PairData(_codes(queries), _codes(titles), [{int(n): 1.0} for n in right], Columns.of(["x"] * 2 * count))


@pytest.mark.parametrize("loss", ["log-rank", "margin"])
def test_a_fit_finds_what_generated_codes_are_worth(loss: str) -> None:
    settings = PairSettings(loss=loss)  # type: ignore[arg-type]
    useful, useless = (fit_pair_weights(_torn(40, useful=u), settings) for u in (True, False))
    for fitted, useful_ in ((useful, True), (useless, False)):
        data = _torn(40, useful=useful_)
        assert fitted.before is not None
        assert fitted.after is not None
        assert fitted.after <= fitted.before
        assert pair_loss(Shortlists.draw(data, START, 80), fitted.weights, settings) == pytest.approx(
            fitted.after, rel=1e-2
        )
    trust = [f.weights.query.generated.scale * f.weights.title.generated.scale for f in (useful, useless)]
    assert trust[0] > 1 > trust[1]  # what a value of one's own counts


def test_a_fit_finds_what_numbers_are_worth() -> None:
    """Each query's word names one title and its number another; numbers are right, then words."""
    count = 30
    other = np.roll(np.arange(count), 1)
    queries = [{n: (OWN, 0.0), count + int(other[n]): (OWN, 0.0)} for n in range(count)]
    titles = [{n: (OWN, 0.0), count + n: (OWN, 0.0)} for n in range(count)]
    columns = Columns.of(["x"] * count + ["m18"] * count)
    found = []
    for right in (other, np.arange(count)):
        data = PairData(_codes(queries), _codes(titles), [{int(n): 1.0} for n in right], columns)
        found.append(fit_pair_weights(data, PairSettings()).weights.query.number)
    assert found[0] > 1 > found[1]


def test_no_more_queries_are_drawn_than_wanted_and_always_the_same() -> None:
    queries = ClickedQueries([f"query {n}" for n in range(50)], [{n: 1.0} for n in range(50)])
    drawn = queries.draw(20)
    assert drawn == queries.draw(20)
    assert len(set(drawn.texts)) == 20
    assert all(
        f"query {place}" == text for text, clicked in zip(drawn.texts, drawn.products, strict=True) for place in clicked
    )
    assert queries.draw(50) == queries


def test_beside_fitted_weights_the_words_of_a_type_count_more_and_the_type_less() -> None:
    start, found = PairWeights(), fit_pair_weights(_torn(30, useful=True), PairSettings()).weights
    assert found != start
    assert found.query.type.scale < start.query.type.scale
    assert found.query.modifier > start.query.modifier
    assert (found.query.stray, found.title.type) == (start.query.stray, start.title.type)


def test_too_few_queries_leave_the_weights_alone(caplog: pytest.LogCaptureFixture) -> None:
    fitted = fit_pair_weights(DATA, PairSettings(), WEIGHTS)
    assert fitted.weights == WEIGHTS
    assert (fitted.before, fitted.after, fitted.steps) == (None, None, 0)
    assert "2 clicked queries are too few" in caplog.text


def test_the_same_clicks_give_the_same_weights() -> None:
    data = _torn(30, useful=True)
    assert fit_pair_weights(data, PairSettings()) == fit_pair_weights(data, PairSettings())
