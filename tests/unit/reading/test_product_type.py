"""What a product is and what a query asks for, on a vocabulary and probabilities written by hand."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from gram_os.arrays import FloatArray
from gram_os.reading.names import BEHIND, COUNTED, EARLIER, GENERIC, LINKED, KnownNames, find_names, is_generic
from gram_os.reading.product_type import TypeReading, settle_type
from gram_os.text.attribute import AttributeType, Side
from gram_os.text.dictionary import AttributeDictionary
from gram_os.text.heads import split_phrases
from gram_os.text.normalise import Normaliser
from gram_os.text.product_types import ProductType, TypeVocabulary

NORMALISER = Normaliser({"batteri": "battery", "cabl": "cable", "accessori": "accessory", "cartridg": "cartridge"})
VOCABULARY = TypeVocabulary(
    (
        ProductType("accessory", 4),
        ProductType("battery", 100),
        ProductType("cable", 400),
        ProductType("charger", 9),
        ProductType("label", 25),
        ProductType("notebook", 300, (), ("laptop",)),
        ProductType("notebook case", 36, (), ("case",)),
        ProductType("patch cable", 64, ("cable",)),
        ProductType("phone case", 4, (), ("case",)),
        ProductType("vga cable", 16, ("cable",)),
    )
)
NAMES = [kind.name for kind in VOCABULARY.types]


def _read(
    text: str, likely: dict[str, float] | None = None, fields: tuple[str, ...] = (), side: Side = Side.TITLE
) -> TypeReading:
    """Read a text; `likely` are probabilities of the model, the rest is spread over the other types."""
    log_probs = None if likely is None else _log_probs(likely)
    return settle_type(split_phrases(text, NORMALISER), VOCABULARY, log_probs, fields, side)


def _log_probs(likely: dict[str, float]) -> FloatArray:
    rest = (1 - sum(likely.values())) / (len(NAMES) - len(likely))
    return np.log(np.array([likely.get(name, rest) for name in NAMES], np.float32))


def _name(reading: TypeReading) -> str:
    assert len(reading.types) == 1
    return NAMES[reading.types[0].place]


@pytest.mark.parametrize(
    ("title", "expected", "name"),
    [
        ("Acme notebook case black", "notebook case", "notebook case"),
        ("Battery for select laptops", "battery", "battery"),
        ("Acme laptop 15 in", "notebook", "laptop"),
        ("Patch cable 3 m, battery", "patch cable", "patch cable"),
        ("Acme battery charger", "charger", "charger"),
        ("Case for phones", "notebook case", "case"),  # the type of the name that has more products
    ],
)
def test_the_head_of_a_title_says_what_a_product_is(title: str, expected: str, name: str) -> None:
    reading = _read(title)
    assert (_name(reading), reading.name, reading.types[0].named) == (expected, name, True)


def test_the_place_of_a_name_has_its_price() -> None:
    def penalties(text: str) -> dict[str, float]:
        return {named.name: named.penalty for named in find_names(split_phrases(text, NORMALISER), VOCABULARY)}

    assert penalties("battery charger, cable for laptops") == {
        "charger": 0,
        "battery": EARLIER,
        "cable": BEHIND,
        "laptop": pytest.approx(2 * BEHIND + LINKED),
    }
    assert penalties("12 label accessory") == {"accessory": GENERIC, "label": EARLIER + COUNTED}
    assert penalties("battery kits") == {"battery": EARLIER}  # the generic word takes its place and names no type
    assert penalties("50 sheets") == {}
    assert penalties("cable, cable") == {"cable": 0}


def test_a_word_that_says_nothing_by_itself_is_generic() -> None:
    assert all(map(is_generic, ["point", "points", "model", "accessories"]))
    assert not any(map(is_generic, ["service", "warranty", "access point"]))


def test_the_model_chooses_between_names() -> None:
    assert _name(_read("Battery, cable", {"cable": 0.6, "battery": 0.1})) == "cable"  # ln .6 - .7 > ln .1
    assert _name(_read("Battery, cable", {"cable": 0.3, "battery": 0.2})) == "battery"  # ln .3 - .7 < ln .2
    assert _name(_read("Case, 4 in", {"phone case": 0.9, "notebook case": 0.05})) == "phone case"


def test_a_sure_model_replaces_a_name_that_it_does_not_believe() -> None:
    sure = _read("EliteBook battery", {"notebook": 0.95, "battery": 0.001})
    assert (_name(sure), sure.name, sure.types[0].named) == ("notebook", "", False)
    assert _name(_read("EliteBook battery", {"notebook": 0.79, "battery": 0.001})) == "battery"  # not sure
    assert _name(_read("EliteBook battery", {"notebook": 0.95, "battery": 0.02})) == "battery"  # not unlikely


def test_a_title_without_a_name_has_the_models_type() -> None:
    reading = _read("EliteBook 2530p", {"notebook": 0.7})
    assert (_name(reading), reading.name) == ("notebook", "")
    assert reading.types[0].probability == pytest.approx(0.7)
    assert not reading.types[0].named
    assert _read("EliteBook 2530p") == TypeReading()
    assert _read("") == TypeReading()


def test_an_unsure_model_gives_a_broader_type() -> None:
    reading = _read("5 m, black", {"patch cable": 0.3, "vga cable": 0.25, "cable": 0.1, "battery": 0.2})
    assert _name(reading) == "cable"
    assert reading.types[0].probability == pytest.approx(0.65)
    unsure = _read("5 m, black", {"patch cable": 0.2, "battery": 0.25})
    assert _name(unsure) == "battery"  # nothing reaches one half


def test_a_category_field_wins() -> None:
    assert _name(_read("Acme battery", {"battery": 0.9}, ("electronics", "notebook"))) == "notebook"
    assert _name(_read("Acme battery", {"battery": 0.9}, ("electronics", "label", "office"))) == "label"  # last name
    assert _name(_read("Acme battery", {"battery": 0.9}, ("electronics", "17"))) == "battery"  # no name
    reading = _read("Acme laptop", None, ("notebook",))
    assert (_name(reading), reading.name, reading.types[0].probability) == ("notebook", "laptop", 1.0)


def test_a_field_that_the_model_refutes_does_not_count() -> None:
    sure = {"battery": 0.95, "notebook": 0.001}
    assert _name(_read("Acme battery", sure, ("notebook",))) == "battery"
    assert _name(_read("Acme", {"patch cable": 0.95, "cable": 0.001}, ("cable",))) == "cable"  # broader, so no doubt
    assert _name(_read("Acme", {"cable": 0.95, "patch cable": 0.001}, ("patch cable",))) == "patch cable"


def test_a_synonym_in_a_title_counts_less_than_a_name() -> None:
    assert _name(_read("laptop, cable")) == "cable"  # 1.5 against .7
    assert _name(_read("laptop, cable", {"notebook": 0.6, "cable": 0.2})) == "notebook"


def test_a_synonym_in_a_title_gives_way_where_the_model_doubts_it() -> None:
    assert _name(_read("laptop", {"notebook": 0.06, "cable": 0.4})) == "notebook"
    assert _name(_read("laptop", {"notebook": 0.04, "cable": 0.4})) == "cable"
    assert _name(_read("notebook", {"notebook": 0.04, "cable": 0.4})) == "notebook"  # its own name stays
    assert _name(_read("vga case", {"phone case": 0.02, "notebook case": 0.02, "cable": 0.4})) == "notebook case"


def test_a_title_refines_a_field() -> None:
    assert _name(_read("Acme cable for patch cable", None, ("cable",))) == "cable"
    assert _name(_read("Acme patch cable", None, ("cable",))) == "patch cable"
    assert _name(_read("Acme cable", None, ("patch cable",))) == "patch cable"


def test_a_query_mixes_its_head_with_the_model() -> None:
    reading = _read("laptop for travel", {"notebook": 0.5, "battery": 0.4}, side=Side.QUERY)
    shares = {NAMES[share.place]: share.probability for share in reading.types}
    assert shares["notebook"] == pytest.approx(0.7 + 0.3 * 0.5)
    assert shares["battery"] == pytest.approx(0.3 * 0.4)
    assert reading.name == "laptop"
    assert [NAMES[share.place] for share in reading.types if share.named] == ["notebook"]
    assert sum(shares.values()) == pytest.approx(1)


def test_a_name_that_leaves_words_unread_leaves_more_to_the_model() -> None:
    reading = _read("travel case", {"charger": 0.6, "phone case": 0.3}, side=Side.QUERY)
    shares = {NAMES[share.place]: share.probability for share in reading.types}
    assert shares["charger"] == pytest.approx(0.7 * 0.6)
    assert shares["phone case"] > 0.7 * 0.3 + 0.3 * 0.5  # the model prefers it among the cases
    assert reading.name == "case"


def test_types_of_one_name_share_by_the_root_of_their_products() -> None:
    reading = _read("case", side=Side.QUERY)
    assert [NAMES[share.place] for share in reading.types] == ["notebook case", "phone case"]
    assert [share.probability for share in reading.types] == pytest.approx([6 / 8, 2 / 8])  # roots of 36 and 4


def test_a_generic_word_behind_the_head_leaves_more_to_the_model() -> None:
    reading = _read("battery kit", {"charger": 0.8}, side=Side.QUERY)
    shares = {NAMES[share.place]: share.probability for share in reading.types}
    assert shares["charger"] == pytest.approx(0.7 * 0.8)
    assert shares["battery"] == pytest.approx(0.3 + 0.7 * 0.2 / 9)


def test_a_vague_query_has_the_models_types_and_no_name() -> None:
    reading = _read("gift for dad", {"battery": 0.12}, side=Side.QUERY)
    assert reading.name == ""
    assert not any(share.named for share in reading.types)
    assert reading.types[0].probability == pytest.approx(0.12)
    assert _read("gift for dad", side=Side.QUERY) == TypeReading()


def test_an_empty_vocabulary_says_nothing() -> None:
    assert settle_type(split_phrases("battery", NORMALISER), TypeVocabulary(())) == TypeReading()


def test_probabilities_are_proper() -> None:
    reading = _read("Battery, cable", {"cable": 0.6, "battery": 0.1})
    assert log(1e-9) < log(reading.types[0].probability) <= 0


def test_the_last_word_of_several_names_is_a_name_of_all() -> None:
    vocabulary = TypeVocabulary(
        tuple(
            ProductType(name, n) for name, n in (("camera bag", 9), ("gift bag", 16), ("tool kit", 9), ("trip kit", 9))
        )
    )
    names = KnownNames(vocabulary)
    assert names.find("bag") == (1, 0)  # the one with more products first
    assert names.find("kit") == ()  # a generic word
    reading = settle_type(split_phrases("bag for camera", NORMALISER), vocabulary, side=Side.QUERY)
    assert [share.probability for share in reading.types] == pytest.approx([4 / 7, 3 / 7])
    assert reading.name == "bag"


def test_a_synonym_that_is_a_property_names_no_type() -> None:
    radio = TypeVocabulary((ProductType("radio", 9, (), ("wireless", "tuner")), ProductType("steel", 9)))
    types = (AttributeType.MATERIAL, AttributeType.FUNCTION)
    names = KnownNames(radio, AttributeDictionary(("steel", "wireless"), types, (5, 5)))
    assert [names.find(name) for name in ("wireless", "tuner", "radio", "steel")] == [(), (0,), (0,), (1,)]


def test_a_name_behind_for_is_a_doubtful_head() -> None:
    reading = _read("gadget for laptops", {"charger": 0.8}, side=Side.QUERY)
    shares = {NAMES[share.place]: share.probability for share in reading.types}
    assert shares["charger"] == pytest.approx(0.7 * 0.8)
    assert shares["notebook"] == pytest.approx(0.3 + 0.7 * 0.2 / 9)
    assert NAMES[_read("cable for laptops", side=Side.QUERY).types[0].place] == "cable"


def test_a_types_own_name_means_it_more_than_those_that_borrow_it() -> None:
    shared = TypeVocabulary((ProductType("radio", 144, (), ("tuner",)), ProductType("tuner", 81)))
    reading = settle_type(split_phrases("tuner", NORMALISER), shared, side=Side.QUERY)
    assert [share.probability for share in reading.types] == pytest.approx([18 / 30, 12 / 30])  # 2 * 9 against 12
