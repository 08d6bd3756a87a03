"""Folding: one spelling for what is the same sign to a shopper. Unicode, case, accents, quotes, decimal commas.

Knows signs of all scripts, and nothing of words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from gram_os.text.letters import MARKS, letter_words
from gram_os.text.measures import NUMBER, point_decimals

# Signs that nobody sees: they stand within words, so they vanish. A zero-width space is one of them, except in scripts
# that write no spaces (below). A kashida only stretches an Arabic word.
_UNSEEN: Final = "\u00ad\u034f\u061c\u0640\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff"
_DIRECTIONS: Final = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_SIGNS: Final = str.maketrans(
    {
        **dict.fromkeys("‘’‛′´`", "'"),
        **dict.fromkeys("“”„‟″〃", '"'),
        **dict.fromkeys("‐‑−", "-"),
        **dict.fromkeys((*_UNSEEN, *_DIRECTIONS, *map(chr, range(0xFE00, 0xFE10)))),
        # Voicing marks that stand alone would become a space and a mark.
        **{"゛": "\u3099", "゜": "\u309a"},
        # Latin letters with a stroke are no letter and mark to Unicode, but they are to a shopper's keyboard.
        **dict(zip("ŁłØøĐđı", "LlOoDdi", strict=True)),
        **{"Æ": "AE", "æ": "ae", "Œ": "OE", "œ": "oe", "⁄": "/"},
    }
)
_ACCENTLESS: Final = {sign: _SIGNS[sign] for sign in map(ord, "ŁłØøĐđıÆæŒœ")}
_WRITTEN_SIGNS: Final = {sign: other for sign, other in _SIGNS.items() if sign not in _ACCENTLESS}
_UNSPACED = re.compile(r"(?<=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\u200b")
_MARKS = re.compile(r"[®™©℠]")
_VULGAR = re.compile(r"(?<=\d)(?=[¼½¾⅐-⅞])")
_DASH = re.compile(r"(?<![^\s\d(])[–—](?=\d)")
# The marks on Latin, Greek and Cyrillic letters, on digits and on signs. The marks of й, ї, ў, ѓ and ќ stay: these are
# letters of their own. ё loses its dots: most people type е.
_ACCENTS = re.compile(
    r"(?<=[\x00-\u052f\u1d00-\u1dbf\u1e00-\u20cf\u2100-\u22ff\u2c60-\u2c7f\ua640-\ua66e\ua720-\ua7ff\uab30-\uab6f])"
    rf"(?!(?<=[иу])\u0306|(?<=і)\u0308|(?<=[гк])\u0301)[{MARKS}]+"
)
# NFKC takes the vowel "am" of Thai and Lao apart, and never puts it together again.
_THAI_AM, _LAO_AM = re.compile("(?<=[\u0e01-\u0e4c])\u0e4d\u0e32"), re.compile("(?<=[\u0e81-\u0ecc])\u0ecd\u0eb2")
_PLURAL = re.compile(r"\((e?s)\)")
# Matches 4x8 and 4 ft x 8 ft, but neither "X463 X464" nor the part number 04X4641.
_SIDE = rf"(?!0\d)(?:{NUMBER})(?:['\"]| ?(?:in\.?|ft\.?|mm|cm|m))?"
# A screw's thread comes first: M8x40, M8 x 1.25 x 40 mm.
_BY = rf"{_SIDE}(?: ?[×*] ?| x |x)"
_TIMES = re.compile(rf"(?<![\w.-])(?:m\d{{1,2}} ?[x×*] ?(?:{_BY})*|(?:{_BY})+)(?=\.?\d)")
_TIMES_SIGN = re.compile(r" ?[x×*] ?")
_IN_ONE = re.compile(r"\b(\d{1,2})[ -]?in[ -]?(?:1|one)\b")


def fold(text: str, *, decimal_comma: bool = False) -> str:
    """Fold a text: Unicode NFKC, lower case, no accents, trade marks or unseen signs, `4x8` split, `3-in-1` joined.

    decimal_comma: read ambiguous numbers as a catalogue of decimal commas does (measures.py).

    >>> fold("Café® 4ft x 8ft, 1½″"), fold("0,5 l"), fold("ｶﾞﾗｽ")
    ('cafe 4ft × 8ft, 1 1/2"', '0.5 l', 'ガラス')
    """
    if not text.isascii():
        text = fold_accents(_compose(text.translate(_ACCENTLESS), _SIGNS).casefold())
    return _fold_signs(text.casefold(), decimal_comma)


def fold_accents(text: str) -> str:
    """Drop the accents of Latin, Greek and Cyrillic letters. Marks of other scripts stay, composed."""
    if text.isascii():
        return text
    text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    text = unicodedata.normalize("NFKC", text).translate(_SIGNS)
    return _LAO_AM.sub("\u0eb3", _THAI_AM.sub("\u0e33", text)) if "\u0e4d" in text or "\u0ecd" in text else text


def written_words(text: str) -> Iterator[str]:
    """Yield the words of a text without digits, in lower case, with their accents. `fold` of each is one word."""
    if not text.isascii():
        text = _compose(text, _WRITTEN_SIGNS)
    yield from letter_words(_fold_signs(text.lower(), decimal_comma=False).replace("i\u0307", "i"))  # of "İ"


def _compose(text: str, signs: dict[int, str | None]) -> str:
    # Marks, quotes and fractions come first: NFKC would give the letters "TM", two primes, and 11/2 for 1½.
    text = _VULGAR.sub(" ", _MARKS.sub(" ", _UNSPACED.sub(" ", text).translate(signs)))
    return _DASH.sub("-", unicodedata.normalize("NFKC", text).translate(signs))


def _fold_signs(text: str, decimal_comma: bool) -> str:
    # A pattern is tried only when its sign occurs: most titles have none, and a catalogue has a million texts.
    text = " ".join(text.split())
    if "(" in text:
        text = _PLURAL.sub(r"\1", text)
    text = text.replace("''", '"')
    if decimal_comma or "," in text:
        text = point_decimals(text, decimal_comma=decimal_comma)
    if "x" in text or "×" in text or "*" in text:
        text = _TIMES.sub(lambda sides: _TIMES_SIGN.sub(" × ", sides[0]), text)
    return _IN_ONE.sub(r"\1in1", text) if "in" in text else text
