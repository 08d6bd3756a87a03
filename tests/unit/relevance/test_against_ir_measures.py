"""Metric values equal those of ir-measures, an independent library on top of trec_eval.

The library takes integer grades with linear gain. So it gets the relevance as 0 or 1 for recall, MRR and judged share,
and the gains 2^g - 1 for nDCG; condensed nDCG is its nDCG with `judged_only=True`. The gains of a scale in thirds are
not integers: they are scaled up, which does not change nDCG.
"""

from __future__ import annotations

from pathlib import Path

import ir_measures
import numpy as np
import pytest
from ir_measures import RR, Judged, R, nDCG

from gram_os.relevance import (
    Evaluation,
    JudgmentSet,
    Ranking,
    Run,
    evaluate_runs,
    read_trec_run,
    write_trec_run,
)
from tests.unit.relevance.fakes import make_judgments

THIRDS = (1.0, 1.33, 1.67, 2.0, 2.33, 2.67, 3.0)
WHOLE = (0.0, 1.0, 2.0, 3.0)
QUERIES, PRODUCTS = 60, 400
THEIR_NAMES = {"RR@10": "MRR@10", "Judged@10": "judged@10", "nDCG(judged_only=True)@10": "condensed_nDCG@10"}


def draw(grades: tuple[float, ...], relevant: float, seed: int) -> tuple[JudgmentSet, Run]:
    """Draw judgments of 25 products a query, and a run of up to 350 products with many equal scores.

    A few queries have no answer in the run.
    """
    rng = np.random.default_rng(seed)
    judged = {
        f"q{q}": {f"p{p}": float(rng.choice(grades)) for p in rng.choice(PRODUCTS, 25, replace=False)}
        for q in range(QUERIES)
    }
    rankings = {}
    for q in range(QUERIES - 3):
        found = rng.choice(PRODUCTS, rng.integers(1, 351), replace=False)
        scores = np.sort(rng.integers(0, 40, len(found)) / 4)[::-1]
        rankings[f"q{q}"] = Ranking(tuple(f"p{p}" for p in found), tuple(map(float, scores)))
    return make_judgments(judged, relevant=relevant), Run("drawn", rankings)


def measure_there(evaluation: Evaluation, run: Run, scale: float) -> dict[str, dict[str, float]]:
    """Return metric -> query -> value by ir-measures, over the queries that count."""
    judgments = evaluation.judgments
    scored = [
        ir_measures.ScoredDoc(query_id, product_id, score)
        for query_id, ranking in run.rankings.items()
        for product_id, score in zip(ranking.product_ids, ranking.scores, strict=True)
    ]
    flags = [
        ir_measures.Qrel(q, p, int(p in judgments.relevant[q]))
        for q in evaluation.query_ids
        for p in judgments.grades[q]
    ]
    gains = [
        ir_measures.Qrel(q, p, round(scale * value))
        for q in evaluation.query_ids
        for p, value in judgments.gains(q).items()
    ]
    found: dict[str, dict[str, float]] = {}
    ranked = [R @ 10, R @ 100, R @ 300, RR @ 10, Judged @ 10]
    for measures, qrels in ((ranked, flags), ([nDCG @ 10, nDCG(judged_only=True) @ 10], gains)):
        for value in ir_measures.iter_calc(measures, qrels, scored):
            name = THEIR_NAMES.get(str(value.measure), str(value.measure))
            found.setdefault(name, {})[value.query_id] = value.value
    return found


@pytest.mark.parametrize(
    ("grades", "relevant", "scale", "tolerance"),
    [((0.0, 1.0), 1.0, 1, 1e-9), (WHOLE, 2.0, 1, 1e-9), (THIRDS, 2.33, 10_000, 1e-4)],
    ids=["binary", "0..3", "thirds"],
)
def test_every_value_of_every_query_equals_theirs(
    tmp_path: Path, grades: tuple[float, ...], relevant: float, scale: float, tolerance: float
) -> None:
    judgments, run = draw(grades, relevant, seed=len(grades))
    write_trec_run(run, tmp_path / "drawn.trec")
    run = read_trec_run(tmp_path / "drawn.trec")  # scores without ties, as other tools see them
    evaluation = evaluate_runs([run], judgments)
    theirs = measure_there(evaluation, run, scale)
    assert set(theirs) == set(evaluation.metrics)
    assert {"R@10", "R@100", "R@300", "nDCG@10", "MRR@10"} < set(theirs)
    for name, measure in evaluation.systems[0].measures.items():
        assert set(theirs[name]) == set(evaluation.query_ids)
        wanted = [theirs[name][query_id] for query_id in evaluation.query_ids]
        assert measure.values == pytest.approx(wanted, abs=tolerance if "nDCG" in name else 1e-9), name
        assert measure.mean == pytest.approx(sum(wanted) / len(wanted), abs=tolerance)


def test_a_run_file_gives_trec_eval_the_order_that_was_measured_although_scores_tie(tmp_path: Path) -> None:
    judgments, run = draw(WHOLE, 2.0, seed=9)
    direct = evaluate_runs([run], judgments)
    write_trec_run(run, tmp_path / "run.trec")
    scored = list(ir_measures.read_trec_run(str(tmp_path / "run.trec")))
    flags = [
        ir_measures.Qrel(q, p, int(p in judgments.relevant[q])) for q in direct.query_ids for p in judgments.grades[q]
    ]
    theirs = ir_measures.calc_aggregate([R @ 10, R @ 100, RR @ 10], flags, scored)
    measures = direct.systems[0].measures
    assert theirs[R @ 10] == pytest.approx(measures["R@10"].mean, abs=1e-9)
    assert theirs[R @ 100] == pytest.approx(measures["R@100"].mean, abs=1e-9)
    assert theirs[RR @ 10] == pytest.approx(measures["MRR@10"].mean, abs=1e-9)
