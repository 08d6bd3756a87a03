"""What titles say word by word: phrases without brands, what it costs a word to be a head, series, acronyms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest

from gram_os.catalogue import Product
from gram_os.text.normalise import Normaliser
from gram_os.train.mining.catalogue import MinedCatalogue
from gram_os.train.types.titles import (
    count_spans,
    find_acronyms,
    find_end,
    list_brand_words,
    list_title_phrases,
    weigh_heads,
)
from tests.train.typed_catalogue import Row, mine_rows


def _brands(*names: str) -> list[Mapping[str, object]]:
    return [{"brand": name} if name else {} for name in names]


# ---- phrases without the brand

PENS: list[Row] = [(f"HERMA pen p{at}", "HERMA", "pen") for at in range(4)]


def _first_words(row: Row, brand: str) -> tuple[str, ...]:
    """Return the first phrase of a title whose brand field says `brand`, beside those of some pens."""
    mined = mine_rows([row, *PENS], _brands(brand, *["HERMA"] * len(PENS)))
    return list_title_phrases(mined)[0][0].words


def test_a_brand_in_a_field_says_where_the_brand_ends() -> None:
    labels: Row = ("HERMA Labels 96 x 50 mm", "HERMA Labels", "")  # the tagger takes both words for the brand
    assert _first_words(labels, "HERMA") == ("labels",)
    assert _first_words(labels, "herma") == ("labels",)
    assert _first_words(labels, "") == ("x",)


def test_a_title_that_does_not_begin_with_its_brand_is_cut_behind_what_the_tagger_marks() -> None:
    assert _first_words(("Case Logic messenger bag", "Case Logic", "bag"), "Thule") == ("messenger", "bag")


def test_what_the_tagger_marks_behind_the_field_stays() -> None:
    assert _first_words(("HERMA case for Okapi notebook", "Okapi", "notebook"), "HERMA") == ("case",)


def test_a_brand_ends_at_the_end_of_a_word() -> None:
    assert _first_words(("HERMAPower lamp", "", "lamp"), "HERMA") == ("hermapower", "lamp")


def test_a_brand_far_behind_is_another_products() -> None:
    words = _first_words(("white messenger bag and case for Okapi notebook", "Okapi", "bag"), "")
    assert words == ("white", "messenger", "bag", "case")


def test_a_title_that_is_a_brand_alone_keeps_it() -> None:
    assert _first_words(("HERMA", "HERMA", ""), "HERMA") == ("herma",)


# ---- ends of phrases


@pytest.mark.parametrize(
    ("words", "end"), [(("blank", "dvd", "r"), "dvd"), (("notebook", "case"), "case"), (("x", "y"), "y"), (("b",), "b")]
)
def test_a_phrase_ends_in_its_last_word_that_is_no_single_letter(words: tuple[str, ...], end: str) -> None:
    assert find_end(words) == end


# ---- what it costs to be a head


def _weigh(rows: Sequence[Row]) -> dict[str, float]:
    mined = mine_rows(rows)
    _, ends = count_spans(mined.spans, mined.normaliser)
    return weigh_heads(mined, list_title_phrases(mined), ends)


def _boxed(marked: int) -> list[Row]:
    """Return 20 titles that end in "box", some of which the tagger marks for boxes."""
    rows = [f"Okapi processor {at} GHz box" for at in range(20)]
    return [(title, "Okapi", "box" if at < marked else "processor") for at, title in enumerate(rows)]


def test_a_word_that_ends_many_phrases_and_is_rarely_marked_costs_more() -> None:
    costs = [_weigh(_boxed(marked))["box"] for marked in (5, 10, 20)]
    assert costs == pytest.approx([0.5 * math.log(4), 0.5 * math.log(2), 0])
    assert _weigh(_boxed(0))["processor"] == 0  # it is always marked


def test_no_word_costs_more_than_one_that_is_marked_once_in_ten_times() -> None:
    for marked in (0, 1, 2):
        assert _weigh(_boxed(marked))["box"] == pytest.approx(0.5 * math.log(10))


def test_a_word_that_is_marked_elsewhere_too_costs_nothing() -> None:
    rows: list[Row] = [*_boxed(20), *[("Okapi box black", "Okapi", "box")] * 5]  # marked more often than it ends
    assert _weigh(rows)["box"] == 0


def test_a_word_that_is_part_of_a_brand_does_not_count() -> None:
    labels: list[Row] = [(f"HERMA labels {at}", "HERMA", "labels") for at in range(4)]
    branded: list[Row] = [("HERMA labels 96", "HERMA labels", "")] * 12
    mined = mine_rows([*labels, *branded], _brands(*["HERMA"] * 16))
    _, ends = count_spans(mined.spans, mined.normaliser)
    assert weigh_heads(mined, list_title_phrases(mined), ends)["labels"] == 0
    mined = mine_rows([*labels, *[("HERMA labels 96", "HERMA", "")] * 12], _brands(*["HERMA"] * 16))
    assert weigh_heads(mined, list_title_phrases(mined), ends)["labels"] == pytest.approx(0.5 * math.log(4))


# ---- names of series


def _mine_cases(zebu: int, okapi: int) -> MinedCatalogue:
    brands = ["Zebu"] * zebu + ["Okapi"] * okapi
    rows: list[Row] = [(f"{brand} thinkcase {brand.lower()}er m{at}", brand, "") for at, brand in enumerate(brands)]
    return mine_rows(rows, _brands(*brands))


@pytest.mark.parametrize(("zebu", "okapi", "series"), [(20, 0, True), (18, 2, True), (17, 3, False)])
def test_a_word_is_a_series_if_nearly_all_its_products_are_of_one_brand(zebu: int, okapi: int, *, series: bool) -> None:
    mined = _mine_cases(zebu, okapi)
    words = list_brand_words(mined, list_title_phrases(mined))
    assert ("thinkcase" in words) is series
    assert "zebuer" in words


def test_every_word_is_a_series_where_no_field_says_the_brand() -> None:
    mined = mine_rows([("Zebu lamp", "Zebu", "lamp"), ("Okapi lamp", "Okapi", "lamp")])
    assert list_brand_words(mined, list_title_phrases(mined)) == {"lamp"}


# ---- acronyms

SUPPLY = "Uninterruptible Power Supply"
WORDS = Normaliser({"suppli": "supply", "multifunct": "multifunction"})


def _find(*titles: str) -> dict[str, str]:
    return find_acronyms([Product(str(at), title, {}) for at, title in enumerate(titles)], WORDS)


@pytest.mark.parametrize(("times", "found"), [(2, {}), (3, {"ups": WORDS.value(SUPPLY)})])
def test_three_titles_explain_an_acronym(times: int, found: Mapping[str, str]) -> None:
    assert _find(*[f"Zebu {SUPPLY} (UPS) 500 VA"] * times) == found


@pytest.mark.parametrize(
    ("title", "found"),
    [
        (f"two {SUPPLY} (UPSs)", True),
        (f"Zebu {SUPPLY}, black (UPS)", False),  # the words before it have other initials
        ("Zebu Power Supply (UPS)", False),
        ("Supply (UPS)", False),
        (f"{SUPPLY} (ups)", False),
        (f"{SUPPLY} UPS", False),
    ],
)
def test_the_initials_of_the_words_before_it_are_its_letters(title: str, *, found: bool) -> None:
    assert _find(*[title] * 3) == ({"ups": WORDS.value(SUPPLY)} if found else {})


def test_of_several_explanations_the_commonest_counts() -> None:
    titles = ["Multifunction Printer (MP)"] * 4 + ["Mobile Phone (MP)"] * 3
    assert _find(*titles) == {"mp": "multifunction printer"}
