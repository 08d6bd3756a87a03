"""The own values of a query and of a product."""

from __future__ import annotations

import time

import pytest

from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType as T
from gram_os.text.dictionary import AttributeDictionary, Vocabulary
from gram_os.text.normalise import Normaliser
from gram_os.text.own_values import (
    MAX_MENDED,
    MAX_TEXT,
    field_texts,
    field_values,
    product_values,
    query_values,
    strip_title,
)

NORMALISER = Normaliser({"cartridg": "cartridge", "batteri": "battery"})
DICTIONARY = AttributeDictionary(
    ("17 in", "24 port", "toner cartridge", "xerox"),
    (T.OTHER, T.OTHER, T.PRODUCT_TYPE, T.BRAND),
    (1, 1, 1, 1),
)
VOCABULARY = Vocabulary(
    {
        "xerox": 9,
        "toner": 8,
        "cartridge": 8,
        "battery": 5,
        "deckover": 2,
        "black": 7,
        "laptop": 9,
        "port": 3,
        "24": 3,
    }
)


def _query(text: str) -> list[str]:
    return query_values(text, NORMALISER, DICTIONARY, VOCABULARY)


def test_a_query_holds_its_words_its_measures_and_known_phrases() -> None:
    assert _query("Xerox toner cartridges") == ["xerox", "toner", "cartridge", "toner cartridge"]
    assert _query('17" laptops') == ["17 in", "laptop", "17"]
    assert _query("24 ports") == ["24", "port", "24 port"]


def test_misspelt_words_are_mended_as_written() -> None:
    # The stem of "batery" is "bateri", two edits from "battery" and too far in six letters.
    assert _query("batery") == ["bateri", "battery"]
    assert _query("black tonner") == ["black", "tonner", "toner"]


def test_the_stem_of_a_misspelt_plural_is_the_second_try() -> None:
    assert _query("tonnrs") == ["tonnr", "toner"]
    assert _query("laptpos") == ["laptpo", "laptop"]


def test_known_plurals_are_not_mended() -> None:
    assert _query("batteries") == ["battery"]
    # Although the plural as written is as near to a commoner word.
    assert query_values("blacks", NORMALISER, DICTIONARY, Vocabulary({"black": 7, "blacko": 90})) == ["black"]


def test_words_apart_and_together() -> None:
    assert _query("deck over") == ["deck", "over", "deckover"]
    assert _query("tonercartridge") == ["tonercartridg", "toner", "cartridge"]


def test_nothing_comes_of_nothing() -> None:
    for text in ["", "   ", "😀", "the of", "\0", "|"]:
        assert _query(text) == []


def test_a_hundred_kilobytes_are_mended_at_the_head_only() -> None:
    start = time.process_time()
    found = _query("tonner " + "qwertz " * MAX_MENDED + "batery " + "zxcvb " * 15_000)
    assert time.process_time() - start < 5
    assert "toner" in found
    assert "battery" not in found


ATTRIBUTES = {"brand": T.BRAND, "colour": T.COLOUR, "yield": T.SALES_SPECIFICATION, "technology": T.FUNCTION}
PRODUCT = Product(
    "1",
    "Xerox 006R90321 toner cartridge",
    {
        "brand": "Xerox Corp",
        "colour": ["Black,Grey", "Deep Blue"],
        "yield": "1,000 sheets",
        "technology": "Laser printing / LED",
        "price": 12.5,
        "note": "not an attribute",
    },
)


def test_items_of_attribute_fields() -> None:
    assert list(field_texts(PRODUCT, ATTRIBUTES)) == [
        ("Xerox Corp", T.BRAND),
        ("Black", T.COLOUR),
        ("Grey", T.COLOUR),
        ("Deep Blue", T.COLOUR),
        ("1,000 sheets", T.SALES_SPECIFICATION),
        ("Laser printing", T.FUNCTION),
        ("LED", T.FUNCTION),
    ]


def test_lists_without_spaces_are_lists_also_of_numbers() -> None:
    for text, items in {
        "10,100,1000": ["10", "100", "1000"],
        "A4,A5": ["A4", "A5"],
        "1,000-page": ["1,000-page"],
        "PS/2": ["PS/2"],
    }.items():
        product = Product("1", "", {"colour": text})
        assert [item for item, _ in field_texts(product, {"colour": T.COLOUR})] == items


def test_field_values_are_normalised_and_keep_their_first_type() -> None:
    product = Product("1", "", {"brand": "Black", "colour": "BLACK", "technology": ["®", 7, None, {"a": "b"}]})
    assert field_values(product, ATTRIBUTES, NORMALISER) == [("black", T.BRAND)]
    assert field_values(Product("1", "", {}), ATTRIBUTES, NORMALISER) == []
    assert field_values(Product("1", "", {"brand": 7}), ATTRIBUTES, NORMALISER) == []


def test_a_product_holds_its_title_its_phrases_and_its_fields() -> None:
    found = product_values(PRODUCT, ATTRIBUTES, NORMALISER, DICTIONARY)
    assert found == [
        "xerox", "006r90321", "90321", "toner", "cartridge", "toner cartridge",
        "xerox corp", "corp", "black", "grey", "deep blue", "deep", "blue",
        "1000 sheet", "laser print", "led",
    ]  # fmt: skip
    # The words of a brand or colour count by themselves, those of a function only as a whole: "laser" is not there.


def test_without_a_dictionary_there_are_no_phrases() -> None:
    assert "toner cartridge" not in product_values(PRODUCT, {}, NORMALISER)


def test_text_fields_say_what_they_say_and_no_more() -> None:
    product = Product("1", "Xerox 6180", {"description": "A toner cartridge", "notes": "Blue", "pages": 7})
    found = product_values(product, {}, NORMALISER, DICTIONARY, ["description", "pages", "missing"])
    assert found == ["xerox", "6180", "toner", "cartridge", "toner cartridge"]
    # No phrase comes of the title's last word and the description's first.
    assert "toner cartridge" not in product_values(
        Product("1", "toner", {"description": "cartridge"}), {}, NORMALISER, DICTIONARY, ["description"]
    )


def test_a_long_text_is_read_up_to_a_limit() -> None:
    long = Product("1", "x", {"description": "y " * MAX_TEXT + "toner"})
    assert product_values(long, {}, NORMALISER, texts=["description"]) == ["x", "y"]


def test_fields_inside_objects_are_attributes_and_texts() -> None:
    attributes = {"specs.colour": T.COLOUR, "variants.size": T.OTHER, "brand": T.BRAND}
    nested = {"specs": {"colour": "Deep Red"}, "variants": [{"size": "5 cm"}, {"size": ["7 cm", "9 cm"]}]}
    found = field_values(Product("1", "", nested), attributes, NORMALISER)
    assert found == [("deep red", T.COLOUR), ("5 cm", T.OTHER), ("7 cm", T.OTHER), ("9 cm", T.OTHER)]
    written = Product("1", "", {"specs.colour": "Deep Red"})
    assert field_values(written, attributes, NORMALISER) == [("deep red", T.COLOUR)]
    described = Product("1", "x", {"text": {"en": ["red toner", "cartridge", 7]}})
    # Items of a list are texts of their own: no phrase goes from one to the next.
    assert product_values(described, {}, NORMALISER, DICTIONARY, ["text.en"]) == ["x", "red", "toner", "cartridge"]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("0,5 l", ["0,5 l"]),
        ("0,5 l, 1,5 L", ["0,5 l", " 1,5 L"]),
        ("0,5,1,2", ["0", "5", "1", "2"]),
        ("4.299,00", ["4.299,00"]),
        ("10,5", ["10", "5"]),
        ("赤、青，緑،أسود", ["赤", "青", "緑", "أسود"]),
        ("R&amp;D,<b>Red</b>", ["R&D", "Red"]),
    ],
)
def test_items_are_split_where_no_number_goes_on(text: str, items: list[str]) -> None:
    product = Product("1", "", {"size": text})
    assert [item for item, _ in field_texts(product, {"size": T.OTHER})] == items


def test_in_a_catalogue_of_decimal_commas_two_numbers_are_one() -> None:
    product = Product("1", "", {"size": "10,5,A4,10,100,1000"})
    attributes = {"size": T.OTHER}
    assert [item for item, _ in field_texts(product, attributes, decimal_comma=True)] == [
        "10,5", "A4", "10", "100", "1000",
    ]  # fmt: skip
    product = Product("1", "", {"size": ["10,5", "1,500 kg"]})
    assert [item for item, _ in field_texts(product, attributes, decimal_comma=True)] == ["10,5", "1,500 kg"]
    found = field_values(product, attributes, Normaliser(decimal_comma=True))
    assert [value for value, _ in found] == ["10.5", "1.5 kg"]


def test_markup_counts_for_no_limit() -> None:
    markup = "<p class='a'></p>" * MAX_TEXT
    product = Product("1", f"<b>{markup}title</b>", {"description": [f"{markup}toner &nbsp;", 7]})
    assert product_values(product, {}, NORMALISER, texts=["description"]) == ["titl", "toner"]
    assert strip_title(product).title == "title"
    assert strip_title(PRODUCT) is PRODUCT


def test_a_query_is_mended_where_it_has_markup_and_accents() -> None:
    words = Vocabulary({"kühlschrank": 3})
    normaliser = Normaliser({"kuhlschrank": "kühlschrank"})
    for text in ("&nbsp; <b>Kühlschrnak</b>", "kuhlschrnak"):
        assert query_values(text, normaliser, AttributeDictionary((), (), ()), words)[-1] == "kühlschrank"
