"""What a pass over the lessons is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from gram_os.train.lessons.targets import Target
from gram_os.train.lessons.teach import TrainingSet, TrainingTexts, held_out, read_texts, write_texts


def _lesson(count: int) -> TrainingTexts:
    return TrainingTexts([str(n) for n in range(count)], [Target(((0,),), (1.0,))] * count)


def test_shoppers_queries_make_half_of_a_pass() -> None:
    assert TrainingSet(_lesson(2), _lesson(6), _lesson(1)).weight == 3  # 2 x 3 = 6


def test_shoppers_queries_are_read_once_at_least() -> None:
    assert TrainingSet(_lesson(5), _lesson(1), _lesson(1)).weight == 1
    assert TrainingSet(_lesson(0), _lesson(1), _lesson(1)).weight == 1


@pytest.mark.parametrize(("products", "kept_out"), [(0, 0), (1, 1), (25, 1), (26, 2), (1000, 40)])
def test_one_product_of_25_is_held_out_evenly(products: int, kept_out: int) -> None:
    places = list(held_out(products))
    assert len(places) == kept_out
    assert places == [25 * at for at in range(kept_out)]


def test_held_out_titles_are_in_no_lesson_and_the_others_keep_their_targets(tmp_path: Path) -> None:
    titles = [f"title {at}" for at in range(60)]
    lessons = TrainingTexts(titles, [Target(((at,),), (1.0,)) for at in range(60)])
    kept = lessons.select([at for at in range(60) if at not in held_out(60)])
    write_texts(kept, tmp_path / "titles.jsonl.gz")
    read = read_texts(tmp_path / "titles.jsonl.gz")
    assert set(titles) - set(read.texts) == {"title 0", "title 25", "title 50"}
    assert [f"title {target.codes[0][0]}" for target in read.targets] == read.texts
    assert lessons.select([]) == TrainingTexts([], [])
