"""Rows of writers as documents, and columns that are no part of a product. `test_reload` writes to a node."""

from __future__ import annotations

from typing import Any

import pytest

from gram_os.errors import InputError
from gram_os.loading.product_writer import NewDocument, is_code_column, make_document


@pytest.mark.parametrize(
    ("name", "value", "is_code"),
    [
        ("gram_v1", {"codes": [], "source": "x", "weights": [{}]}, True),
        ("gram_v1.codes", ["a"], True),
        ("gram_my-label_2.attributes.brand", "hp", True),
        ("gram_title_hash", "SHA-256@2.16.0:x", True),
        ("gram_v1", "text", False),
        ("gram_v1", {"codes": []}, False),
        ("gram_v1.colour", "red", False),
        ("gram_V1.codes", ["a"], False),
        ("gram", {"codes": [], "source": ""}, False),
        ("grams", 5, False),
        ("gram_per_piece", 5, False),
        ("diagram_v1.codes", 5, False),
    ],
)
def test_columns_with_codes_are_told_from_others(name: str, value: object, is_code: bool) -> None:
    assert is_code_column(name, value) == is_code


def test_a_row_becomes_a_document() -> None:
    row: dict[str, Any] = {
        "sku": 7, "i18n": {"en": "Lamp"}, "_score": 1, "a..b": {"c..d": 1}, "gram_v1.source": "x",
        "gram_v1": {"codes": [], "source": "x"}, "price": 9.5, "none": None,
    }  # fmt: skip
    assert make_document(row, id_field="sku", title_field="i18n.en") == NewDocument(
        "7", {"sku": 7, "i18n": {"en": "Lamp"}, "score": 1, "a_b": {"c_d": 1}, "price": 9.5, "none": None}
    )


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"title": "Lamp"}, "field 'id' must be a text or an integer that names the product, not None"),
        ({"id": True, "title": "Lamp"}, "field 'id'"),
        ({"id": 1.5, "title": "Lamp"}, "field 'id'"),
        ({"id": " ", "title": "Lamp"}, "field 'id'"),
        ({"id": "7"}, "product '7': field 'title' must be a text, not 'None'"),
        ({"id": "7", "title": "\n"}, "product '7': field 'title'"),
        ({"id": "7", "title": ["a", 3]}, "product '7': field 'title'"),
    ],
)
def test_a_row_without_id_or_title_is_named(row: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        make_document(row)
