"""Weights of codes: each factor by hand, and bounds that the index accepts whatever the parameters are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_os.cluster.dsl import feature_name
from gram_os.model.pair_weights import GENERATED, LEAST, MOST, OWN, UNKNOWN, Emphasis, SideWeights
from gram_os.text.code import Code
from tests.weights import build_weights

LEAST_NORMAL = float(np.finfo(np.float32).tiny)  # `rank_features` refuses a smaller weight

above_zero = st.floats(0, exclude_min=True, allow_infinity=False, allow_nan=False)
not_negative = st.floats(0, allow_infinity=False, allow_nan=False)
emphases = st.builds(Emphasis, scale=above_zero, exponent=not_negative)
sides = st.builds(
    SideWeights,
    own=emphases, generated=emphases, unknown=above_zero, number=above_zero, phrase=above_zero,
    length_exponent=not_negative,
)  # fmt: skip
# Of one code: its value, the probabilities of its values, whether the text states it.
codes_of_a_text = st.lists(
    st.tuples(
        st.sampled_from(["red", "x200", "3.5 mm", "toner cartridge", "20"]),
        st.lists(st.floats(0, 1), min_size=1, max_size=6),
        st.sampled_from([OWN, GENERATED, UNKNOWN]),
    ),
    max_size=30,
)


def _weigh(side: SideWeights, drawn: list[tuple[str, list[float], int]]) -> tuple[list[Code], list[float]]:
    codes = [
        Code((f"{value} {place}" if " " in value else f"{value}{place}",)) for place, (value, _, _) in enumerate(drawn)
    ]
    known = [None if kind == UNKNOWN else values for _, values, kind in drawn]
    return codes, side.weigh(codes, known, [kind != GENERATED for _, _, kind in drawn])


@given(sides, codes_of_a_text)
def test_the_index_accepts_every_weight(side: SideWeights, drawn: list[tuple[str, list[float], int]]) -> None:
    codes, weights = _weigh(side, drawn)
    assert all(LEAST <= weight <= MOST for weight in weights)
    (features,) = build_weights({str(code): weight for code, weight in zip(codes, weights, strict=True)})
    assert len(features) == len(codes)
    for code, weight in zip(codes, weights, strict=True):
        stored = features[feature_name(str(code))]
        assert LEAST_NORMAL <= float(np.float32(stored)) <= float(np.finfo(np.float32).max)
        assert stored == pytest.approx(weight, abs=0.5e-5)


@given(sides, codes_of_a_text)
def test_training_weighs_in_float32_as_serving_does(
    side: SideWeights, drawn: list[tuple[str, list[float], int]]
) -> None:
    codes, expected = _weigh(side, drawn)
    logs = [np.mean(np.log(np.maximum(values, 1e-30))) for _, values, _ in drawn]
    known = [kind != UNKNOWN for _, _, kind in drawn]
    best = max((log for log, is_known in zip(logs, known, strict=True) if is_known), default=0.0)
    found = side.weigh_kinds(
        np.array([kind for _, _, kind in drawn], np.int8),
        np.array([log - best if is_known else 0.0 for log, is_known in zip(logs, known, strict=True)], np.float32),
        numbers=np.array([" " not in code.values[0] and code.values[0][-1].isdigit() for code in codes], np.bool_),
        phrases=np.array([" " in code.values[0] for code in codes], np.bool_),
        lengths=np.full(len(drawn), max(1, sum(kind != GENERATED for _, _, kind in drawn)), np.float32),
    )
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    # float32 has 24 bits, and an exponent multiplies the error of a logarithm.
    steepest = max(1.0, side.own.exponent, side.generated.exponent, side.length_exponent)
    if steepest < 100:
        assert found == pytest.approx(expected, rel=1e-4 * steepest)


def test_each_factor_by_hand() -> None:
    side = SideWeights(
        own=Emphasis(scale=2, exponent=0.5), generated=Emphasis(scale=3, exponent=1), unknown=0.7, number=1.5,
        phrase=0.25, length_exponent=0.5,
    )  # fmt: skip
    codes = [Code.of(values) for values in (["red"], ["x200"], ["20 in"], ["crimson", "dark"])]
    found = side.weigh(codes, [[0.5], [0.125], None, [0.25, 0.25]], [True, True, True, False])
    of_length = 3**-0.5  # own values
    assert found == pytest.approx(
        [2 * of_length, 2 * 0.25**0.5 * 1.5 * of_length, 0.7 * 0.25 * of_length, 3 * 0.5 * of_length]
    )


def test_the_floor_holds_after_the_length() -> None:
    words = [Code((f"word{place}",)) for place in range(2000)]
    side = SideWeights(own=Emphasis(scale=1e-3, exponent=1), length_exponent=2)
    (features,) = build_weights(
        {
            str(code): weight
            for code, weight in zip(words, side.weigh(words, [[0.5]] * 2000, [True] * 2000), strict=True)
        }
    )
    assert set(features.values()) == {LEAST}  # 1e-3 / 2000^2 would round to 0


def test_no_code_no_weight() -> None:
    assert SideWeights().weigh([], [], []) == []


@pytest.mark.parametrize("name", ["unknown", "number", "phrase", "length_exponent"])
@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_parameters_that_mean_nothing_are_refused(name: str, value: float) -> None:
    parameters: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=name):
        SideWeights(**parameters)
