"""Broader forms of values and what titles do not say, on a handful of products."""

from __future__ import annotations

from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType as T
from gram_os.train.mining.broader import Generaliser, ProductKnowledge, Surfaces, Value


def test_a_product_type_gives_ends_that_types_share_or_that_are_types() -> None:
    surfaces: list[Surfaces] = [{T.PRODUCT_TYPE: ["Black toner cartridge"]}, {T.PRODUCT_TYPE: ["Ink cartridge"]}]
    surfaces += [{T.PRODUCT_TYPE: ["Toner Cartridge"]}] * 3
    find = Generaliser(surfaces).find_broader
    # "toner cartridge" is a type of three products, "cartridge" is the end of several types, "black" a beginning.
    assert find("Black toner cartridge", T.PRODUCT_TYPE) == ["toner cartridge", "cartridge"]
    assert find("cartridge", T.PRODUCT_TYPE) == []


def test_another_value_gives_beginnings_and_ends_that_three_products_have_as_values() -> None:
    surfaces: list[Surfaces] = [*[{T.MATERIAL: ["Steel"]}] * 3, *[{T.MATERIAL: ["Galvanized"]}] * 2]
    assert Generaliser(surfaces).find_broader("Galvanized steel", T.MATERIAL) == ["steel"]
    known = Generaliser([*surfaces, {T.MATERIAL: ["galvanized"]}])
    assert known.find_broader("Galvanized steel", T.MATERIAL) == ["steel", "galvanized"]


def test_a_number_is_no_broader_form() -> None:
    surfaces: list[Surfaces] = [{T.SERIES: ["12"]}] * 3
    assert Generaliser(surfaces).find_broader("series 12", T.SERIES) == []


def test_absent_values_share_no_word_with_the_title() -> None:
    surfaces: Surfaces = {T.BRAND: ["Acme"], T.MATERIAL: ["Oak wood"], T.COLOUR: ["Brown"], T.SERIES: ["x7"]}
    knowledge = ProductKnowledge([surfaces], texts=())
    # "oak" is in the title, and "x7" is no name.
    assert knowledge.find_absent(Product("1", "Oak tables", {}), surfaces) == [
        Value("acme", T.BRAND), Value("brown", T.COLOUR),
    ]  # fmt: skip


def test_a_description_adds_known_values_but_no_second_colour() -> None:
    known: list[Surfaces] = [{T.FUNCTION: ["Dimmable"], T.COLOUR: ["Red"], T.TECHNICAL_SPECIFICATION: ["Halogen"]}] * 3
    knowledge = ProductKnowledge(known, texts=("blurb",))
    product = Product("1", "Lamp", {"blurb": "A dimmable halogen lamp, also in red."})
    # A technical specification counts in a field only.
    assert knowledge.find_absent(product, {}) == [Value("dimmable", T.FUNCTION), Value("red", T.COLOUR)]
    assert Value("red", T.COLOUR) not in knowledge.find_absent(product, {T.COLOUR: ["Blue"]})
    assert ProductKnowledge(known[:2], texts=("blurb",)).find_absent(product, {}) == []


def test_words_of_other_scripts_are_names() -> None:
    known: list[Surfaces] = [*[{T.COLOUR: ["लाल"], T.MATERIAL: ["सूती"]}] * 3, *[{T.COLOUR: ["黒色"]}] * 3]
    knowledge = ProductKnowledge(known, texts=("blurb",))
    product = Product("1", "कुर्ता", {"blurb": "सूती और लाल कपड़ा"})
    assert knowledge.find_absent(product, {}) == [Value("सूती", T.MATERIAL), Value("लाल", T.COLOUR)]
    assert knowledge.find_absent(Product("1", "椅子", {}), {T.COLOUR: ["黒色"]}) == [Value("黒色", T.COLOUR)]
    assert Generaliser([{T.MATERIAL: ["इस्पात"]}] * 3).find_broader("नीला इस्पात", T.MATERIAL) == ["इस्पात"]


def test_descriptions_are_read_inside_objects_and_without_markup() -> None:
    known: list[Surfaces] = [{T.FUNCTION: ["Dimmable"], T.STYLE: ["Strong"]}] * 3
    knowledge = ProductKnowledge(known, texts=("texts.en",))
    product = Product(
        "1", "Lamp", {"texts": [{"en": "<strong class='dimmable'>A</strong>"}, {"en": "Dimmable&nbsp;x"}]}
    )
    assert knowledge.find_absent(product, {}) == [Value("dimmable", T.FUNCTION)]
