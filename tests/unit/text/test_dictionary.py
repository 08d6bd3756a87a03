"""The attribute dictionary and the catalogue's words: tokens, phrases, joins and mended spellings."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gram_os.text.attribute import AttributeType as T
from gram_os.text.code import Code
from gram_os.text.dictionary import AttributeDictionary, Vocabulary

DICTIONARY = AttributeDictionary(
    ("17 in", "black", "toner", "toner cartridge", "xerox"),
    (T.TECHNICAL_SPECIFICATION, T.COLOUR, T.OTHER, T.PRODUCT_TYPE, T.BRAND),
    (4, 9, 7, 6, 3),
)
WORDS = Vocabulary(
    {
        "deck": 5,
        "over": 9,
        "deckover": 2,
        "battery": 40,
        "batter": 2,
        "cable": 30,
        "table": 50,
        "cord": 8,
        "card": 9,
    }
    | {
        "extension": 12,
        "printer": 20,
        "red": 3,
        "laptop": 30,
        "top": 9,
        "lap": 5,
        "hp": 50,
        "x464": 2,
        "wi fi": 9,
    }
)


def test_a_value_is_a_token_and_a_token_its_type() -> None:
    assert DICTIONARY.tokens == {"17 in": 0, "black": 1, "toner": 2, "toner cartridge": 3, "xerox": 4}
    assert DICTIONARY.type_of("toner cartridge") is T.PRODUCT_TYPE
    assert DICTIONARY.type_of("cartridge") is None
    assert DICTIONARY.longest == 2
    assert AttributeDictionary((), (), ()).longest == 0


@given(st.sets(st.sampled_from(DICTIONARY.values), min_size=1))
def test_encode_gives_ascending_tokens_and_decode_the_code_back(chosen: set[str]) -> None:
    code = Code.of(chosen)
    tokens = DICTIONARY.encode(code)
    assert tokens is not None
    assert list(tokens) == sorted(tokens)
    assert DICTIONARY.decode(tokens) == code


def test_a_code_with_an_unknown_value_has_no_tokens() -> None:
    assert DICTIONARY.encode(Code.of(["black", "blue"])) is None
    assert DICTIONARY.encode(Code.of(["17 in"])) == (0,)  # token 0 is known too


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["xerox", "toner", "cartridge"], ["toner cartridge"]),
        (["toner cartridge"], []),  # one word already
        (["17", "in"], ["17 in"]),
        (["cartridge", "toner"], []),
        (["toner"], []),
        ([], []),
        (["toner", "cartridge", "toner", "cartridge"], ["toner cartridge"]),
    ],
)
def test_phrases_are_the_values_of_several_words_that_stand_in_a_row(words: list[str], expected: list[str]) -> None:
    assert DICTIONARY.phrases(words) == expected


def test_neighbours_that_the_catalogue_writes_together_are_joined() -> None:
    assert WORDS.join(["red", "deck", "over", "lap", "top"]) == ["deckover", "laptop"]
    assert WORDS.join(["over", "deck"]) == []
    assert WORDS.join(["deck"]) == WORDS.join([]) == []


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("batery", ["battery"]),  # a letter left out
        ("battrey", ["battery"]),  # neighbours swapped: one edit
        ("cabel", ["cable"]),
        ("cablle", ["cable"]),
        ("tabla", ["table"]),
        ("extention", ["extension"]),
        ("extantion", ["extension"]),  # two edits above six letters
        ("printre", ["printer"]),
        ("cardcable", ["card", "cable"]),  # two words written together
        ("redcord", ["red", "cord"]),
    ],
)
def test_unknown_words_are_mended(word: str, expected: list[str]) -> None:
    assert WORDS.mend(word) == expected


@pytest.mark.parametrize(
    "word",
    [
        "battery",  # known
        "deckover",  # known, although its halves are
        "tab",  # too short to say
        "x465",  # a model number
        "wi fy",  # no word
        "kable",  # the first letter is wrong
        "cabels",  # two edits in six letters
        "exxtantions",  # three edits
        "zzzzzz",
        "",
        "é" * 5,
    ],
)
def test_what_cannot_be_told_is_left_alone(word: str) -> None:
    assert WORDS.mend(word) == []


def test_the_nearest_word_wins_then_the_commonest() -> None:
    vocabulary = Vocabulary({"corda": 1, "cords": 5, "cordial": 90})
    assert vocabulary.mend("cordx") == ["cords"]  # one edit each, the commoner of them
    assert vocabulary.mend("cordias") == ["cordial"]
    assert Vocabulary({"corda": 5, "cords": 5}).mend("cordx") == ["corda"]  # and then the alphabet


def test_the_split_with_the_commonest_rarer_half_wins() -> None:
    # "tableave" is table + ave (rarer half 2) or tab + leave (rarer half 30)
    assert Vocabulary({"table": 90, "ave": 2, "tab": 50, "leave": 30}).mend("tableave") == ["tab", "leave"]


@settings(deadline=None)
@given(st.text(max_size=12))
def test_mended_words_are_known_words(word: str) -> None:
    assert all(found in WORDS.counts for found in WORDS.mend(word))


def test_a_very_long_word_costs_nothing() -> None:
    start = time.process_time()
    assert WORDS.mend("ab" * 50_000) == []
    assert time.process_time() - start < 0.5


def test_a_near_word_beats_two_rarer_halves() -> None:
    vocabulary = Vocabulary({"cartridge": 40, "cart": 3, "ridgee": 2})
    assert vocabulary.mend("cartridgee") == ["cartridge"]
    assert Vocabulary({"cartridge": 1, "cart": 3, "ridgee": 2}).mend("cartridgee") == ["cart", "ridgee"]


def test_accents_of_the_catalogue_are_no_difference_to_a_query() -> None:
    words = Vocabulary({"kühlschrank": 4, "café": 3, "creme": 2, "kuhl": 1, "schrank": 9, "чёрная": 2})
    assert words.mend("kuhlschrank") == words.mend("kühlschrank") == words.mend("чёрная") == words.mend("черная") == []
    assert words.mend("kuhlschrnak") == ["kühlschrank"]
    assert words.mend("crème") == []
    assert words.join(["kuhl", "schrank"]) == words.join(["kühl", "schrank"]) == ["kühlschrank"]


@pytest.mark.parametrize(
    ("known", "typed"), [("किताब", "किताबब"), ("เสื้อผ้า", "เสื้อผา"), ("клавиатура", "клавиатра"), ("مصباح", "مصباحح")]
)
def test_words_of_every_script_are_mended(known: str, typed: str) -> None:
    assert Vocabulary({known: 3}).mend(typed) == [known]


def test_a_word_and_a_number_that_were_typed_together_are_parted() -> None:
    words = Vocabulary({"iphone": 9, "13": 5, "galaxy": 3, "table": 9})
    assert words.mend("iphone13") == ["iphone", "13"]
    assert words.mend("iphone15") == words.mend("13iphone") == words.mend("table-13") == []
    assert Vocabulary({"iphone": 9, "13": 5, "iphone13": 2}).mend("iphone13") == []
