"""A mined catalogue comes back from its files as it was."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from gram_os.catalogue import Product
from gram_os.train.mining.catalogue import mine
from gram_os.train.mining.store import load_mined, save_mined
from tests.train.catalogues import PRODUCTS, SPANS


def test_a_mined_catalogue_survives_its_files(tmp_path: Path) -> None:
    mined = mine(PRODUCTS, SPANS, texts=["title"])
    save_mined(mined, tmp_path)
    found = load_mined(tmp_path, PRODUCTS)
    special = {"normaliser", "own", "known", "idf", "initial"}
    for name in {field.name for field in fields(mined)} - special:
        assert getattr(found, name) == getattr(mined, name), name
    assert list(found.columns) == list(mined.columns)  # a column's place counts
    assert found.normaliser.readable == mined.normaliser.readable
    assert [list(codes) for codes in mined.initial] == found.initial
    for name in ("known", "idf"):
        np.testing.assert_array_equal(getattr(found, name), getattr(mined, name))
        assert getattr(found, name).dtype == getattr(mined, name).dtype
    assert (found.own != mined.own).nnz == 0
    np.testing.assert_array_equal(found.own.indices, mined.own.indices)  # sums go in this order
    assert found.own.dtype == mined.own.dtype
    assert any(len(code) > 1 for code in found.codes)
    assert any(found.initial)


def test_how_the_catalogue_writes_numbers_comes_back(tmp_path: Path) -> None:
    products = [Product(str(at), f"Flasche {at},5 l", {}) for at in range(3)]
    save_mined(mine(products, [[]] * 3), tmp_path)
    assert load_mined(tmp_path, products).normaliser.decimal_comma
