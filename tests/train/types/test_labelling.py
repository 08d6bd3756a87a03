"""What each product is: by its field, by its title, and by the products that it resembles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from gram_os.arrays import FloatArray, IntArray
from gram_os.train.lessons.teach import other_texts
from gram_os.train.types.labelling import Categories, Labels, _merge, _name_group, label_products
from gram_os.train.types.lexicon import TypeLexicon, TypeSources
from tests.train.typed_catalogue import Row, make_encoder, make_thesaurus, mine_rows

NOUNS = make_thesaurus(dict.fromkeys("bag battery case notebook lamp shade rucksack".split(), ""))  # noqa: SIM905
MEANINGS = [
    "notebook elitebook probook",
    "case messenger sleeve",
    "battery cell",
    "lamp glow",
    "shade",
    "bag rucksack travelite",
]
embed = make_encoder(MEANINGS)


def _label(rows: Sequence[Row], fields: Sequence[Mapping[str, object]] = (), categories: Sequence[str] = ()) -> Labels:
    mined = mine_rows(rows, fields)
    lexicon = TypeLexicon(mined, TypeSources(thesaurus=NOUNS))
    named = Categories(categories, embed(categories)) if categories else None
    return label_products(mined, lexicon, embed([row[0] for row in rows]), other_texts(mined), named)


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


def test_types_that_the_classifier_takes_for_each_other_are_one_if_their_names_share_a_word() -> None:
    names = ["case", "laser printer", "printer", "toner", "toner cartridge"]
    types = np.array([0] * 4 + [1] * 2 + [2] * 3 + [3] * 5 + [4] * 2)
    rows = {0: [1.0, 0, 0, 0, 0], 1: [0, 0.7, 0.3, 0, 0], 2: [0, 0, 1.0, 0, 0], 3: [0, 0, 0, 1.0, 0],
            4: [0.6, 0, 0, 0.2, 0.2]}  # fmt: skip
    probabilities = np.array([rows[place] for place in types.tolist()], np.float32)
    with np.errstate(divide="ignore"):
        found = _merge(
            Labels(names, types, np.ones(16, np.float32), [True] * 16), np.log(probabilities), _titles(types, range(5))
        )
    # toner cartridges are toners to .2 (.15 are enough), and cases to .6, with which they share no word;
    # laser printers are printers to .3, and a narrower type needs .4
    assert found.names == ["case", "laser printer", "printer", "toner"]
    assert dict(found.synonyms) == {"toner cartridge": 3}
    assert found.types.tolist() == [0] * 4 + [1] * 2 + [2] * 3 + [3] * 7


def _titles(types: IntArray, meanings: Sequence[int]) -> FloatArray:
    """Return the titles' vectors, which are near each other, and equal for types of the same number in `meanings`."""
    apart = np.eye(max(meanings) + 1, dtype=np.float32)[np.array(meanings)[types]]
    found: FloatArray = np.hstack([apart, np.full((len(types), 1), 3, np.float32)])
    return found


def _merge_sure(counts: Mapping[str, int], meanings: Mapping[str, int]) -> Labels:
    """Merge types that the classifier tells apart: products of each type, and the meaning of its titles."""
    types = np.repeat(np.arange(len(counts)), list(counts.values()))
    labels = Labels(list(counts), types, np.ones(len(types), np.float32), [True] * len(types))
    with np.errstate(divide="ignore"):
        log_probs = np.log(np.eye(len(counts), dtype=np.float32)[types])
    return _merge(labels, log_probs, _titles(types, [meanings[name] for name in counts]))


def test_variants_of_one_name_are_one_type_if_their_titles_are_alike() -> None:
    counts = {"desktop board": 5, "lamp": 4, "motherboard": 3, "toner": 2, "toner cartridge": 6}
    meanings = {"desktop board": 0, "motherboard": 0, "toner": 1, "toner cartridge": 1, "lamp": 2}
    found = _merge_sure(counts, meanings)
    assert found.names == ["desktop board", "lamp", "toner cartridge"]
    assert dict(found.synonyms) == {"motherboard": 0, "toner": 2}  # the rarer name is a synonym of the commoner one
    assert _types(found) == ["desktop board"] * 5 + ["lamp"] * 4 + ["desktop board"] * 3 + ["toner cartridge"] * 8
    # However many other types there are.
    others = {f"{letter}hat": 4 for letter in "abcdefghijkl"}
    more = _merge_sure(others | counts, meanings | {name: 3 + at for at, name in enumerate(others)})
    assert more.names == [*others, *found.names]
    assert dict(more.synonyms) == {name: place + len(others) for name, place in found.synonyms.items()}


def test_variants_of_one_name_are_two_types_if_their_titles_differ() -> None:
    counts = {"desktop board": 5, "lamp": 4, "motherboard": 3, "toner": 2, "toner cartridge": 6}
    found = _merge_sure(counts, {name: at for at, name in enumerate(counts)})
    assert found.names == list(counts)
    assert not found.synonyms


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("monitor cable", "vga cable"),  # siblings
        ("printer", "laser printer"),  # one is narrower
        ("laser printer", "printer"),
        ("notebook", "lamp"),  # no word in common
    ],
)
def test_other_names_stay_apart_although_their_titles_are_alike(one: str, other: str) -> None:
    found = _merge_sure({one: 5, other: 3, "battery": 6}, {one: 0, other: 0, "battery": 1})
    assert found.names == [one, other, "battery"]
    assert not found.synonyms
    assert _types(found) == [one] * 5 + [other] * 3 + ["battery"] * 6


def test_products_that_name_nothing_are_named_group_by_group_by_a_taxonomy() -> None:
    silent: list[Row] = [(f"Okapi Travelite t{at}", "Okapi", "") for at in range(24)]
    silent += [(f"Okapi Glow g{at}", "Okapi", "") for at in range(24)]
    labels = _label([*NOTEBOOKS, *BATTERIES, *silent], categories=["rucksack", "notebook", "lamp", ""])
    assert _types(labels)[24:] == ["rucksack"] * 24 + ["lamp"] * 24
    assert not any(labels.named[24:])


def test_a_category_without_a_word_names_no_group() -> None:
    vectors, centre = embed(["Travelite"] * 3), embed(["Travelite", "lamp", "battery"]).mean(0)
    named = [Categories((name, "lamp"), embed(["rucksack", "lamp"])) for name in ("bag", "")]
    assert [_name_group(vectors, categories, centre) for categories in named] == ["bag", None]


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
    first, second = (_label([*NOTEBOOKS, *silent], categories=["rucksack", "lamp"]) for _ in range(2))
    assert first.names == second.names
    np.testing.assert_array_equal(first.types, second.types)
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
