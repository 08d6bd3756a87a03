"""Types of values: a JSON value cast to the type that a user names, and texts that are amounts of money.

Knows single values, and nothing of files.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date, datetime

from gram_os.errors import InputError
from gram_os.files.json_values import describe

# ISO 4217, without funds and metals.
_CURRENCY_CODES = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF "
    "CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG "
    "HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA "
    "MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD "
    "RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX "
    "USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL"
)
_CURRENCIES = frozenset(_CURRENCY_CODES.split())
_LOCAL_SIGNS = frozenset(("kr", "kr.", "zł", "kč", "ft", "fr.", "lei", "rs", "rs.", "rm", "rp"))
_AMOUNT = re.compile(r"(?P<before>[^\d.,'’+-]*)(?P<sign>[-+]?)\s*(?P<number>\d[\d.,'’\s]*)(?P<after>[^\d]*)")
_GROUPS = re.compile(r"\d{1,3}(?:(?P<mark>[.,'’\s])\d{3})(?:(?P=mark)\d{3})*")


def cast_value(value: object, kind: str) -> object:
    """Cast a JSON value, or each value of a list, to a type of `CASTS`. None stays None.

    Raises InputError when the value is not of that type.

    >>> cast_value(["12", 7.0], "integer"), cast_value("Yes", "boolean"), cast_value("2009-12-10 08:30", "date")
    ([12, 7], True, '2009-12-10T08:30:00')
    """
    if isinstance(value, list):
        return [cast_value(item, kind) for item in value]
    if value is None:
        return None
    try:
        if isinstance(value, dict):
            raise ValueError
        return CASTS[kind](value)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{describe(value)} is no {kind}{_CURES.get(kind, '')}") from error


def is_amount(text: str) -> bool:
    """Say whether a text is one amount of money: with a currency, or with a comma as only amounts have it.

    >>> [is_amount(text) for text in ("9.99 USD", "1.299,00", "499,00", "9.99", "24 cm", "1,5")]
    [True, True, True, False, False, False]
    """
    found = _AMOUNT.fullmatch(text.strip())
    return found is not None and (_has_currency(found) or _has_amount_marks(found))


def read_amount(text: str) -> float:
    """Read an amount with a currency sign or code, or one that its marks show: `1,299.00`, `1.299,00`, `499,00`.

    Raises ValueError where the two conventions disagree, as in `1,299 USD`, and for a text that is no amount.

    >>> read_amount("9.99 USD"), read_amount("1.299,00 €"), read_amount("CHF 1'299.-"), read_amount("-5,5 EUR")
    (9.99, 1299.0, 1299.0, -5.5)
    """
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise ValueError
    if not _has_currency(found) and not _has_amount_marks(found):
        raise ValueError
    digits = re.sub(r"\s+", " ", found["number"].strip()).rstrip(".,")  # "9.-" and "9,-" are whole amounts
    return float(found["sign"] + _plain_digits(digits))


def _plain_digits(digits: str) -> str:
    """Write an amount's digits as Python reads them. Raises ValueError when two readings are possible."""
    last = max(digits.rfind("."), digits.rfind(","))
    whole, fraction = (digits[:last], digits[last + 1 :]) if last >= 0 else (digits, "")
    mark = digits[last] if last >= 0 else ""
    if mark and mark in whole:  # a mark that occurs twice separates thousands
        whole, fraction, mark = digits, "", ""
    if mark and not re.search(r"\D", whole) and len(fraction) == 3 and 0 < len(whole) <= 3 and whole != "0":
        raise ValueError  # 1,299 is 1299 to one half of the world, and a little above 1 to the other
    if re.search(r"\D", whole) and not _GROUPS.fullmatch(whole):
        raise ValueError
    return re.sub(r"\D", "", whole) + (f".{fraction}" if fraction else "")


def _has_amount_marks(found: re.Match[str]) -> bool:
    """Say whether a number alone has marks for thousands and decimals, or a comma before two digits at its end."""
    number = found["number"].strip()
    if found["before"].strip() or found["after"].strip():
        return False
    return {".", ","} <= set(number) or re.search(r"\d,\d\d$", number) is not None


def _has_currency(found: re.Match[str]) -> bool:
    before, after = found["before"].strip(), found["after"].strip(" \u00a0\u202f-–—")
    word = before or after
    if before and after:
        return False
    letters = re.sub(r"[^\w.]", "", word)
    if any(unicodedata.category(character) == "Sc" for character in word):
        return len(letters) <= 3  # US$, R$
    return word in _CURRENCIES or word.lower() in _LOCAL_SIGNS


def _cast_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cast_integer(value: object) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    return int(value) if isinstance(value, float) else int(_plain_number(value))


def _plain_number(value: object) -> str:
    text = str(value)
    if "_" in text:  # only Python reads 1_000 as a number
        raise ValueError
    return text


def read_number(value: object) -> float:
    """Return a value as a finite float. Raises ValueError."""
    if isinstance(value, bool):
        raise ValueError
    number = float(_plain_number(value))
    if not math.isfinite(number):
        raise ValueError
    return number


def _cast_float(value: object) -> float:
    try:
        return read_number(value)
    except ValueError:
        return read_amount(str(value))


def _cast_boolean(value: object) -> bool:
    text = str(value).strip().lower()
    if text not in _BOOLEANS:
        raise ValueError
    return _BOOLEANS[text]


def _cast_date(value: object) -> str:
    # Python accepts more of ISO 8601 than OpenSearch, so the date is written in the form of OpenSearch's default
    # format.
    if not isinstance(value, str):
        raise ValueError
    text = value.strip()
    return date.fromisoformat(text).isoformat() if len(text) <= 10 else datetime.fromisoformat(text).isoformat()


_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_CURES = {
    "boolean": "; write one of " + ", ".join(_BOOLEANS),
    "date": "; write it as 2026-11-22 or 2026-11-22T08:30:00Z",
    "float": "; write a finite number with a decimal point, or an amount such as 1,299.00 USD or 1.299,00 €",
}
#: The types that a user may name.
CASTS: Mapping[str, Callable[[object], object]] = {
    "keyword": _cast_text,
    "text": _cast_text,
    "integer": _cast_integer,
    "float": _cast_float,
    "boolean": _cast_boolean,
    "date": _cast_date,
}
