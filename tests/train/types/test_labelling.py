"""What each product is: by its field, by its title, and by the products that it resembles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from gram_os.train.lessons.teach import other_texts
from gram_os.train.types.labelling import Categories, Labels, _merge, _name_group, label_products
from gram_os.train.types.lexicon import TypeLexicon, TypeSources
from gram_os.train.types.taxonomy import Category, Taxonomy
from tests.train.typed_catalogue import Row, make_encoder, make_thesaurus, mine_rows

NOUNS = "accessory bag battery box case notebook lamp laptop shade supply processor rucksack unit"
MEANINGS = [
    "notebook laptop elitebook probook",
    "case messenger sleeve",
    "battery cell",
    "lamp glow",
    "shade",
    "bag rucksack travelite",
    "processor ghz",
    "box cardboard",
]
embed = make_encoder(MEANINGS)


def _label(
    rows: Sequence[Row],
    fields: Sequence[Mapping[str, object]] = (),
    categories: Sequence[str] = (),
    taxonomy: Sequence[str] = (),
) -> Labels:
    """Label a catalogue. A field `text` is a description. categories: of a taxonomy that names groups of products.

    taxonomy: names of categories that name single products.
    """
    mined = mine_rows(rows, fields, ["text"])
    nouns = make_thesaurus(dict.fromkeys(NOUNS.split(), ""))
    kinds = Taxonomy(tuple(Category((name,)) for name in taxonomy)) if taxonomy else None
    lexicon = TypeLexicon(mined, TypeSources(kinds, nouns))
    named = Categories(categories, embed(categories)) if categories else None
    return label_products(mined, lexicon, embed([row[0] for row in rows]), other_texts(mined), embed, named)


def _types(labels: Labels) -> list[str]:
    return [labels.names[place] for place in labels.types]


NOTEBOOKS: list[Row] = [(f"Zebu EliteBook notebook {at} in", "Zebu", "notebook") for at in range(12)]
CASES: list[Row] = [(f"Okapi messenger case m{at} for notebook", "Okapi", "case") for at in range(12)]
BATTERIES: list[Row] = [(f"Zebu cell battery b{at}", "Zebu", "battery") for at in range(12)]


def test_the_title_names_the_type() -> None:
    labels = _label([*NOTEBOOKS, *CASES, *BATTERIES])
    assert labels.names == ["battery", "case", "notebook"]
    assert _types(labels) == ["notebook"] * 12 + ["case"] * 12 + ["battery"] * 12
    assert all(labels.named)
    assert labels.probabilities.min() > 0.5


def test_a_title_without_a_name_gets_the_type_of_those_that_it_resembles() -> None:
    silent: list[Row] = [("Zebu EliteBook 2530p", "Zebu", ""), ("Okapi messenger 14 in", "Okapi", "")]
    labels = _label([*NOTEBOOKS, *CASES, *BATTERIES, *silent])
    assert _types(labels)[-2:] == ["notebook", "case"]
    assert list(labels.named[-2:]) == [False, False]


def test_a_category_field_wins_over_the_title() -> None:
    rows = [*CASES, *BATTERIES]
    fields = [{"category": "Bag"}] * 12 + [{"category": "Battery"}] * 12
    labels = _label(rows, fields)
    assert labels.names == ["bag", "battery"]
    assert _types(labels) == ["bag"] * 12 + ["battery"] * 12


def test_the_narrowest_element_of_a_path_wins_and_a_rare_one_gives_way_to_its_parent() -> None:
    rows = [*CASES, *BATTERIES]
    paths = ["Gear > Bag"] * 10 + ["Gear > Bag > Rucksack"] * 2 + ["Gear > Battery"] * 12
    labels = _label(rows, [{"category": path} for path in paths])
    assert labels.names == ["bag", "battery"]  # two rucksacks are no type
    assert _types(labels) == ["bag"] * 12 + ["battery"] * 12


def test_a_field_of_conditions_is_not_used() -> None:
    rows = [*CASES, *BATTERIES]
    fields = [{"type": ("Original", "Compatible")[at % 2]} for at in range(24)]
    assert _types(_label(rows, fields)) == ["case"] * 12 + ["battery"] * 12


def test_a_rare_name_is_read_as_its_end() -> None:
    rows: list[Row] = [(f"Okapi lamp {at}x", "Okapi", "lamp") for at in range(9)]
    rows += [("Okapi lava lamp", "Okapi", "lava lamp")] * 2 + [("Okapi lamp shade", "Okapi", "shade")] * 9
    labels = _label(rows)
    assert labels.names == ["lamp", "shade"]
    assert _types(labels) == ["lamp"] * 11 + ["shade"] * 9


@pytest.mark.parametrize(("word", "category"), [("rucksack", "rucksack"), ("lampshade", "lamp shade")])
def test_a_rare_name_of_a_taxonomy_and_the_thesaurus_is_a_type(word: str, category: str) -> None:
    rows: list[Row] = [*NOTEBOOKS, *BATTERIES, *[(f"Okapi {word}", "Okapi", word)] * 2]
    assert _types(_label(rows, taxonomy=[category]))[-2:] == [category] * 2
    assert _label(rows, taxonomy=["bag"]).names == ["battery", "notebook"]


def test_an_accessory_is_not_the_thing_that_it_belongs_to() -> None:
    rows = [*NOTEBOOKS, *[(f"Zebu EliteBook notebook accessory a{at}", "Zebu", "accessory") for at in range(6)]]
    assert _types(_label(rows)) == ["notebook"] * 12 + ["accessory"] * 6
    rows = [*NOTEBOOKS, *[(f"Zebu EliteBook notebook unit u{at}", "Zebu", "unit") for at in range(6)]]
    assert _types(_label(rows)) == ["notebook"] * 18  # a generic word


# ---- what the classifier says of names

PROCESSORS: list[Row] = [(f"Zebu q{at} processor {at} GHz", "Zebu", "processor") for at in range(36)]
BOXED: list[Row] = [(f"Zebu box, q{at} processor {at} GHz", "Zebu", "processor") for at in range(12)]
BOXES: list[Row] = [(f"Okapi cardboard box c{at}", "Okapi", "box") for at in range(8)]


def test_what_is_like_processors_is_a_processor_although_its_title_says_box_first() -> None:
    # The classifier would repeat "box" if it read the names. And if "box", which is rarely a head, cost as little as
    # other words, the classifier would not be sure enough.
    assert _types(_label([*BOXED, *PROCESSORS, *BOXES])) == ["processor"] * 48 + ["box"] * 8


def test_what_is_like_nothing_else_is_what_its_title_says_first() -> None:
    assert _types(_label([*BOXED, *NOTEBOOKS, *BOXES])) == ["box"] * 12 + ["notebook"] * 12 + ["box"] * 8


@pytest.mark.parametrize(("title", "kind"), [("Okapi messenger z14", "case"), ("Okapi z14", "notebook")])
def test_a_name_in_a_description_gives_way_to_a_classifier_that_is_sure(title: str, kind: str) -> None:
    rows: list[Row] = [*NOTEBOOKS, *CASES, (title, "Okapi", "")]
    texts: list[Mapping[str, object]] = [{}] * 24 + [{"text": "Notebook of your dreams"}]
    assert _types(_label(rows, texts))[-1] == kind


def test_an_acronym_and_its_words_become_one_type() -> None:
    words = "uninterruptible power supply"
    rows: list[Row] = [(f"Zebu {words} (UPS) {at} VA", "Zebu", words) for at in range(6)]
    rows += [(f"Okapi UPS {at}", "Okapi", "") for at in range(9)]
    labels = _label([*rows, *NOTEBOOKS])
    assert _types(labels) == ["ups"] * 15 + ["notebook"] * 12
    assert dict(labels.synonyms) == {"uninterruptible power supply": labels.names.index("ups")}


@pytest.mark.parametrize(("notebooks", "merged"), [(30, True), (29, False)])
def test_a_rare_type_is_another_name_of_a_far_commoner_one_that_a_category_calls_so(
    notebooks: int, *, merged: bool
) -> None:
    rows: list[Row] = [(f"Zebu EliteBook notebook {at} in", "Zebu", "notebook") for at in range(notebooks)]
    rows += [*CASES, *[("Okapi messenger for laptop", "Okapi", "laptop")] * 3]
    labels = _label(rows, categories=["laptop", "messenger"])
    assert _types(labels)[-3:] == [("laptop", "case")[merged]] * 3  # what has the rare name is something else
    assert dict(labels.synonyms) == ({"laptop": labels.names.index("notebook")} if merged else {})


def test_products_move_with_the_type_that_becomes_another_one() -> None:
    names = ["battery", "case", "toner", "toner cartridge"]
    types = np.array([2, 3, 3, 1, 2, 3])
    found = _merge(Labels(names, types, np.ones(6, np.float32), [True] * 6), np.array([0, 1, 3, 3]))
    assert found.names == ["case", "toner cartridge"]  # no product is a battery
    assert found.types.tolist() == [1, 1, 1, 0, 1, 1]
    assert dict(found.synonyms) == {"toner": 1}


# ---- groups of products that name nothing

SILENT: list[Row] = [(f"Okapi Glow g{at}", "Okapi", "") for at in range(24)]
#: Categories that the types of the other products are nearer to than to those that name the groups.
NEARER = ["notebook", "elitebook", "zebu notebook", "zebu elitebook", "elitebook notebook"]
NEARER += ["battery", "cell", "zebu battery", "zebu cell", "cell battery"]


def _label_groups(silent: Sequence[Row], categories: Sequence[str], said: str) -> Labels:
    """Label notebooks, batteries and some silent products. said: words that three of the batteries' titles say."""
    saying: list[Row] = [(f"Zebu cell battery for {said}", "Zebu", "battery")] * 3
    return _label([*silent, *NOTEBOOKS, *BATTERIES, *saying], categories=[*NEARER, *categories])


def test_products_that_name_nothing_are_named_group_by_group_by_a_taxonomy() -> None:
    silent: list[Row] = [*SILENT, *[(f"Okapi Travelite t{at}", "Okapi", "") for at in range(24)]]
    labels = _label_groups(silent, ["rucksack", "lamp", ""], "lamp or rucksack")
    assert _types(labels)[:48] == ["lamp"] * 24 + ["rucksack"] * 24
    assert not any(labels.named[:48])


def test_a_category_with_a_word_that_the_catalogue_never_says_names_no_group() -> None:
    for said, names in (("night lamp", {"night lamp"}), ("lamp", {"battery", "notebook"})):
        assert set(_types(_label_groups(SILENT, ["night lamp"], said))[:24]) <= names
    kept = Categories(["lamp", "night lamp", "lip gloss"], np.eye(3, dtype=np.float32)).among({"lamp", "night", "lip"})
    assert (kept.names, kept.vectors.tolist()) == (["lamp", "night lamp"], [[1, 0, 0], [0, 1, 0]])


def test_a_category_that_shares_only_a_modifier_with_the_titles_names_no_group() -> None:
    for category, named in (("night lamp", True), ("glow stick", False)):
        labels = _label_groups(SILENT, [category], "night lamp stick")
        assert (_types(labels)[:24] == [category] * 24) is named


def test_a_group_that_the_classifier_knows_keeps_its_type() -> None:
    silent: list[Row] = [(f"Zebu EliteBook e{at}p", "Zebu", "") for at in range(24)]
    labels = _label([*silent, *NOTEBOOKS, *BATTERIES], categories=["elitebook", *NEARER])
    assert _types(labels)[:24] == ["notebook"] * 24


def test_a_group_does_not_keep_a_type_that_is_named_after_the_category() -> None:
    silent: list[Row] = [(f"Zebu EliteBook e{at}p", "Zebu", "") for at in range(24)]
    rows: list[Row] = [(f"Zebu EliteBook notebook battery {at}", "Zebu", "notebook battery") for at in range(24)]
    labels = _label([*silent, *rows], categories=["notebook", "battery"], taxonomy=["Notebook Batteries"])
    assert _types(labels) == ["notebook"] * 24 + ["notebook battery"] * 24


def test_a_category_without_a_word_names_no_group() -> None:
    vectors, centre = embed(["Travelite"] * 3), embed(["Travelite", "lamp", "battery"]).mean(0)
    named = [Categories((name, "lamp"), embed(["rucksack", "lamp"])) for name in ("bag", "")]
    assert [_name_group(vectors, categories, centre) for categories in named] == ["bag", None]


@pytest.mark.parametrize(
    ("categories", "name"),
    [
        (("rucksack strap", "rucksack"), "rucksack"),  # who has no name in its title is no accessory
        (("rucksack strap", "lamp"), "rucksack strap"),
        (("rucksack strap", "ruck"), "rucksack strap"),
    ],
)
def test_an_accessory_of_another_near_category_names_no_group(categories: tuple[str, ...], name: str) -> None:
    vectors, centre = embed(["Travelite"] * 3), embed(["Travelite", "lamp", "battery"]).mean(0)
    near = np.array([[0, 0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0.6, 0, 0.8, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]], np.float32)
    assert _name_group(vectors, Categories((*categories, "notebook"), near), centre) == name


def _letters(at: int) -> str:
    return "".join("bcdfghjklmnp"[at // 12**place % 12] + "aeiou"[at % 5] for place in range(3))


@pytest.mark.parametrize(
    ("titles", "types"),
    [
        (["Okapi"] * 50, 0),
        ([f"{at}" for at in range(50)], 0),
        ([_letters(at) for at in range(50)], 0),
        (["lamp"] * 50, 1),
        (["lamp", "battery"] * 25, 2),
        (["lamp"] * 47 + ["ワイヤレスイヤホン", "", "!"], 1),
    ],
    ids=["one title", "numbers", "all different", "one type", "one word", "other scripts"],
)
@pytest.mark.parametrize("categories", [(), ("rucksack", "lamp")])
def test_a_poor_catalogue_has_few_types_or_none(titles: list[str], types: int, categories: tuple[str, ...]) -> None:
    rows: list[Row] = [(title, "", title if title in ("lamp", "battery") else "") for title in titles]
    labels = _label(rows, categories=categories)
    assert len(labels.names) == types
    assert labels.types.tolist() == [labels.names.index(title) if title in labels.names else min(0, types - 1)
                                     for title in titles]  # fmt: skip
    assert np.isfinite(labels.probabilities).all()


def test_labels_are_the_same_in_each_run() -> None:
    silent: list[Row] = [(f"Okapi Travelite t{at}", "Okapi", "") for at in range(30)]
    first, second = (_label_groups(silent, ["rucksack", "lamp"], "lamp or rucksack") for _ in range(2))
    assert first.names == second.names
    np.testing.assert_array_equal(first.types, second.types)
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
