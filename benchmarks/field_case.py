"""One case of a benchmark over people's real inputs: what should happen, and what did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """One case. name: folder and input. expected, found: in words. holds: whether what was found is right."""

    name: str
    expected: str
    found: str
    holds: bool
