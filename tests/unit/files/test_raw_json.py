"""A document goes back as it was written: every byte outside the one member that is replaced."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_os.files.raw_json import find_end, on_one_line, remove_member, replace_member, split_object

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
OBJECT = st.dictionaries(st.text(max_size=5), JSON, max_size=6)
INDENT = st.sampled_from([None, 0, 2])


@given(OBJECT, INDENT, st.booleans())
def test_members_are_those_of_the_parser(value: dict[str, object], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert {member.name: json.loads(member.value) for member in split_object(text)} == value
    assert find_end(f"docs: {text}, more", len("docs: ")) == len("docs: ") + len(text)


@given(OBJECT, INDENT)
def test_only_the_one_member_changes(value: dict[str, object], indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    written = replace_member(text, "gram_v1", '{"a": 1}')
    assert json.loads(written) == {**value, "gram_v1": {"a": 1}}
    others = [member.value for member in split_object(text) if member.name != "gram_v1"]
    assert [member.value for member in split_object(written) if member.name != "gram_v1"] == others
    again = replace_member(written, "gram_v1", "2")
    assert json.loads(again) == {**value, "gram_v1": 2}
    assert json.loads(on_one_line(again)) == json.loads(again)
    assert "\n" not in on_one_line(again)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", '{"c":1}'),
        ('{"p": 1.10, "n":1E400}', '{"p": 1.10, "n":1E400,"c":1}'),
        ('{ "c" : [1, {"}": "]"}] , "s":"\\ud83d"}', '{ "c":1 , "s":"\\ud83d"}'),
        ('{"\\u0063": 3}', '{"c":1}'),  # the name, written otherwise
        ("{ }", '{"c":1}'),
        ('{"d": {"c": 1}}\n', '{"d": {"c": 1},"c":1}\n'),
    ],
)
def test_what_a_parser_would_change_stays(before: str, after: str) -> None:
    assert replace_member(before, "c", "1") == after


@given(OBJECT, INDENT, st.integers(0, 6), st.integers(0, 2))
def test_only_the_one_member_goes(value: dict[str, object], indent: int | None, place: int, double: int) -> None:
    rows = [(name, json.dumps(item, indent=indent)) for name, item in value.items() if name != "c"]
    kept = [json.loads(written) for _, written in rows]
    for _ in range(double):
        rows.insert(place % (len(rows) + 1), ("c", "[1, 1.10]"))
    text = "{ " + " ,\n".join(f"{json.dumps(name)} : {written}" for name, written in rows) + " }\n"
    left = remove_member(text, "c")
    assert list(json.loads(left).values()) == kept
    assert [(member.name, member.value) for member in split_object(left)] == [row for row in rows if row[0] != "c"]
    assert left == text or double
    assert remove_member(left, "c") == left


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", "{}"),
        ('{ "c" : 1 }', "{  }"),
        ('{"c":1,"p": 1.10}', '{"p": 1.10}'),
        ('{"p": 1.10 , "c":1 }\n', '{"p": 1.10 }\n'),
        ('{"p": 1.10,\n  "c": {"c": 2},\n  "n": 1E400}', '{"p": 1.10,\n  "n": 1E400}'),
        ('{"c":1,"p":1.10,"c":2,"c":3,"p":2.0,"c":4}', '{"p":1.10,"p":2.0}'),  # a name that stands twice
        ('{"c":1,"c":2}', "{}"),
        ('{"\\u0063": 3, "s":"\\ud83d"}', '{"s":"\\ud83d"}'),  # the name, written otherwise
        ('{"d": {"c": 1}, "e": "\\"c\\": 1"}', '{"d": {"c": 1}, "e": "\\"c\\": 1"}'),
        ('{"d": [{"c": 1}], "C": 1, "c.d": 2}', '{"d": [{"c": 1}], "C": 1, "c.d": 2}'),
    ],
)
def test_what_goes_with_a_member_and_what_stays(before: str, after: str) -> None:
    assert remove_member(before, "c") == after
