"""Which attribute values the products of each product type state. A query's generated codes are checked against them.

The model answers a word that it has never met with what it knows best. "Telly" asks for a TV by its name, and may get
the codes of dolls. A code that no product of the asked type holds is such a guess. Knows values and types by their
places, and no texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gram_os.arrays import Int32Array


@dataclass(frozen=True)
class TypeValues:
    """The values that products of each type state.

    offsets: int32 (types + 1,). values: int32 (pairs,), places in the dictionary; those of type t stand between
    offsets[t] and offsets[t + 1].
    """

    offsets: Int32Array
    values: Int32Array

    @classmethod
    def checked(cls, offsets: Int32Array, values: Int32Array, *, types: int) -> TypeValues:
        """Return the values of so many types. Raises ValueError where the arrays do not fit together."""
        if len(offsets) != types + 1 or offsets[0] != 0 or offsets[-1] != len(values) or (np.diff(offsets) < 0).any():
            raise ValueError(f"{len(offsets)} offsets and {len(values)} values for {types} types")
        return cls(offsets, values)

    @cached_property
    def _types(self) -> Mapping[int, frozenset[int]]:
        """Value -> the types whose products state it."""
        types = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))
        order = np.argsort(self.values, kind="stable")
        stops = np.flatnonzero(np.diff(self.values[order])) + 1
        groups = zip(np.split(self.values[order], stops), np.split(types[order], stops), strict=True)
        return {int(values[0]): frozenset(found.tolist()) for values, found in groups if len(values)}

    def agree(self, values: Iterable[int | None], shares: Mapping[int, float]) -> float:
        """Return the share of a query's types whose products state all values of a code: 0 to 1.

        values: places in the dictionary; None for a value that is not in it, which no type has. shares: P of each type.

        >>> both = TypeValues(np.array([0, 1, 3], np.int32), np.array([7, 7, 8], np.int32))
        >>> both.agree([7, 8], {0: 0.25, 1: 0.75})
        0.75
        """
        total = sum(shares.values())
        types: frozenset[int] = frozenset(shares)
        for value in values:
            types &= self._types.get(-1 if value is None else value, frozenset())
        return sum(shares[place] for place in types) / total if total else 0.0
