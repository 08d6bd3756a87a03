"""The figures of a table: means over queries with intervals, spread over seeds, and tests of differences.

Knows runs and judgments. The values of a row with several seeds are the means of its seeds, query by query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gram_os.arrays import DoubleArray
from gram_os.errors import InputError
from gram_os.relevance import JudgmentSet, Run, condensed, judged_share_at, ndcg_at, recall_at
from gram_os.relevance.evaluate import DEFAULT_AT
from gram_os.relevance.results import CONDENSED, FIRST_PAGE, JUDGED, NDCG
from gram_os.relevance.significance import bootstrap_intervals, randomisation_p_values

CUTS = DEFAULT_AT
RELEVANCE_CUTS = (10, 300)
RATIO_RESAMPLES = 2000
METRICS = (*(f"R@{k}" for k in CUTS), NDCG)  # what settings and fusion weights are chosen by
MEASURED = (*METRICS, CONDENSED, JUDGED)


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean with its 95 % interval. `spread` is the standard deviation of the seeds' means; None for one seed."""

    mean: float
    low: float
    high: float
    spread: float | None = None


@dataclass(frozen=True, slots=True)
class RowResult:
    """A row of the table. `values` is metric -> float64 (queries,), means over seeds."""

    name: str
    seeds: int
    figures: Mapping[str, Figure]
    values: Mapping[str, DoubleArray] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric of `better` minus that of `other`. `p_holm` is corrected for all differences of one comparison."""

    better: str
    other: str
    metric: str
    mean: float
    low: float
    high: float
    p: float
    p_holm: float


def measure_row(name: str, runs: Sequence[Run], judgments: JudgmentSet) -> RowResult:
    """Measure a row from the runs of its seeds, over all queries with a relevant product.

    Raises InputError without runs or without such queries.
    """
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
        for at, metric in enumerate(MEASURED)
    }
    for cut in RELEVANCE_CUTS:
        counts = [_judged_counts(run, judgments, query_ids, cut) for run in runs]  # seeds x (queries, 2)
        figures[f"RelR@{cut}"] = _ratio_figure(counts)
    values = {metric: table[:, at] for at, metric in enumerate(MEASURED)}
    return RowResult(name, len(runs), figures, values)


def compare_rows(better: RowResult, others: Sequence[RowResult], metrics: Sequence[str]) -> list[Difference]:
    """Return the paired differences of one row to each other row in each metric, with Holm's correction over all."""
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
    """Return p-values after Holm's step-down correction.

    The i-th smallest of m p-values is multiplied by (m - i), i from 0. The results never fall, and are at most 1.

    >>> [round(float(p), 3) for p in correct_holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def _query_table(run: Run, judgments: JudgmentSet, query_ids: Sequence[str]) -> DoubleArray:
    """Return float64 (queries, metrics), in the order of MEASURED. A query that the run lacks has an empty answer."""
    rows = []
    for id_ in query_ids:
        ranked, gains = run.product_ids(id_), judgments.gains(id_)
        row = [recall_at(ranked, judgments.relevant[id_], cut) for cut in CUTS]
        row.append(ndcg_at(ranked, gains, FIRST_PAGE))
        row.append(ndcg_at(condensed(ranked, gains.keys()), gains, FIRST_PAGE))
        row.append(judged_share_at(ranked, gains.keys(), FIRST_PAGE))
        rows.append(row)
    return np.asarray(rows, dtype=np.float64)


def _judged_counts(run: Run, judgments: JudgmentSet, query_ids: Sequence[str], cut: int) -> DoubleArray:
    """Return the numbers of relevant and judged products among the first `cut` of each query, float64 (queries, 2)."""
    rows = []
    for id_ in query_ids:
        judged = [product for product in run.product_ids(id_)[:cut] if product in judgments.grades[id_]]
        rows.append([sum(product in judgments.relevant[id_] for product in judged), len(judged)])
    return np.asarray(rows, dtype=np.float64)


def _ratio_figure(per_seed: Sequence[DoubleArray]) -> Figure:
    """Return RelR: the sum of relevant products over the sum of judged products. The interval resamples queries.

    It is a ratio of sums, because a mean of ratios would leave out the queries where no judged product was found. Those
    queries differ from system to system.
    """
    counts = np.sum(per_seed, axis=0)  # (queries, 2)
    drawn = np.random.default_rng(0).integers(len(counts), size=(RATIO_RESAMPLES, len(counts)))
    sums = counts[drawn].sum(axis=1)  # (resamples, 2)
    ratios = sums[:, 0] / np.maximum(sums[:, 1], 1.0)
    low, high = np.percentile(ratios, [2.5, 97.5])
    means = [float(each[:, 0].sum() / max(1.0, each[:, 1].sum())) for each in per_seed]
    total = counts.sum(axis=0)
    return Figure(float(total[0] / max(1.0, total[1])), float(low), float(high), _spread(means))


def _spread(means: Sequence[float]) -> float | None:
    return float(np.std(means, ddof=1)) if len(means) > 1 else None
