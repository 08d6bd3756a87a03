"""What a table says of runs: means over queries with intervals, spread over seeds, and tests of differences.

Knows runs and judgments. A row with several seeds is, query by query, the mean of its seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gram_os.arrays import DoubleArray
from gram_os.errors import InputError
from gram_os.relevance import JudgmentSet, Run, ndcg_at, recall_at
from gram_os.relevance.significance import bootstrap_intervals, randomisation_p_values

CUTS = (10, 100, 300)
FIRST_PAGE = 10
RELEVANCE_CUTS = (10, 300)
METRICS = (*(f"R@{k}" for k in CUTS), f"nDCG@{FIRST_PAGE}")


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean with its 95 % interval; `spread` is the standard deviation of the seeds' means, None for one seed."""

    mean: float
    low: float
    high: float
    spread: float | None = None


@dataclass(frozen=True, slots=True)
class RowResult:
    """A row of the table. `values`: metric -> float64 (queries,), means over seeds."""

    name: str
    seeds: int
    figures: Mapping[str, Figure]
    values: Mapping[str, DoubleArray] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric of `better` minus that of `other`; `p_holm` is corrected for all differences of the same question."""

    better: str
    other: str
    metric: str
    mean: float
    low: float
    high: float
    p: float
    p_holm: float


def measure_row(name: str, runs: Sequence[Run], judgments: JudgmentSet) -> RowResult:
    """Measure one row from the runs of its seeds, over all queries that have a relevant product."""
    query_ids = list(judgments.relevant)
    if not query_ids or not runs:
        raise InputError(f"row '{name}': {len(runs)} runs and {len(query_ids)} queries with a relevant product")
    per_seed = [_query_table(run, judgments, query_ids) for run in runs]  # seeds x (queries, metrics)
    table = np.mean(per_seed, axis=0)
    intervals = bootstrap_intervals(table)
    figures = {
        metric: Figure(
            mean=float(table[:, at].mean()),
            low=float(intervals[at, 0]),
            high=float(intervals[at, 1]),
            spread=_spread([float(each[:, at].mean()) for each in per_seed]),
        )
        for at, metric in enumerate(METRICS)
    }
    for cut in RELEVANCE_CUTS:
        counts = [_judged_counts(run, judgments, query_ids, cut) for run in runs]  # seeds x (queries, 2)
        figures[f"RelR@{cut}"] = _ratio_figure(counts)
    values = {metric: table[:, at] for at, metric in enumerate(METRICS)}
    return RowResult(name, len(runs), figures, values)


def compare_rows(better: RowResult, others: Sequence[RowResult], metrics: Sequence[str]) -> list[Difference]:
    """Paired differences of one row to each other in each metric; Holm's correction is over all of them."""
    pairs = [(other, metric) for other in others for metric in metrics]
    if not pairs:
        return []
    columns = np.column_stack([better.values[metric] - other.values[metric] for other, metric in pairs])
    intervals = bootstrap_intervals(columns)
    p_values = randomisation_p_values(columns)
    corrected = correct_holm(p_values)
    return [
        Difference(
            better=better.name,
            other=other.name,
            metric=metric,
            mean=float(columns[:, at].mean()),
            low=float(intervals[at, 0]),
            high=float(intervals[at, 1]),
            p=float(p_values[at]),
            p_holm=float(corrected[at]),
        )
        for at, (other, metric) in enumerate(pairs)
    ]


def correct_holm(p_values: Sequence[float] | DoubleArray) -> DoubleArray:
    """Holm's step-down correction: the i-th smallest of m p-values times (m - i), i from 0, never falling, at most 1.

    >>> [round(float(p), 3) for p in correct_holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def _query_table(run: Run, judgments: JudgmentSet, query_ids: Sequence[str]) -> DoubleArray:
    """float64 (queries, metrics), in the order of METRICS; a query that the run lacks was answered with nothing."""
    return np.asarray(
        [
            [
                *(recall_at(run.product_ids(id_), judgments.relevant[id_], cut) for cut in CUTS),
                ndcg_at(run.product_ids(id_), judgments.gains(id_), FIRST_PAGE),
            ]
            for id_ in query_ids
        ],
        dtype=np.float64,
    )


def _judged_counts(run: Run, judgments: JudgmentSet, query_ids: Sequence[str], cut: int) -> DoubleArray:
    """Relevant and judged products among the first `cut` of each query, float64 (queries, 2)."""
    rows = []
    for id_ in query_ids:
        judged = [product for product in run.product_ids(id_)[:cut] if product in judgments.grades[id_]]
        rows.append([sum(product in judgments.relevant[id_] for product in judged), len(judged)])
    return np.asarray(rows, dtype=np.float64)


def _ratio_figure(per_seed: Sequence[DoubleArray], *, resamples: int = 2000, seed: int = 0) -> Figure:
    """RelR: relevant products over judged ones, summed over queries first; the interval resamples queries.

    The sums come first because a mean of shares would leave out the queries where nothing judged was found, other
    queries for each system.
    """
    counts = np.sum(per_seed, axis=0)  # (queries, 2)
    drawn = np.random.default_rng(seed).integers(len(counts), size=(resamples, len(counts)))
    sums = counts[drawn].sum(axis=1)  # (resamples, 2)
    ratios = sums[:, 0] / np.maximum(sums[:, 1], 1.0)
    low, high = np.percentile(ratios, [2.5, 97.5])
    means = [float(each[:, 0].sum() / max(1.0, each[:, 1].sum())) for each in per_seed]
    total = counts.sum(axis=0)
    return Figure(float(total[0] / max(1.0, total[1])), float(low), float(high), _spread(means))


def _spread(means: Sequence[float]) -> float | None:
    return float(np.std(means, ddof=1)) if len(means) > 1 else None
