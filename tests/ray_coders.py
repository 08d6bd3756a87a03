"""Coders that Ray's workers open in processes of their own, so they stand in a module that any process can import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gram_os.catalogue import Product
from gram_os.errors import BundleError
from gram_os.model.bundle import Bundle
from gram_os.model.coded import CodedText
from gram_os.model.generator import Generator
from tests.bundles import VALUES
from tests.fakes import TableModel

POISON = "poison"


class FailingCoder:
    """A generator of a bundle that fails for some titles, as a model does for a text that nobody thought of."""

    def __init__(self, folder: Path) -> None:
        self.bundle = Bundle.load(folder)
        self._generator = Generator(self.bundle, TableModel(len(VALUES)))

    def code_products(self, products: Iterable[Product]) -> Iterator[CodedText]:
        return self._generator.code_products(map(_check, products))

    def code_batch(self, products: Sequence[Product]) -> list[CodedText]:
        return self._generator.code_batch(list(map(_check, products)))


def _check(product: Product) -> Product:
    if POISON in product.title:
        raise ValueError(f"no codes for {product.title}")
    return product


def open_broken(folder: Path) -> FailingCoder:
    """Fail, as a machine without the bundle does."""
    raise BundleError(f"{folder}: no such bundle on this machine")
