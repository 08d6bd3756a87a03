"""Queries that describe products: repeatable, never empty, out of the catalogue's own words."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gram_os.catalogue import Product
from gram_os.errors import InputError
from gram_os.text.attribute import AttributeType as T
from gram_os.train.lessons.query_maker import KIND_SHARES, QueryMaker, read_templates
from gram_os.train.lessons.synthesis import product_surfaces
from gram_os.train.lessons.typing_edits import EDIT_RATES
from gram_os.train.mining.broader import Surfaces
from tests.train.catalogues import PRODUCTS, SPANS

ATTRIBUTES = {"brand": T.BRAND, "product_type": T.PRODUCT_TYPE, "colour": T.COLOUR}
SURFACES = [product_surfaces(p, s, ATTRIBUTES) for p, s in zip(PRODUCTS, SPANS, strict=True)]


def _draw(products: Sequence[Product], surfaces: Sequence[Surfaces], *, count: int, seed: int = 0) -> list[str]:
    """The texts of the first `count` queries."""
    maker = QueryMaker(products, surfaces, (), KIND_SHARES, EDIT_RATES)
    return [query.text for query in islice(maker.draw(random.Random(seed)), count)]


def test_templates_are_type_sequences_with_counts() -> None:
    templates = read_templates()
    assert templates[(T.PRODUCT_TYPE,)] == 839
    assert templates[(T.BRAND, T.PRODUCT_TYPE)] == 462
    assert all(count > 0 and template for template, count in templates.items())


def test_equal_seeds_give_equal_queries() -> None:
    first = _draw(PRODUCTS, SURFACES, count=60, seed=3)
    assert _draw(PRODUCTS, SURFACES, count=60, seed=3) == first
    assert _draw(PRODUCTS, SURFACES, count=60, seed=4) != first
    assert _draw(PRODUCTS, SURFACES, count=20, seed=3) == first[:20]
    assert len(first) == 60


def test_queries_are_lower_case_texts_that_fit() -> None:
    long = [Product("1", " ".join(["Extraordinary" * 5] * 30), {})]
    for text in _draw([*PRODUCTS, *long], [*SURFACES, {}], count=400, seed=1):
        assert text
        assert text == text.strip().lower()
        assert len(text) <= 120


def test_heads_are_frequent_and_the_tail_is_long() -> None:
    counts = Counter(_draw(PRODUCTS, SURFACES, count=2000, seed=0))
    assert counts.most_common(1)[0][1] > 40
    assert sum(1 for n in counts.values() if n == 1) > 200


def test_templates_put_values_in_their_order() -> None:
    surfaces = [{T.BRAND: ["Xerox"], T.PRODUCT_TYPE: ["Ink"]}]
    queries = Counter(_draw([Product("1", "zzzz", {})], surfaces, count=1000, seed=0))
    assert queries["xerox ink"] > 3 * queries["ink xerox"] > 0  # 462 brand product_type to 24 product_type brand


@pytest.mark.parametrize("titles", [[], [""], ["the of", "*** -"]])
def test_a_catalogue_without_words_is_refused(titles: list[str]) -> None:
    products = [Product(str(at), title, {}) for at, title in enumerate(titles)]
    with pytest.raises(InputError, match=rf"none of the {len(products)} titles holds a word"):
        _draw(products, [{} for _ in products], count=1)
    assert _draw(products, [{} for _ in products], count=0) == []


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=4), st.integers(0, 99))
def test_any_titles_give_queries_or_a_clear_refusal(titles: list[str], seed: int) -> None:
    products = [Product(str(at), title, {}) for at, title in enumerate(titles)]
    try:
        queries = _draw(products, [{} for _ in titles], count=5, seed=seed)
    except InputError:
        return
    assert len(queries) == 5
    assert all(queries)


def test_blank_values_make_no_empty_queries() -> None:
    queries = _draw([Product("1", "Lamp", {})], [{T.PRODUCT_TYPE: [" "]}], count=50)
    assert {"lamp", "lamps"} <= set(queries)
    assert all(text.startswith("la") for text in queries)
