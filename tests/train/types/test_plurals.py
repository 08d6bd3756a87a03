"""Singulars by spelling."""

from __future__ import annotations

import pytest

from gram_os.train.types.plurals import list_singulars


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("cables", "cable"),
        ("batteries", "battery"),
        ("movies", "movie"),
        ("boxes", "box"),
        ("axes", "axe"),
        ("watches", "watch"),
        ("headaches", "headache"),
        ("brushes", "brush"),
        ("dresses", "dress"),
        ("cases", "case"),
        ("lenses", "lens"),
        ("knives", "knife"),
        ("shelves", "shelf"),
        ("gloves", "glove"),
        ("potatoes", "potato"),
        ("shoes", "shoe"),
        ("snowshoes", "snowshoe"),
        ("men", "man"),
        ("women", "woman"),
        ("tvs", "tv"),
    ],
)
def test_plurals(plural: str, singular: str) -> None:
    assert singular in list_singulars(plural)


@pytest.mark.parametrize("word", ["", "s", "gs", "glass", "bus", "tennis", "soap", "cable", "specimen", "ramen"])
def test_words_that_are_no_plural(word: str) -> None:
    assert list_singulars(word) == ()
