"""A catalogue of twelve products that can be counted by hand."""

from __future__ import annotations

from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType as T
from gram_os.text.tagger import Span


def _laptop(number: int, series: str, colour: str) -> Product:
    title = f"HP {series} Laptop {colour} n{number}x"
    return Product(f"l{number}", title, {"brand": "HP", "product_type": "Laptops", "colour": colour})


def _toner(number: int, brand: str, colour: str) -> Product:
    title = f"{brand} Toner Cartridges {colour} t{number}x"
    return Product(f"t{number}", title, {"brand": brand, "product_type": "Toner cartridge", "colour": colour})


PRODUCTS = [
    _laptop(1, "Pavilion", "Silver"),
    _laptop(2, "Pavilion", "Silver"),
    _laptop(3, "Pavilion", "Black"),
    _laptop(4, "Elite", "Black"),
    _laptop(5, "Elite", "Silver"),
    _laptop(6, "Elite", "Black"),
    _toner(1, "Xerox", "Black"),
    _toner(2, "Xerox", "Black"),
    _toner(3, "Xerox", "Cyan"),
    _toner(4, "Canon", "Cyan"),
    _toner(5, "Canon", "Cyan"),
    _toner(6, "Canon", "Black"),
]


def spans_of(product: Product, **values: T) -> list[Span]:
    """The tagger's spans: each value where it stands in the title."""
    found = []
    for text, kind in values.items():
        start = product.title.find(text)
        if start >= 0:
            found.append(Span(start, start + len(text), text, kind, kind.value, 0.9))
    return found


SPANS = [spans_of(product, Pavilion=T.SERIES, Elite=T.SERIES) for product in PRODUCTS]
