"""Probabilities as documents keep them, byte by byte."""

from __future__ import annotations

import base64
from math import exp

from gram_os.ingest.packing import PackedCodes, pack_codes
from gram_os.model.generator import ScoredCode
from gram_os.text.code import Code


def _scored(text: str, *probabilities: float) -> ScoredCode:
    return ScoredCode(Code.parse(text), probabilities or None, own=True)


def _bytes(packed: PackedCodes) -> list[int]:
    return list(base64.b64decode(packed.probabilities))


def test_probabilities_become_sixteenths_of_a_nat() -> None:
    packed = pack_codes([_scored("toner", 0.5), _scored("black | red", 1.0, exp(-3))])
    assert packed.codes == ("black | red", "toner")
    assert _bytes(packed) == [0, 48, 11]  # 16 x 0, 16 x 3, round(16 x 0.693)


def test_unlikely_and_unknown_are_told_apart() -> None:
    packed = pack_codes([_scored("a", exp(-15.9)), _scored("b", 1e-30), _scored("c", 0.0), _scored("d | e")])
    assert _bytes(packed) == [254, 254, 254, 255, 255]


def test_nothing_to_pack() -> None:
    assert pack_codes([]) == PackedCodes((), "")


def test_codes_stand_in_the_order_of_their_utf8_bytes() -> None:
    # U+FA0E comes before U+20000 in UTF-8 and after it in UTF-16; "-" and " " come before "|".
    texts = ["𠀀", "﨎", "zoo", "é", "a | b", "a-b", "a b", "a"]
    packed = pack_codes([ScoredCode(Code(tuple(text.split(" | "))), None, own=True) for text in texts])
    assert packed.codes == ("a", "a b", "a | b", "a-b", "zoo", "é", "﨎", "𠀀")
    assert list(packed.codes) == sorted(texts, key=str.encode)
