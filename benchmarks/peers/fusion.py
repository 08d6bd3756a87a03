"""One run out of several: by the usual reciprocal ranks, or by scores with weights that are chosen inside train.

Knows runs and judgments. Knows nothing of systems. Any two or three runs of peers have at least the choice of forms and
weights that GRAM's hybrid had, so that no fusion wins only because it was tuned.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product as all_combinations

import numpy as np

from benchmarks.peers.interface import DEPTH
from benchmarks.peers.statistics import CUTS
from gram_os.arrays import DoubleArray, IntArray
from gram_os.errors import InputError
from gram_os.relevance import JudgmentSet, Ranking, Run
from gram_os.relevance.results import FIRST_PAGE

RRF_K = 60
FOLDS = 5
STEPS = {2: 20, 3: 10}  # weights are multiples of 1/20 for two runs, 1/10 for three


class Form(StrEnum):
    """How the scores of a branch become comparable. A product that a branch lacks counts 0 in every form."""

    SHARE = "share"  # score / best score
    RANGE = "range"  # 1 for the best, near 0 for the last: for scores that do not begin at 0, such as cosines
    RANK = "rank"  # 1 / (RRF_K + rank)


@dataclass(frozen=True, slots=True)
class Fusion:
    """A form and weights.

    `objective` is their mean objective on the queries that chose them, `validated` that on queries left out of the
    choice.
    """

    form: Form
    weights: tuple[float, ...]
    objective: float
    validated: float


def fuse_ranks(name: str, runs: Sequence[Run]) -> Run:
    """Fuse by reciprocal ranks: the sum of 1 / (RRF_K + rank) over the runs, with ranks from 1."""
    return fuse_runs(name, runs, Form.RANK, [1.0] * len(runs))


def fuse_runs(name: str, runs: Sequence[Run], form: Form, weights: Sequence[float]) -> Run:
    """Fuse by the weighted sum of the scores in a form, to at most `DEPTH` products. Equal scores are ordered by id."""
    rankings = {}
    for query_id in dict.fromkeys(id_ for run in runs for id_ in run.rankings):
        ids, table = _score_table(runs, query_id, form)
        total = table @ np.asarray(weights)
        order = np.argsort(-total, kind="stable")[:DEPTH]  # `ids` are sorted, so equal scores are ordered by id
        rankings[query_id] = Ranking(tuple(ids[at] for at in order), tuple(float(total[at]) for at in order))
    return Run(name, rankings)


def add_scores(name: str, runs: Sequence[Run], weights: Sequence[float], *, depth: int = DEPTH) -> Run:
    """Add the scores up as `gram-os search --mode hybrid` does, each times its run's weight. Equal sums go by id.

    The product adds them over the whole catalogue, and a run holds its best `depth` products. So a product that a full
    run lacks has at most the run's last score there, and gets it. In a shorter run it gets 0.
    """
    rankings = {}
    for query_id in dict.fromkeys(id_ for run in runs for id_ in run.rankings):
        total = dict.fromkeys((id_ for run in runs for id_ in run.product_ids(query_id)), 0.0)
        for run, weight in zip(runs, weights, strict=True):
            found = run.rankings.get(query_id, Ranking((), ()))
            scores = dict(zip(found.product_ids, found.scores, strict=True))
            lacking = min(scores.values()) if len(scores) >= depth else 0.0
            for id_ in total:
                total[id_] += weight * scores.get(id_, lacking)
        best = sorted(total, key=lambda id_: (-total[id_], id_))[:depth]
        rankings[query_id] = Ranking(tuple(best), tuple(total[id_] for id_ in best))
    return Run(name, rankings)


def cross_validated_fusion(runs: Sequence[Run], judgments: JudgmentSet) -> Fusion:
    """Choose form and weights on queries of train that no run's system was trained on.

    `runs` answer those queries, and `judgments` are theirs. The objective is the mean of R@10, R@100, R@300 and
    nDCG@10. Returns the best candidate on all queries. Its `validated` comes from cross-validation: each of `FOLDS`
    folds is left out of the choice in turn, and the chosen candidate is measured on it. Raises InputError for fewer
    queries than folds.
    """
    query_ids = [id_ for id_ in judgments.relevant if any(id_ in run.rankings for run in runs)]
    if len(query_ids) < FOLDS:
        raise InputError(f"{len(query_ids)} judged queries are too few to choose fusion weights in {FOLDS} folds")
    candidates = [(form, weights) for form in Form for weights in simplex(len(runs))]
    values = np.stack([_objectives(runs, judgments, id_) for id_ in query_ids])  # (queries, candidates)
    fold = np.asarray([zlib.crc32(id_.encode()) % FOLDS for id_ in query_ids])
    left_out = []
    for each in np.unique(fold):
        chosen = int(values[fold != each].mean(axis=0).argmax())
        left_out.extend(values[fold == each, chosen])
    means = values.mean(axis=0)
    form, weights = candidates[int(means.argmax())]
    return Fusion(form, weights, float(means.max()), float(np.mean(left_out)))


def simplex(branches: int) -> list[tuple[float, ...]]:
    """Return all weights that add up to 1 in equal steps, none of them 0.

    >>> simplex(3)[0]
    (0.1, 0.1, 0.8)
    """
    if branches not in STEPS:
        raise InputError(f"fusion weights are chosen for two or three runs, not {branches}")
    steps = STEPS[branches]
    return [
        tuple(part / steps for part in (*parts, steps - sum(parts)))
        for parts in all_combinations(range(1, steps), repeat=branches - 1)
        if sum(parts) < steps
    ]


def _objectives(runs: Sequence[Run], judgments: JudgmentSet, query_id: str) -> DoubleArray:
    """Return the objective of each candidate for one query, float64 (candidates,).

    Only the ranks of the judged products are needed. A rank is one more than the number of products before it.
    """
    gains, relevant = judgments.gains(query_id), judgments.relevant[query_id]
    best_gains = np.sort(list(gains.values()))[::-1][:FIRST_PAGE]
    ideal = _discounted(best_gains, np.arange(1, len(best_gains) + 1))
    weights = np.asarray(simplex(len(runs))).T  # (runs, weights)
    objectives = []
    for form in Form:
        ids, table = _score_table(runs, query_id, form)
        scores = table @ weights  # (products, weights)
        judged = [at for at, id_ in enumerate(ids) if id_ in gains]
        total = np.zeros(weights.shape[1])
        for at in judged:
            ahead = (scores > scores[at]).sum(axis=0) + (scores[:at] == scores[at]).sum(axis=0)
            rank = ahead + 1  # (weights,)
            if ids[at] in relevant:
                total += sum((rank <= cut) / len(relevant) for cut in CUTS)
            total += np.where(rank <= FIRST_PAGE, gains[ids[at]] / np.log2(rank + 1), 0.0) / ideal
        objectives.append(total / (len(CUTS) + 1))
    return np.concatenate(objectives)


def _discounted(gains: DoubleArray, ranks: IntArray) -> float:
    return float((gains / np.log2(ranks + 1)).sum())


def _score_table(runs: Sequence[Run], query_id: str, form: Form) -> tuple[list[str], DoubleArray]:
    """Return the sorted ids of all products of all runs, and their scores in a form, float64 (products, runs)."""
    ids = sorted({id_ for run in runs for id_ in run.product_ids(query_id)})
    place = {id_: at for at, id_ in enumerate(ids)}
    table = np.zeros((len(ids), len(runs)))
    for column, run in enumerate(runs):
        ranking = run.rankings.get(query_id)
        if ranking and ranking.product_ids:
            table[[place[id_] for id_ in ranking.product_ids], column] = _shape(ranking.scores, form)
    return ids, table


def _shape(scores: Sequence[float], form: Form) -> DoubleArray:
    values = np.asarray(scores, dtype=np.float64)
    if form is Form.RANK:
        return 1.0 / (RRF_K + np.arange(1.0, len(values) + 1))
    if form is Form.SHARE:
        best = values.max()
        return values / best if best > 0 else np.zeros_like(values)
    # The last score is one step above 0, so the last product counts more than one that was not found.
    span = values.max() - values.min()
    floor = values.min() - (span / len(values) if span > 0 else 1.0)
    return np.asarray((values - floor) / (values.max() - floor), dtype=np.float64)
