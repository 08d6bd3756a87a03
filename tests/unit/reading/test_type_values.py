"""Which product types state the values of a code: shares of a query's types, on tables written by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from gram_os.reading.type_values import TypeValues


def _table(*stated: Sequence[int]) -> TypeValues:
    """The values of each type, in the order of the types."""
    offsets = np.cumsum([0, *(len(values) for values in stated)])
    return TypeValues(offsets.astype(np.int32), np.array([value for values in stated for value in values], np.int32))


TABLE = _table([4, 7], [], [0, 7, 9], [7])  # the second type states nothing


@pytest.mark.parametrize(
    ("values", "shares", "expected"),
    [
        ([7], {0: 1.0}, 1.0),
        ([4], {0: 1.0}, 1.0),
        ([9], {0: 1.0}, 0.0),  # only another type states it
        ([7], {1: 1.0}, 0.0),
        ([0], {2: 1.0}, 1.0),  # the first place of the dictionary
        ([5], {0: 0.5, 2: 0.5}, 0.0),  # no type states it
        ([7], {0: 0.5, 1: 0.2, 2: 0.3}, 0.8),
        ([7, 9], {0: 0.5, 1: 0.2, 2: 0.3}, 0.3),
        ([4, 9], {0: 0.5, 2: 0.5}, 0.0),  # each value has a type, but no type has both
        ([7, 7], {3: 1.0}, 1.0),
        ([7], {0: 0.1, 1: 0.1}, 0.5),  # shares that do not add up to 1
    ],
)
def test_the_share_of_types_that_state_all_values(values: list[int], shares: dict[int, float], expected: float) -> None:
    assert TABLE.agree(values, shares) == pytest.approx(expected)


@pytest.mark.parametrize("values", [[None], [7, None], [None, 7]])
def test_a_value_outside_the_dictionary_is_no_types(values: list[int | None]) -> None:
    assert TABLE.agree(values, {0: 0.5, 2: 0.5}) == 0


@pytest.mark.parametrize("shares", [{}, {0: 0.0}])
def test_without_an_asked_type_nothing_agrees(shares: dict[int, float]) -> None:
    assert TABLE.agree([7], shares) == 0


@pytest.mark.parametrize("types", [0, 3])
def test_types_that_state_nothing_agree_with_nothing(types: int) -> None:
    assert _table(*[[]] * types).agree([7], {0: 1.0}) == 0


def test_values_may_be_read_once_only() -> None:
    assert TABLE.agree((value for value in (7, 9)), {0: 0.5, 2: 0.5}) == 0.5


@pytest.mark.parametrize("offsets", [[0, 2], [0, 1, 1], [1, 1, 2], [0, 3, 2], []])
def test_arrays_that_do_not_fit_are_refused(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="for 2 types"):
        TypeValues.checked(np.array(offsets, np.int32), np.array([4, 5], np.int32), types=2)
