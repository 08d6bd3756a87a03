"""Rows become the products that their documents in an index are."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from gram_os.errors import InputError
from gram_os.ingest.ray.catalogue_rows import RowReader

READER = RowReader("sku", "name", ("sku", "name", "brand", "brand.name", "_id", "specs", "since"))


def _read(**row: Any) -> Any:
    return READER.read(row, READER.names())


def test_fields_have_the_names_of_the_index() -> None:
    row = {"sku": 7, "name": ["Lamp", "red"], "brand": "L", "brand.name": "Lumo", "_id": 3, "specs": {"a..b": 1}}
    product = _read(**row, since=date(2026, 11, 27))
    assert (product.id, product.title) == ("7", "Lamp, red")
    document = READER.build_document(product, READER.names())
    assert document == {
        "sku": "7", "title": "Lamp, red", "brand": "L", "brand_name": "Lumo", "id": 3, "specs": {"a_b": 1},
        "since": "2026-11-27",
    }  # fmt: skip


def test_only_columns_that_are_coded_are_read() -> None:
    assert READER.choose_columns(["brand_name", "specs.colour"]) == ["sku", "name", "brand.name", "specs"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"sku": None, "name": "Lamp"}, "has no id in column 'sku'"),
        ({"sku": " ", "name": "Lamp"}, "has no id in column 'sku'"),
        ({"sku": 1.5, "name": "Lamp"}, "has an id that is neither text nor integer"),
        ({"sku": "x" * 513, "name": "Lamp"}, "has an id of more than 512 bytes"),
        ({"sku": "1", "name": None}, "has no title in column 'name'"),
        ({"sku": "1", "name": 7}, "has a title that is no text: '7'"),
        ({"sku": "1", "name": "Lamp", "brand": float("inf")}, "column 'brand': infinity is no JSON number"),
        ({"sku": "1", "name": "Lamp", "specs": b"\x00"}, "column 'specs': a value of type bytes"),
    ],
)
def test_a_row_that_is_no_product_says_why(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        _read(**row)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (("id", "title"), "no column 'sku'.*--id-field"),
        (("sku", "title"), "no column 'name'.*--title-field"),
        (("sku", "name", "title"), "a column 'title' beside 'name'"),
        (("sku", "name", "gram_v1"), "a column 'gram_v1', which gram-os writes"),
        (("sku", "name", "gram_refusal"), "a column 'gram_refusal'"),
    ],
)
def test_columns_that_do_not_serve_are_named(columns: tuple[str, ...], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        RowReader("sku", "name", columns).check("gram_v1")
