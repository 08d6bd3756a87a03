"""The normaliser: text into normalised values. It settles Unicode, case, stems, units and joined words.

The two sides of GRAM meet only when "17-inch Laptops" and 'laptop 17"' give the same strings. So queries, titles,
catalogue fields and tagged spans all pass through `Normaliser`. It knows words, but neither attribute types nor models.
A change here changes the id of every bundle (rules.py).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import Stemmer

# Canonical unit -> how shops write it, after `fold`. A canonical unit is one of its own spellings and no stop word, so
# that a normalised measure reads as the same measure again.
_UNITS: Mapping[str, str] = {
    "in": r"in(?:ch(?:es)?)?|\"",
    "ft": r"ft|feet|foot|'",
    "yd": r"yds?|yards?",
    "mm": r"mm|milli?met(?:er|re)s?",
    "cm": r"cms?|centimet(?:er|re)s?",
    "m": r"m|met(?:er|re)s?",
    "sq ft": r"sq(?:uare|\.)? ?(?:ft|feet|foot)",
    "cu ft": r"cu(?:bic|\.)? ?(?:ft|feet|foot)",
    "lb": r"lbs?|pounds?",
    "oz": r"ozs?|ounces?",
    "fl oz": r"fl(?:uid|\.)? ?(?:ozs?|ounces?)",
    "kg": r"kgs?|kilograms?|kilos?",
    "g": r"g|grams?",
    "gal": r"gals?|gallons?",
    "qt": r"qts?|quarts?",
    "l": r"l|lit(?:er|re)s?",
    "ml": r"ml|millilit(?:er|re)s?",
    "v": r"v|volts?",
    "w": r"w(?!/)|watts?",  # "w/" is "with"
    "kw": r"kw|kilowatts?",
    "amp": r"amps?|amperes?",  # "a" alone is a stop word
    "mah": r"mah",
    "wh": r"wh",
    "va": r"va",
    "db": r"db|decibels?",
    "hz": r"hz|hertz",
    "khz": r"khz",
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
    "rpm": r"rpm",
    "ppm": r"ppm",
    "fps": r"fps",
    "lm": r"lm|lumens?",
    "psi": r"psi",
    "gpm": r"gpm",
    "cfm": r"cfm",
    "btu": r"btus?",
    "hp": r"hp|horsepower",
    "ga": r"ga|gauges?",
    "pk": r"pks?|packs?",
    "pc": r"pcs?|pieces?",
    "deg": r"deg|degrees?|°",
    "%": r"%|percent",
}
_UNIT_OF = [(unit, re.compile(rf"(?:{pattern})\Z")) for unit, pattern in _UNITS.items()]
_ANY_UNIT = "|".join(sorted(_UNITS.values(), key=len, reverse=True))
# Repetitions are bounded: a text may be 100 kB of digits and commas.
_NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,5}|\d{1,18})(?:\.\d{1,9})?|\.\d{1,9}"
_FRACTION = r"(?:\d{1,9} ?[- ] ?)?\d{1,9} ?/ ?\d{1,9}"
# A unit of letters ends with the word. Anything may follow a sign, but only inches may follow feet (5'10").
_UNIT = rf"(?:{_ANY_UNIT})(?:(?<=[\"%°])|(?<=')(?![^\W\d_])|(?![^\W_]))"
# A range with its unit; or a fraction or number, with a unit or without; or a word with its inner signs.
_TOKEN = re.compile(
    rf"(?P<low>{_NUMBER})-(?P<high>{_NUMBER}) ?-? ?(?P<shared>{_UNIT})\.?"
    rf"|(?:(?P<fraction>{_FRACTION})|(?P<number>{_NUMBER}))(?: ?-? ?(?P<unit>{_UNIT})\.?|(?![^\W_]|[-/.'][^\W_]))"
    r"|(?P<word>[^\W_]+(?:['.&+/-][^\W_]+)*\+*)"
)
_QUOTES = str.maketrans({**dict.fromkeys("‘’‛′´`", "'"), **dict.fromkeys("“”„‟″〃", '"')})
_MARKS = re.compile(r"[®™©℠]")
_VULGAR = re.compile(r"(?<=\d)(?=[¼½¾⅐-⅞])")
_PLURAL = re.compile(r"\((e?s)\)")
# Matches 4x8 and 4 ft x 8 ft, but neither "X463 X464" nor the part number 04X4641.
_SIDE = rf"(?!0\d)(?:{_NUMBER})(?:['\"]| ?(?:in\.?|ft\.?|mm|cm|m))?"
_TIMES = re.compile(rf"(?<![\w.-])(?:{_SIDE}(?: ?[×*] ?| x |x))+(?=\.?\d)")
_TIMES_SIGN = re.compile(r" ?[x×*] ?")
_IN_ONE = re.compile(r"\b(\d{1,2})[ -]?in[ -]?(?:1|one)\b")
_APOSTROPHE = re.compile(r"(?<=\d)'|'(?:s\b)?")  # the s of 80's stays
_DIGITS = re.compile(r"\d+")
_VOWEL = re.compile(r"[aeiouy]")
_ACRONYM = re.compile(r"[^\W\d_](?:\.[^\W\d_])+")
_SPLIT = re.compile(r"[&+/-]+|(?<!\d)\.|\.(?!\d)")
# 24-port is a number and a word. dv7-1211ea is a model number: its letters are no word.
_COUNTED = re.compile(r"\d{1,3}(?:\.\d+)?-(?=[a-z]*[aeiouy])[a-z]{3,}")
STOPWORDS = frozenset(
    "a an and at by for from in into is it its of on or the to w with without your".split()  # noqa: SIM905
)
_PORTER2 = Stemmer.Stemmer("english")


@dataclass(frozen=True, slots=True)
class Token:
    """One normalised word, measure or model number of a text.

    value: the normalised form. parts: further values of the same characters, such as the bare number of a measure or
    the pieces of a hyphenated word. start, end: offsets in the folded text.
    """

    value: str
    parts: tuple[str, ...]
    start: int
    end: int


class Normaliser:
    """Turns text into normalised values.

    A word is identified by its stem (Porter 2) and written as the stem's commonest form, so that codes stay readable.
    `readable` maps a stem to that form and comes with the bundle. A stem without an entry is written as it is.

    >>> n = Normaliser({"cartridg": "cartridge", "batteri": "battery"})
    >>> n.values('Xerox® Toner-Cartridges, 17-inch')
    ['xerox', 'toner cartridge', 'toner', 'cartridge', '17 in', '17']
    >>> n.value("AA Batteries")
    'aa battery'
    """

    def __init__(self, readable: Mapping[str, str] | None = None):
        self.readable = dict(readable or {})
        self._word = lru_cache(maxsize=100_000)(self._normalise_word)
        # Attribute fields repeat the same values many times.
        self._short = lru_cache(maxsize=50_000)(self._settle)
        self._short_values = lru_cache(maxsize=50_000)(self._list_values)

    def tokens(self, text: str) -> list[Token]:
        """Return all tokens of a text in order, without stop words."""
        return list(self._tokens(fold(text)))

    def values(self, text: str) -> list[str]:
        """Return the values of a text's tokens and their parts, in order, without repeats."""
        return list(self._short_values(text) if len(text) <= 100 else self._list_values(text))

    def _list_values(self, text: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for token in self.tokens(text):
            found[token.value] = None
            found.update(dict.fromkeys(token.parts))
        return tuple(found)

    def value(self, phrase: str) -> str:
        """Normalise one attribute value, words joined by a space. It is empty for punctuation and stop words alone.

        Normalising repeats until nothing changes, because words that come together may be a measure: "17 (inches)"
        becomes "17 in".
        """
        return self._short(phrase) if len(phrase) <= 100 else self._settle(phrase)

    def _settle(self, phrase: str) -> str:
        found = self._join(phrase)
        while (again := self._join(found)) != found:
            found = again
        return found

    def _join(self, phrase: str) -> str:
        return " ".join(token.value for token in self.tokens(phrase))

    def _tokens(self, folded: str) -> Iterator[Token]:
        for match in _TOKEN.finditer(folded):
            value, parts = self._word(match["word"]) if match["word"] else _read_measure(match)
            if value:
                yield Token(value, parts, match.start(), match.end())

    def _normalise_word(self, word: str) -> tuple[str, tuple[str, ...]]:
        word = _APOSTROPHE.sub("", word)
        if ("&" in word and len(word) <= 5) or _ACRONYM.fullmatch(word):
            word = word.replace("&", "").replace(".", "")  # AT&T, U.S.A.
        pieces = [p for p in _SPLIT.split(word) if p]
        if len(pieces) > 1 and any(c.isdigit() for c in word) and not _COUNTED.fullmatch(word):
            # A model number: dv7-1211ea is dv71211ea.
            return self.value("".join(pieces)), tuple(v for p in pieces if (v := self.value(p)))
        stems = tuple(stem for p in pieces if p not in STOPWORDS and (stem := self.stem(p)) not in STOPWORDS)
        parts = stems if len(stems) > 1 else ()
        if "-" in word and len(pieces) == 2 and min(map(len, pieces)) <= 3:
            parts += (self.stem("".join(pieces)),)  # Wi-Fi is also wifi
        return " ".join(stems), parts

    def stem(self, word: str) -> str:
        """Return the readable form of a folded word. A word with digits stays as it is."""
        if not word.isalpha():
            return word
        stem = _stem(word)
        return self.readable.get(stem, stem)


def fold(text: str) -> str:
    """Fold a text: Unicode NFKC, lower case, without accents and trade marks, `4x8` split, `3-in-1` joined.

    >>> fold("Café® 4ft x 8ft, 1½″")
    'cafe 4ft × 8ft, 1 1/2"'
    """
    if not text.isascii():
        text = _fold_unicode(text)
    # A pattern is tried only when its sign occurs: most titles have none, and a catalogue has a million texts.
    text = " ".join(text.casefold().split())
    if "(" in text:
        text = _PLURAL.sub(r"\1", text)
    if "x" in text or "×" in text or "*" in text:
        text = _TIMES.sub(lambda sides: _TIMES_SIGN.sub(" × ", sides[0]), text)
    text = text.replace("''", '"')
    return _IN_ONE.sub(r"\1in1", text) if "in" in text else text


def _fold_unicode(text: str) -> str:
    # Marks, quotes and fractions come first: NFKC would give the letters "TM", two primes, and 11/2 for 1½.
    text = _VULGAR.sub(" ", _MARKS.sub(" ", text.translate(_QUOTES)))
    text = unicodedata.normalize("NFKC", text).casefold()
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return unicodedata.normalize("NFKC", text).replace("⁄", "/")


def _stem(word: str) -> str:
    """Apply Porter 2 until nothing changes, so that a stem is its own stem. TVs and PCs are plurals too."""
    while 3 < len(word) <= 40 or (len(word) == 3 and word.endswith("s")):
        shorter = str(_PORTER2.stemWord(word))
        if shorter == word and word.endswith("s") and not word.endswith("ss") and not _VOWEL.search(word):
            shorter = word[:-1]
        if shorter == word:
            break
        word = shorter
    return word


def _read_measure(match: re.Match[str]) -> tuple[str, tuple[str, ...]]:
    """Return value and parts of a measure, a range or a bare number."""
    if match["shared"]:
        unit = _canonical_unit(match["shared"])
        low, high = _canonical_number(match["low"]), _canonical_number(match["high"])
        return f"{low}-{high} {unit}", (f"{low} {unit}", f"{high} {unit}")
    if match["fraction"]:
        return _read_fraction(match["fraction"], match["unit"])
    number = _canonical_number(match["number"])
    return (f"{number} {_canonical_unit(match['unit'])}", (number,)) if match["unit"] else (number, ())


def _read_fraction(text: str, unit: str | None) -> tuple[str, tuple[str, ...]]:
    """Read 1-1/2 as 1.5, as shops mean it. Other fractions are ranges (110/220 V) or model numbers (24/7)."""
    digits = _DIGITS.findall(text)
    *whole, above, below = map(int, digits)
    if 0 < above < below <= 64:
        number = _canonical_number(f"{sum(whole) + above / below:.4f}")
        return (f"{number} {_canonical_unit(unit)}", (number,)) if unit else (number, ())
    if not unit:
        return "".join(digits), tuple(digits)
    unit = _canonical_unit(unit)
    return f"{'-'.join(digits)} {unit}", tuple(f"{number} {unit}" for number in digits)


@lru_cache(maxsize=1000)
def _canonical_unit(text: str) -> str:
    return next(unit for unit, pattern in _UNIT_OF if pattern.match(text))


def _canonical_number(text: str) -> str:
    """Drop thousands commas and trailing zeros, add a leading zero: 1,000 -> 1000, .50 -> 0.5."""
    whole, _, decimals = text.replace(",", "").partition(".")
    decimals = decimals.rstrip("0")
    return f"{whole or 0}.{decimals}" if decimals else whole or "0"
