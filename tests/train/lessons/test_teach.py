"""What a pass over the lessons is made of."""

from __future__ import annotations

from gram_os.train.lessons.targets import Target
from gram_os.train.lessons.teach import TrainingSet, TrainingTexts


def _lesson(count: int) -> TrainingTexts:
    return TrainingTexts([str(n) for n in range(count)], [Target(((0,),), (1.0,))] * count)


def test_shoppers_queries_make_half_of_a_pass() -> None:
    assert TrainingSet(_lesson(2), _lesson(6), _lesson(1)).weight == 3  # 2 x 3 = 6


def test_shoppers_queries_are_read_once_at_least() -> None:
    assert TrainingSet(_lesson(5), _lesson(1), _lesson(1)).weight == 1
    assert TrainingSet(_lesson(0), _lesson(1), _lesson(1)).weight == 1
