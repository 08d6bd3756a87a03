"""Phrases of a text and the product types at their heads, on names written by hand."""

from __future__ import annotations

import pytest

from gram_os.text.heads import Phrase, Role, find_heads, split_phrases
from gram_os.text.normalise import Normaliser
from gram_os.text.product_types import ProductType, TypeVocabulary

NORMALISER = Normaliser({"batteri": "battery", "cartridg": "cartridge"})
TYPES = TypeVocabulary(
    (
        ProductType("battery", 9),
        ProductType("camera", 5),
        ProductType("case", 7),
        ProductType("notebook", 6, (), ("laptop",)),
        ProductType("notebook case", 3, ("case",)),
        ProductType("toner cartridge", 4),
    )
)


def _split(text: str) -> list[tuple[str, str]]:
    return [(" ".join(phrase.words), phrase.role.value) for phrase in split_phrases(text, NORMALISER)]


def _heads(text: str) -> list[str]:
    return [head.name for head in find_heads(split_phrases(text, NORMALISER), TYPES)]


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("Notebook Cases", [("notebook case", "first")]),
        ("red case, black battery", [("red case", "first"), ("black battery", "later")]),
        ("battery for select laptops", [("battery", "first"), ("select laptop", "linked")]),
        ("battery w/ charger (black)", [("battery", "first"), ("charger", "linked"), ("black", "linked")]),
        ("battery w/charger f/ notebooks", [("battery", "first"), ("charger", "linked"), ("notebook", "linked")]),
        ("case w/o strap", [("case", "first"), ("strap", "linked")]),
        ("lens f/2.8 zoom", [("len", "first"), ("zoom", "later")]),
        ("For Xerox toner", [("xerox toner", "linked")]),
        ("Wi-Fi camera - white", [("wi fi camera", "first"), ("white", "later")]),
        ("6-cell battery 12 V pack", [("cell battery", "first"), ("v pack", "later")]),
        ("", []),
        ("12 34", []),
        ("with", []),
        ("ソニー カメラ", [("ソニー カメラ", "first")]),
    ],
)
def test_phrases_end_at_signs_numbers_and_linking_words(text: str, phrases: list[tuple[str, str]]) -> None:
    assert _split(text) == phrases


def test_a_number_counts_the_word_right_behind_it() -> None:
    assert split_phrases("paper 50 sheets white, labels", NORMALISER) == [
        Phrase(("paper",), Role.FIRST),
        Phrase(("sheet", "white"), Role.LATER, counted=True),
        Phrase(("label",), Role.LATER),
    ]
    assert not any(phrase.counted for phrase in split_phrases("50, sheets for 20 for labels", NORMALISER))


@pytest.mark.parametrize("text", ["Intel BX80532 processor", "dv7-1211ea processor", "Cat 5e processor"])
def test_a_model_number_counts_nothing(text: str) -> None:
    phrase = split_phrases(text, NORMALISER)[-1]
    assert (phrase.words, phrase.counted) == (("processor",), False)


def test_the_last_name_of_a_phrase_is_its_head() -> None:
    assert _heads("notebook case") == ["notebook case"]
    assert _heads("camera battery") == ["battery"]
    assert _heads("toner cartridge original black") == ["toner cartridge"]
    assert _heads("hp elitebook") == []


def test_each_phrase_has_a_head_of_its_own_in_its_place() -> None:
    battery, laptop = find_heads(split_phrases("HP battery for select laptops", NORMALISER), TYPES)
    assert (battery.types, battery.name, battery.phrase, battery.role) == ((0,), "battery", 0, Role.FIRST)
    assert (laptop.types, laptop.name, laptop.phrase, laptop.role) == ((3,), "laptop", 1, Role.LINKED)
