"""The decoding benchmark's own parts: the torch peer has the shipped weights, and its figures are what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.decode import Measure, interval, ours, profile, time_in_turns
from benchmarks.decode_peers import plain_torch, read_compact
from gram_os.attribute import Side
from gram_os.bundle import Bundle
from gram_os.onnx_lm import CompactLm

QUERIES = ["hp toner cartridge black", "aa battery"]


def test_the_torch_peer_searches_the_shipped_weights() -> None:
    bundle = Bundle.load()
    peer, served = read_compact(bundle), CompactLm(bundle, device="cpu", threads=1)
    (item,) = bundle.tokenizer.encode_batch(QUERIES[:1])
    ids = torch.tensor([item.ids])
    opening = torch.tensor([[[peer.decoder.shape.side_tokens[0]]]])
    with torch.inference_mode():
        expected = peer(ids, torch.ones_like(ids), opening)[0, 0, 0].log_softmax(-1).numpy()
    found = served.start(QUERIES[:1], Side.QUERY).log_probs[0, 0, : len(expected)]
    likely = expected > -8
    assert likely.sum() > 20
    assert (
        np.abs(found - expected)[likely].max() < 0.35
    )  # ONNX Runtime rounds activations to 8 bits, torch does not
    plain = plain_torch(peer, bundle, 10)(QUERIES, Side.QUERY)
    for theirs, own in zip(plain, ours(served, bundle.trie)(QUERIES, Side.QUERY), strict=True):
        assert len(theirs) == len(own) == 10
        assert len(set(theirs) & set(own)) >= 8


def test_systems_take_turns_and_both_are_timed_on_every_input() -> None:
    calls: list[str] = []

    def search(name: str):  # type: ignore[no-untyped-def]
        return lambda texts, side: calls.append(name + texts[0])

    clock, cpu = time_in_turns({"a": search("a"), "b": search("b")}, [["x"], ["y"]], Side.QUERY, 2)
    assert calls == ["ax", "bx", "ax", "bx", "by", "ay", "ax", "bx", "by", "ay"]
    assert {name: len(seconds) for name, seconds in clock.items()} == {"a": 4, "b": 4}
    assert cpu.keys() == clock.keys()


def test_intervals_are_of_the_ratio_of_medians() -> None:
    own = np.array([1.0, 1.0, 2.0, 1.0])
    assert interval(3 * own, own) == pytest.approx((3, 3))
    low, high = interval(np.array([2.0, 3.0, 4.0, 5.0]), np.ones(4))
    assert low < 3.5 < high


def test_a_goal_is_a_least_ratio_or_a_most_time() -> None:
    assert Measure("r", 9, "x", 8).holds
    assert not Measure("t", 9, "ms", 8).holds
    assert Measure("n", 9, "MB").holds is None
    assert Measure("r", 1.23456, "x", 8).as_row()["value"] == 1.235


def test_the_shares_of_a_profile_add_up_to_the_whole() -> None:
    shares = profile("x", lambda: sum(range(100_000)))
    assert sum(share.value for share in shares) == pytest.approx(100)
