"""Codes: equal sets are equal strings, and the string gives the set back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gram_os.errors import InputError
from gram_os.text.code import MAX_ATTRIBUTES, Code, Granularity

values = st.text(min_size=1, max_size=12).map(str.strip).filter(lambda v: v and "|" not in v)
value_sets = st.sets(values, min_size=1, max_size=MAX_ATTRIBUTES)


@settings(deadline=None)
@given(value_sets)
def test_parse_gives_back_what_was_rendered(chosen: set[str]) -> None:
    code = Code.of(chosen)
    assert Code.parse(str(code)) == code
    assert str(Code.parse(str(code))) == str(code)
    assert set(code.values) == chosen


@settings(deadline=None)
@given(value_sets.flatmap(lambda chosen: st.permutations(sorted(chosen))), st.data())
def test_order_and_repeats_do_not_matter(shuffled: list[str], data: st.DataObject) -> None:
    repeated = shuffled + data.draw(st.lists(st.sampled_from(shuffled), max_size=3))
    assert Code.of(repeated) == Code.of(sorted(shuffled))
    assert str(Code.of(repeated)) == str(Code.of(sorted(shuffled)))
    assert Code.parse(" | ".join(repeated)) == Code.of(shuffled)


@settings(deadline=None)
@given(value_sets, value_sets)
def test_different_sets_are_different_strings(left: set[str], right: set[str]) -> None:
    assert (str(Code.of(left)) == str(Code.of(right))) == (left == right)


def test_values_stand_in_lexicographic_order() -> None:
    assert str(Code.of(["xerox", "toner cartridge", "black"])) == "black | toner cartridge | xerox"


def test_parse_takes_any_spacing() -> None:
    assert Code.parse("  xerox|black |toner cartridge ") == Code(("black", "toner cartridge", "xerox"))


def test_six_attributes_are_a_code() -> None:
    assert len(Code.of("abcdef").values) == 6


@pytest.mark.parametrize("wrong", [[], list("abcdefg")])
def test_none_and_more_than_six_are_refused_with_the_limit(wrong: list[str]) -> None:
    with pytest.raises(InputError, match=rf"1 to 6 attribute values, not {len(wrong)}"):
        Code.of(wrong)


@pytest.mark.parametrize("wrong", ["", " ", " black", "black ", "bl|ack", "|", "\tblack", "black\n"])
def test_a_value_that_would_not_come_back_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(InputError) as caught:
        Code.of(["xerox", wrong])
    assert repr(wrong) in str(caught.value)


@pytest.mark.parametrize("text", ["", "|", "a || b", "a | ", " | ".join("abcdefg")])
def test_text_that_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Code.parse(text)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, Granularity.COARSE),
        (2, Granularity.COARSE),
        (3, Granularity.MEDIUM),
        (4, Granularity.FINE),
        (5, Granularity.FINE),
        (6, Granularity.FINE),
    ],
)
def test_granularity_is_the_papers(size: int, expected: Granularity) -> None:
    assert Code.of("abcdef"[:size]).granularity is expected


def test_codes_are_values() -> None:
    assert len({Code.of("ab"), Code.of("ba"), Code.of("ac")}) == 2
    assert Code.of("ab") < Code.of("ac") < Code.of("b")
