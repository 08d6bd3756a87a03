"""Targets: how two of them are mixed."""

from __future__ import annotations

import pytest

from gram_os.train.lessons.targets import Target, add_codes, merge_targets


def test_merging_moves_a_share_of_the_mass() -> None:
    old, new = Target(((1,), (2,)), (0.6, 0.4)), Target(((2,), (3,)), (0.5, 0.5))
    merged = merge_targets(old, new, 0.3)
    assert dict(zip(merged.codes, merged.shares, strict=True)) == pytest.approx(
        {(1,): 0.42, (2,): 0.28 + 0.15, (3,): 0.15}
    )
    nothing = Target((), ())
    assert merge_targets(old, nothing, 0.3) == old
    assert merge_targets(nothing, new, 0.3) == new


def test_added_codes_share_their_part_evenly() -> None:
    mixed = add_codes(Target(((1,), (2,)), (0.6, 0.4)), [(2,), (3,)], 0.5)
    assert dict(zip(mixed.codes, mixed.shares, strict=True)) == pytest.approx({(1,): 0.3, (2,): 0.2 + 0.25, (3,): 0.25})
    assert add_codes(mixed, [], 0.5) == mixed
