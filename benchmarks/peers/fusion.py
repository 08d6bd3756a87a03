"""One run out of several: reciprocal ranks as everybody does it, or scores with weights chosen inside train.

Knows runs and judgments, not systems. Any pair or triple of peers' runs gets a choice of forms and weights no smaller than the one
GRAM's hybrid had, so that no fusion wins by having been tuned alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product as all_combinations

import numpy as np

from benchmarks.peers.interface import DEPTH
from gram_os.arrays import DoubleArray, IntArray
from gram_os.errors import InputError
from gram_os.query_pipeline.fusion import fuse_scores
from gram_os.relevance import JudgmentSet, Ranking, Run

RRF_K = 60
FOLDS = 5
STEPS = {2: 20, 3: 10}  # weights are multiples of 1/20 for two runs, 1/10 for three
CUTS = (10, 100, 300)


class Form(StrEnum):
    """How a branch's scores become comparable; what a branch lacks counts 0 in every form."""

    SHARE = "share"  # of its best score
    RANGE = "range"  # 1 for its best, towards 0 for its last: for scores that do not begin at 0, such as cosines
    RANK = "rank"  # 1 / (k + rank)


@dataclass(frozen=True, slots=True)
class Fusion:
    """A form and weights: their mean objective on the queries they were chosen on, and on ones that had no say."""

    form: Form
    weights: tuple[float, ...]
    objective: float
    validated: float


def fuse_ranks(name: str, runs: Sequence[Run], *, k: int = RRF_K) -> Run:
    """Reciprocal rank fusion: the sum of 1 / (k + rank) over the runs, ranks from 1."""
    return fuse_runs(name, runs, Form.RANK, [1.0] * len(runs), k=k)


def fuse_runs(name: str, runs: Sequence[Run], form: Form, weights: Sequence[float], *, k: int = RRF_K) -> Run:
    """Weighted sum of the runs' scores in a form; at most `DEPTH` products, equal ones by id."""
    rankings = {}
    for query_id in dict.fromkeys(id_ for run in runs for id_ in run.rankings):
        ids, table = _score_table(runs, query_id, form, k)
        total = table @ np.asarray(weights)
        order = np.argsort(-total, kind="stable")[:DEPTH]  # `ids` are sorted, so equal scores are in their order
        rankings[query_id] = Ranking(tuple(ids[at] for at in order), tuple(float(total[at]) for at in order))
    return Run(name, rankings)


def fuse_as_product(name: str, runs: Sequence[Run], weights: Sequence[float]) -> Run:
    """What `gram-os search --mode hybrid` does with its branches' hits."""
    rankings = {}
    for query_id in dict.fromkeys(id_ for run in runs for id_ in run.rankings):
        found = [run.rankings.get(query_id, Ranking((), ())) for run in runs]
        branches = [dict(zip(ranking.product_ids, ranking.scores, strict=True)) for ranking in found]
        fused = fuse_scores(branches, weights)
        best = list(fused)[:DEPTH]
        rankings[query_id] = Ranking(tuple(best), tuple(fused[id_] for id_ in best))
    return Run(name, rankings)


def cross_validated_fusion(runs: Sequence[Run], judgments: JudgmentSet, *, folds: int = FOLDS) -> Fusion:
    """Choose form and weights on queries of train that no run's system has learned from.

    `runs` answer those queries; `judgments` are theirs. The objective is the mean of R@10, R@100, R@300 and nDCG@10.
    The best candidate on all queries is returned; `validated` is what this way of choosing gives on queries that it did
    not look at, each fold in turn being left out.
    """
    query_ids = [id_ for id_ in judgments.relevant if any(id_ in run.rankings for run in runs)]
    if len(query_ids) < folds:
        raise InputError(f"{len(query_ids)} judged queries are too few to choose fusion weights in {folds} folds")
    candidates = [(form, weights) for form in Form for weights in simplex(len(runs))]
    values = np.stack([_objectives(runs, judgments, id_) for id_ in query_ids])  # (queries, candidates)
    fold = np.asarray([zlib.crc32(id_.encode()) % folds for id_ in query_ids])
    left_out = []
    for each in np.unique(fold):
        chosen = int(values[fold != each].mean(axis=0).argmax())
        left_out.extend(values[fold == each, chosen])
    means = values.mean(axis=0)
    form, weights = candidates[int(means.argmax())]
    return Fusion(form, weights, float(means.max()), float(np.mean(left_out)))


def simplex(branches: int) -> list[tuple[float, ...]]:
    """All weights that add up to 1 in equal steps, none of them 0.

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
    """Objective of each candidate for one query, float64 (candidates,).

    Only the judged products' ranks are needed: the number of products that stand before each.
    """
    gains, relevant = judgments.gains(query_id), judgments.relevant[query_id]
    ideal = _discounted(np.sort(list(gains.values()))[::-1][:10], np.arange(1, 11)[: len(gains)])
    weights = np.asarray(simplex(len(runs))).T  # (runs, weights)
    objectives = []
    for form in Form:
        ids, table = _score_table(runs, query_id, form, RRF_K)
        scores = table @ weights  # (products, weights)
        judged = [at for at, id_ in enumerate(ids) if id_ in gains]
        total = np.zeros(weights.shape[1])
        for at in judged:
            ahead = (scores > scores[at]).sum(axis=0) + (scores[:at] == scores[at]).sum(axis=0)
            rank = ahead + 1  # (weights,)
            if ids[at] in relevant:
                total += sum((rank <= cut) / len(relevant) for cut in CUTS)
            total += np.where(rank <= 10, gains[ids[at]] / np.log2(rank + 1), 0.0) / ideal
        objectives.append(total / (len(CUTS) + 1))
    return np.concatenate(objectives)


def _discounted(gains: DoubleArray, ranks: IntArray) -> float:
    return float((gains / np.log2(ranks + 1)).sum())


def _score_table(runs: Sequence[Run], query_id: str, form: Form, k: int) -> tuple[list[str], DoubleArray]:
    """Sorted ids of all products that some run has, and their scores in a form, float64 (products, runs)."""
    ids = sorted({id_ for run in runs for id_ in run.product_ids(query_id)})
    place = {id_: at for at, id_ in enumerate(ids)}
    table = np.zeros((len(ids), len(runs)))
    for column, run in enumerate(runs):
        ranking = run.rankings.get(query_id)
        if ranking and ranking.product_ids:
            table[[place[id_] for id_ in ranking.product_ids], column] = _shape(ranking.scores, form, k)
    return ids, table


def _shape(scores: Sequence[float], form: Form, k: int) -> DoubleArray:
    values = np.asarray(scores, dtype=np.float64)
    if form is Form.RANK:
        return 1.0 / (k + np.arange(1.0, len(values) + 1))
    if form is Form.SHARE:
        best = values.max()
        return values / best if best > 0 else np.zeros_like(values)
    # One step below the last one is 0: a product that is found last still counts for more than one that is not found.
    span = values.max() - values.min()
    floor = values.min() - (span / len(values) if span > 0 else 1.0)
    return np.asarray((values - floor) / (values.max() - floor), dtype=np.float64)
