"""Typed attributes and codes of products and queries, read with a dictionary and a vocabulary written by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gram_os.arrays import FloatArray
from gram_os.catalogue import Product
from gram_os.model.coded import CodedText, ScoredCode, read_codes
from gram_os.reading.reader import Probabilities, Reading, TextReader
from gram_os.text.attribute import AttributeType
from gram_os.text.code import MAX_ATTRIBUTES, MAX_CODES, Code
from gram_os.text.dictionary import AttributeDictionary, Vocabulary
from gram_os.text.normalise import Normaliser
from gram_os.text.product_types import ProductType, TypeVocabulary

T = AttributeType
TYPES = {
    "apple": (T.BRAND, 9),
    "black": (T.COLOUR, 9),
    "cable": (T.PRODUCT_TYPE, 9),
    "cat5e": (T.TECHNICAL_SPECIFICATION, 9),
    "laptop": (T.PRODUCT_TYPE, 9),
    "leather": (T.MATERIAL, 9),
    "magenta": (T.COLOUR, 9),
    "new": (T.MODIFIER, 9),
    "phaser": (T.BRAND, 5),
    "toner": (T.PRODUCT_TYPE, 9),
    "toner cartridge": (T.PRODUCT_TYPE, 9),
    "usb": (T.TECHNICAL_SPECIFICATION, 9),
    "wireless": (T.FUNCTION, 9),
    "xerox": (T.BRAND, 20),
    "xerox phaser": (T.BRAND, 5),
}
DICTIONARY = AttributeDictionary(tuple(TYPES), tuple(k for k, _ in TYPES.values()), tuple(n for _, n in TYPES.values()))
VOCABULARY = TypeVocabulary(
    (
        ProductType("cable", 400),
        ProductType("case", 9),
        ProductType("cartridge", 50),
        ProductType("notebook", 300, (), ("laptop",)),
        ProductType("patch cable", 64, ("cable",)),
        ProductType("toner cartridge", 90, ("cartridge",), ("toner",)),
    )
)
STEMS = {"cabl": "cable", "cartridg": "cartridge", "appl": "apple", "sleav": "sleave", "sleev": "sleeve"}
NORMALISER = Normaliser(STEMS)
WORDS = Vocabulary({word: 5 for value in TYPES for word in value.split()} | {"sleeve": 5, "dad": 5, "gift": 5})
FIELDS = {"brand": T.BRAND, "colour": T.COLOUR, "category": T.PRODUCT_TYPE, "line": T.SERIES, "tags": T.OTHER}
READER = TextReader(NORMALISER, DICTIONARY, WORDS, VOCABULARY, FIELDS, ("description",))
PLAIN = replace(READER, types=None)


def _title(title: str, reader: TextReader = READER, said: Probabilities | None = None, **fields: object) -> Reading:
    return reader.read_product(Product("1", title, fields), said or Probabilities({}))


def _query(text: str, reader: TextReader = READER, log_probs: FloatArray | None = None) -> Reading:
    return reader.read_query(text, Probabilities({}, {}, log_probs))


def _codes(reading: Reading) -> list[str]:
    return [str(Code.of(value.value for value in code)) for code in reading.codes]


def _values(reading: Reading, kind: AttributeType) -> list[str]:
    return [value.value for value in reading.attributes if value.type is kind]


def _log_probs(**likely: float) -> FloatArray:
    rest = (1 - sum(likely.values())) / (len(VOCABULARY) - len(likely))
    return np.log(np.array([likely.get(kind.name.replace(" ", "_"), rest) for kind in VOCABULARY.types], np.float32))


def test_a_title_and_a_query_share_codes_of_several_attributes() -> None:
    for reading in (_title("Xerox Black Toner"), _query("xerox black toner"), _query("black toner for xerox")):
        assert {"toner", "toner | xerox", "black | toner", "black | toner | xerox"} <= set(_codes(reading))
        assert {"toner cartridge | xerox", "black | toner cartridge | xerox"} <= set(_codes(reading))
        assert _values(reading, T.BRAND) == ["xerox"]


def test_a_product_has_its_type_the_titles_name_of_it_and_the_broader_ones() -> None:
    assert _values(_title("Xerox toner"), T.PRODUCT_TYPE) == ["toner cartridge", "toner", "cartridge"]
    assert _values(_title("Patch cable 3 m"), T.PRODUCT_TYPE) == ["patch cable", "cable"]
    assert _codes(_title("Patch cable"))[:2] == ["patch cable", "cable"]


def test_a_kind_of_thing_is_broader_where_no_type_is_called_so() -> None:
    cases = TypeVocabulary((ProductType("camera case", 9), ProductType("notebook case", 25)))
    reader = replace(READER, types=cases, words=Vocabulary({"case": 9}))
    assert _values(_title("Acme notebook case", reader), T.PRODUCT_TYPE) == ["notebook case", "case"]
    assert "case | xerox" in _codes(_title("Xerox notebook case", reader))
    assert {"case", "case | xerox"} <= set(_codes(_query("case for xerox", reader)))


def test_a_title_without_a_name_is_read_on_in_its_description() -> None:
    assert _values(_title("Xerox 006R90321", description="Toner for office"), T.PRODUCT_TYPE)[0] == "toner cartridge"
    assert _values(_title("Xerox laptop", description="Toner for office"), T.PRODUCT_TYPE)[0] == "notebook"


def test_the_model_types_a_title_without_a_name() -> None:
    reading = _title("Xerox 2530p", said=Probabilities({}, {}, _log_probs(notebook=0.9)))
    assert [(value.value, value.own) for value in reading.attributes if value.type is T.PRODUCT_TYPE] == [
        ("notebook", False)
    ]
    assert "notebook | xerox" in _codes(reading)


def test_a_brand_at_the_beginning_names_no_type() -> None:
    assert _values(_title("Case Logic laptop", brand="Case Logic"), T.PRODUCT_TYPE) == ["notebook", "laptop"]
    assert _values(_title("Case Logic", brand="Case Logic"), T.PRODUCT_TYPE) == []


def test_a_field_settles_its_type() -> None:
    reading = _title("Xerox magenta toner", brand="Okapi", colour="Red", category="Patch cable")
    assert _values(reading, T.BRAND) == ["okapi"]
    assert _values(reading, T.COLOUR) == ["red"]
    for category in (["Office", "Patch cable"], "Office > Patch cable", "Patch cable > Black"):
        reading = _title("Xerox magenta toner", category=category)
        assert _values(reading, T.PRODUCT_TYPE) == ["patch cable", "cable"]


def test_colours_of_the_title_come_before_those_of_the_field() -> None:
    reading = _title("Xerox toner magenta", colour="Black, Magenta")
    assert _values(reading, T.COLOUR) == ["magenta", "black"]
    assert not any("black" in code for code in _codes(reading))
    assert {"black | toner", "magenta | toner"} <= set(_codes(_title("Toner", colour="Black, Magenta")))


def test_another_products_name_behind_for_is_no_attribute() -> None:
    reading = _title("Black case for Apple magenta laptop, leather")
    assert _values(reading, T.BRAND) == []
    assert _values(reading, T.COLOUR) == ["black"]
    assert _values(reading, T.MATERIAL) == ["leather"]
    assert _values(reading, T.PRODUCT_TYPE) == ["case"]
    assert _values(_query("black case for apple"), T.BRAND) == ["apple"]  # who asks wants what fits it


def test_a_series_belongs_to_its_brand() -> None:
    assert _values(_title("Xerox Phaser 6360 toner", brand="Xerox"), T.SERIES) == ["phaser"]
    assert _values(_title("Xerox Phaser 6360 toner"), T.SERIES) == ["phaser"]
    reading = _title("Toner Xerox Phaser", brand="Okapi")
    assert (_values(reading, T.BRAND), _values(reading, T.SERIES)) == (["okapi"], [])
    assert (_values(_query("phaser toner"), T.BRAND), _values(_query("phaser toner"), T.SERIES)) == ([], ["phaser"])


def test_a_generic_word_behind_a_brand_is_no_series() -> None:
    named = {**TYPES, "system": (T.PRODUCT_TYPE, 9), "xerox system": (T.BRAND, 5)}
    dictionary = AttributeDictionary(
        tuple(named), tuple(k for k, _ in named.values()), tuple(n for _, n in named.values())
    )
    reader = replace(READER, dictionary=dictionary)
    reading = _title("Xerox System specific toner", reader)
    assert (_values(reading, T.BRAND), _values(reading, T.SERIES)) == (["xerox"], [])
    assert _values(_title("Xerox Phaser toner", reader), T.SERIES) == ["phaser"]


def test_measures_and_model_numbers_are_attributes() -> None:
    reading = _title("Xerox 006R90321 patch cable cat5e 3 m, 1 pc")
    assert _values(reading, T.TECHNICAL_SPECIFICATION) == ["cat5e", "3 m"]
    assert _values(reading, T.MODEL) == ["006r90321"]
    assert "006r90321 | patch cable | xerox" in _codes(reading)
    assert "3 m | cat5e | patch cable | xerox" in _codes(reading)


def test_values_that_say_little_are_no_attributes() -> None:
    reading = _title("usb, new, wireless", tags="gift")
    assert [value.value for value in reading.attributes] == ["wireless"]


def test_a_field_types_its_value() -> None:
    reading = _title("Apple leather", line="leather")
    assert (_values(reading, T.SERIES), _values(reading, T.MATERIAL)) == (["leather"], [])
    assert _values(_title("wireless", tags="wireless"), T.FUNCTION) == []  # the field's type says nothing usable


def test_generated_values_pass_a_filter() -> None:
    said = Probabilities({}, {"leather": 0.6, "magenta": 0.9, "apple": 0.9, "wireless": 0.4, "cable": 0.9})
    reader = replace(READER, thresholds={T.MATERIAL: 0.5, T.COLOUR: 0.5, T.FUNCTION: 0.5, T.BRAND: 0.5})
    reading = _title("Black case", reader, said, brand="Okapi")
    assert [(value.value, value.own) for value in reading.attributes] == [
        ("case", True),
        ("okapi", True),
        ("black", True),  # the title settles the colour, the field the brand
        ("leather", False),  # wireless is too unlikely; no threshold admits a type
    ]
    assert _title("Black case", said=said).attributes == _title("Black case").attributes


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("new", T.MODIFIER),
        ("gift", T.OTHER),
        ("bestseller", T.MARKETING_TERM),
        ("rechargeable battery", T.TECHNICAL_SPECIFICATION),  # no measure and no standard
    ],
)
def test_generated_values_that_say_little_are_no_attributes(value: str, kind: AttributeType) -> None:
    reader = replace(READER, dictionary=AttributeDictionary((value,), (kind,), (9,)), thresholds={kind: 0.5})
    assert _title("Cable", reader, Probabilities({}, {value: 0.9})) == _title("Cable", reader)


def test_a_name_written_apart_is_read_where_all_names_are_one_word() -> None:
    reader = replace(
        READER, types=TypeVocabulary((ProductType("keyboard", 9),)), words=Vocabulary({"key": 9, "board": 9})
    )
    assert _values(_title("Xerox key board", reader), T.PRODUCT_TYPE)[:1] == ["keyboard"]
    assert _values(_query("key board", reader), T.PRODUCT_TYPE)[:1] == ["keyboard"]


def test_names_are_read_that_are_written_apart_or_together() -> None:
    types = TypeVocabulary((ProductType("keyboard", 9), ProductType("hard drive", 9)))
    words = Vocabulary({"key": 9, "board": 9, "harddrive": 9})
    reader = replace(READER, types=types, words=words, normaliser=Normaliser({"harddriv": "harddrive"}))
    for written, name in (("key board", "keyboard"), ("harddrive", "hard drive")):
        assert _values(_title(f"Xerox {written} 3 m", reader), T.PRODUCT_TYPE)[0] == name
        assert _values(_query(f"xerox {written}", reader), T.PRODUCT_TYPE)[0] == name


def test_a_generated_measure_contradicts_no_other() -> None:
    dictionary = AttributeDictionary(("8 gb", "9 m"), (T.TECHNICAL_SPECIFICATION,) * 2, (3, 3))
    reader = replace(READER, dictionary=dictionary, thresholds={T.TECHNICAL_SPECIFICATION: 0.5})
    reading = _title("Cable 3 m", reader, Probabilities({}, {"8 gb": 0.9, "9 m": 0.9}))
    assert _values(reading, T.TECHNICAL_SPECIFICATION) == ["3 m", "8 gb"]


def test_queries_of_every_kind() -> None:
    assert _codes(_query("xerox")) == ["xerox"]
    assert _codes(_query("laptop")) == ["notebook", "laptop"]
    assert _codes(_query("006R90321")) == ["006r90321"]
    sure = _query("006R90321", log_probs=_log_probs(toner_cartridge=0.9))
    assert _codes(sure) == ["toner cartridge", "006r90321 | toner cartridge"]
    vague = _query("gift for dad", log_probs=_log_probs(notebook=0.3))
    assert vague.codes == ()
    assert [value.own for value in vague.attributes] == [False] * len(VOCABULARY)
    assert _query("").codes == ()
    assert _query("the of").codes == ()


def test_a_query_has_types_with_probabilities() -> None:
    reading = _query("black laptop", log_probs=_log_probs(notebook=0.5, case=0.4))
    types = [value for value in reading.attributes if value.type is T.PRODUCT_TYPE]
    assert [(value.value, value.own) for value in types[:2]] == [("notebook", True), ("case", False)]
    assert types[0].probability == pytest.approx(0.85)
    assert _codes(reading)[:2] == ["notebook", "laptop"]


def test_a_query_is_mended_but_not_its_synonyms() -> None:
    assert "toner cartridge | xerox" in _codes(_query("xerox tonr cartrige"))
    synonym = TypeVocabulary((ProductType("sleeve", 5, (), ("sleave",)),))
    assert _codes(_query("sleave", replace(READER, types=synonym))) == ["sleeve"]  # no title says "sleave"


def test_without_a_vocabulary_the_dictionary_knows_the_types() -> None:
    reading = _title("Xerox black toner cartridge", PLAIN)
    assert _values(reading, T.PRODUCT_TYPE) == ["toner cartridge", "toner"]
    assert {"toner cartridge", "black | toner | xerox"} <= set(_codes(reading))
    assert _codes(_query("laptop", PLAIN)) == ["laptop"]
    assert _values(_title("Acme", PLAIN, category="widget"), T.PRODUCT_TYPE) == ["widget"]


LONG = "Xerox Phaser 6360n black/magenta wireless leather patch cable cat5e 3 m 8 gb, apple toner cartridge laptop"


@pytest.mark.parametrize("reader", [READER, PLAIN])
def test_codes_are_few_canonical_and_made_of_attributes(reader: TextReader) -> None:
    for reading in (_title(LONG, reader), _query(LONG, reader)):
        codes = _codes(reading)
        assert len(codes) == len(set(codes)) == MAX_CODES
        assert {length for code in codes if (length := 1 + code.count(" | "))} >= {1, 2, 3, 4}
        for code in reading.codes:
            assert 1 <= len(code) <= MAX_ATTRIBUTES
            assert set(code) <= set(reading.attributes)


def test_the_three_layers_of_a_coded_text() -> None:
    weights = [
        *(ScoredCode(Code((value,)), (0.5,), own=True) for value in ("xerox", "toner")),
        ScoredCode(Code(("006r90321",)), None, own=True),
        ScoredCode(Code(("apple",)), (0.5,), own=False),
        ScoredCode(Code(("black", "xerox")), (0.5, 0.5), own=False),
    ]
    coded = read_codes(PLAIN, Product("1", "Xerox 006R90321 toner", {}), weights)
    assert coded.weights == tuple(weights)
    found = {str(scored.code): scored for scored in coded.codes}
    assert found["toner | xerox"].probabilities == (0.5, 0.5)
    assert found["toner | xerox"].own
    assert found["006r90321 | toner | xerox"].probabilities is None  # the model cannot write it
    assert not any("apple" in code for code in found)  # a guess stays in the weights
    assert read_codes(PLAIN, "", []) == CodedText()
