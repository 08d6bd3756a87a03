"""Synthetic queries: each kind describes its product, and counts follow the Zipf law."""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import islice, pairwise

import pytest

from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType as T
from gram_os.text.normalise import Normaliser
from gram_os.train.lessons.query_maker import KIND_SHARES, Kind, QueryMaker
from gram_os.train.lessons.synthesis import SyntheticQuery, product_surfaces, synthesise, value_queries, zipf_counts
from gram_os.train.lessons.typing_edits import EDIT_RATES
from tests.train.catalogues import PRODUCTS, SPANS

ATTRIBUTES = {"brand": T.BRAND, "product_type": T.PRODUCT_TYPE, "colour": T.COLOUR}
SURFACES = [product_surfaces(p, s, ATTRIBUTES) for p, s in zip(PRODUCTS, SPANS, strict=True)]


def test_a_product_offers_its_spans_and_its_short_fields() -> None:
    assert SURFACES[0] == {
        T.SERIES: ["Pavilion"], T.BRAND: ["HP"], T.PRODUCT_TYPE: ["Laptops"], T.COLOUR: ["Silver"],
    }  # fmt: skip
    product = Product(
        "1", "x", {"colour": ["Black,Grey", " Deep Blue "], "brand": "four words are many", "product_type": 7}
    )
    assert product_surfaces(product, [], ATTRIBUTES) == {T.COLOUR: ["Black", "Grey", "Deep Blue"]}
    assert product_surfaces(Product("1", "x", {"brand": "", "colour": " ,"}), [], ATTRIBUTES) == {}


def test_most_queries_say_what_some_product_holds() -> None:
    normaliser = Normaliser()
    known = {v for p in PRODUCTS for v in normaliser.values(f"{p.title} {' '.join(map(str, p.fields.values()))}")}
    queries = synthesise(PRODUCTS, SURFACES, count=500, seed=2)
    assert all(set(normaliser.values(q.text)) <= known for q in queries if not q.edits)
    literal = [q for q in queries if set(normaliser.values(q.text)) <= known]
    assert 0.6 < len(literal) / len(queries) < 0.95  # the rest is misspelt, abbreviated or written together


def test_titles_without_words_are_passed_over() -> None:
    products = [Product("1", "the ***", {}), Product("2", "Lamp", {})]
    assert {query.product for query in synthesise(products, [{}, {}], count=20)} == {1}


def test_every_value_is_a_query_but_single_characters() -> None:
    assert value_queries(["black", "x", "17 in"]) == ["black", "17 in"]


# What the field and the description of each product say and its title does not; two other oak tables say it in theirs.
OAK = [
    Product(str(at), f"Acme Table {'Oak ' * (at > 0)}n{at}x", {"material": "Oak", "blurb": "A Hall piece."})
    for at in range(4)
]
OAK_SURFACES = [{T.BRAND: ["Acme"], T.PRODUCT_TYPE: ["Table"], T.MATERIAL: ["Oak"], T.SCENARIO: ["Hall"]} for _ in OAK]


def _only(kind: Kind, **more: object) -> list[SyntheticQuery]:
    return synthesise(OAK, OAK_SURFACES, count=300, shares={kind: 1.0}, edits={}, **more)  # type: ignore[arg-type]


def test_knowledge_heavy_queries_say_what_the_title_does_not_hold() -> None:
    told = [query for query in _only(Kind.KNOWLEDGE) if query.kind is Kind.KNOWLEDGE]
    assert told
    for query in told:
        title = OAK[query.product].title.lower().split()
        missing = [word for word in query.text.split() if word not in title]
        assert set(missing) - {"made", "of", "for"} <= {"oak", "hall"}
        assert missing
    texts = {query.text for query in told}
    assert {"oak table", "table oak", "table made of oak", "acme oak", "table for hall"} <= texts
    assert not any("oak" in query.text for query in told if query.product > 0)


def test_descriptions_tell_known_values_but_no_second_colour() -> None:
    products = [Product(str(at), f"Lamp n{at}x", {"blurb": "Takes LEDs; not in red."}) for at in range(2)]
    products += [Product(str(at), "LED lamp red", {}) for at in range(3)]
    surfaces = [{T.PRODUCT_TYPE: ["Lamp"]}, {T.PRODUCT_TYPE: ["Lamp"], T.COLOUR: ["Blue"]}]
    known = {T.PRODUCT_TYPE: ["Lamp"], T.FUNCTION: ["LEDs"], T.COLOUR: ["Red"]}
    told = synthesise(
        products, [*surfaces, known, known, known], count=400, texts=["blurb"], edits={},
        shares={Kind.KNOWLEDGE: 1.0},
    )  # fmt: skip
    words = [
        {word for q in told if q.product == at and q.kind is Kind.KNOWLEDGE for word in q.text.split()} for at in (0, 1)
    ]
    assert words[0] == {"lamp", "leds", "red", "with", "in"}
    assert words[1] == {"lamp", "leds", "blue", "with", "in"}  # blue is its field's; the red is another's


def test_broader_queries_hold_the_head_that_types_share() -> None:
    surfaces = [{T.PRODUCT_TYPE: [kind]} for kind in ("Toner cartridge", "Ink cartridge", "Desk lamp")]
    products = [Product(str(at), "zzzz", {}) for at in range(3)]
    found = synthesise(products, surfaces, count=200, shares={Kind.BROADER: 1.0}, edits={})
    broader = [query for query in found if query.kind is Kind.BROADER]
    assert "cartridge" in {query.text for query in broader}
    assert all("cartridge" in query.text.split() for query in broader)
    assert 2 not in {query.product for query in broader}  # nothing else ends in "lamp"
    assert {"desk lamp"} == {query.text for query in found if query.product == 2}


def test_counts_follow_the_zipf_law_of_their_texts() -> None:
    queries = synthesise(PRODUCTS, SURFACES, count=2000, seed=0, exponent=1.0, shift=0.0)
    asked: Counter[str] = Counter()
    for query in queries:
        asked[query.text] += query.count
    counts = list(asked.values())
    assert counts == zipf_counts(len(counts), 1.0, 0.0).tolist()
    assert counts[0] == len(counts)  # rank 1 of n is asked n times, rank 10 a tenth of that, the last once
    assert counts[9] == round(len(counts) / 10)
    assert counts[-1] == 1
    assert all(a >= b for a, b in pairwise(counts))
    assert min(query.count for query in queries) == 1


@pytest.mark.parametrize("exponent", [0.5, 0.8, 1.2])
def test_the_exponent_is_the_slope_on_logarithmic_paper(exponent: float) -> None:
    counts = zipf_counts(10_000, exponent, 0.0)
    assert math.log(counts[0] / counts[99]) / math.log(100) == pytest.approx(exponent, abs=0.02)
    shifted = zipf_counts(10_000, exponent, 9.0)
    assert shifted[0] / shifted[10] == pytest.approx(2**exponent, rel=0.05)  # (11 + 9) / (1 + 9) = 2


def test_what_is_made_more_often_is_asked_more_often() -> None:
    queries = synthesise(PRODUCTS, SURFACES, count=2000, seed=0)
    maker = QueryMaker(PRODUCTS, SURFACES, (), KIND_SHARES, EDIT_RATES)
    drawn = Counter(query.text for query in islice(maker.draw(random.Random(0)), 2000))
    order = list(dict.fromkeys(query.text for query in queries))
    assert set(order) == set(drawn)
    assert [drawn[text] for text in order] == sorted(drawn.values(), reverse=True)


def test_each_query_keeps_the_product_that_it_was_made_of() -> None:
    for query in synthesise(PRODUCTS, SURFACES, count=400, edits={}):
        product = PRODUCTS[query.product]
        words = f"{product.title} {' '.join(map(str, product.fields.values()))}".lower().split()
        assert set(query.text.split()) <= set(words)
    assert _only(Kind.TEMPLATE, seed=5) == _only(Kind.TEMPLATE, seed=5)
    assert _only(Kind.TEMPLATE, seed=5) != _only(Kind.TEMPLATE, seed=6)


def test_a_text_of_more_products_than_askings_is_asked_for_some_of_them() -> None:
    products = [Product(str(at), "Lamp", {}) for at in range(9)]
    queries = synthesise(products, [{}] * 9, count=200, shares={Kind.TITLE: 1.0}, edits={})
    assert [(query.text, query.count) for query in queries] == [("lamp", 1)]
