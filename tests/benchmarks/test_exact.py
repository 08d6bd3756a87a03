"""Exact search over vectors, and vectors that are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.bge import Bge, fetch_jar
from benchmarks.peers.exact import rank_by_vectors, remember_vectors
from gram_os.arrays import FloatArray
from gram_os.errors import GramError


def test_products_are_ranked_by_inner_product_and_then_by_place() -> None:
    titles = np.asarray([[0.6, 0.8], [1, 0], [0, 1], [0.6, 0.8]], np.float32)
    found = rank_by_vectors(["a", "b", "c", "d"], titles, ["q"], np.asarray([[0, 1]], np.float32))
    assert [id_ for id_, _ in found["q"]] == ["c", "a", "d", "b"]
    assert [score for _, score in found["q"]] == pytest.approx([1, 0.8, 0.8, 0])


def test_vectors_are_made_once_a_model_and_catalogue(tmp_path: Path) -> None:
    calls: list[Sequence[str]] = []

    def encode(texts: Sequence[str]) -> FloatArray:
        calls.append(texts)
        return np.full((len(texts), 2), len(calls), np.float32)

    for name, texts in [("m", ["a", "b"]), ("m", ["a", "b"]), ("m", ["a"]), ("n", ["a"])]:
        assert remember_vectors(tmp_path / "new", name, texts, encode).shape == (len(texts), 2)
    assert calls == [["a", "b"], ["a"], ["a"]]


def test_a_jar_that_cannot_be_had_is_told_with_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jgo.constants.MAVEN_CENTRAL_URL", "http://127.0.0.1:1")  # nobody answers there
    monkeypatch.setenv("HOME", str(tmp_path))  # no mirror of the user either
    with pytest.raises(GramError, match=r"could not be fetched from Maven Central.*or put the jar at") as caught:
        fetch_jar(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert Bge(tmp_path) == Bge()  # where the jar lies does not change a run
