"""Fields by their names in the mapping: dots, objects and lists are told apart by nobody."""

from __future__ import annotations

import pytest

from gram_os.fields import read_field


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ({"a": {"b": {"c": 1}}}, 1),
        ({"a.b.c": 2}, 2),
        ({"a.b": {"c": 3}}, 3),
        ({"a": {"b.c": 4}}, 4),
        ({"a": {"x": 0}, "a.b": {"c": 5}}, 5),
        ({"a": {"b": {"d": 0}}}, None),
        ({"a": "text"}, None),
        ({"a": [{"b": {"c": 1}}]}, 1),
        ({"a": [{"b": {"c": 1}}, {"b": [{"c": [2, 3]}, {"d": 0}]}]}, [1, 2, 3]),
        ({"a.b.c": 1, "a": {"b": {"c": 2}}}, [1, 2]),
        ({}, None),
    ],
)
def test_field_is_found_however_the_writer_nested_it(source: dict[str, object], found: object) -> None:
    assert read_field(source, "a.b.c") == found
