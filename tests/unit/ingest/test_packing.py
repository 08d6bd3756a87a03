"""Probabilities as documents keep them, byte by byte."""

from __future__ import annotations

import base64
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_os.ingest.packing import pack_weights
from gram_os.model.coded import ScoredCode
from gram_os.text.code import Code
from tests.weights import build_weights


def _scored(text: str, *probabilities: float, weight: float = 1.0) -> ScoredCode:
    return ScoredCode(Code.parse(text), probabilities or None, own=True, weight=weight)


def _pack(*weights: ScoredCode) -> list[int]:
    return list(base64.b64decode(pack_weights(weights).probabilities))


def test_probabilities_become_sixteenths_of_a_nat() -> None:
    # "black | red" comes first: 16 x 0, 16 x 3; then "toner": round(16 x 0.693)
    assert _pack(_scored("toner", 0.5), _scored("black | red", 1.0, exp(-3))) == [0, 48, 11]


def test_unlikely_and_unknown_are_told_apart() -> None:
    packed = _pack(_scored("a", exp(-15.9)), _scored("b", 1e-30), _scored("c", 0.0), _scored("d | e"))
    assert packed == [254, 254, 254, 255, 255]


def test_nothing_to_pack() -> None:
    assert pack_weights([]).probabilities == ""


def test_codes_stand_in_the_order_of_their_utf8_bytes() -> None:
    # U+FA0E comes before U+20000 in UTF-8 and after it in UTF-16; "-" and " " come before "|".
    texts = ["a", "a b", "a | b", "a-b", "zoo", "é", "﨎", "𠀀"]
    assert texts == sorted(texts, key=str.encode)
    scored = [_scored(text, *[exp(-place)] * (1 + text.count("|"))) for place, text in enumerate(texts)]
    assert _pack(*reversed(scored)) == [0, 16, 32, 32, 48, 64, 80, 96, 112]


def test_bytes_meet_the_names_in_the_document_whatever_stands_for_a_dot() -> None:
    # "3.5" sorts before "3.50" and "35", its name in the document after both. "3·5" is the same name, and lighter.
    weights = [_scored("3.5", exp(-1)), _scored("35", exp(-2)), _scored("3·5", exp(-3), weight=0.5)]
    (features,) = build_weights({str(scored.code): scored.weight for scored in weights})
    assert sorted(features, key=str.encode) == ["35", "3·5"]
    assert _pack(*weights) == [32, 16]


@given(st.lists(st.tuples(st.sampled_from(["a", "b.c", "b·c", "é | z", "10"]), st.floats(1e-4, 60)), max_size=12))
def test_weights_are_those_of_the_slow_way(rows: list[tuple[str, float]]) -> None:
    weights = [_scored(text, *[0.5] * len(text.split("|")), weight=weight) for text, weight in rows]
    slow: dict[str, float] = {}
    for scored in weights:
        slow[str(scored.code)] = max(scored.weight, slow.get(str(scored.code), 0.0))
    (features,) = pack_weights(weights).features
    assert features == pytest.approx(build_weights(slow)[0], abs=1.1e-5)
    assert list(features) == sorted(features, key=str.encode)
    assert len(_pack(*weights)) == sum(1 + name.count("|") for name in features)
