"""The names of product types in a text, and how likely the place of each makes it.

Knows phrases and names. Knows no products and no probabilities of a model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from gram_os.text.attribute import AttributeType
from gram_os.text.dictionary import AttributeDictionary
from gram_os.text.heads import Phrase, Role, TypeNames
from gram_os.text.normalise import Normaliser
from gram_os.text.product_types import TypeVocabulary

#: What the place of a name costs, in natural logarithms.
EARLIER: Final = 3.0  # for each name behind it in its phrase: "battery" in "battery charger"
LINKED: Final = 2.5  # its phrase stands behind a linking word: "laptop" in "case for laptop"
BEHIND: Final = 0.7  # for each phrase with a name before its own
GENERIC: Final = 2.0  # it says nothing by itself: "kit"
COUNTED: Final = 3.0  # a number stands right before it: "50 labels"
SYNONYM: Final = 1.5  # titles rarely mean a type by a synonym: "set" for a mount

_GENERIC_WORDS: Final = (
    "accessory part supply product good item equipment piece other set pack component solution type size style "
    "series replacement kit unit system device line group option bundle edition package feature use design number "
    "collection assortment container lot pair roll sheet point model combo"
)
_UNIT_WORDS: Final = (
    "pc pcs piece sheet page pack set outlet port roll pair user license year month day count copy cell pin pole way"
)
_STEMS: Final = Normaliser()
_GENERIC: Final = frozenset(map(_STEMS.value, _GENERIC_WORDS.split()))
_UNITS: Final = frozenset(map(_STEMS.value, _UNIT_WORDS.split()))


#: Types of values that are no product type, although a taxonomy may call one so: "wireless" is a radio in WordNet.
_PROPERTIES: Final = frozenset(
    {
        AttributeType.AUDIENCE,
        AttributeType.BRAND,
        AttributeType.COLOUR,
        AttributeType.FUNCTION,
        AttributeType.MATERIAL,
        AttributeType.TECHNICAL_SPECIFICATION,
    }
)


#: Types of values that only narrow what is wanted. A function may name another thing: a "shaving machine".
_NARROWING: Final = frozenset(
    {AttributeType.AUDIENCE, AttributeType.BRAND, AttributeType.COLOUR, AttributeType.MATERIAL}
)


@dataclass(frozen=True)
class KnownNames:
    """The names of a vocabulary as texts use them.

    A synonym that the dictionary knows as a brand, a colour or another property names no type. The last word of
    several names is a name for all of them, although no type is called so: "case" for "notebook case".

    >>> from gram_os.text.product_types import ProductType
    >>> types = TypeVocabulary((ProductType("camera case", 9), ProductType("notebook case", 25, (), ("sleeve",))))
    >>> names = KnownNames(types)
    >>> names.find("sleeve"), names.find("case"), names.find("camera")
    ((1,), (1, 0), ())
    """

    vocabulary: TypeVocabulary
    dictionary: AttributeDictionary | None = None

    @property
    def longest(self) -> int:
        """The largest number of words in a name."""
        return self.vocabulary.longest

    def find(self, name: str) -> tuple[int, ...]:
        """Return the types of a name, the one with the most products first."""
        found = self.vocabulary.find(name)
        kind = None if self.dictionary is None else self.dictionary.type_of(name)
        if found and (name in self.vocabulary.places or kind not in _PROPERTIES):
            return found
        return self._ends.get(name, ())

    def says_more(self, word: str) -> bool:
        """Say whether a word beside a name may make it the name of something else. A brand or a colour does not."""
        return self.dictionary is None or self.dictionary.type_of(word) not in _NARROWING

    @cached_property
    def _ends(self) -> Mapping[str, tuple[int, ...]]:
        ends: dict[str, list[int]] = defaultdict(list)
        order = sorted(range(len(self.vocabulary)), key=lambda place: -self.vocabulary.types[place].products)
        for place in order:
            before, _, last = self.vocabulary.types[place].name.rpartition(" ")
            if before and not is_generic(last):
                ends[last].append(place)
        return {word: tuple(places) for word, places in ends.items()}


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
    linking word costs `LINKED`, and each phrase with a name before it `BEHIND`. A generic word counts as a name behind
    others, although it may name no type: in "lens kit" the lens is an earlier name. What a number counts is no name:
    "50 sheets" says how much there is.
    """
    found: dict[str, NameInText] = {}
    before = 0
    for phrase in phrases:
        here = [(name, types) for name, types in list_names(phrase, names) if not is_amount(phrase, name)]
        for rank, (name, types) in enumerate(here):
            penalty = weigh_place(phrase, name, rank=rank, before=before)
            if types and (name not in found or penalty < found[name].penalty):
                found[name] = NameInText(name, types, penalty)
        before += bool(here)
    return sorted(found.values(), key=lambda named: named.penalty)


def weigh_place(phrase: Phrase, name: str, *, rank: int, before: int) -> float:
    """Return what the place of a name costs, in natural logarithms.

    rank: the number of names behind it in its phrase. before: the number of phrases with a name before its own.
    """
    penalty = EARLIER * rank + BEHIND * before + LINKED * (phrase.role is Role.LINKED)
    return penalty + GENERIC * is_generic(name) + COUNTED * (phrase.counted and name == phrase.words[0])


def is_amount(phrase: Phrase, name: str) -> bool:
    """Say whether a name is only what a number counts: "50 sheets"."""
    return phrase.counted and name == phrase.words[0] and _STEMS.value(name) in _UNITS


def is_generic(name: str) -> bool:
    """Say whether a name says nothing by itself. With a modifier it does: "rack accessory".

    >>> is_generic("accessories"), is_generic("rack accessory")
    (True, False)
    """
    return " " not in name and _STEMS.value(name) in _GENERIC


def list_names(phrase: Phrase, names: TypeNames) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the names of a phrase from its end to its beginning, without overlaps, the longest at each place.

    A generic word that names no type comes with none.
    """
    words, stop = phrase.words, len(phrase.words)
    while stop > 0:
        for start in range(max(0, stop - names.longest), stop):
            name = " ".join(words[start:stop])
            if (types := names.find(name)) or (start == stop - 1 and is_generic(name)):
                yield name, types
                stop = start
                break
        else:
            stop -= 1
