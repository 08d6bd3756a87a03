"""What people call the types of a catalogue: names from a taxonomy and a thesaurus, chosen by the products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from gram_os.text.normalise import Normaliser
from gram_os.text.product_types import ProductType, TypeVocabulary
from gram_os.train.types.bridge import Bridge, build_bridge, nearest_categories, spread_names
from gram_os.train.types.labelling import Labels
from gram_os.train.types.lexicon import TypeSources
from gram_os.train.types.taxonomy import Category, Taxonomy
from gram_os.train.types.thesaurus import Synset, Thesaurus
from tests.train.typed_catalogue import make_encoder

NORMALISER = Normaliser({"batteri": "battery", "mous": "mouse", "accessori": "accessory", "devic": "device"})
MEANINGS = ["notebook laptops elitebook", "case bags cases messenger", "wireless usb device", "rodent animal"]
embed = make_encoder(MEANINGS)
TITLES = [*["EliteBook notebook"] * 4, *["messenger case"] * 4, *["wireless USB mouse"] * 4]
NAMES = ["case", "mouse", "notebook"]
LABELS = Labels(NAMES, np.repeat([2, 0, 1], 4), np.ones(12, np.float32), [True] * 12)


def _taxonomy(*names: str) -> Taxonomy:
    return Taxonomy(tuple(Category((name,)) for name in names))


def _build(
    sources: TypeSources, labels: Labels = LABELS, titles: Sequence[str] = TITLES
) -> tuple[TypeVocabulary, Bridge]:
    return build_bridge(labels, embed(titles), sources, NORMALISER, embed)


def _synonyms(sources: TypeSources) -> dict[str, tuple[str, ...]]:
    return {kind.name: kind.synonyms for kind in _build(sources)[0].types}


def test_a_category_without_a_common_word_becomes_a_synonym_by_the_products_near_it() -> None:
    found = _synonyms(TypeSources(_taxonomy("Laptops", "Animals", "Bags & Cases")))
    assert found["notebook"] == ("laptop",)
    assert found["case"] == ("bag",)  # the category's other name
    assert found["mouse"] == ()  # "animals" is no nearer to mice than the others are


def test_a_category_that_is_near_because_it_is_near_to_all_is_no_synonym() -> None:
    office = make_encoder([*MEANINGS, "office"])
    titles = ["office " * 4 + title for title in TITLES]  # nearer to "Office" than to "Laptops"
    for names, found in ((("Laptops", "Cases"), ("laptop",)), (("Laptops", "Cases", "Office"), ())):
        sources = TypeSources(_taxonomy(*names))
        vocabulary, _ = build_bridge(LABELS, office(titles), sources, NORMALISER, office)
        assert vocabulary.types[2].synonyms == found


def test_a_category_becomes_a_synonym_only_if_the_names_are_near_each_other_too() -> None:
    # All mice are wireless USB mice, so their titles are near "USB Devices", whatever "mouse" means.
    sources = TypeSources(_taxonomy("USB Devices", "Animals", "Laptops"))
    for mouse, synonyms in (
        ("wireless usb device devices mouse", ("usb device",)),
        ("wireless usb device devices", ()),
    ):
        meanings = [*MEANINGS[:2], mouse, MEANINGS[3]]
        encoder = make_encoder(meanings)
        vocabulary, _ = build_bridge(LABELS, encoder(TITLES), sources, NORMALISER, encoder)
        found = {kind.name: kind.synonyms for kind in vocabulary.types}
        assert found == {"case": (), "mouse": synonyms, "notebook": ("laptop",)}


def test_names_of_what_belongs_to_a_thing_are_no_synonyms() -> None:
    assert _synonyms(TypeSources(_taxonomy("Laptops Accessories", "Animals")))["notebook"] == ()


def test_the_meaning_of_a_word_is_the_one_that_fits_the_products() -> None:
    animal = Synset(("mouse", "rodent"), (3,), 5, instance=False, line=1)
    device = Synset(("mouse", "computer mouse"), (4,), 6, instance=False, line=2)
    above = Synset(("animal",), (), 5, instance=False, line=3), Synset(("device",), (), 6, instance=False, line=4)
    thesaurus = Thesaurus(
        {1: animal, 2: device, 3: above[0], 4: above[1]},
        {"mouse": (1, 2), "computer mouse": (2,), "rodent": (1,), "animal": (3,), "device": (4,)},
    )
    assert _synonyms(TypeSources(None, thesaurus))["mouse"] == ("comput mouse",)
    titles = [*TITLES[:8], *["small animal mouse"] * 4]
    vocabulary, _ = _build(TypeSources(None, thesaurus), LABELS, titles)
    assert vocabulary.types[1].synonyms == ("rodent",)


@pytest.mark.parametrize(
    ("rank", "domain", "rodents", "found"),
    [
        (1, 6, 0, True),
        (1, 6, 1, True),
        (1, 6, 2, False),  # hardly anything in these titles is near to a device
        (3, 6, 0, True),
        (3, 6, 1, False),  # a late meaning has to be nearer
        (1, 27, 0, True),
        (1, 27, 1, False),  # so has what nobody makes
    ],
)
def test_a_meaning_that_is_far_from_the_products_is_none_of_theirs(
    rank: int, domain: int, rodents: int, found: bool
) -> None:
    device = Synset(("mouse", "computer mouse"), (2,), domain, instance=False, line=1)
    others = {at: Synset(("animal",), (), 3, instance=False, line=at) for at in range(3, 2 + rank)}
    thesaurus = Thesaurus(
        {1: device, 2: Synset(("device",), (), 6, instance=False, line=2), **others},
        {"mouse": (*others, 1), "computer mouse": (1,), "device": (2,)},
    )
    encoder = make_encoder(["notebook", "case", "wireless device", "rodent", "computer"])
    titles = [*TITLES[:8], *[" ".join(["wireless", *["rodent"] * rodents])] * 4]
    vocabulary, _ = build_bridge(LABELS, encoder(titles), TypeSources(None, thesaurus), NORMALISER, encoder)
    assert vocabulary.types[1].synonyms == (("comput mouse",) if found else ())


def test_a_name_that_a_category_joins_is_a_synonym_only_near_the_products() -> None:
    found = _synonyms(TypeSources(_taxonomy("Bags & Cases", "Rodents & Cases")))
    assert found["case"] == ("bag",)


def test_without_sources_types_have_names_alone_and_texts_find_them_by_the_encoder() -> None:
    vocabulary, bridge = _build(TypeSources())
    assert vocabulary.types == (ProductType("case", 4), ProductType("mouse", 4), ProductType("notebook", 4))
    assert bridge.guess_types(embed(["laptops", "bags"])).argmax(1).tolist() == [2, 0]


def test_merged_names_are_synonyms_and_ends_are_broader() -> None:
    labels = Labels(
        ["cable", "patch cable"], np.array([0, 0, 1]), np.ones(3, np.float32), [True] * 3, {"patch cord": 1}
    )
    vocabulary, _ = build_bridge(labels, embed(TITLES[:3]), TypeSources(), NORMALISER, embed)
    assert vocabulary.types == (
        ProductType("cable", 2),
        ProductType("patch cable", 1, ("cable",), ("patch cord",)),
    )


@pytest.mark.parametrize("sources", [TypeSources(), TypeSources(_taxonomy("Laptops"))])
def test_one_type_and_one_product_are_enough(sources: TypeSources) -> None:
    labels = Labels(["notebook"], np.array([0]), np.ones(1, np.float32), [True])
    vocabulary, bridge = build_bridge(labels, embed(["EliteBook"]), sources, NORMALISER, embed)
    assert len(vocabulary) == 1
    np.testing.assert_allclose(bridge.guess_types(embed(["rodent", ""])), 1)


def test_half_of_a_guess_comes_from_categories_and_half_from_types() -> None:
    axes = np.eye(2, dtype=np.float32)
    bridge = Bridge(axes, np.array([[0, 1], [0, 0]], np.float32), axes)
    # The first text is at type 0, and its category stands for type 1. The second one's category has no products.
    np.testing.assert_allclose(bridge.guess_types(axes), [[0.5, 0.5], [0.0, 1.0]], atol=1e-6)
    assert bridge.guess_types(np.zeros((0, 2), np.float32)).shape == (0, 2)


def test_the_nearest_categories_share_a_text() -> None:
    categories = np.eye(30, dtype=np.float32)
    places, shares = nearest_categories(categories[3:4], categories)
    assert places.shape == shares.shape == (1, 20)
    assert places[0, shares.argmax()] == 3
    assert shares.sum() == pytest.approx(1)


def test_a_name_of_several_types_is_shared_by_the_roots_of_their_products() -> None:
    pair = TypeVocabulary((ProductType("notebook case", 9, (), ("case",)), ProductType("phone case", 4, (), ("case",))))
    np.testing.assert_allclose(spread_names(pair)["case"], [0.6, 0.4])
    three = TypeVocabulary((*pair.types, ProductType("case", 1)))
    np.testing.assert_allclose(spread_names(three)["case"], [3 / 11, 2 / 11, 6 / 11])  # its own type gets as much again
