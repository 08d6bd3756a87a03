"""Abbreviations as shoppers type them: other spellings of units, known short forms, cut words, words without vowels."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

# Spellings of a unit; behind a number each may replace any other of its row.
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
# Long form -> short form.
_SHORT_FORMS: Final[Mapping[str, str]] = MappingProxyType(
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
_LONG: Final = re.compile(r"(?<![^\W_])(" + "|".join(sorted(_SHORT_FORMS, key=len, reverse=True)) + r")(?![^\W_])")


def abbreviate(words: Sequence[str], rng: random.Random) -> list[str]:
    """Write a unit in another way; else use a known short form; else cut a word or drop its vowels.

    Only a word of at least six letters is cut or loses its vowels.

    >>> abbreviate(["stainless", "steel", "sink"], random.Random(0))
    ['ss', 'sink']
    """
    text = " ".join(words)
    if (found := _UNIT.search(text)) is not None:
        other = rng.choice([s for s in _UNIT_GROUP[found[2]] if s != found[2]])
        gap = "" if other == '"' else (found[1] or rng.choice(("", " ")))
        return (text[: found.start()] + gap + other + text[found.end() :]).split()
    if (found := _LONG.search(text)) is not None:
        return (text[: found.start()] + _SHORT_FORMS[found[1]] + text[found.end() :]).split()
    long = [at for at, word in enumerate(words) if len(word) >= 6 and word.isalpha() and word.isascii()]
    shortened = list(words)
    if long:
        at = rng.choice(long)
        shortened[at] = rng.choice((cut_short, drop_vowels))(words[at])
    return shortened


def cut_short(word: str) -> str:
    """Cut a word of six letters or more to its first four to six letters.

    The cut is behind a consonant that a vowel follows, else behind the sixth letter; at least one letter goes.

    >>> cut_short("refrigerator"), cut_short("commercial"), cut_short("stainless"), cut_short("door")
    ('refr', 'comm', 'stainl', 'door')
    """
    if len(word) < 6:
        return word
    ends = (at for at in range(4, 7) if word[at - 1] not in "aeiou" and word[at : at + 1] in tuple("aeiou"))
    return word[: next(ends, min(6, len(word) - 1))]


def drop_vowels(word: str) -> str:
    """Drop the vowels between the first and the last letter; a word with fewer than three consonants left stays whole.

    >>> drop_vowels("bracket"), drop_vowels("audio")
    ('brckt', 'audio')
    """
    short = word[:1] + "".join(c for c in word[1:-1] if c not in "aeiou") + word[1:][-1:]
    return short if sum(c not in "aeiou" for c in short) >= 3 else word
