"""Synthetic queries: repeatable, never empty, out of the catalogue's own words."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gram_os.attribute import AttributeType as T
from gram_os.catalogue import Product
from gram_os.errors import InputError
from gram_os.normalise import Normaliser
from gram_os.train.synthesis import (
    misspell,
    pluralise,
    product_surfaces,
    read_templates,
    synthesise_queries,
    value_queries,
)
from tests.train.catalogues import PRODUCTS, SPANS

ATTRIBUTES = {"brand": T.BRAND, "product_type": T.PRODUCT_TYPE, "colour": T.COLOUR}
SURFACES = [product_surfaces(p, s, ATTRIBUTES) for p, s in zip(PRODUCTS, SPANS, strict=True)]


def test_templates_are_type_sequences_with_counts() -> None:
    templates = read_templates()
    assert templates[(T.PRODUCT_TYPE,)] == 839
    assert templates[(T.BRAND, T.PRODUCT_TYPE)] == 462
    assert all(count > 0 and template for template, count in templates.items())


def test_a_product_offers_its_spans_and_its_short_fields() -> None:
    assert SURFACES[0] == {
        T.SERIES: ["Pavilion"], T.BRAND: ["HP"], T.PRODUCT_TYPE: ["Laptops"], T.COLOUR: ["Silver"],
    }  # fmt: skip
    product = Product(
        "1", "x", {"colour": ["Black,Grey", " Deep Blue "], "brand": "four words are many", "product_type": 7}
    )
    assert product_surfaces(product, [], ATTRIBUTES) == {T.COLOUR: ["Black", "Grey", "Deep Blue"]}
    assert product_surfaces(Product("1", "x", {"brand": "", "colour": " ,"}), [], ATTRIBUTES) == {}


def test_equal_seeds_give_equal_queries() -> None:
    first = synthesise_queries(PRODUCTS, SURFACES, count=60, seed=3)
    assert synthesise_queries(PRODUCTS, SURFACES, count=60, seed=3) == first
    assert synthesise_queries(PRODUCTS, SURFACES, count=60, seed=4) != first
    assert synthesise_queries(PRODUCTS, SURFACES, count=20, seed=3) == first[:20]
    assert len(first) == 60


def test_queries_are_lower_case_texts_that_fit() -> None:
    long = [Product("1", " ".join(["Extraordinary" * 5] * 30), {})]
    for text in synthesise_queries([*PRODUCTS, *long], [*SURFACES, {}], count=400, seed=1):
        assert text
        assert text == text.strip().lower()
        assert len(text) <= 120


def test_heads_are_frequent_and_the_tail_is_long() -> None:
    counts = Counter(synthesise_queries(PRODUCTS, SURFACES, count=2000, seed=0))
    assert counts.most_common(1)[0][1] > 40
    assert sum(1 for n in counts.values() if n == 1) > 200


def test_most_queries_say_what_some_product_holds() -> None:
    normaliser = Normaliser()
    known = {
        v for p in PRODUCTS for v in normaliser.values(f"{p.title} {' '.join(map(str, p.fields.values()))}")
    }
    queries = synthesise_queries(PRODUCTS, SURFACES, count=500, seed=2)
    literal = [text for text in queries if set(normaliser.values(text)) <= known]
    assert 0.8 < len(literal) / len(queries) < 1  # the rest is misspelt or written together


def test_templates_put_values_in_their_order() -> None:
    surfaces = [{T.BRAND: ["Xerox"], T.PRODUCT_TYPE: ["Ink"]}]
    queries = Counter(synthesise_queries([Product("1", "zzzz", {})], surfaces, count=1000, seed=0))
    assert (
        queries["xerox ink"] > 3 * queries["ink xerox"] > 0
    )  # 462 brand product_type to 24 product_type brand


def test_titles_without_words_are_passed_over() -> None:
    products = [Product("1", "the ***", {}), Product("2", "Lamp", {})]
    assert set(synthesise_queries(products, [{}, {}], count=20)) <= {"lamp", "lamps"}


@pytest.mark.parametrize("titles", [[], [""], ["the of", "*** -"]])
def test_a_catalogue_without_words_is_refused(titles: list[str]) -> None:
    titles = [title.replace("-", "") for title in titles]
    products = [Product(str(at), title, {}) for at, title in enumerate(titles)]
    with pytest.raises(InputError, match=rf"none of the {len(products)} titles holds a word"):
        synthesise_queries(products, [{} for _ in products], count=1)
    assert synthesise_queries(products, [{} for _ in products], count=0) == []


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=4), st.integers(0, 99))
def test_any_titles_give_queries_or_a_clear_refusal(titles: list[str], seed: int) -> None:
    products = [Product(str(at), title, {}) for at, title in enumerate(titles)]
    try:
        queries = synthesise_queries(products, [{} for _ in titles], count=5, seed=seed)
    except InputError:
        return
    assert len(queries) == 5
    assert all(queries)


@pytest.mark.parametrize(
    ("word", "other"),
    [
        ("cable", "cables"),
        ("cables", "cable"),
        ("battery", "batteries"),
        ("batteries", "battery"),
        ("tray", "trays"),
        ("box", "boxes"),
        ("switch", "switches"),
        ("brush", "brushes"),
        ("glass", "glasses"),
        ("x2", "x2"),
        ("tv", "tv"),
        ("4gb", "4gb"),
        ("", ""),
    ],
)
def test_the_other_number_of_a_word(word: str, other: str) -> None:
    assert pluralise(word) == other


@given(st.from_regex(r"[a-z]{3,10}", fullmatch=True))
def test_no_word_loses_all_its_letters(word: str) -> None:
    assert pluralise(word)
    assert pluralise(word) != word


def test_each_slip_of_the_finger() -> None:
    found = {misspell("cable", random.Random(seed)) for seed in range(400)}
    assert {"cble", "cale", "cabe"} <= found  # a letter left out
    assert {"caable", "cabble", "cablle"} <= found  # doubled
    assert {"cbale", "calbe", "cabel"} <= found  # swapped with the next
    assert {"cxble", "cabqe"} <= found  # a wrong one
    assert all(word.startswith("c") for word in found)
    assert all(abs(len(word) - 5) <= 1 for word in found)


@given(st.text(max_size=10), st.integers(0, 50))
def test_short_words_and_numbers_are_left_alone(word: str, seed: int) -> None:
    slipped = misspell(word, random.Random(seed))
    if len(word) < 5 or not word.isalpha():
        assert slipped == word
    else:
        assert slipped[0] == word[0]
        assert abs(len(slipped) - len(word)) <= 1


def test_every_value_is_a_query_but_single_characters() -> None:
    assert value_queries(["black", "x", "17 in"]) == ["black", "17 in"]


def test_blank_values_make_no_empty_queries() -> None:
    queries = synthesise_queries([Product("1", "Lamp", {})], [{T.PRODUCT_TYPE: [" "]}], count=50)
    assert set(queries) <= {"lamp", "lamps"}
