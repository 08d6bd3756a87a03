"""What typing does to a query's words: dropped, turned round, abbreviated, pluralised, joined, misspelt.

Each wear can be had by itself; `wear_words` applies them by chance and says which it applied. Knows words, no products.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

MAX_TEXT: Final = 120  # characters of a query


class Wear(StrEnum):
    """One way in which a typed query differs from what stands in the catalogue."""

    DROP = "drop"
    REORDER = "reorder"
    ABBREVIATE = "abbreviate"
    PLURALISE = "pluralise"
    JOIN = "join"
    MISSPELL = "misspell"


#: How often each wear is tried; one that cannot apply (a drop of two words) leaves the query as it is.
RATES: Final[Mapping[Wear, float]] = MappingProxyType(
    {
        Wear.DROP: 0.3,
        Wear.REORDER: 0.12,
        Wear.ABBREVIATE: 0.08,
        Wear.PLURALISE: 0.15,
        Wear.JOIN: 0.04,
        Wear.MISSPELL: 0.1,
    }
)

# Units are written in any way, behind a number; of the words the short form stands for the long one.
_UNITS: Final = (
    ("inch", "inches", "in", '"'),
    ("foot", "feet", "ft"),
    ("yard", "yards", "yd"),
    ("pound", "pounds", "lb", "lbs"),
    ("ounce", "ounces", "oz"),
    ("gallon", "gallons", "gal"),
    ("square feet", "sq ft", "sqft"),
    ("cubic feet", "cu ft"),
    ("millimeter", "mm"),
    ("centimeter", "cm"),
    ("watt", "watts", "w"),
    ("volt", "volts", "v"),
    ("amp", "amps"),
    ("gigabyte", "gb"),
    ("terabyte", "tb"),
    ("megabyte", "mb"),
    ("gauge", "ga"),
    ("pack", "pk"),
    ("piece", "pieces", "pc", "pcs"),
    ("count", "ct"),
    ("degree", "degrees", "deg"),
    ("horsepower", "hp"),
)
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "air conditioner": "ac",
        "adapter": "adptr",
        "accessories": "acc",
        "aluminum": "alum",
        "assembly": "assy",
        "bathroom": "bath",
        "black": "blk",
        "bluetooth": "bt",
        "bracket": "brkt",
        "brown": "brn",
        "cabinet": "cab",
        "company": "co",
        "department": "dept",
        "diameter": "dia",
        "electric": "elec",
        "exterior": "ext",
        "galvanized": "galv",
        "graphics card": "gpu",
        "green": "grn",
        "hard disk drive": "hdd",
        "hard drive": "hdd",
        "high definition": "hd",
        "interior": "int",
        "large": "lg",
        "maximum": "max",
        "medium": "med",
        "microphone": "mic",
        "minimum": "min",
        "network attached storage": "nas",
        "package": "pkg",
        "power supply unit": "psu",
        "professional": "pro",
        "quantity": "qty",
        "refrigerator": "fridge",
        "replacement": "repl",
        "small": "sm",
        "solid state drive": "ssd",
        "stainless steel": "ss",
        "stainless": "ss",
        "telephone": "phone",
        "television": "tv",
        "temperature": "temp",
        "uninterruptible power supply": "ups",
        "universal": "univ",
        "white": "wht",
        "with": "w/",
        "without": "w/o",
    }
)
_UNIT_GROUP: Final = {spelling: group for group in _UNITS for spelling in group}
_UNIT: Final = re.compile(
    r"(?<=\d)([ -]?)(" + "|".join(re.escape(s) for s in sorted(_UNIT_GROUP, key=len, reverse=True)) + r")\.?(?![^\W_])"
)
_LONG: Final = re.compile(r"(?<![^\W_])(" + "|".join(sorted(_WORDS, key=len, reverse=True)) + r")(?![^\W_])")


@dataclass(frozen=True, slots=True)
class Worn:
    """A query as it was typed, and the wears that made it so."""

    text: str
    wears: tuple[Wear, ...]


def wear_words(words: Sequence[str], rng: random.Random, rates: Mapping[Wear, float] = RATES) -> Worn:
    """Lower case, then each wear by its rate, in the order of `Wear`; only wears that changed something are named."""
    worn = [word for text in words for word in text.lower().split()]
    wears = []
    for kind, apply in _WEARS.items():
        if rng.random() < rates.get(kind, 0.0):
            before = list(worn)
            worn = apply(worn, rng)
            if worn != before:
                wears.append(kind)
    return Worn(" ".join(worn)[:MAX_TEXT].strip(), tuple(wears))


def drop(words: Sequence[str], rng: random.Random) -> list[str]:
    """One word less, of four and more."""
    kept = list(words)
    if len(kept) > 3:
        kept.pop(rng.randrange(len(kept)))
    return kept


def reorder(words: Sequence[str], rng: random.Random) -> list[str]:
    """The last word first, or two neighbours swapped."""
    turned = list(words)
    if len(turned) > 1 and rng.random() < 0.5:
        return [turned[-1], *turned[:-1]]
    if len(turned) > 1:
        at = rng.randrange(len(turned) - 1)
        turned[at : at + 2] = turned[at + 1], turned[at]
    return turned


def abbreviate(words: Sequence[str], rng: random.Random) -> list[str]:
    """A unit written in another way, else a known short form, else one word of six letters and more cut or devowelled.

    >>> abbreviate(["stainless", "steel", "sink"], random.Random(0))
    ['ss', 'sink']
    """
    text = " ".join(words)
    if (found := _UNIT.search(text)) is not None:
        other = rng.choice([s for s in _UNIT_GROUP[found[2]] if s != found[2]])
        gap = "" if other == '"' else (found[1] or rng.choice(("", " ")))
        return (text[: found.start()] + gap + other + text[found.end() :]).split()
    if (found := _LONG.search(text)) is not None:
        return (text[: found.start()] + _WORDS[found[1]] + text[found.end() :]).split()
    long = [at for at, word in enumerate(words) if len(word) >= 6 and word.isalpha() and word.isascii()]
    shortened = list(words)
    if long:
        at = rng.choice(long)
        shortened[at] = rng.choice((cut_short, drop_vowels))(words[at])
    return shortened


def cut_short(word: str) -> str:
    """The first four to six letters of a word, ending where a consonant stands before a vowel, else at the sixth.

    >>> cut_short("refrigerator"), cut_short("commercial"), cut_short("stainless"), cut_short("door")
    ('refr', 'comm', 'stainl', 'door')
    """
    if len(word) < 6:
        return word
    ends = (at for at in range(4, 7) if word[at - 1] not in "aeiou" and word[at : at + 1] in tuple("aeiou"))
    return word[: next(ends, min(6, len(word) - 1))]


def drop_vowels(word: str) -> str:
    """A word without the vowels inside; one that would keep fewer than three consonants stays as it is.

    >>> drop_vowels("bracket"), drop_vowels("audio")
    ('brckt', 'audio')
    """
    short = word[:1] + "".join(c for c in word[1:-1] if c not in "aeiou") + word[1:][-1:]
    return short if sum(c not in "aeiou" for c in short) >= 3 else word


def join(words: Sequence[str], rng: random.Random) -> list[str]:
    """Two neighbours written as one word."""
    joined = list(words)
    if len(joined) > 1:
        at = rng.randrange(len(joined) - 1)
        joined[at : at + 2] = [joined[at] + joined[at + 1]]
    return joined


def pluralise(word: str) -> str:
    """The other number of a plain English word.

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
    """One slip in a word of five letters and more: a letter left out, doubled, swapped with the next, or wrong."""
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


_WEARS: Final = {
    Wear.DROP: drop,
    Wear.REORDER: reorder,
    Wear.ABBREVIATE: abbreviate,
    Wear.PLURALISE: _pluralise_last,
    Wear.JOIN: join,
    Wear.MISSPELL: _misspell_one,
}
