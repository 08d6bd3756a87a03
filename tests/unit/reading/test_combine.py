"""Codes of typed values: how many, which, in which order."""

from __future__ import annotations

from itertools import combinations
from math import log, sqrt

from gram_os.reading.combine import SLOTS, combine
from gram_os.text.attribute import AttributeType, TypedValue
from gram_os.text.code import MAX_ATTRIBUTES, MAX_CODES

T = AttributeType


def _value(text: str, kind: AttributeType, probability: float | None = None) -> TypedValue:
    return TypedValue(text, kind, probability, own=True)


TONER, CARTRIDGE = _value("toner cartridge", T.PRODUCT_TYPE), _value("toner", T.PRODUCT_TYPE)
XEROX, BLACK = _value("xerox", T.BRAND), _value("black", T.COLOUR)


def _codes(types: list[TypedValue], others: list[TypedValue]) -> list[str]:
    return [" | ".join(value.value for value in code) for code in combine(types, others)]


def test_coarse_codes_come_first() -> None:
    assert _codes([TONER], [XEROX, BLACK]) == [
        "toner cartridge",
        "toner cartridge | xerox",
        "toner cartridge | black",
        "toner cartridge | xerox | black",
    ]


def test_both_names_of_a_type_have_codes() -> None:
    codes = _codes([TONER, CARTRIDGE], [XEROX, BLACK])
    assert {"toner", "toner | xerox", "toner | black", "toner | xerox | black"} <= set(codes)
    assert codes[:2] == ["toner cartridge", "toner"]
    assert len(codes) == 8


def test_codes_of_every_granularity_win_places() -> None:
    others = [
        *[XEROX, BLACK, _value("grey", T.COLOUR), _value("phaser", T.SERIES), _value("6360n", T.MODEL)],
        *[_value("2 m", T.TECHNICAL_SPECIFICATION), _value("8 gb", T.TECHNICAL_SPECIFICATION)],
        *[_value("steel", T.MATERIAL), _value("laser", T.FUNCTION), _value("slim", T.STYLE)],
    ]
    codes = combine([TONER, CARTRIDGE], others)
    lengths = [len(code) for code in codes]
    assert len(codes) == MAX_CODES
    assert lengths == sorted(lengths)
    assert [sum(length <= 2 for length in lengths), lengths.count(3), sum(length > 3 for length in lengths)] == [
        4,
        3,
        3,
    ]
    assert max(lengths) <= MAX_ATTRIBUTES
    assert all(code[0] in (TONER, CARTRIDGE) for code in codes)
    assert len({frozenset(value.value for value in code) for code in codes}) == len(codes)


def test_a_code_has_one_value_of_a_slot_and_one_measure_of_a_kind() -> None:
    lengths = [_value(text, T.TECHNICAL_SPECIFICATION) for text in ("2 m", "6 ft")]
    for code in combine([TONER], [XEROX, BLACK, _value("grey", T.COLOUR), *lengths]):
        assert all(a.type is not b.type for a, b in combinations(code, 2))
    mixed = [_value(text, T.TECHNICAL_SPECIFICATION) for text in ("2 m", "8 gb")]
    assert "toner cartridge | xerox | 2 m | 8 gb" in _codes([TONER], [XEROX, *mixed])


def test_words_do_not_repeat_in_a_code() -> None:
    paper = _value("photo paper", T.PRODUCT_TYPE)
    assert _codes([paper], [_value("paper", T.MATERIAL)]) == ["photo paper"]


def test_the_search_finds_the_best_code_of_each_length() -> None:
    slots = [slot for slot in SLOTS if slot is not T.TECHNICAL_SPECIFICATION]
    others = [_value(f"v{at}", kind, 0.5 + 0.04 * (at * 7 % 9)) for at, kind in enumerate(slots)]
    fine = [code for code in combine([TONER], others) if len(code) > 3]

    def score(values: tuple[TypedValue, ...]) -> float:
        n = sqrt(len(values) + 1) * (len(values) + 1) / MAX_ATTRIBUTES
        return sum(log(value.probability or 0) for value in values) / n

    every = [chosen for size in (3, 4, 5) for chosen in combinations(others, size)]
    best = sorted(every, key=lambda values: -score(values))[:3]
    assert {frozenset(code[1:]) for code in fine} == {frozenset(values) for values in best}


def test_without_a_type_codes_begin_with_a_name_or_a_colour() -> None:
    assert _codes([], [XEROX]) == ["xerox"]
    assert _codes([], [BLACK, XEROX]) == ["xerox", "black", "xerox | black"]
    assert _codes([], [_value("steel", T.MATERIAL)]) == []
    assert _codes([], []) == []


def test_the_order_of_equals_does_not_change() -> None:
    others = [XEROX, BLACK, *(_value(f"s{at}", T.STYLE) for at in range(4)), _value("steel", T.MATERIAL)]
    assert _codes([TONER], others) == _codes([TONER], others)
