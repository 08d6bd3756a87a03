"""A code: the text identifier that queries and products share (GRAM section 1, arXiv 2504.01403).

A code is a set of one to six normalised attribute values. Equal sets give equal strings: the values stand in
lexicographic order, joined by " | ". The type of a value (brand, colour, ...) is kept beside it and is no part of the
code, because the types of the two sides disagree too often (docs/log.md). This module knows neither texts nor models.
normalise.py makes the values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from gram_os.errors import InputError

SEPARATOR = " | "
MAX_ATTRIBUTES = 6  # values in a code
MAX_CODES = 10  # codes that the beam search gives a query


class Granularity(StrEnum):
    """How narrow a code is, by its number of values."""

    COARSE = "coarse"  # 1-2
    MEDIUM = "medium"  # 3
    FINE = "fine"  # more than 3


@dataclass(frozen=True, slots=True, order=True)
class Code:
    """A set of attribute values in canonical order.

    Make one with `Code.of` (any order, repeats allowed) or `Code.parse`. The constructor takes canonical values only.

    >>> str(Code.of(["xerox", "toner cartridge", "black"]))
    'black | toner cartridge | xerox'
    >>> Code.parse("xerox | black") == Code.of(["black", "xerox"])
    True
    """

    values: tuple[str, ...]

    @classmethod
    def of(cls, values: Iterable[str]) -> Code:
        """Make the code of a set of values.

        Raises InputError for no value, for more than `MAX_ATTRIBUTES` values, and for a value that is empty, not
        trimmed or contains the separator's bar.
        """
        unique = tuple(sorted(set(values)))
        if not 1 <= len(unique) <= MAX_ATTRIBUTES:
            raise InputError(f"a code holds 1 to {MAX_ATTRIBUTES} attribute values, not {len(unique)}: {unique!r}")
        for value in unique:
            if not value or value != value.strip() or "|" in value:
                raise InputError(f"{value!r} cannot be a value of a code: it must be non-empty, trimmed, without '|'")
        return cls(unique)

    @classmethod
    def parse(cls, text: str) -> Code:
        """Read a code from its text, with the values in any order. Raises InputError as `of` does."""
        return cls.of(part.strip() for part in text.split("|"))

    @property
    def granularity(self) -> Granularity:
        """Coarse for 1-2 values, medium for 3, fine for more."""
        if len(self.values) <= 2:
            return Granularity.COARSE
        return Granularity.MEDIUM if len(self.values) == 3 else Granularity.FINE

    def __str__(self) -> str:
        """The canonical text, as it stands in the documents."""
        return SEPARATOR.join(self.values)
