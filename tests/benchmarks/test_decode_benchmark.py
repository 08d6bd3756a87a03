"""The parts of the decoding benchmark: the torch peer has the shipped weights, and the figures are right."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

import gram_os
from benchmarks.decode import PARTS, compare, interval, ours, profile, time_in_turns, train_tokenizer
from benchmarks.decode_peers import (
    build_genai,
    make_llama,
    onnxruntime_genai,
    plain_torch,
    read_compact,
    save_llama,
)
from gram_os.errors import GramError
from gram_os.model.bundle import Bundle
from gram_os.model.onnx_lm import CompactLm
from gram_os.model.prompts import PromptEncoder
from gram_os.text.attribute import Side

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
    assert np.abs(found - expected)[likely].max() < 0.35  # ONNX Runtime rounds activations to 8 bits, torch does not
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


def test_goals_are_least_ratios_and_rates_and_most_times() -> None:
    systems = {"ours": lambda texts, side: None, "peer": lambda texts, side: time.sleep(0.002)}
    goals = {"peer / ours": 1.0, "ours.p50": 1000.0, "ours": 1.0}
    single = compare("g", systems, [["x"]], Side.QUERY, 2, goals)
    assert {m.name: m.holds for m in single if m.goal} == {"g.ours.p50": True, "g.peer / ours": True}
    batch = compare("g", systems, [["x", "y"]], Side.QUERY, 2, goals)
    assert {m.name: m.holds for m in batch if m.goal} == {"g.ours": True, "g.peer / ours": True}


def test_the_shares_of_a_profile_add_up_to_the_whole() -> None:
    shares = profile("x", lambda: sum(range(100_000)))
    assert sum(share.value for share in shares) == pytest.approx(100)


def test_the_parts_of_a_profile_name_functions_that_exist() -> None:
    sources = {path.name: path.read_text(encoding="utf-8") for path in Path(gram_os.__file__).parent.rglob("*.py")}
    for names in PARTS.values():
        for file, _, function in (name.partition(":") for group in names for name in group):
            assert not function or f"def {function}(" in sources[file], (file, function)


def test_onnxruntime_genai_finds_the_beams_of_generate_alone_and_in_a_batch(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime_genai", reason="needs the bench group: uv sync --group bench")
    texts, width, length = [*QUERIES, QUERIES[1]], 10, 5
    tokenizer = train_tokenizer(texts)
    llama = make_llama(tokenizer)
    rows = PromptEncoder(tokenizer).encode(texts, Side.QUERY)
    assert len(rows[0]) != len(rows[1])  # so the batch goes in as two runs
    expected = []
    for row in rows:
        ids = torch.tensor([row])
        found = llama.generate(
            ids, attention_mask=torch.ones_like(ids), num_beams=width, num_return_sequences=width,
            do_sample=False, min_new_tokens=length, max_new_tokens=length, length_penalty=0.0,
        )  # fmt: skip
        expected.append([tuple(beam[len(row) :]) for beam in found.tolist()])
    folder = build_genai(save_llama(llama, tokenizer, tmp_path / "llama"), tmp_path / "genai", "fp32")
    peer = onnxruntime_genai(folder, tokenizer, width, length, threads=1)
    assert peer(texts, Side.QUERY) == expected
    assert peer(texts[:1], Side.QUERY) == expected[:1]


def test_the_model_builder_of_onnxruntime_genai_needs_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GramError, match="needs uv"):
        build_genai(tmp_path, tmp_path / "target", "fp32")
