"""The normaliser: text into normalised values. It settles Unicode, case, stems, units and joined words.

The two sides of GRAM meet only when "17-inch Laptops" and 'laptop 17"' give the same strings. So queries, titles,
catalogue fields and tagged spans all pass through `Normaliser`. It knows words, but neither attribute types nor models.
Its rules are on one page: docs/text-rules.md. A change here changes the id of every bundle (rules.py).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

import Stemmer

from gram_os.text.fold import fold
from gram_os.text.letters import ASCII_WORD, WORD
from gram_os.text.markup import strip_markup
from gram_os.text.measures import FRACTION, NUMBER, UNIT, read_measure

__all__ = ["STOPWORDS", "Normaliser", "Token", "fold"]


def _token_pattern(word: str) -> re.Pattern[str]:
    """Match a word with its inner signs; or a range with its unit; or a fraction or number, with a unit or without.

    What begins with a letter is a word; what begins with a digit is one when it is no measure.
    """
    rest = rf"(?:['.&+/-]{word})*[+#]*"
    return re.compile(
        rf"(?P<word>(?=[^\W\d_]){word}{rest})"
        rf"|(?P<low>{NUMBER})-(?P<high>{NUMBER}) ?-? ?(?P<shared>{UNIT})\.?"
        rf"|(?:(?P<fraction>{FRACTION})|(?P<number>{NUMBER}))(?: ?-? ?(?P<unit>{UNIT})\.?|(?![^\W_]|[-/.'][^\W_]))"
        rf"|(?P<model>{word}{rest})"
    )


_ASCII_TOKEN, _TOKEN = _token_pattern(ASCII_WORD), _token_pattern(WORD)
_APOSTROPHE = re.compile(r"(?<=\d)'|'(?:s\b)?")  # the s of 80's stays
_DIGIT = re.compile(r"\d")
_VOWEL = re.compile(r"[aeiouy]")
_ACRONYM = re.compile(r"[^\W\d_](?:\.[^\W\d_])+")
_SPLIT = re.compile(r"[&+#/-]+|(?<!\d)\.|\.(?!\d)")
# 24-port is a number and a word. dv7-1211ea is a model number: its letters are no word.
_COUNTED = re.compile(r"\d{1,3}(?:\.\d+)?-(?=[a-z]*[aeiouy])[a-z]{3,}")
# Digits with slashes and hyphens: 12/2 is no 122, and 2-3 no 23. Long ones (48-11-1850) are numbers of parts.
_SLASHED = re.compile(r"\d+(?:-\d+)*/[\d/-]*\d")
_FROM_TO = re.compile(r"(\d{1,3})-(\d{1,3})")
# What people remember of a model number: its longest number (tw5600, xl2410t), and what stands behind it (1000xm4).
_LONG_NUMBER = re.compile(r"(?<![\d.])\d{3,9}(?![\d.])")
_BEHIND = re.compile(r"(?<=\d{3})[a-z]{2,3}\d{1,3}\Z")
_LONGEST_MODEL = 24  # characters; a longer one is no number that a person types
_LANGUAGE = re.compile(r"[a-z](?:\+{2,3}|#)")  # C++, C#; and A++ of an energy label
# Arabic and Hebrew: marks of vowels, which most people leave out, and the marks on alef.
_POINTS = re.compile(r"[\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed]+")
STOPWORDS = frozenset(
    "a an and at by for from in into is it its of on or the to w with without your".split()  # noqa: SIM905
)
_WHOLE = frozenset({"ups"})  # a power supply, and no plural of "up"
_PORTER2 = Stemmer.Stemmer("english")


class Token(NamedTuple):
    """One normalised word, measure or model number of a text.

    value: the normalised form. parts: further values of the same characters, such as the bare number of a measure or
    the pieces of a hyphenated word. start, end: offsets in the folded text. (A named tuple, because a catalogue has ten
    million tokens and a frozen dataclass takes three times as long to make.)
    """

    value: str
    parts: tuple[str, ...]
    start: int
    end: int


class Normaliser:
    """Turns text into normalised values.

    A word is identified by its stem (Porter 2) and written as the stem's commonest form, so that codes stay readable.
    `readable` maps a stem to that form and comes with the bundle. A stem without an entry is written as it is. The
    readable form has the catalogue's accents, and texts meet with and without them. `decimal_comma` says how the
    catalogue writes ambiguous numbers (measures.py). Markup is removed first.

    >>> n = Normaliser({"cartridg": "cartridge", "batteri": "battery"})
    >>> n.values('Xerox® Toner-Cartridges, 17-inch')
    ['xerox', 'toner cartridge', 'toner', 'cartridge', '17 in', '17']
    >>> n.value("AA Batteries")
    'aa battery'
    """

    def __init__(self, readable: Mapping[str, str] | None = None, *, decimal_comma: bool = False):
        self.readable = dict(readable or {})
        self.decimal_comma = decimal_comma
        self._word = lru_cache(maxsize=100_000)(self._normalise_word)
        # Attribute fields repeat the same values many times.
        self._short = lru_cache(maxsize=50_000)(self._settle)
        self._short_values = lru_cache(maxsize=50_000)(self._list_values)

    def tokens(self, text: str) -> list[Token]:
        """Return all tokens of a text in order, without stop words."""
        return list(self._tokens(self.fold(text)))

    def fold(self, text: str) -> str:
        """Return a text as `tokens` reads it: without markup, folded. Offsets of tokens are offsets in it."""
        return fold(strip_markup(text), decimal_comma=self.decimal_comma)

    def has_values(self, text: str, *, longest: int) -> bool:
        """Say whether a text gives a value of at most `longest` characters. It reads up to the first one."""
        return any(len(token.value) <= longest for token in self._tokens(self.fold(text)))

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
        read = self._word
        for match in (_ASCII_TOKEN if folded.isascii() else _TOKEN).finditer(folded):
            kind = match.lastgroup
            if kind == "word" or kind == "model":
                value, parts = read(match[0])
            else:
                value, parts = read_measure(match, decimal_comma=self.decimal_comma)
            if value:
                yield Token(value, parts, match.start(), match.end())

    def _normalise_word(self, word: str) -> tuple[str, tuple[str, ...]]:
        if word.isascii() and word.isalpha():  # the commonest case, only faster
            stem = "" if word in STOPWORDS else self.stem(word)
            return ("" if stem in STOPWORDS else stem), ()
        if _LANGUAGE.fullmatch(word):
            return word, ()
        word = _APOSTROPHE.sub("", word)
        if ("&" in word and len(word) <= 5) or _ACRONYM.fullmatch(word):
            word = word.replace("&", "").replace(".", "")  # AT&T, U.S.A.
        pieces = [p for p in _SPLIT.split(word) if p]
        if not word.isalpha() and _DIGIT.search(word) and not _COUNTED.fullmatch(word):
            return self._read_number(word, pieces)
        stems = tuple(stem for p in pieces if p not in STOPWORDS and (stem := self.stem(p)) not in STOPWORDS)
        parts = stems if len(stems) > 1 else ()
        if "-" in word and len(pieces) == 2 and min(map(len, pieces)) <= 3:
            parts += (self.stem("".join(pieces)),)  # Wi-Fi is also wifi
        value = " ".join(stems)
        if not value.isascii() and (bare := _drop_points(value)) != value:
            parts += (bare, *bare.split()) if len(stems) > 1 else (bare,)
        return value, parts

    def _read_number(self, word: str, pieces: list[str]) -> tuple[str, tuple[str, ...]]:
        """Read a word with digits: a model number (dv7-1211ea is dv71211ea) or digits with signs (12/2, 2-3)."""
        if _SLASHED.fullmatch(word):
            if word.count("/") == 1 and "-" in word:  # the thread 1/4-20
                return word, tuple(value for piece in word.split("-") for value in self.values(piece))
            return word, tuple(pieces)
        if (match := _FROM_TO.fullmatch(word)) and int(match[1]) < int(match[2]):
            return word, (match[1], match[2])
        remembered = tuple(found for p in pieces for found in _remember(p))
        if len(pieces) > 1:
            return self.value("".join(pieces)), (*(v for p in pieces if (v := self.value(p))), *remembered)
        return (self.stem(pieces[0]) if pieces[0] not in STOPWORDS else ""), remembered

    def stem(self, word: str) -> str:
        """Return the readable form of a folded word. A word with digits stays as it is."""
        if not word.isalpha():
            return word
        stem = _stem(word)
        return self.readable.get(stem, stem)


def _remember(piece: str) -> Iterator[str]:
    """Yield what people remember of a piece of a model number.

    >>> list(_remember("tw5600")), list(_remember("1000xm4")), list(_remember("cat5e")), list(_remember("1080"))
    (['5600'], ['1000', 'xm4'], [], [])
    """
    if len(piece) <= _LONGEST_MODEL and not piece.isdigit() and (numbers := _LONG_NUMBER.findall(piece)):
        yield max(numbers, key=len)
        yield from _BEHIND.findall(piece)


def _drop_points(word: str) -> str:
    """Drop the vowel marks of Arabic and Hebrew."""
    return unicodedata.normalize("NFC", _POINTS.sub("", unicodedata.normalize("NFD", word)))


def _stem(word: str) -> str:
    """Apply Porter 2 until nothing changes, so that a stem is its own stem. TVs and PCs are plurals too."""
    while 3 < len(word) <= 40 or (len(word) == 3 and word.endswith("s") and word not in _WHOLE):
        shorter = str(_PORTER2.stemWord(word))
        if shorter == word and word.endswith("s") and not word.endswith("ss") and not _VOWEL.search(word):
            shorter = word[:-1]
        if shorter == word:
            break
        word = shorter
    return word
