"""The dense peer: its training examples, exact search, and training that moves a clicked product to the top."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.exact import top_places
from benchmarks.peers.interface import Benchmark, Split
from gram_os.catalogue import Judgment, Product
from gram_os.relevance import JudgmentSet, Ranking, Run

pytest.importorskip("sentence_transformers", reason="needs the bench group: uv sync --group bench")

from benchmarks.peers.dense import Dense, TunedDense, find_lessons

TITLES = ["claw hammer", "garden hose", "paint roller", "cordless drill", "wood glue", "door knob"]


def make_bench(work: Path, judged: list[Judgment], queries: Mapping[str, str]) -> Benchmark:
    products = [Product(f"p{at}", title, {}) for at, title in enumerate(TITLES)]
    judgments = JudgmentSet.build(judged, relevant=2.33, lowest_grade=1.0)
    return Benchmark(products, Split(queries, judgments), Split(queries, judgments), work, work)


def test_no_lesson_has_a_click_as_a_negative(tmp_path: Path) -> None:
    judged = [
        Judgment("q", "p0", 3),
        Judgment("q", "p1", 1),
        Judgment("q", "gone", 1),
        Judgment("r", "p2", 1),
    ]
    bench = make_bench(tmp_path, judged, {"q": "hammer", "r": "roller"})
    lexical = Run("bm25", {"q": Ranking(("p3", "p0", "p4", "p5"), (4.0, 3.0, 2.0, 1.0))})
    (lesson,) = find_lessons(bench, lexical, 1, 3)  # r has no click
    assert lesson.clicked == ("p0",)
    assert lesson.passed_over == ("p1",)  # judged, not relevant, in the catalogue
    assert lesson.lexical == ("p4",)  # ranks 1 and 2, without the click
    titles = {product.id: product.title for product in bench.products}
    drawn = [lesson.draw(titles, 1, random.Random(seed)) for seed in range(20)]
    assert {tuple(row[:2]) for row in drawn} == {("hammer", "claw hammer")}
    assert {row[2] for row in drawn} == {"garden hose", "wood glue"}


def test_top_places_are_exact_and_equal_scores_keep_their_order() -> None:
    scores = np.asarray([0.1, 0.9, 0.5, 0.9, 0.5, 0.5], np.float32)
    assert top_places(scores, 4).tolist() == [1, 3, 2, 4]
    assert top_places(scores, 9).tolist() == [1, 3, 2, 4, 5, 0]


def test_training_brings_the_clicked_product_first(tmp_path: Path) -> None:
    queries = {"q": "claw hammer", "r": "zorblatt"}
    bench = make_bench(tmp_path, [Judgment("q", "p0", 3), Judgment("r", "p5", 3)], queries)
    peer = TunedDense(lambda: Run("bm25", {}), epochs=6, batch=2, rate=3e-4)
    before = Dense().rank(bench, queries)
    assert before["q"][0][0] == "p0"  # the encoder knows words that match
    assert before["r"][0][0] != "p5"  # but not what people who type this word buy
    after = peer.rank(bench, queries)
    assert [after[id_][0][0] for id_ in ("q", "r")] == ["p0", "p5"]
