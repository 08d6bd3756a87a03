"""Numbers, fractions and units as shops write them. Knows patterns and canonical forms, and nothing of words.

A number is written with a point: "1,000" is 1000, "2,5 cm" is 2.5 cm. Whether "1,500 kg" is one and a half kilograms or
fifteen hundred depends on the catalogue (`count_decimals`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

# Canonical unit -> how shops write it, after `fold`. A canonical unit is one of its own spellings and no stop word, so
# that a normalised measure reads as the same measure again.
UNITS: Mapping[str, str] = {
    "in": r"in(?:ch(?:es)?)?|\"|zoll",
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
    "kg": r"kgs?|kilogram(?:s|m|mes?)?|kilos?",
    "g": r"g|gram(?:s|m|mes?)?",
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
    "pc": r"pcs?|pieces?|stk|stuck",
    "deg c": r"(?:deg(?:rees?)?|°) ?c(?:elsius)?",
    "deg f": r"(?:deg(?:rees?)?|°) ?f(?:ahrenheit)?",
    "deg": r"deg|degrees?|°",
    "%": r"%|percent",
}
UNIT_OF = [(unit, re.compile(rf"(?:{pattern})\Z")) for unit, pattern in UNITS.items()]
_ANY_UNIT = "|".join(sorted(UNITS.values(), key=len, reverse=True))
# Repetitions are bounded: a text may be 100 kB of digits and commas.
NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,5}(?!,?\d)|\d{1,18})(?:\.\d{1,9})?|\.\d{1,9}"
FRACTION = r"(?:\d{1,9} ?[- ] ?)?\d{1,9} ?/ ?\d{1,9}"
# A unit of letters ends with the word. Anything may follow a sign, but only inches may follow feet (5'10").
UNIT = rf"(?:{_ANY_UNIT})(?:(?<=[\"%°])|(?<=')(?![^\W\d_])|(?![^\W_]))"

# A decimal comma by its own evidence: 1.299,00 has dots for thousands, 0,25 begins with a zero, 2,5 cm has a unit
# behind one or two decimals (2,5 x 3,5 cm behind the last side). "1,2,3" and "10,100,1000" are lists.
_BEFORE = r"(?<![\d.,])(?<![^\Wx×_])"
_SIDES = r"(?: ?[x×*-] ?\d{1,9}(?:[.,]\d{1,9})?){0,3}"
_DECIMAL = re.compile(
    rf"{_BEFORE}(?:(?:[1-9]\d{{0,2}}(?:\.\d{{3}}){{1,5}},\d{{1,9}}|0,\d{{1,9}})(?![.,]?\d)"
    rf"|\d{{1,9}},\d{{1,2}}(?={_SIDES} ?-? ?{UNIT}))",
    re.IGNORECASE,
)
# The same evidence for points: 1,299.00, 0.25, 2.5 cm.
_POINT = re.compile(
    rf"{_BEFORE}(?:(?:[1-9]\d{{0,2}}(?:,\d{{3}}){{1,5}}\.\d{{1,9}}|0\.\d{{1,9}})(?![.,]?\d)"
    rf"|\d{{1,9}}\.\d{{1,2}}(?={_SIDES} ?-? ?{UNIT}))",
    re.IGNORECASE,
)
# In a catalogue of decimal commas: 1,500 and 10,5 have decimals, 1.500 has thousands.
_AMBIGUOUS = re.compile(
    rf"{_BEFORE}(?:(?P<whole>\d{{1,9}}),(?P<decimals>\d{{1,9}})|[1-9]\d{{0,2}}(?:\.\d{{3}}){{1,5}})(?![.,]?\d)"
)
_DIGIT_COMMA = re.compile(r"\d,\d")
_DIGITS = re.compile(r"\d+")


def point_decimals(text: str, *, decimal_comma: bool = False) -> str:
    """Write decimal commas as points. decimal_comma: read ambiguous numbers as a catalogue of decimal commas does.

    >>> point_decimals("0,5 l, 2,5 x 3 cm, 1.299,00, 1,000 sheets, sizes 1,2,3")
    '0.5 l, 2.5 x 3 cm, 1299.00, 1,000 sheets, sizes 1,2,3'
    >>> point_decimals("1,500 kg, 2.000 l", decimal_comma=True)
    '1.5 kg, 2000 l'
    """
    if "," in text and _DIGIT_COMMA.search(text):
        text = _DECIMAL.sub(_write_point, text)
    return _AMBIGUOUS.sub(_write_number, text) if decimal_comma else text


def _write_point(match: re.Match[str]) -> str:
    whole, _, decimals = match[0].replace(".", "").partition(",")
    return f"{whole}.{_keep_apart(whole, decimals)}"


def _write_number(match: re.Match[str]) -> str:
    if match["whole"] is None:
        return match[0].replace(".", "")
    return f"{match['whole']}.{_keep_apart(match['whole'], match['decimals'])}"


def _keep_apart(whole: str, decimals: str) -> str:
    """Write three decimals as two or four, so that 1.125 is never read as thousands again."""
    if len(decimals) != 3 or len(whole) > 3 or whole.startswith("0"):
        return decimals
    shorter = decimals.rstrip("0") or "0"
    return shorter if len(shorter) < 3 else f"{decimals}0"


def mask_decimals(text: str, mask: str, *, decimal_comma: bool = False) -> str:
    """Replace the commas within numbers by a mask, so that a list can be split at the commas that are left."""
    if "," not in text or not _DIGIT_COMMA.search(text):
        return text
    text = _DECIMAL.sub(lambda match: match[0].replace(",", mask), text)
    return _AMBIGUOUS.sub(lambda match: match[0].replace(",", mask), text) if decimal_comma else text


def count_decimals(text: str) -> tuple[int, int]:
    """Count the numbers of a text that have a decimal comma, and those that have a point, by their own evidence alone.

    >>> count_decimals("0,5 l, 2.5 cm, 1.75 kg, 1,500 kg")
    (1, 2)
    """
    commas = len(_DECIMAL.findall(text)) if "," in text and _DIGIT_COMMA.search(text) else 0
    return commas, len(_POINT.findall(text)) if "." in text else 0


def read_measure(match: re.Match[str], *, decimal_comma: bool = False) -> tuple[str, tuple[str, ...]]:
    """Return value and parts of a measure, a range or a bare number that normalise.py's pattern found.

    A minus counts for degrees alone: "-20 °C" and "20 °C" differ, "Drill -18 V" has a dash.
    """
    if match["shared"]:
        unit = _canonical_unit(match["shared"])
        low, high = (canonical_number(match[side], decimal_comma) for side in ("low", "high"))
        return f"{low}-{high} {unit}", (f"{low} {unit}", f"{high} {unit}")
    if match["fraction"]:
        return _read_fraction(match["fraction"], match["unit"], decimal_comma)
    number = canonical_number(match["number"], decimal_comma)
    if not match["unit"]:
        return number, (f"-{number}",) if _has_minus(match) else ()
    unit = _canonical_unit(match["unit"])
    if not unit.startswith("deg"):
        return f"{number} {unit}", (number,)
    if _has_minus(match):
        number = f"-{number}"
    return f"{number} {unit}", (number, f"{number} deg") if unit != "deg" else (number,)


def _has_minus(match: re.Match[str]) -> bool:
    """Say whether a minus stands before a number: at the start of the text, or behind a space or a bracket."""
    text, at = match.string, match.start() - 1
    return at >= 0 and text[at] == "-" and (at == 0 or text[at - 1] in " (")


def _read_fraction(text: str, unit: str | None, decimal_comma: bool) -> tuple[str, tuple[str, ...]]:
    """Read 1-1/2 as 1.5, as shops mean it. Other fractions are ranges (110/220 V) or names (24/7, wire 12/2)."""
    digits = _DIGITS.findall(text)
    *whole, above, below = map(int, digits)
    if 0 < above < below <= 64:
        number = canonical_number(f"{sum(whole) + above / below:.4f}", decimal_comma)
        return (f"{number} {_canonical_unit(unit)}", (number,)) if unit else (number, ())
    if not unit:
        name = "/".join(digits[-2:])
        return " ".join([*digits[:-2], name]), (*digits[:-2], *([name] if whole else []), *digits[-2:])
    unit = _canonical_unit(unit)
    return f"{'-'.join(digits)} {unit}", tuple(f"{number} {unit}" for number in digits)


@lru_cache(maxsize=1000)
def _canonical_unit(text: str) -> str:
    return next(unit for unit, pattern in UNIT_OF if pattern.match(text))


def canonical_number(text: str, decimal_comma: bool = False) -> str:
    """Drop thousands commas and trailing zeros, add a leading zero: 1,000 -> 1000, .50 -> 0.5."""
    whole, _, decimals = text.replace(",", "").partition(".")
    decimals = decimals.rstrip("0")
    if not decimals:
        return whole or "0"
    return f"{whole or 0}.{_keep_apart(whole or '0', decimals) if decimal_comma else decimals}"
