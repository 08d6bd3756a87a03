"""Values of a text in their places, and what a dictionary says about brands."""

from __future__ import annotations

import pytest

from gram_os.reading.brands import Brands
from gram_os.reading.placed_values import PlacedValue, dimension, is_measure, is_standard, place_values
from gram_os.text.attribute import AttributeType
from gram_os.text.dictionary import AttributeDictionary
from gram_os.text.normalise import Normaliser

T = AttributeType
TYPES = {
    "black": T.COLOUR,
    "canon": T.BRAND,
    "cat5e": T.TECHNICAL_SPECIFICATION,
    "light": T.PRODUCT_TYPE,
    "light grey": T.COLOUR,
    "grey": T.COLOUR,
    "original black": T.STYLE,
    "paper": T.MATERIAL,
    "stainless steel": T.COLOUR,
    "steel": T.MATERIAL,
    "toner": T.PRODUCT_TYPE,
    "toner cartridge": T.PRODUCT_TYPE,
    "white": T.COLOUR,
    "white paper": T.COLOUR,
}
DICTIONARY = AttributeDictionary(tuple(sorted(TYPES)), tuple(TYPES[v] for v in sorted(TYPES)), (1,) * len(TYPES))
NORMALISER = Normaliser({"cartridg": "cartridge", "stainless": "stainless"})


def _place(text: str) -> list[PlacedValue]:
    return place_values(text, NORMALISER, DICTIONARY)


def _typed(text: str, kind: AttributeType) -> list[str]:
    return [placed.value for placed in _place(text) if placed.type is kind]


def test_the_longest_known_value_is_taken() -> None:
    assert _typed("Canon toner cartridge", T.PRODUCT_TYPE) == ["toner cartridge"]
    assert _typed("Canon toner", T.PRODUCT_TYPE) == ["toner"]


@pytest.mark.parametrize(
    ("text", "colours"),
    [
        ("Original Black", ["black"]),  # no style
        ("light grey", ["light grey", "grey"]),
        ("white paper", ["white"]),  # no colour ends it
        ("stainless steel", ["stainless steel"]),
        ("black/white", ["black", "white"]),
        ("mauve", []),
    ],
)
def test_colours_are_found_inside_other_values(text: str, colours: list[str]) -> None:
    assert _typed(text, T.COLOUR) == colours


def test_measures_and_model_numbers_have_their_types() -> None:
    assert _typed('HP L2245w 22" 1 pc 6 pc', T.TECHNICAL_SPECIFICATION) == ["22 in"]
    assert _typed('HP L2245w 22" 1 pc 6 pc', T.SALES_SPECIFICATION) == ["6 pc"]  # one piece says nothing
    assert _typed("HP L2245w, 006R90321, cat5e, paper-1524, 1150, a4", T.MODEL) == ["l2245w", "006r90321"]


@pytest.mark.parametrize("link", ["for", "compatible with", "fits", "equivalent to", "without", "w/o"])
def test_what_stands_behind_a_link_is_another_products(link: str) -> None:
    placed = {one.value: one for one in _place(f"black toner {link} Canon grey, white")}
    assert (placed["black"].other, placed["canon"].other, placed["white"].other) == (False, True, True)
    assert (placed["black"].linked, placed["grey"].linked, placed["white"].linked) == (False, True, False)


def test_a_link_is_a_word() -> None:
    assert not any(one.other for one in _place("Forte fitness toner black"))


def test_measures_are_told_from_other_values() -> None:
    assert [is_measure(value) for value in ("15.6 in", "-20 deg c", "15.6", "a4", "in")] == [True, True, *[False] * 3]
    assert dimension("3 ft") == dimension("1 m") != dimension("1 gb")
    tech = T.TECHNICAL_SPECIFICATION
    assert [is_standard(value, tech) for value in ("cat5e", "usb", "1080", "longername1")] == [True, *[False] * 3]
    assert not is_standard("cat5e", T.MODEL)


BRAND_COUNTS = {
    "canon": 90,
    "canon pixma": 20,
    "com": 50,
    "pixma": 21,
    "photo": 60,
    "startech": 50,
    "startech com": 50,
}


def test_a_dictionary_tells_brands_from_series() -> None:
    types = dict.fromkeys(BRAND_COUNTS, T.BRAND) | {"photo": T.PRODUCT_TYPE}
    dictionary = AttributeDictionary(tuple(BRAND_COUNTS), tuple(types.values()), tuple(BRAND_COUNTS.values()))
    brands = Brands.of(dictionary)
    assert brands.complete == {"startech": "startech com"}
    assert brands.series == {"canon": frozenset({"pixma"})}
    assert brands.split("canon pixma") == ("canon", "pixma")
    assert brands.split("startech") == ("startech com", "")
    assert brands.split("canon") == ("canon", "")
    assert brands.is_series("pixma")
    assert not brands.is_series("canon")
