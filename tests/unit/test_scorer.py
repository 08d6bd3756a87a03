"""The pair score by hand: divergence, bytes, agreement, what is unknown or was edited."""

from __future__ import annotations

import base64
from math import exp, log

import pytest

from gram_os.code import Code
from gram_os.generator import ScoredCode
from gram_os.scorer import JensenShannonScorer, PackedCodes, WeightedCode, divergence, pack_codes


def _scored(text: str, *probabilities: float) -> ScoredCode:
    return ScoredCode(Code.parse(text), probabilities or None, own=True)


def _asked(weight: float, text: str, *probabilities: float) -> WeightedCode:
    return WeightedCode(_scored(text, *probabilities), weight)


def _bytes(packed: PackedCodes) -> list[int]:
    return list(base64.b64decode(packed.probabilities))


def test_divergence_is_the_papers_term() -> None:
    # p = 1/2, q = 1/4: (1/2) ln(1 / (3/4)) + (1/4) ln((1/2) / (3/4))
    assert divergence(0.5, 0.25) == pytest.approx(0.5 * log(4 / 3) + 0.25 * log(2 / 3))
    assert divergence(0.25, 0.5) == divergence(0.5, 0.25)
    assert divergence(0.3, 0.3) == pytest.approx(0)
    assert divergence(0.5, 0) == pytest.approx(0.5 * log(2))  # the bound (p + q) ln 2
    assert divergence(0, 0.5) == pytest.approx(0.5 * log(2))


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


def test_equal_probabilities_agree_wholly() -> None:
    # exp(-k / 16) is what byte k stands for, so nothing is lost in packing.
    p, q = exp(-8 / 16), exp(-32 / 16)
    (found,) = JensenShannonScorer(0.5).score(
        [_asked(2.0, "black | toner", p, q)], [pack_codes([_scored("black | toner", p, q)])]
    )
    assert found.total == pytest.approx(2.0)
    (part,) = found.parts
    assert (part.code, part.weight) == ("black | toner", 2.0)
    assert part.agreement == pytest.approx(1.0)


def test_score_by_hand() -> None:
    p, q = exp(-16 / 16), exp(-48 / 16)
    product = pack_codes([_scored("red", q), _scored("toner", q), _scored("xerox", p)])
    query = [_asked(3.0, "toner", p), _asked(1.0, "xerox", p), _asked(9.0, "mouse", p)]
    (found,) = JensenShannonScorer(0.5).score(query, [product])
    share = (p * log(2 * p / (p + q)) + q * log(2 * q / (p + q))) / ((p + q) * log(2))
    assert 0 < share < 1
    assert [part.code for part in found.parts] == ["toner", "xerox"]  # the larger part first
    assert found.parts[0].agreement == pytest.approx(1 - 0.5 * share)
    assert found.total == pytest.approx(3 * (1 - 0.5 * share) + 1)
    assert found.total == pytest.approx(sum(part.score for part in found.parts))


def test_mean_over_the_values_of_a_code() -> None:
    p, q = exp(-16 / 16), exp(-48 / 16)
    share = divergence(p, q) / ((p + q) * log(2))
    product = pack_codes([_scored("black | toner", p, p)])
    (found,) = JensenShannonScorer(1.0).score([_asked(1.0, "black | toner", p, q)], [product])
    assert found.total == pytest.approx(1 - (0 + share) / 2)


@pytest.mark.parametrize(
    ("query", "title"), [((), (0.1, 0.2)), ((0.1, 0.2), ()), ((), ())], ids=["query", "title", "both"]
)
def test_unknown_values_count_as_literal_evidence(query: tuple[float, ...], title: tuple[float, ...]) -> None:
    product = pack_codes([_scored("a", 0.5), _scored("black | toner", *title)])
    (found,) = JensenShannonScorer(0.5).score([_asked(2.5, "black | toner", *query)], [product])
    assert found.total == 2.5


def test_each_code_reads_its_own_bytes() -> None:
    p, q = exp(-16 / 16), exp(-64 / 16)
    product = pack_codes([_scored("a | b | c", p, p, p), _scored("d", q), _scored("e | f", q, q)])
    scorer = JensenShannonScorer(1.0)
    for asked in (_asked(1.0, "a | b | c", p, p, p), _asked(1.0, "d", q), _asked(1.0, "e | f", q, q)):
        assert scorer.score([asked], [product])[0].total == pytest.approx(1.0)


def test_bytes_are_read_in_both_alphabets_of_base64() -> None:
    # OpenSearch gives binary doc values back URL-safe and without padding; the document holds what was written.
    codes = tuple("abcd")
    stored = base64.b64encode(bytes([251, 255, 190, 16]))
    assert stored == b"+/++EA=="
    asked = [_asked(1.0, "d", exp(-1))]
    for text in ("+/++EA==", "-_--EA", "-_--EA=="):
        assert JensenShannonScorer(1.0).score(asked, [PackedCodes(codes, text)])[0].total == pytest.approx(
            1.0
        )
    (read,) = JensenShannonScorer(1.0).score(
        [_asked(1.0, "c", exp(-190 / 16))], [PackedCodes(codes, "-_--EA")]
    )
    assert read.total == pytest.approx(1.0)


def test_nothing_shared_scores_nothing() -> None:
    product = pack_codes([_scored("a", 0.5)])
    assert JensenShannonScorer(0.5).score([_asked(1.0, "b", 0.5)], [product])[0].total == 0
    assert JensenShannonScorer(0.5).score([], [product])[0].parts == ()
    assert JensenShannonScorer(0.5).score([_asked(1.0, "b", 0.5)], []) == []


@pytest.mark.parametrize("probabilities", ["", base64.b64encode(bytes(5)).decode()])
def test_codes_edited_by_hand_count_as_unknown(probabilities: str) -> None:
    product = PackedCodes(("black | toner", "red"), probabilities)
    (found,) = JensenShannonScorer(1.0).score([_asked(2.0, "black | toner", 0.1, 0.1)], [product])
    assert found.total == 2.0
