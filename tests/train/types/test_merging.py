"""Which types are one thing under two names, on probabilities and vectors written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from gram_os.arrays import FloatArray, IntArray
from gram_os.train.types.merging import find_merges


def _titles(types: IntArray, meanings: Sequence[Sequence[float]]) -> FloatArray:
    """Return the titles' vectors, which are near each other, and equal for types of the same row in `meanings`."""
    apart = np.array(meanings, np.float32)[types]
    found: FloatArray = np.hstack([apart, np.full((len(types), 1), 3, np.float32)])
    return found


def _merge(
    products: Mapping[str, int],
    taken: Mapping[str, Mapping[str, float]] | None = None,
    alike: Sequence[Sequence[str]] = (),
    acronyms: Mapping[str, str] | None = None,
    meanings: Sequence[Sequence[float]] | None = None,
) -> dict[str, str]:
    """Return the names that become other ones, with these.

    products: of each type. taken: what the classifier takes the products of a type for, beside the type itself; it is
    sure of the others. alike: types whose titles mean the same. meanings: of the titles of each type, in place of
    `alike`.
    """
    names = list(products)
    types = np.repeat(np.arange(len(names)), list(products.values()))
    probabilities = np.eye(len(names), dtype=np.float32)
    for name, others in (taken or {}).items():
        for other, share in others.items():
            probabilities[names.index(name), [names.index(other), names.index(name)]] += share, -share
    same = {name: row[0] for row in alike for name in row}
    rows = np.eye(len(names)) if meanings is None else meanings
    vectors = _titles(types, [rows[names.index(same.get(name, name))] for name in names])
    with np.errstate(divide="ignore"):
        target = find_merges(names, types, np.log(probabilities)[types], vectors, acronyms or {})
    return {name: names[to] for name, to in zip(names, target.tolist(), strict=True) if names[to] != name}


@pytest.mark.parametrize(
    ("taken", "found"),
    [
        ({"toner cartridge": {"toner": 0.31}}, {"toner cartridge": "toner"}),
        ({"toner cartridge": {"toner": 0.29}}, {}),
        ({"toner cartridge": {"case": 0.6}}, {}),  # no word in common
        ({"toner cartridge": {"case": 0.4, "toner": 0.31}}, {"toner cartridge": "toner"}),
    ],
)
def test_a_type_that_the_classifier_takes_for_another_name_of_it_is_that_type(
    taken: Mapping[str, Mapping[str, float]], found: Mapping[str, str]
) -> None:
    assert _merge({"case": 4, "lamp": 4, "toner": 5, "toner cartridge": 2}, taken) == found


@pytest.mark.parametrize(("share", "merged"), [(0.39, False), (0.41, True)])
def test_a_narrower_name_becomes_the_broader_one_only_if_it_means_the_same(share: float, *, merged: bool) -> None:
    found = _merge({"laser printer": 2, "lamp": 4, "printer": 3}, {"laser printer": {"printer": share}})
    assert found == ({"laser printer": "printer"} if merged else {})


def test_the_broader_of_two_names_never_becomes_the_narrower_one() -> None:
    # Nine of ten of these printers are taken for laser printers, because their titles say no more than "printer".
    products = {"laser printer": 5, "lamp": 4, "printer": 3}
    assert _merge(products, {"printer": {"laser printer": 0.9}}, [("printer", "laser printer")]) == {}


@pytest.mark.parametrize(("likeness", "merged"), [(0.84, False), (0.86, True)])
def test_siblings_are_one_type_only_if_their_titles_are_alike_too(likeness: float, *, merged: bool) -> None:
    # At .85 the cosine of the mean titles, less the mean of all, is .70.
    meanings = [[1, 0, 0], [0, 0, 1], [likeness, (1 - likeness**2) ** 0.5, 0]]
    products = {"monitor cable": 5, "lamp": 8, "vga cable": 4}
    found = _merge(products, {"vga cable": {"monitor cable": 0.5}}, meanings=meanings)
    assert found == ({"vga cable": "monitor cable"} if merged else {})
    assert _merge(products, {"vga cable": {"monitor cable": 0.29}}, meanings=meanings) == {}


OTHERS = {f"{letter}hat": 4 for letter in "abcdefghijkl"}
BOARDS = {"desktop board": 5, "lamp": 4, "motherboard": 3, "toner": 2, "toner cartridge": 6}


def test_variants_of_one_name_are_one_type_if_their_titles_are_alike() -> None:
    alike = [("desktop board", "motherboard"), ("toner", "toner cartridge")]
    found = {"motherboard": "desktop board", "toner": "toner cartridge"}  # the rarer name becomes the commoner one
    assert _merge(BOARDS, alike=alike) == found
    assert _merge(OTHERS | BOARDS, alike=alike) == found  # however many other types there are


def test_variants_of_one_name_are_two_types_if_their_titles_differ() -> None:
    assert _merge(BOARDS) == {}


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
    assert _merge({one: 5, other: 3, "battery": 6}, alike=[(one, other)]) == {}


UPS = "uninterruptible power supply"


@pytest.mark.parametrize(("short", "long"), [(5, 3), (3, 5)])
def test_an_acronym_and_its_words_are_one_type_however_sure_the_classifier_is(short: int, long: int) -> None:
    products = {"lamp": 4, UPS: long, "ups": short}
    found = {UPS: "ups"} if short > long else {"ups": UPS}
    assert _merge(products, acronyms={"ups": UPS}) == found
    assert _merge(OTHERS | products, acronyms={"ups": UPS}) == found  # however many other types there are
    assert _merge(products) == {}


def test_what_becomes_a_type_that_becomes_another_one_becomes_that() -> None:
    found = _merge({"case": 9, "bag case": 5, "bag": 3}, {"bag case": {"case": 0.5}, "bag": {"bag case": 0.5}})
    assert found == {"bag case": "case", "bag": "case"}


def test_a_type_without_products_stays() -> None:
    assert _merge({"printer": 3, "laser printer": 0}, alike=[("printer", "laser printer")]) == {}
