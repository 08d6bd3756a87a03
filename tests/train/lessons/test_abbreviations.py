"""Units in other spellings, known short forms, and words that are cut or lose their vowels."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_os.train.lessons.abbreviations import abbreviate, cut_short, drop_vowels


def _all(*words: str) -> set[str]:
    return {" ".join(abbreviate(words, random.Random(seed))) for seed in range(200)}


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ("12 inch pipe", {"12 inches pipe", "12 in pipe", '12" pipe'}),
        (
            '17" screen',
            {f"17{gap}{unit} screen" for gap in ("", " ") for unit in ("inch", "in", "inches")},
        ),
        ("5-gallon bucket", {"5-gal bucket", "5-gallons bucket"}),
        ("500 gb disk", {"500 gigabyte disk"}),
        ("stainless steel sink", {"ss sink"}),
        ("black stapler", {"blk stapler"}),
        ("refrigerator door", {"fridge door"}),
        ("commercial door", {"comm door", "cmmrcl door"}),
        ("red door", {"red door"}),
    ],
)  # fmt: skip
def test_abbreviations(text: str, others: set[str]) -> None:
    assert _all(*text.split()) == others


def test_units_are_only_read_behind_numbers() -> None:
    assert _all("foot", "pump") == {"foot pump"}


@given(st.text(max_size=12))
def test_short_forms_are_never_empty_nor_longer(word: str) -> None:
    for short in (cut_short(word), drop_vowels(word)):
        assert len(short) <= len(word)
        assert short[:1] == word[:1]
