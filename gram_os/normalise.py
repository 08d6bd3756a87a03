"""The one place where text becomes normalised values: Unicode, case, stem, units, joins.

Both sides of GRAM meet only if "17-inch Laptops" and 'laptop 17"' end in the same strings, so queries, titles,
catalogue fields and tagged spans all pass through `Normaliser`. It knows words, not attribute types and not models.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import Stemmer

# Canonical unit -> the ways in which shops write it, after NFKC and case folding.
_UNITS: Mapping[str, str] = {
    "in": r"in(?:ch(?:es)?)?|\"|''|”|″|“",
    "ft": r"ft|feet|foot|'|′|’",
    "yd": r"yds?|yards?",
    "mm": r"mm|milli?met(?:er|re)s?",
    "cm": r"cms?|centimet(?:er|re)s?",
    "m": r"m|met(?:er|re)s?",
    "sq ft": r"sq\.?\s*(?:ft|feet|foot)",
    "cu ft": r"cu\.?\s*(?:ft|feet|foot)",
    "lb": r"lbs?|pounds?",
    "oz": r"ozs?|ounces?",
    "fl oz": r"fl\.?\s*ozs?",
    "kg": r"kgs?|kilograms?|kilos?",
    "g": r"g|grams?",
    "gal": r"gals?|gallons?",
    "qt": r"qts?|quarts?",
    "l": r"l|lit(?:er|re)s?",
    "ml": r"ml|millilit(?:er|re)s?",
    "v": r"v|volts?",
    "w": r"w|watts?",
    "kw": r"kw|kilowatts?",
    "a": r"amps?|amperes?",
    "mah": r"mah",
    "hz": r"hz|hertz",
    "mhz": r"mhz",
    "ghz": r"ghz",
    "kb": r"kb",
    "mb": r"mb|megabytes?",
    "gb": r"gb|gigabytes?",
    "tb": r"tb|terabytes?",
    "gbps": r"gbps|gbit/s|gb/s",
    "mbps": r"mbps|mbit/s|mb/s",
    "mp": r"mp|megapixels?",
    "dpi": r"dpi",
    "psi": r"psi",
    "gpm": r"gpm",
    "cfm": r"cfm",
    "btu": r"btus?",
    "hp": r"hp|horsepower",
    "ga": r"ga|gauges?",
    "pk": r"pks?|packs?",
    "pc": r"pcs?|pieces?|pc\(s\)",
    "deg": r"deg|degrees?|°",
    "%": r"%|percent",
}
_UNIT_OF = [(unit, re.compile(rf"(?:{pattern})\Z")) for unit, pattern in _UNITS.items()]
_ANY_UNIT = "|".join(sorted(_UNITS.values(), key=len, reverse=True))
_NUMBER = r"(?:\d+(?:,\d{3})+|\d+)?(?:\.\d+)?"
_FRACTION = r"(?:\d+\s*[-\s]\s*)?\d+\s*/\s*\d+"
_TOKEN = re.compile(
    rf"(?P<number>{_FRACTION}|(?:\d+(?:,\d{{3}})+|\d+)(?:\.\d+)?|\.\d+)"
    rf"(?:\s*-?\s*(?P<unit>{_ANY_UNIT})(?![a-z0-9])\.?|(?![a-z0-9]|[-/.][a-z0-9]))"
    r"|(?P<word>[^\W_]+(?:['’.&+/-][^\W_]+)*\+*)"
)
_TIMES = re.compile(r"(?<=[\d\"'.])(\s*[a-z]{0,2}\.?)\s*[x×*]\s*(?=\.?\d)")
_MARKS = re.compile(r"[®™©℠]")
_APOSTROPHE = re.compile(r"['’](?:s\b)?")
_SPLIT = re.compile(r"[.&+/-]+")
STOPWORDS = frozenset("a an and at by for from in into is it its of on or the to w with without your".split())
_PORTER2 = Stemmer.Stemmer("english")


@dataclass(frozen=True, slots=True)
class Token:
    """One normalised word, measure or model number of a text.

    `value` is the normalised form; `parts` are further values that the same characters carry: the bare number
    beside a measure, the pieces of a hyphenated word. `start` and `end` are offsets in the folded text.
    """

    value: str
    parts: tuple[str, ...]
    start: int
    end: int


class Normaliser:
    """Turns text into normalised values.

    Words are identified by their stem (Porter 2) and written as the stem's commonest surface form, so that codes
    stay readable: `readable` maps stem -> surface and comes with the bundle. Without an entry the stem itself stands.

    >>> n = Normaliser({"cartridg": "cartridge", "batteri": "battery"})
    >>> n.values('Xerox® Toner-Cartridges, 17-inch')
    ['xerox', 'toner cartridge', 'toner', 'cartridge', '17 in', '17']
    >>> n.value("AA Batteries")
    'aa battery'
    """

    def __init__(self, readable: Mapping[str, str] | None = None):
        self.readable = dict(readable or {})
        self._word = lru_cache(maxsize=100_000)(self._normalise_word)

    def tokens(self, text: str) -> list[Token]:
        """All tokens of a text in order, stop words left out."""
        return list(self._tokens(fold(text)))

    def values(self, text: str) -> list[str]:
        """The single-word values of a text with their parts, in order, without repeats: a text's *own values*."""
        found: dict[str, None] = {}
        for token in self.tokens(text):
            found[token.value] = None
            found.update(dict.fromkeys(token.parts))
        return list(found)

    def value(self, phrase: str) -> str:
        """One attribute value, words joined by a space; empty when nothing but punctuation and stop words is there."""
        return " ".join(token.value for token in self.tokens(phrase))

    def _tokens(self, folded: str) -> Iterator[Token]:
        for match in _TOKEN.finditer(folded):
            if match["number"]:
                number = _canonical_number(match["number"])
                unit = _canonical_unit(match["unit"]) if match["unit"] else ""
                value, parts = (f"{number} {unit}", (number,)) if unit else (number, ())
            else:
                word = _APOSTROPHE.sub("", match["word"])
                value, parts = self._word(word)
                if not value:
                    continue
            yield Token(value, parts, match.start(), match.end())

    def _normalise_word(self, word: str) -> tuple[str, tuple[str, ...]]:
        if "&" in word and len(word) <= 5:
            word = word.replace("&", "")  # AT&T, D&D
        pieces = [p for p in _SPLIT.split(word) if p]
        if len(pieces) < 2:
            bare = word.strip("+.") or word
            return ("", ()) if bare in STOPWORDS else (self.stem(bare), ())
        stems = tuple(self.stem(p) for p in pieces if p not in STOPWORDS)
        if any(c.isdigit() for c in word):
            return "".join(pieces), stems  # a model number: dv7-1211ea is dv71211ea
        return " ".join(stems), stems if len(stems) > 1 else ()

    def stem(self, word: str) -> str:
        """The readable form of a folded word; words with digits and short ones stay as they are."""
        if len(word) <= 3 and not word.endswith("s") or not word.isalpha():
            return word
        stem = str(_PORTER2.stemWord(word))
        return self.readable.get(stem, stem)


def fold(text: str) -> str:
    """Unicode NFKC, case folded, accents and trade marks dropped, `4x8` split.

    >>> fold("Café® 4ft x 8ft")
    'cafe 4ft 8ft'
    """
    # Marks go first: NFKC would write the letters "TM" in place of the sign.
    text = unicodedata.normalize("NFKC", _MARKS.sub(" ", text)).casefold()
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return " ".join(_TIMES.sub(r"\1 ", text).split())


def _canonical_unit(text: str) -> str:
    return next(unit for unit, pattern in _UNIT_OF if pattern.match(text))


def _canonical_number(text: str) -> str:
    """Thousands commas and trailing zeros go, a leading zero comes: 1,000 / .50 -> 1000 / 0.5; 1 - 1/2 -> 1-1/2."""
    if "/" in text:
        return "-".join(re.sub(r"\s*/\s*", "/", text).replace("-", " ").split())
    number = text.replace(",", "")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
        number = "0" + number if number.startswith(".") else number
    return number or "0"
