"""Each edit by itself, and all of them by their rates."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_os.train.lessons.typing_edits import (
    EDIT_RATES,
    TypingEdit,
    drop,
    edit_words,
    join,
    misspell,
    pluralise,
    reorder,
)


def _all(edit: object, *words: str) -> set[str]:
    return {" ".join(edit(words, random.Random(seed))) for seed in range(200)}  # type: ignore[operator]


def test_a_drop_leaves_one_word_out_of_four() -> None:
    assert _all(drop, "a", "b", "c", "d") == {"b c d", "a c d", "a b d", "a b c"}
    assert _all(drop, "a", "b", "c") == {"a b c"}


def test_reordering_puts_the_last_first_or_swaps_neighbours() -> None:
    assert _all(reorder, "a", "b", "c") == {"c a b", "b a c", "a c b"}
    assert _all(reorder, "a") == {"a"}


def test_joining_writes_two_neighbours_as_one() -> None:
    assert _all(join, "a", "b", "c") == {"ab c", "a bc"}
    assert _all(join, "a") == {"a"}


def test_edits_that_changed_something_are_named() -> None:
    never = edit_words(["Toner Cartridge", "BLACK"], random.Random(0), {})
    assert (never.text, never.edits) == ("toner cartridge black", ())
    plural = edit_words(["toner"], random.Random(0), {TypingEdit.PLURALISE: 1.0, TypingEdit.DROP: 1.0})
    assert (plural.text, plural.edits) == ("toners", (TypingEdit.PLURALISE,))  # nothing of one word can be dropped


def test_edits_come_at_their_rates() -> None:
    words = ["replacement", "toner", "cartridge", "magenta"]
    edited = [edit_words(words, random.Random(seed)) for seed in range(4000)]
    for kind, rate in EDIT_RATES.items():
        share = sum(kind in w.edits for w in edited) / len(edited)
        assert share == pytest.approx(rate, abs=0.03)


@given(st.lists(st.text(max_size=20), max_size=6), st.integers(0, 50))
def test_any_words_can_be_edited(words: list[str], seed: int) -> None:
    edited = edit_words(words, random.Random(seed), dict.fromkeys(TypingEdit, 1.0))
    assert edited.text == edited.text.strip()
    assert len(edited.text) <= 120


@pytest.mark.parametrize(
    ("word", "other"),
    [
        ("cable", "cables"),
        ("cables", "cable"),
        ("battery", "batteries"),
        ("batteries", "battery"),
        ("tray", "trays"),
        ("box", "boxes"),
        ("switch", "switches"),
        ("brush", "brushes"),
        ("glass", "glasses"),
        ("x2", "x2"),
        ("tv", "tv"),
        ("4gb", "4gb"),
        ("", ""),
    ],
)
def test_the_other_number_of_a_word(word: str, other: str) -> None:
    assert pluralise(word) == other


@given(st.from_regex(r"[a-z]{3,10}", fullmatch=True))
def test_no_word_loses_all_its_letters(word: str) -> None:
    assert pluralise(word)
    assert pluralise(word) != word


def test_each_slip_of_the_finger() -> None:
    found = {misspell("cable", random.Random(seed)) for seed in range(400)}
    assert {"cble", "cale", "cabe"} <= found  # a letter left out
    assert {"caable", "cabble", "cablle"} <= found  # doubled
    assert {"cbale", "calbe", "cabel"} <= found  # swapped with the next
    assert {"cxble", "cabqe"} <= found  # a wrong one
    assert all(word.startswith("c") for word in found)
    assert all(abs(len(word) - 5) <= 1 for word in found)


@given(st.text(max_size=10), st.integers(0, 50))
def test_short_words_and_numbers_are_left_alone(word: str, seed: int) -> None:
    slipped = misspell(word, random.Random(seed))
    if len(word) < 5 or not word.isalpha():
        assert slipped == word
    else:
        assert slipped[0] == word[0]
        assert abs(len(slipped) - len(word)) <= 1
