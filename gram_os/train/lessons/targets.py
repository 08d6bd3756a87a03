"""The codes that a text should get. Knows dictionary tokens and numbers only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gram_os.text.dictionary import Tokens


@dataclass(frozen=True, slots=True)
class Target:
    """The codes that a text should get, in ascending order, and their shares, which add up to 1; or no codes at all."""

    codes: tuple[Tokens, ...]
    shares: tuple[float, ...]


def _make_target(weights: Mapping[Tokens, float]) -> Target:
    """Turn weights into shares; no codes where all weights are 0."""
    total = sum(weights.values())
    codes = tuple(sorted(weights)) if total > 0 else ()
    return Target(codes, tuple(weights[c] / total for c in codes))


def merge_targets(old: Target, new: Target, share: float) -> Target:
    """Mix two targets: `new` gets `share` of the mass, `old` the rest; without codes, one leaves all to the other."""
    if not old.codes or not new.codes:
        return new if new.codes else old
    weights = {code: mass * (1 - share) for code, mass in zip(old.codes, old.shares, strict=True)}
    for code, mass in zip(new.codes, new.shares, strict=True):
        weights[code] = weights.get(code, 0.0) + mass * share
    return _make_target(weights)


def add_codes(target: Target, codes: Sequence[Tokens], share: float) -> Target:
    """Give `share` of the mass to `codes`, evenly, and the rest to the target's own codes."""
    if not codes:
        return target
    weights = {c: s * (1 - share) for c, s in zip(target.codes, target.shares, strict=True)}
    for code in codes:
        weights[code] = weights.get(code, 0.0) + share / len(codes)
    return _make_target(weights)
