"""The phrases of a title or a query, and the product types at their heads.

A text names what it is about at the head of a noun phrase, and English puts the head last: "notebook case" is a case,
"camera battery" a battery. What follows a preposition says what the thing is for: "battery for select laptops" is a
battery. A number ends a phrase, because specifications follow it. This module knows words, and neither models nor
catalogues.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from gram_os.text.normalise import Normaliser

#: Words that turn what follows into a purpose, a part or a place.
LINKS: Final = frozenset(
    [
        "for",
        "with",
        "in",
        "into",
        "from",
        "to",
        "by",
        "including",
        "includes",
        "include",
        "incl",
        "incl.",
        "compatible",
        "compat",
        "suitable",
        "fits",
        "fit",
        "on",
        "at",
        "against",
        "without",
        "w/o",
        "plus",
        "via",
        "per",
        "using",
        "featuring",
        "that",
        "which",
        "is",
        "are",
        "as",
        "of",
        "works",
        "supports",
        "replaces",
        "replacement-for",
    ]
)
# Signs that end a phrase. A hyphen ends one only between spaces.
_ENDS: Final = re.compile(r"[,;:|()\[\]{}\"“”„«»•·*]|\s[-–—~]+\s|[–—]|\s/\s|\s[&+]\s|\s/|/\s|\.\s|!|\?")
_SPACES: Final = re.compile(r"\S+")
# "w/" and "f/" are "with" and "for". "w/o" is a word of its own, and "f/2.8" is a lens's aperture.
_SHORT_LINK: Final = re.compile(r"(?<!\S)(?:w/(?!o(?:ut)?\b)|f/(?=\s?[^\W\d]))", re.IGNORECASE)


class Role(StrEnum):
    """What stands before a phrase: nothing, a sign or a number, or a linking word such as "for"."""

    FIRST = "first"
    LATER = "later"
    LINKED = "linked"


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words without a break between them, normalised. A linking word before it makes it and all that follow LINKED.

    counted: a number stands right before the first word, as in "50 sheets".
    """

    words: tuple[str, ...]
    role: Role
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """A name of product types at the head of a phrase. types: their places. phrase: the phrase's place in the text."""

    types: tuple[int, ...]
    name: str
    phrase: int
    role: Role


class TypeNames(Protocol):
    """Names of product types. A name may be several normalised words."""

    @property
    def longest(self) -> int:
        """The largest number of words in a name."""

    def find(self, name: str) -> tuple[int, ...]:
        """Return the types of a name; empty for a phrase that names none."""


def split_phrases(text: str, normaliser: Normaliser) -> list[Phrase]:
    """Split a text into phrases of normalised words. A word with a digit stands in none and ends one.

    >>> phrases = split_phrases("HP 6-cell Battery for laptops, black", Normaliser({"batteri": "battery"}))
    >>> [(" ".join(phrase.words), phrase.role.value) for phrase in phrases]
    [('hp', 'first'), ('cell battery', 'later'), ('laptop', 'linked'), ('black', 'linked')]
    """
    found: list[Phrase] = []
    role, counted = Role.FIRST, False

    def close(words: list[str]) -> None:
        nonlocal role
        if words:
            found.append(Phrase(tuple(words), role, counted))
            role = Role.LATER if role is Role.FIRST else role
            words.clear()

    for part in _ENDS.split(_SHORT_LINK.sub("for ", text)):
        words: list[str] = []
        for written in _SPACES.findall(part):
            if written.lower() in LINKS:
                close(words)
                role, counted = Role.LINKED, False
                continue
            for word in normaliser.value(written).split():
                if any(map(str.isdigit, word)):
                    close(words)
                    counted = word.isdigit()  # "50 sheets", and no model number
                else:
                    words.append(word)
        close(words)
        counted = False
    return found


def find_heads(phrases: Sequence[Phrase], names: TypeNames) -> list[Head]:
    """Return the types at the heads of phrases, in the order of the text.

    In each phrase the last name wins, and of names that end there the longest. Words behind it ("toner cartridge
    original black") are properties. Names that are followed by another name are its modifiers.
    """
    return [head for place, phrase in enumerate(phrases) for head in _find_in_phrase(phrase, place, names)]


def _find_in_phrase(phrase: Phrase, place: int, names: TypeNames) -> Iterator[Head]:
    words = phrase.words
    for stop in range(len(words), 0, -1):
        for start in range(max(0, stop - names.longest), stop):
            name = " ".join(words[start:stop])
            if types := names.find(name):
                yield Head(types, name, place, phrase.role)
                return
