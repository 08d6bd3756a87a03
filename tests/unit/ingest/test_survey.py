"""Which kind of field takes every value of a catalogue without losing any."""

from __future__ import annotations

import pytest

from gram_os.catalogue import Product
from gram_os.ingest.survey import survey_fields


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
