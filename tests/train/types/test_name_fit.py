"""How well a word names the products whose titles end a phrase with it. Words and titles are of our own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from gram_os.arrays import FloatArray
from gram_os.text.normalise import Normaliser
from gram_os.train.types.name_fit import LEAST_TITLES, weigh_names
from tests.train.typed_catalogue import make_encoder

NORMALISER = Normaliser({"mous": "mouse"})
MEANINGS = [
    "printer laserjet dpi",
    "express train",
    "mouse scroll wheel",
    "sata pci controller",
    "lamp glow",
    "desk oak",
]
embed = make_encoder(MEANINGS)
TITLES = {
    "lamp": [f"Okapi glow lamp {at}" for at in range(LEAST_TITLES)],
    "desk": [f"Okapi oak desk {at}" for at in range(LEAST_TITLES)],
    "printer": [f"LaserJet P{at} printer, 1200 dpi" for at in range(LEAST_TITLES)],
    "mouse": [f"Okapi scroll mouse m{at}" for at in range(LEAST_TITLES)],
    "express": [f"Okapi c{at} SATA controller PCI Express" for at in range(LEAST_TITLES)],
}


def _weigh(titles: dict[str, list[str]], encoder: Callable[[Sequence[str]], FloatArray] = embed) -> dict[str, float]:
    return weigh_names(titles, NORMALISER, encoder)


def test_a_word_whose_titles_stay_near_it_without_it_gets_more() -> None:
    found = _weigh(TITLES)
    assert found.keys() == TITLES.keys()
    assert found["express"] < 0.3
    assert min(found["printer"], found["mouse"], found["lamp"], found["desk"]) > 0.9


def test_the_word_itself_says_nothing_however_it_is_written() -> None:
    # Nothing else of these titles means anything, so with the word out of them none is nearer to its own word.
    titles = {
        "printer": ["Okapi Printers, black", "(printer) 3", "PRINTER", "Okapi printer/", "Okapi printer"],
        "mouse": ["Okapi mouse"] * LEAST_TITLES,
        "express": ["Okapi express"] * LEAST_TITLES,
    }
    assert _weigh(titles) == pytest.approx(dict.fromkeys(titles, 0), abs=1e-6)


def test_what_all_titles_have_in_common_counts_for_no_word() -> None:
    # Each title is about offices, which is what "express" means here: still its own titles are no nearer to it.
    office = make_encoder([line.replace("train", "office") for line in MEANINGS])
    found = _weigh({word: [f"{title}, office office office" for title in row] for word, row in TITLES.items()}, office)
    assert found["express"] < 0.3
    assert min(found["printer"], found["mouse"], found["lamp"], found["desk"]) > 0.7


def test_words_in_few_titles_are_left_out() -> None:
    few = {**TITLES, "wheel": ["Okapi scroll wheel"] * (LEAST_TITLES - 1)}
    assert _weigh(few) == _weigh(TITLES)
    enough = {**TITLES, "wheel": ["Okapi scroll wheel"] * LEAST_TITLES}
    assert _weigh(enough).keys() == {*TITLES, "wheel"}


@pytest.mark.parametrize("words", [(), ("printer",), ("printer", "wheel")])
def test_one_word_alone_cannot_be_compared(words: Sequence[str]) -> None:
    titles = {**TITLES, "wheel": ["Okapi scroll wheel"]}
    assert _weigh({word: titles[word] for word in words}) == {}


def test_of_many_titles_some_are_read_from_the_first_to_the_last() -> None:
    read: list[str] = []

    def remember(texts: Sequence[str]) -> FloatArray:
        read.extend(texts)
        return embed(texts)

    near, far = TITLES["printer"][0], TITLES["express"][0].replace("Express", "printer")
    many = {**TITLES, "printer": [near] * 500 + [far] * 500}
    found = _weigh(many, remember)["printer"]
    assert len(read) < 50
    assert _weigh({**TITLES, "printer": [far] * 8})["printer"] < found < _weigh(TITLES)["printer"]
