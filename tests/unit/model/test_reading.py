"""Typed attributes and codes of several attributes, read off weighted values written by hand."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gram_os.model.coded import CodedText, ScoredCode
from gram_os.model.reading import read_codes
from gram_os.text.attribute import AttributeType
from gram_os.text.code import MAX_ATTRIBUTES, MAX_CODES, Code
from gram_os.text.dictionary import AttributeDictionary

T = AttributeType
TYPES = {
    "apple": T.BRAND,
    "black": T.COLOUR,
    "laptop": T.PRODUCT_TYPE,
    "magenta": T.COLOUR,
    "new": T.MODIFIER,
    "toner": T.PRODUCT_TYPE,
    "toner cartridge": T.PRODUCT_TYPE,
    "usb": T.TECHNICAL_SPECIFICATION,
    "wireless": T.FUNCTION,
    "xerox": T.BRAND,
}
DICTIONARY = AttributeDictionary(tuple(TYPES), tuple(TYPES.values()), (1,) * len(TYPES))


def _read(own: str, *generated: str, stated: Mapping[str, AttributeType] | None = None) -> CodedText:
    """Read a text of comma-separated own values, each with P = 1/2, and of generated codes."""
    values = [value.strip() for value in own.split(",") if value.strip()]
    weights = [ScoredCode(Code((value,)), (0.5,) if value in TYPES else None, own=True) for value in values]
    weights += [ScoredCode(Code.parse(code), (0.5,) * (1 + code.count("|")), own=False) for code in generated]
    return read_codes(weights, dictionary=DICTIONARY, stated=stated or {})


def _codes(coded: CodedText) -> list[str]:
    return [str(scored.code) for scored in coded.codes]


def _attributes(coded: CodedText) -> set[tuple[str, str]]:
    return {(found.type.value, found.value) for found in coded.attributes}


def test_a_text_has_coarse_and_medium_codes() -> None:
    coded = _read("xerox, black, toner")
    assert _codes(coded) == ["toner", "toner | xerox", "black | toner", "black | toner | xerox"]
    assert _attributes(coded) == {("brand", "xerox"), ("colour", "black"), ("product_type", "toner")}
    assert [scored.probability for scored in coded.codes] == [0.5, 0.25, 0.25, 0.125]
    assert all(scored.own for scored in coded.codes)


def test_guesses_stay_in_the_weights() -> None:
    coded = _read("toner", "magenta", "apple", "black | xerox")
    assert _codes(coded) == ["toner"]
    assert _attributes(coded) == {("product_type", "toner")}
    assert [str(scored.code) for scored in coded.weights] == ["toner", "magenta", "apple", "black | xerox"]


def test_types_that_say_little_are_no_attributes() -> None:
    assert _attributes(_read("usb, new, wireless, 006r90321")) == {("function", "wireless")}


def test_a_field_types_its_value_and_comes_first() -> None:
    coded = _read("apple, okapi, toner", stated={"okapi": T.BRAND, "toner": T.SERIES})
    assert [found.value for found in coded.of_type(T.BRAND)] == ["okapi", "apple"]
    assert [found.value for found in coded.of_type(T.SERIES)] == ["toner"]
    okapi = next(scored for scored in coded.codes if scored.code == Code(("okapi",)))
    assert okapi.probabilities is None  # the model cannot write it


def test_a_field_that_says_nothing_usable_makes_no_attribute() -> None:
    assert _attributes(_read("toner", stated={"toner": T.OTHER})) == set()


def test_the_longer_value_comes_first() -> None:
    coded = _read("toner, cartridge, toner cartridge")
    assert [found.value for found in coded.of_type(T.PRODUCT_TYPE)] == ["toner cartridge", "toner"]
    assert _codes(coded) == ["toner cartridge", "toner"]


def test_a_text_without_product_type_has_codes_of_what_it_has() -> None:
    assert _codes(_read("xerox")) == ["xerox"]
    assert _codes(_read("black, xerox")) == ["xerox", "black", "black | xerox"]
    assert _codes(_read("wireless, zebra")) == []
    assert _read("") == CodedText()


@pytest.mark.parametrize("own", ["xerox, apple, black, magenta, toner, laptop, toner cartridge", ", ".join(TYPES)])
def test_codes_are_few_canonical_and_made_of_attributes(own: str) -> None:
    coded = _read(own)
    values = {found.value for found in coded.attributes}
    assert len(coded.codes) == MAX_CODES
    assert len(set(_codes(coded))) == len(coded.codes)
    for scored in coded.codes:
        assert scored.code == Code.of(scored.code.values)
        assert len(scored.code.values) <= MAX_ATTRIBUTES
        assert set(scored.code.values) <= values
        assert scored.probabilities is None or len(scored.probabilities) == len(scored.code.values)
