"""Amounts of money as numbers: both conventions where only one reading is possible."""

from __future__ import annotations

import pytest

from gram_os.errors import InputError
from gram_os.files.casts import cast_value, is_amount


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("9.99 USD", 9.99),
        ("USD 9.99", 9.99),
        ("$9.99", 9.99),
        ("US$ 9.99", 9.99),
        ("1,299.00 USD", 1299.0),
        ("1.299,00 €", 1299.0),
        ("€1.299,00", 1299.0),
        ("499,00 €", 499.0),
        ("5,5 EUR", 5.5),
        ("1 299,00 zł", 1299.0),
        ("1\u00a0299,00\u00a0€", 1299.0),
        ("CHF 1'299.00", 1299.0),
        ("1,234,567 USD", 1234567.0),
        ("1.234.567,89 €", 1234567.89),
        ("9,- €", 9.0),
        ("0,125 €", 0.125),
        ("₹ 12", 12.0),
        ("-5.00 €", -5.0),
        ("1,299.00", 1299.0),
        ("1.299,00", 1299.0),
        ("499,00", 499.0),
        ("-0,50", -0.5),
        ("12", 12.0),
    ],
)
def test_amounts(text: str, number: float) -> None:
    assert cast_value(text, "float") == number


@pytest.mark.parametrize(
    "text",
    ["1,299 USD", "1.299 €", "1,5", "1,299", "12 cm", "9.99 USD 8.99", "from 9.99 USD", "1,29,9.00 €", "12,34.56,78 €",
     "USD", "", "1,299.00 kg", "$ 5 EUR", "9 XYZ"],
)  # fmt: skip
def test_texts_with_two_readings_or_none(text: str) -> None:
    with pytest.raises(InputError, match="is no float"):
        cast_value(text, "float")


@pytest.mark.parametrize(
    ("text", "money"),
    [("9.99 USD", True), ("1,299 USD", True), ("Kč 5", True), ("499,00", True),
     ("9.99", False), ("1,5", False), ("24 in", False), ("USD", False), ("A4", False)],
)  # fmt: skip
def test_amounts_are_told_from_measures(text: str, money: bool) -> None:
    assert is_amount(text) is money
