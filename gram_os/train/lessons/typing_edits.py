"""How typed queries differ from what the catalogue says: words are dropped, swapped, abbreviated, joined, misspelt.

`edit_words` applies such edits at random and names those that changed something. Each edit is also a function of its
own. Knows words, no products.
"""

from __future__ import annotations

import random
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from gram_os.train.lessons.abbreviations import abbreviate

_MAX_QUERY: Final = 120  # characters of a query


class TypingEdit(StrEnum):
    """One way in which a typed query differs from what the catalogue says."""

    DROP = "drop"
    REORDER = "reorder"
    ABBREVIATE = "abbreviate"
    PLURALISE = "pluralise"
    JOIN = "join"
    MISSPELL = "misspell"


#: The probability with which each edit is tried. An edit that cannot apply (a drop out of two words) changes nothing.
EDIT_RATES: Final[Mapping[TypingEdit, float]] = MappingProxyType(
    {
        TypingEdit.DROP: 0.3,
        TypingEdit.REORDER: 0.12,
        TypingEdit.ABBREVIATE: 0.08,
        TypingEdit.PLURALISE: 0.15,
        TypingEdit.JOIN: 0.04,
        TypingEdit.MISSPELL: 0.1,
    }
)


@dataclass(frozen=True, slots=True)
class EditedQuery:
    """A query as it was typed, and the edits that changed it."""

    text: str
    edits: tuple[TypingEdit, ...]


def edit_words(words: Sequence[str], rng: random.Random, rates: Mapping[TypingEdit, float] = EDIT_RATES) -> EditedQuery:
    """Put words into lower case, then try each edit by its rate, in the order of `TypingEdit`.

    Only edits that changed something are named. The text is cut at `_MAX_QUERY` characters.
    """
    edited = [word for text in words for word in text.lower().split()]
    edits = []
    for edit, apply in _EDITS.items():
        if rng.random() < rates.get(edit, 0.0):
            before = list(edited)
            edited = apply(edited, rng)
            if edited != before:
                edits.append(edit)
    return EditedQuery(" ".join(edited)[:_MAX_QUERY].strip(), tuple(edits))


def drop(words: Sequence[str], rng: random.Random) -> list[str]:
    """Leave out one word of four or more."""
    kept = list(words)
    if len(kept) > 3:
        kept.pop(rng.randrange(len(kept)))
    return kept


def reorder(words: Sequence[str], rng: random.Random) -> list[str]:
    """Put the last word first, or swap two neighbours."""
    reordered = list(words)
    if len(reordered) > 1 and rng.random() < 0.5:
        return [reordered[-1], *reordered[:-1]]
    if len(reordered) > 1:
        at = rng.randrange(len(reordered) - 1)
        reordered[at : at + 2] = reordered[at + 1], reordered[at]
    return reordered


def join(words: Sequence[str], rng: random.Random) -> list[str]:
    """Write two neighbours as one word."""
    joined = list(words)
    if len(joined) > 1:
        at = rng.randrange(len(joined) - 1)
        joined[at : at + 2] = [joined[at] + joined[at + 1]]
    return joined


def pluralise(word: str) -> str:
    """Turn a plain English word into its plural, or a plural into its singular.

    >>> pluralise("battery"), pluralise("cables"), pluralise("box"), pluralise("x2")
    ('batteries', 'cable', 'boxes', 'x2')
    """
    if not word.isalpha() or len(word) < 3:
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


def misspell(word: str, rng: random.Random) -> str:
    """Make one slip in a word of five letters or more: a letter is lost, doubled, swapped with the next, or wrong."""
    if len(word) < 5 or not word.isalpha():
        return word
    at = rng.randrange(1, len(word) - 1)
    slip = rng.randrange(4)
    if slip == 0:
        return word[:at] + word[at + 1 :]
    if slip == 1:
        return word[:at] + word[at] + word[at:]
    if slip == 2:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + rng.choice(string.ascii_lowercase) + word[at + 1 :]


def _pluralise_last(words: Sequence[str], _rng: random.Random) -> list[str]:
    return [*words[:-1], *(pluralise(word) for word in words[-1:])]


def _misspell_one(words: Sequence[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(words)) if words else 0
    return [misspell(word, rng) if place == at else word for place, word in enumerate(words)]


_EDITS: Final = {
    TypingEdit.DROP: drop,
    TypingEdit.REORDER: reorder,
    TypingEdit.ABBREVIATE: abbreviate,
    TypingEdit.PLURALISE: _pluralise_last,
    TypingEdit.JOIN: join,
    TypingEdit.MISSPELL: _misspell_one,
}
