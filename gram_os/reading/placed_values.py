"""The typed values of a text in their places: known values, measures and model numbers.

Of overlapping values the longest wins. What stands behind "for" belongs to another product. Knows the normaliser and
the dictionary; knows neither models nor a product's fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gram_os.text.attribute import AttributeType
from gram_os.text.dictionary import AttributeDictionary
from gram_os.text.measures import UNITS
from gram_os.text.normalise import Normaliser, Token

_T = AttributeType
#: Words behind which another product is named. A colour behind the next sign of a new phrase is the product's again.
_FOR = re.compile(
    r"(?<![\w-])(?:for|f/|fits?|compatible|compat|suitable|equivalent|replaces|works|supports|against|without|w/o)(?![\w-])"
)
_NEW_PHRASE = re.compile(r"[,;:()\[\]|]|\s[-–—]\s")
_MEASURE = re.compile(rf"[\d.-]*\d (?:{'|'.join(map(re.escape, UNITS))})")
_COUNT_UNITS: Final = frozenset({"pc", "pk"})
_ONE: Final = frozenset({"1 pc", "1 pk"})  # true of nearly everything, so it says nothing
_SHORT: Final = 6  # characters of a capacity or a standard such as cat5e, ddr4, a4
_MODEL_LENGTHS: Final = range(4, 25)
_WORD: Final = 4  # letters of a word that is no part of a model number
_LENGTHS: Final = frozenset({"in", "ft", "yd", "mm", "cm", "m"})
#: Types of names that stay whole although a word of theirs is a colour.
_WHOLE: Final = frozenset({_T.BRAND, _T.COLOUR, _T.SERIES})


@dataclass(frozen=True, slots=True)
class PlacedValue:
    """A value in a text.

    type: None for a value that the dictionary does not know. other: it stands behind a word such as "for", so it names
    another product. linked: it stands between such a word and the next sign.
    """

    value: str
    type: AttributeType | None
    other: bool = False
    linked: bool = False


def place_values(text: str, normaliser: Normaliser, dictionary: AttributeDictionary) -> list[PlacedValue]:
    """Return the values of a text from left to right.

    At each word the longest value of the dictionary is taken. A word that is none gives its parts ("black" of
    "black-white"). Measures and model numbers have their types whatever the dictionary says.
    """
    folded = normaliser.fold(text)
    tokens = normaliser.tokens(text)
    link = next((match.end() for match in _FOR.finditer(folded)), len(folded))
    behind = _NEW_PHRASE.search(folded, link)
    stop = behind.start() if behind else len(folded)
    found: list[PlacedValue] = []
    at = 0
    while at < len(tokens):
        size = _longest(tokens, at, dictionary)
        start = tokens[at].start
        other, linked = start >= link, link <= start < stop
        found += [PlacedValue(value, kind, other, linked) for value, kind in _read(tokens[at : at + size], dictionary)]
        at += size
    return found


def is_measure(value: str) -> bool:
    """Say whether a normalised value is a number with a unit.

    >>> is_measure("15.6 in"), is_measure("15.6")
    (True, False)
    """
    return _MEASURE.fullmatch(value) is not None


def unit_of(measure: str) -> str:
    """Return the unit of a measure."""
    return measure.partition(" ")[2]


def dimension(value: str) -> str:
    """Return what a measure measures, its unit where that is no length; any other value stands for itself.

    >>> dimension("2 m"), dimension("6 ft"), dimension("8 gb"), dimension("cat5e")
    ('length', 'length', 'gb', 'cat5e')
    """
    if not is_measure(value):
        return value
    return "length" if unit_of(value) in _LENGTHS else unit_of(value)


def _longest(tokens: Sequence[Token], at: int, dictionary: AttributeDictionary) -> int:
    """Return the number of tokens of the longest known value that begins at a place, 1 where none does."""
    for size in range(min(dictionary.longest, len(tokens) - at), 1, -1):
        kind = dictionary.type_of(" ".join(token.value for token in tokens[at : at + size]))
        if kind in _WHOLE or (kind and not _colours(tokens[at : at + size], dictionary)):
            return size
    return 1


def _colours(tokens: Sequence[Token], dictionary: AttributeDictionary) -> list[str]:
    """Return the words among some tokens that are colours by themselves."""
    return [token.value for token in tokens if dictionary.type_of(token.value) is _T.COLOUR]


def _read(tokens: Sequence[Token], dictionary: AttributeDictionary) -> Iterator[tuple[str, AttributeType | None]]:
    """Yield the value of some tokens with its type, or else their parts."""
    value = " ".join(token.value for token in tokens)
    kind = dictionary.type_of(value)
    if value in _ONE:
        return
    if is_measure(value):
        yield value, _T.SALES_SPECIFICATION if unit_of(value) in _COUNT_UNITS else _T.TECHNICAL_SPECIFICATION
    elif len(tokens) == 1 and _is_model(tokens[0], dictionary):
        yield value, _T.MODEL
    elif kind is _T.COLOUR and len(tokens) > 1:
        colours = _colours(tokens, dictionary)
        if not colours or colours[-1] == tokens[-1].value:  # "stainless steel", "light grey"; but "white paper" is none
            yield value, kind
        yield from ((colour, _T.COLOUR) for colour in colours)
    elif kind is not None or len(tokens) > 1 or not tokens[0].parts:
        yield value, kind
    else:
        yield from ((part, dictionary.type_of(part)) for part in tokens[0].parts)


def _is_model(token: Token, dictionary: AttributeDictionary) -> bool:
    """Say whether a word is a model number: letters and digits that the dictionary does not know as something else.

    A number that a hyphen joins to a known word is none: "paper-1524".
    """
    value, kind = token.value, dictionary.type_of(token.value)
    mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value)) and " " not in value
    if not mixed or len(value) not in _MODEL_LENGTHS or kind not in (None, _T.MODEL, _T.OTHER):
        return False
    return not any(part.isalpha() and len(part) >= _WORD and part in dictionary.tokens for part in token.parts)


def is_standard(value: str, kind: AttributeType | None) -> bool:
    """Say whether a known value is a short capacity or standard: cat5e, ddr4, 80min."""
    short = len(value) <= _SHORT and any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return short and kind in (_T.TECHNICAL_SPECIFICATION, _T.SALES_SPECIFICATION)
