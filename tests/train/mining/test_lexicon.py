"""Longest matches of known values, and who wins where the tagger disagrees."""

from __future__ import annotations

from gram_os.text.attribute import AttributeType
from gram_os.text.tagger import Span
from gram_os.train.mining.lexicon import Lexicon, Match, locate_matches, match_values, merge_spans

BRAND, COLOUR, TYPE = AttributeType.BRAND, AttributeType.COLOUR, AttributeType.PRODUCT_TYPE


def _span(start: int, end: int, kind: AttributeType = COLOUR) -> Span:
    return Span(start, end, "x" * (end - start), kind, kind.value, 0.5)


def test_longest_match_wins_and_search_goes_on_behind_it() -> None:
    known = Lexicon([(["toner"], COLOUR), (["toner", "cartridge", "black"], TYPE), (["cartridge"], BRAND)])
    # The three-word value is begun but not finished: the match falls back to "toner", then "cartridge" is found.
    assert match_values(["toner", "cartridge", "red"], known) == [Match(0, 1, COLOUR), Match(1, 2, BRAND)]
    assert match_values(["toner", "cartridge", "black"], known) == [Match(0, 3, TYPE)]


def test_first_type_of_a_repeated_value_stays() -> None:
    known = Lexicon([(["apple"], BRAND), (["apple"], TYPE)])
    assert match_values(["apple"], known) == [Match(0, 1, BRAND)]


def test_empty_value_and_empty_text_match_nothing() -> None:
    assert match_values(["a"], Lexicon([([], BRAND)])) == []
    assert match_values([], Lexicon([(["a"], BRAND)])) == []


def test_matches_are_placed_in_the_text() -> None:
    text = "New Xerox  Toner"
    places = [(0, 3), (4, 9), (11, 16)]
    assert locate_matches(text, places, [Match(1, 3, BRAND)]) == [Span(4, 16, "Xerox  Toner", BRAND, "brand", 1.0)]


def test_known_value_beats_tagged_spans_up_to_its_length() -> None:
    known = [_span(0, 11, BRAND)]
    assert merge_spans([_span(0, 5), _span(6, 11)], known) == known
    assert merge_spans([_span(0, 11)], known) == known


def test_longer_tagged_span_stays() -> None:
    tagged = [_span(0, 11), _span(12, 15)]
    assert merge_spans(tagged, [_span(0, 5, BRAND)]) == tagged


def test_one_longer_rival_is_enough_to_drop_a_known_value() -> None:
    tagged = [_span(0, 2), _span(3, 20)]
    assert merge_spans(tagged, [_span(0, 5, BRAND)]) == tagged


def test_spans_that_touch_do_not_overlap() -> None:
    merged = merge_spans([_span(0, 5)], [_span(5, 9, BRAND)])
    assert [(span.start, span.end) for span in merged] == [(0, 5), (5, 9)]
