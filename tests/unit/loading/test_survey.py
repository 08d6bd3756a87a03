"""Which kind of field takes every value of a catalogue without losing any."""

from __future__ import annotations

import pytest

from gram_os.catalogue import Product
from gram_os.loading.survey import survey_fields


def _products(*values: object) -> list[Product]:
    return [Product(str(number), "Nut", {"x": value}) for number, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["red", "blue"], "keyword"),
        ([["red"], ["green", "blue"]], "keyword"),
        (["red", "x" * 81], "prose"),
        (["red", "x" * 80], "keyword"),
        ([1, 2**62], "integer"),
        ([1, 2**63], "float"),
        ([1, 2.5], "float"),
        ([[1], 2.5], "float"),
        ([True, False], "boolean"),
        ([True, 1], "keyword"),
        ([1, "one"], "keyword"),
        (["2009-12-10", "2009-12-10T00:00:00Z", "2009-12-10T00:00:00.123456789+01:00"], "date"),
        (["2009-12-10", "unknown"], "keyword"),
        (["2009-13-10"], "keyword"),
        (["2009-12-10T25:00:00Z"], "keyword"),
        ([{"a": 1}, {"b": "c"}], "object"),
        ([{"a": 1}, "text"], "mixed"),
        ([[["a"]]], "mixed"),
        ([[]], "keyword"),
    ],
)
def test_kind_takes_every_value(values: list[object], kind: str) -> None:
    assert survey_fields(_products(*values)).fields == {"x": kind}


def test_choices_of_the_user_win_and_the_rarest_are_left_out() -> None:
    products = [
        Product("1", "Nut", {"often": 1, "rare": 1, "chosen": "1"}),
        Product("2", "Nut", {"often": 1}),
    ]
    survey = survey_fields(products, {"chosen": "text"}, limit=2)
    assert survey.products == 2
    assert survey.fields == {"chosen": "text", "often": "integer"}
    assert survey.left_out == ("rare",)


def test_names_that_opensearch_cannot_take_are_made_safe() -> None:
    survey = survey_fields([Product("1", "Nut", {"a.b": 1, "_id": 1, "": 1, " ": 1, "a b": 1})])
    assert survey.fields == dict.fromkeys(("a.b", "id_2", "unnamed", "unnamed_2", "a b"), "integer")
    assert survey.names.changed == {"_id": "id_2", "": "unnamed", " ": "unnamed_2"}
    assert survey.left_out == ()


@pytest.mark.parametrize(
    ("values", "kind", "cast"),
    [
        (["9.99", "120.00", "5"], "float", "float"),
        (["12", "-5", "0"], "integer", "integer"),
        (["9.99", "007"], "keyword", None),
        (["+1", "2"], "keyword", None),
        (["1e3"], "keyword", None),
        (["1234567890123456"], "keyword", None),
        (["123456789012345"], "integer", "integer"),
        (["0.1234567890123456"], "keyword", None),
        (["1.", ".5"], "keyword", None),
        (["true", "False"], "boolean", "boolean"),
        (["yes", "no"], "keyword", None),
        (["2026-11-22"], "date", None),
        ([["1", "2"], "3"], "integer", "integer"),
        (["5", "red"], "keyword", None),
    ],
)
def test_texts_that_stand_for_numbers(values: list[object], kind: str, cast: str | None) -> None:
    survey = survey_fields(_products(*values), texts_only=True)
    assert (survey.fields["x"], survey.casts.get("x")) == (kind, cast)
    assert survey_fields(_products(*values)).casts == {}


@pytest.mark.parametrize("name", ["ean", "Variant SKU", "productId", "Art. No.", "GTIN13", "parent-sku"])
def test_columns_of_ids_stay_texts(name: str) -> None:
    survey = survey_fields([Product("1", "Nut", {name: "12", "price": "12"})], texts_only=True)
    assert survey.casts == {"price": "integer"}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["9.99 USD", "12"], "amounts such as '9.99 USD'"),
        (["499,00", "1.299,00"], "amounts such as '499,00'"),
        ([*(str(n) for n in range(9)), "on request"], "numbers, and texts such as 'on request'"),
        (["S", "38", "40"], ""),
        (["red"], ""),
        (["9.99"], ""),
        ([{"a": 1}, "x"], "objects beside plain values"),
    ],
)
def test_what_keeps_a_field_from_being_filtered_is_said(values: list[object], says: str) -> None:
    notes = survey_fields(_products(*values), texts_only=True).notes
    assert [says in note for note in notes] == ([True] if says else [])


def test_an_object_with_a_text_that_is_no_term_becomes_fields() -> None:
    short, long = {"en": "linen", "size": {"w": 4}}, {"en": "x" * 40_000, "size": {"w": 4.5}, "tags": ["a"]}
    assert survey_fields(_products(short)).fields == {"x": "object"}
    assert survey_fields(_products(short, long)).fields == {"x.en": "prose", "x.size.w": "float", "x.tags": "keyword"}
    assert survey_fields(_products(long, {"size": 5})).fields == {"x": "mixed"}
    assert survey_fields(_products({"k" * 40_000: 1})).fields.keys() == {"x." + "k" * 40_000}
    many = {f"k{n}": n for n in range(300)}
    assert survey_fields(_products({**many, "en": "x" * 40_000})).fields == {"x": "mixed"}
