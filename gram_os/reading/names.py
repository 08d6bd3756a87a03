"""The names of product types in a text, and how likely the place of each makes it.

Knows phrases and names. Knows no products and no probabilities of a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gram_os.text.heads import Phrase, Role, TypeNames

#: What the place of a name costs, in natural logarithms.
EARLIER: Final = 3.0  # for each name behind it in its phrase: "battery" in "battery charger"
LINKED: Final = 2.5  # its phrase stands behind a linking word: "laptop" in "case for laptop"
BEHIND: Final = 0.7  # for each phrase with a name before its own
GENERIC: Final = 2.0  # it says nothing by itself: "kit"
COUNTED: Final = 3.0  # a number stands right before it: "50 sheets"

_GENERIC: Final = (
    "accessory part supply product good item equipment piece other set pack component solution service type size style "
    "series replacement kit unit system device line group option bundle edition package feature use design number "
    "collection assortment box case container lot pair roll sheet"
)
#: Names that say nothing by themselves. With a modifier they do: "rack accessory".
GENERIC_NAMES: Final = frozenset(_GENERIC.split())


@dataclass(frozen=True, slots=True)
class NameInText:
    """A name of product types in a text.

    types: their places in the vocabulary, the one with the most products first. penalty: how unlikely the name's place
    makes it, in natural logarithms, 0 or above.
    """

    name: str
    types: tuple[int, ...]
    penalty: float


def find_names(phrases: Sequence[Phrase], names: TypeNames) -> list[NameInText]:
    """Return the names in the phrases of a text, each once, likeliest places first.

    The last name of a phrase costs nothing. An earlier one costs `EARLIER` for each name behind it. A phrase behind a
    linking word costs `LINKED`, and each phrase with a name before it `BEHIND`.
    """
    found: dict[str, NameInText] = {}
    before = 0
    for phrase in phrases:
        here = list(_names_of(phrase, names))
        for rank, (name, types) in enumerate(here):
            penalty = EARLIER * rank + BEHIND * before + LINKED * (phrase.role is Role.LINKED)
            penalty += GENERIC * (name in GENERIC_NAMES) + COUNTED * (phrase.counted and name == phrase.words[0])
            if name not in found or penalty < found[name].penalty:
                found[name] = NameInText(name, types, penalty)
        before += bool(here)
    return sorted(found.values(), key=lambda named: named.penalty)


def _names_of(phrase: Phrase, names: TypeNames) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the names of a phrase from its end to its beginning, without overlaps, the longest at each place."""
    words, stop = phrase.words, len(phrase.words)
    while stop > 0:
        for start in range(max(0, stop - names.longest), stop):
            name = " ".join(words[start:stop])
            if types := names.find(name):
                yield name, types
                stop = start
                break
        else:
            stop -= 1
