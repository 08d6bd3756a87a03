"""What a catalogue of twelve products says of itself, counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType as T
from gram_os.text.code import MAX_ATTRIBUTES, Granularity
from gram_os.text.normalise import Normaliser
from gram_os.train.mining.catalogue import MinedCatalogue, has_decimal_commas, mine, readable_words
from gram_os.train.mining.fields import add_known_values, detect_attributes
from tests.train.catalogues import PRODUCTS, SPANS, spans_of


def _products(**fields: list[object]) -> list[Product]:
    """Products whose fields hold the given columns; None leaves a field out."""
    rows = [dict(zip(fields, row, strict=True)) for row in zip(*fields.values(), strict=True)]
    return [
        Product(str(at), "x", {name: value for name, value in row.items() if value is not None})
        for at, row in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def mined() -> MinedCatalogue:
    return mine(PRODUCTS, SPANS)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("brand", T.BRAND),
        ("Brand_Name", T.BRAND),
        ("supplier", T.BRAND),
        ("attr_t_product_type", T.PRODUCT_TYPE),
        ("category", T.PRODUCT_TYPE),
        ("attr_t_product_colour", T.COLOUR),
        ("color", T.COLOUR),
        ("upper_material", T.MATERIAL),
        ("product_family", T.SERIES),
        ("form_factor", T.STYLE),
        ("target_audience", T.AUDIENCE),
        ("season", T.APPLICABLE_TIME),
        ("attr_t_compatibility", T.SCENARIO),
        ("print_technology", T.FUNCTION),
        ("package_type", T.SALES_SPECIFICATION),
        ("processor_manufacturer", T.TECHNICAL_SPECIFICATION),
        ("bus_type", T.TECHNICAL_SPECIFICATION),
        ("whatever", T.TECHNICAL_SPECIFICATION),
    ],
)
def test_the_type_of_a_field_comes_from_its_whole_name(name: str, kind: T) -> None:
    products = [Product(str(at), "x", {name: "Some value"}) for at in range(3)]
    assert detect_attributes(products) == {name: kind}


def test_attribute_fields_are_short_texts_that_repeat() -> None:
    found = detect_attributes(
        _products(
            brand=["HP", "HP", "HP", "Canon", "Canon", "Canon"],
            tags=[["red", "green"], ["red"], ["green"], ["red"], ["green"], ["red"]],
            half=["big one", None, "big one", None, "big one", None],
            price=[1.5, 2, 3, 4, 5, 6],
            flag=[True] * 6,
            updated=["2009-12-10T00:00:00Z"] * 6,
            size=["10", "10", "10", "10", "10", "10"],
            code=["aa1", "ab2", "ac3", "ad4", "ae5", "af6"],
            note=["this is a long text of many words"] * 6,
            pair=["ab", "ab", "cd", "cd", "ef", "ef"],
        )
    )
    # price, flag: no texts; updated, size: no words; code: every value once; note: 8 words; pair: each value twice only
    assert found == {"brand": T.BRAND, "tags": T.TECHNICAL_SPECIFICATION, "half": T.TECHNICAL_SPECIFICATION}


def test_a_field_that_fewer_than_one_product_in_a_hundred_has_is_left_out() -> None:
    products = [Product(str(at), "x", {"colour": "red"} if at < 3 else {}) for at in range(301)]
    assert detect_attributes(products) == {}
    assert detect_attributes(products[:300]) == {"colour": T.COLOUR}


def test_nothing_comes_of_no_products() -> None:
    assert detect_attributes([]) == {}


def test_readable_words_are_the_commonest_of_those_that_share_a_stem() -> None:
    found = readable_words(["Batteries battery BATTERY", "cable cables cables", "tvs TV TV", "red", "x2 dv7"])
    # battery: 2 to 1; cables: 2 to 1; tv is its own stem and so is red; words with digits have none
    assert found == {"batteri": "battery", "cabl": "cables"}
    normaliser = Normaliser(found)
    assert normaliser.value("battery batteries cable TVs") == "battery battery cables tv"


def test_readable_words_are_read_as_themselves_again() -> None:
    texts = [p.title for p in PRODUCTS] + ["lens lenses extension extensions professional glasses analyses series"]
    normaliser = Normaliser(readable_words(texts))
    for word in normaliser.readable.values():
        assert normaliser.value(word) == word


def test_equally_common_words_are_told_apart_by_the_alphabet() -> None:
    assert readable_words(["cables cable"]) == {"cabl": "cable"}


def test_values_of_fields_are_found_in_the_titles_of_other_products() -> None:
    products = [Product(str(at), "Deep Blue lamp", {"colour": "Deep Blue"}) for at in range(3)]
    products.append(Product("4", "Mug, deep blue", {}))
    attributes = {"colour": T.COLOUR}
    (*_, last) = add_known_values(products, [[] for _ in products], attributes, Normaliser())
    assert [(span.text, span.type) for span in last] == [("deep blue", T.COLOUR)]
    # Two products are too few to tell it for all.
    assert add_known_values(products[1:], [[]] * 3, attributes, Normaliser())[-1] == []


def test_values_of_unknown_kinds_are_not_looked_for() -> None:
    products = [Product(str(at), "Deep Blue lamp", {"x": "lamp"}) for at in range(4)]
    assert add_known_values(products, [[]] * 4, {"x": T.TECHNICAL_SPECIFICATION}, Normaliser()) == [[]] * 4


def test_the_dictionary_holds_values_of_three_products_and_more_with_their_types(mined: MinedCatalogue) -> None:
    known = dict(
        zip(
            mined.dictionary.values,
            zip(mined.dictionary.types, mined.dictionary.counts, strict=True),
            strict=True,
        )
    )
    assert known == {
        "black": (T.COLOUR, 6),
        "canon": (T.BRAND, 3),
        "cartridge": (T.PRODUCT_TYPE, 6),
        "cyan": (T.COLOUR, 3),
        "elite": (T.SERIES, 3),
        "hp": (T.BRAND, 6),
        "laptop": (T.PRODUCT_TYPE, 6),
        "pavilion": (T.SERIES, 3),
        "silver": (T.COLOUR, 3),
        "toner": (T.PRODUCT_TYPE, 6),
        "toner cartridge": (T.PRODUCT_TYPE, 6),
        "xerox": (T.BRAND, 3),
    }
    assert list(mined.dictionary.values) == sorted(mined.dictionary.values)


def test_the_dictionary_keeps_the_commonest() -> None:
    small = mine(PRODUCTS, SPANS, most_values=6)
    assert set(small.dictionary.values) == {
        "black",
        "hp",
        "laptop",
        "toner",
        "cartridge",
        "toner cartridge",
    }
    assert set(mine(PRODUCTS, SPANS, least_products=6).dictionary.values) == set(small.dictionary.values)


def test_equally_common_values_are_kept_by_the_alphabet() -> None:
    # Six values stand in six products each; of the six that stand in three, two more are kept.
    kept = set(mine(PRODUCTS, SPANS, most_values=8).dictionary.values)
    assert kept - set(mine(PRODUCTS, SPANS, most_values=6).dictionary.values) == {"canon", "cyan"}


def test_own_values_stand_in_a_matrix_with_their_weights(mined: MinedCatalogue) -> None:
    assert mined.own.shape == (12, len(mined.columns))
    row = {name for name, at in mined.columns.items() if mined.own[0, at]}
    assert row == {"hp", "pavilion", "laptop", "silver", "n1x"}
    assert mined.own.max() == 1
    black = mined.columns["black"]
    assert mined.own[:, black].sum() == 6
    assert mined.idf[black] == pytest.approx(math.log(1 + 6.5 / 6.5))
    assert mined.idf[mined.columns["n1x"]] == pytest.approx(math.log(1 + 11.5 / 1.5))
    assert mined.known[black] == mined.dictionary.tokens["black"]
    assert mined.known[mined.columns["n1x"]] == -1
    assert mined.idf.dtype == np.float32
    assert mined.known.dtype == np.int32


def test_the_vocabulary_holds_words_with_their_products(mined: MinedCatalogue) -> None:
    assert mined.vocabulary.counts["black"] == 6
    assert mined.vocabulary.counts["elite"] == 3
    assert "n1x" not in mined.vocabulary.counts  # a model number of one product is no word to mend with
    assert not any(" " in word for word in mined.vocabulary.counts)


def test_initial_codes_are_combinations_of_three_granularities_that_products_share(mined: MinedCatalogue) -> None:
    codes = {str(mined.dictionary.decode(tokens)) for tokens in mined.initial[0]}
    # Two products are HP Pavilion laptops in silver; a combination starts from a brand or a product type.
    assert codes == {
        "hp", "laptop", "pavilion", "silver",
        "hp | laptop", "laptop | pavilion", "laptop | silver", "hp | pavilion", "hp | silver",
        "hp | laptop | pavilion", "hp | laptop | silver", "laptop | pavilion | silver", "hp | pavilion | silver",
        "hp | laptop | pavilion | silver",
    }  # fmt: skip
    kinds = {mined.dictionary.decode(tokens).granularity for tokens in mined.initial[0]}
    assert kinds == set(Granularity)


def test_combinations_of_one_product_do_not_live(mined: MinedCatalogue) -> None:
    codes = {str(mined.dictionary.decode(tokens)) for tokens in mined.initial[2]}  # the black Pavilion
    assert "hp | laptop | pavilion" in codes
    assert "black | hp | laptop" in codes
    assert "black | hp | pavilion" not in codes
    assert "black | hp | laptop | pavilion" not in codes


def test_all_codes_are_the_values_and_the_shared_combinations_each_once(mined: MinedCatalogue) -> None:
    assert len(set(mined.codes)) == len(mined.codes)
    assert {tokens for tokens in mined.codes if len(tokens) == 1} == {(t,) for t in range(12)}
    assert {t for row in mined.initial for t in row} <= set(mined.codes)
    assert all(list(tokens) == sorted(set(tokens)) for tokens in mined.codes)
    names = {str(mined.dictionary.decode(tokens)) for tokens in mined.codes}
    assert "toner | toner cartridge" not in names  # one says nothing beside the other
    assert "canon | toner cartridge" in names


def test_no_code_holds_more_than_six_attributes() -> None:
    fields = {f"{name}_material": f"{name}ish" for name in ["red", "soft", "warm", "cold", "hard", "wet", "dry", "old"]}
    products = [Product(str(at), "Lamp", {"type": "Lamp", **fields}) for at in range(3)]
    made = mine(products, [[]] * 3)
    longest = max(made.codes, key=len)
    assert len(longest) == MAX_ATTRIBUTES
    assert "lamp" in made.dictionary.decode(longest).values


def test_given_attributes_are_not_detected() -> None:
    made = mine(PRODUCTS, SPANS, attributes={"colour": T.MATERIAL})
    assert made.attributes == {"colour": T.MATERIAL}
    assert made.dictionary.type_of("cyan") is T.MATERIAL


def test_spans_are_normalised_as_everything_is() -> None:
    products = [Product(str(at), 'Lamp 17" Elites', {}) for at in range(3)]
    made = mine(products, [spans_of(p, Elites=T.SERIES) for p in products])
    assert made.dictionary.type_of(made.normaliser.value("ELITE")) is T.SERIES
    assert "17 in" in made.dictionary.tokens
    assert "17" not in made.dictionary.tokens  # a bare number says too little


def test_a_value_is_not_combined_with_a_part_of_itself() -> None:
    products = [Product(str(at), "Lamp", {"brand": "Acme", "series": "Acme Glow"}) for at in range(3)]
    made = mine(products, [[]] * 3)
    codes = {str(made.dictionary.decode(tokens)) for tokens in made.codes}
    assert {"acme", "acme glow"} <= codes
    assert "acme | acme glow" not in codes


def test_words_of_texts_are_known_and_texts_that_hardly_anyone_fills_are_left_out() -> None:
    described = [
        Product(p.id, p.title, {**p.fields, "blurb": "zebra stripes"} if at < 2 else p.fields)
        for at, p in enumerate(PRODUCTS)
    ]
    mined = mine(described, SPANS, texts=["blurb", "nowhere"])
    assert mined.texts == ["blurb"]
    assert mined.vocabulary.counts["zebra"] == 2
    assert "zebra" not in mined.columns  # the teacher ranks by titles and attribute fields
    assert "zebra" not in mine(described, SPANS).vocabulary.counts


def test_attributes_inside_objects_have_the_names_of_the_mapping() -> None:
    values = ["Deep red", "Sky blue"] * 3
    products = [
        Product(
            str(at),
            "x",
            {
                "specs": {"colour": value, "weight": 7},
                "variants": [{"material": "Oak wood"}, {"material": value}],
                "brand": {"name": value},
                "name.en": value,
            },
        )
        for at, value in enumerate(values)
    ]
    assert detect_attributes(products) == {
        "specs.colour": T.COLOUR,
        "variants.material": T.MATERIAL,
        "brand.name": T.BRAND,
        "name.en": T.TECHNICAL_SPECIFICATION,
    }
    mined = mine(products, [[]] * 6)
    assert mined.attributes["specs.colour"] is T.COLOUR
    assert mined.dictionary.type_of("sky blue") is T.COLOUR


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("attributes.brand", T.BRAND),
        ("details.specs.material", T.MATERIAL),
        ("processor.manufacturer", T.TECHNICAL_SPECIFICATION),
        ("colour.de", T.COLOUR),
        ("product.type", T.PRODUCT_TYPE),
    ],
)
def test_the_type_of_a_nested_field(name: str, kind: T) -> None:
    products = [Product(str(at), "x", {name: "Some value"}) for at in range(3)]
    assert detect_attributes(products) == {name: kind}


@pytest.mark.parametrize(
    ("title", "colour", "values"),
    [
        ("किताब नीली", "गहरा नीला", {"किताब", "नीली", "गहरा", "नीला", "गहरा नीला"}),
        ("น้ำหอม สีแดง", "สีแดง", {"น้ำหอม", "สีแดง"}),
        ("笔记本 黒", "深 红色", {"笔记本", "黒", "深", "红色", "深 红色"}),
        ("мышь чёрная", "чёрная", {"мышь", "чёрная"}),
        ("ذاكرة سوداء", "سوداء", {"ذاكرة", "سوداء"}),
    ],
)
def test_a_catalogue_of_any_script_has_attributes_values_and_words(title: str, colour: str, values: set[str]) -> None:
    products = [Product(str(at), title, {"colour": colour}) for at in range(3)]
    mined = mine(products, [[]] * 3)
    assert mined.attributes == {"colour": T.COLOUR}
    assert set(mined.dictionary.values) == values
    assert set(mined.vocabulary.counts) == {value for value in values if " " not in value}


def test_single_letters_and_marks_are_no_values_of_the_dictionary() -> None:
    products = [Product(str(at), "व x क 7 \u0947 7 м", {}) for at in range(3)]
    assert mine(products, [[]] * 3).dictionary.values == ()


def test_readable_words_have_the_catalogues_accents() -> None:
    found = readable_words(["Kühlschrank KÜHLSCHRANK kuhlschrank", "Café cafés", "straße Strasse Straße", "creme"])
    # Porter's stem of "cafes" is "cafe", and of "strasse" "strass". "creme" is its own stem.
    assert found == {"kuhlschrank": "kühlschrank", "cafe": "café", "strass": "straße"}
    normaliser = Normaliser(found)
    for text in ("Kühlschrank", "kuhlschranke", "CAFÉ", "strasse", "Straße"):
        value = normaliser.value(text)
        assert normaliser.value(value) == value
    assert normaliser.value("cafe") == normaliser.value("Cafés") == "café"


def test_readable_words_hold_no_markup() -> None:
    assert "strong" not in readable_words(["<strong>lamps</strong>&nbsp;lamps"]).values()
    assert readable_words(["<b>lam</b>ps&nbsp;boxes"]) == {"lamp": "lamps", "box": "boxes"}


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["0,5 l", "1,5 m", "2,75 kg"], True),
        (["0,5 l", "1,5 m"], False),  # two may be slips
        (["0,5 l", "1,5 m", "2,75 kg", "0.5 l", "1.5 m", "2.5 cm"], False),
        (["1,500 kg"] * 9, False),  # ambiguous numbers prove nothing
        (["1.299,00"] * 3, True),
        ([], False),
    ],
)
def test_decimal_commas_are_found_by_numbers_that_nothing_else_explains(texts: list[str], found: bool) -> None:
    assert has_decimal_commas(texts) is found


def test_a_mined_catalogue_reads_ambiguous_numbers_as_it_writes_the_others() -> None:
    german = [Product(str(at), f"Flasche {at},5 l 1,500 kg", {}) for at in range(3)]
    english = [Product(str(at), f"Bottle {at}.5 l 1,500 kg", {}) for at in range(3)]
    assert mine(german, [[]] * 3).own[:, mine(german, [[]] * 3).columns["1.5 kg"]].sum() == 3
    assert "1500 kg" in mine(english, [[]] * 3).columns


def test_no_markup_gets_into_a_mined_catalogue() -> None:
    html = '<div class="rte"><p style="color:#333">Our <b>lamp</b>.&nbsp;Ships</p><ul><li>Easy returns</li></ul></div>'
    products = [
        Product(str(at), "Lamp &amp; pouch", {"blurb": {"en": html}, "colour": "Red&nbsp;Wine"}) for at in range(3)
    ]
    mined = mine(products, [[]] * 3, texts=["blurb.en"])
    assert mined.texts == ["blurb.en"]
    assert set(mined.vocabulary.counts) == {"lamp", "pouch", "our", "ship", "easi", "return", "red", "wine"}
    assert set(mined.columns) == {"lamp", "pouch", "red wine", "red", "wine"}
    assert set(mined.dictionary.values) == {"lamp", "pouch", "red wine", "red", "wine"}
