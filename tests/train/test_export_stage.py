"""Which values a bundle's product types state: counted over the products of a mined catalogue."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sparse

from gram_os.reading.type_values import TypeValues
from gram_os.text.product_types import ProductType, TypeVocabulary
from gram_os.train.export_stage import _type_values
from gram_os.train.mining.catalogue import MinedCatalogue
from gram_os.train.type_stages import LearnedTypes
from gram_os.train.types.lessons import TypeLessons
from tests.train.typed_catalogue import mine_rows

NAMES = ["cable", "lamp", "mouse", "pen"]  # nobody sells pens
COUNTS = [250, 3, 3]
TYPES = np.repeat(np.arange(3), COUNTS)
ROWS = [
    *[("Quagga red cable", "Quagga", "cable")] * 2,  # less than 1 % of the cables
    *[("Quagga blue cable", "Quagga", "cable")] * 3,
    *[(f"Quagga cable X{at}Y", "Quagga", "cable") for at in range(245)],
    ("Zebu red lamp", "Zebu", "lamp"),  # the only red one
    *[("Zebu blue lamp", "Zebu", "lamp")] * 2,
    *[("Okapi red mouse", "Okapi", "mouse")] * 2,
    ("Okapi blue mouse", "Okapi", "mouse"),
]
# A colour is in the dictionary whatever the tagger says of titles.
FIELDS = [{"colour": colour} if (colour := title.split()[1]) in ("red", "blue") else {} for title, _, _ in ROWS]


@pytest.fixture(scope="module")
def mined() -> MinedCatalogue:
    return mine_rows(ROWS, FIELDS)


def _learned(types: np.ndarray = TYPES) -> LearnedTypes:
    vocabulary = TypeVocabulary(tuple(ProductType(name, 3) for name in NAMES))
    none = TypeLessons([], sparse.csr_matrix((0, len(NAMES)), dtype=np.float32), np.zeros(0, np.float32))
    return LearnedTypes(vocabulary, types, np.zeros((len(NAMES), 2), np.float32), none)


def _read(found: TypeValues | None, mined: MinedCatalogue) -> list[set[str]]:
    """The values of each type."""
    assert found is not None
    assert found.offsets.dtype == found.values.dtype == np.dtype(np.int32)
    stops = zip(found.offsets[:-1], found.offsets[1:], strict=True)
    return [{mined.dictionary.values[place] for place in found.values[start:stop]} for start, stop in stops]


def test_each_type_has_the_values_that_enough_of_its_products_state(mined: MinedCatalogue) -> None:
    assert {"red", "blue", "cable", "quagga", "zebu", "okapi"} <= set(mined.dictionary.values)
    cable, lamp, mouse, pen = _read(_type_values(mined, _learned()), mined)
    assert {"cable", "quagga", "blue"} <= cable
    assert {"lamp", "zebu", "blue"} <= lamp
    assert {"mouse", "okapi", "red"} <= mouse
    colours = {"red", "blue"}
    assert [of_type & colours for of_type in (cable, lamp, mouse, pen)] == [{"blue"}, {"blue"}, {"red"}, set()]
    assert not {"zebu", "okapi", "lamp", "mouse"} & cable
    assert pen == set()


def test_the_values_of_a_type_stand_in_the_dictionarys_order_without_repeats(mined: MinedCatalogue) -> None:
    found = _type_values(mined, _learned())
    assert found is not None
    assert found.offsets[0] == 0
    assert found.offsets[-1] == len(found.values)
    for start, stop in zip(found.offsets[:-1], found.offsets[1:], strict=True):
        assert (np.diff(found.values[start:stop]) > 0).all()


def test_the_order_of_the_products_says_nothing(mined: MinedCatalogue) -> None:
    order = np.random.default_rng(0).permutation(len(ROWS))
    mixed = mine_rows([ROWS[at] for at in order], [FIELDS[at] for at in order])
    assert _read(_type_values(mixed, _learned(TYPES[order])), mixed) == _read(_type_values(mined, _learned()), mined)


def test_a_catalogue_without_types_has_no_values_of_types(mined: MinedCatalogue) -> None:
    assert _type_values(mined, None) is None
