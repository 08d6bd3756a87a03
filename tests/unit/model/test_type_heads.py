"""The type heads in numpy: by hand, against torch, and through their file."""

from __future__ import annotations

from math import log
from pathlib import Path

import numpy as np
import pytest

from gram_os.arrays import FloatArray
from gram_os.errors import BundleError
from gram_os.model.type_heads import TypeHeads, pool_sentences
from gram_os.text.attribute import Side

WIDTH, HIDDEN, TYPES = 3, 2, 4
SHAPES = {
    "into": (HIDDEN, WIDTH), "into_bias": (HIDDEN,), "out": (WIDTH, HIDDEN), "out_bias": (WIDTH,),
    "types": (TYPES, WIDTH), "types_bias": (TYPES,),
}  # fmt: skip


def _draw(seed: int) -> TypeHeads:
    rng = np.random.default_rng(seed)
    names = {f"{part}.{side.value}": shape for side in Side for part, shape in SHAPES.items()}
    return TypeHeads({name: rng.normal(size=shape).astype(np.float32) for name, shape in names.items()})


def test_a_head_that_has_learnt_nothing_compares_the_vector_with_the_types() -> None:
    arrays = {f"{part}.{side.value}": np.zeros(shape, np.float32) for side in Side for part, shape in SHAPES.items()}
    arrays["types.query"] = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], np.float32) * np.float32(log(6))
    found = TypeHeads(arrays).log_probs(np.array([[0, 1, 0]], np.float32), Side.QUERY)
    np.testing.assert_allclose(np.exp(found), [[1 / 9, 6 / 9, 1 / 9, 1 / 9]], rtol=1e-5)
    equal = TypeHeads(arrays).log_probs(np.array([[0, 1, 0]], np.float32), Side.TITLE)
    np.testing.assert_allclose(np.exp(equal), np.full((1, 4), 1 / 4), rtol=1e-5)


def test_numpy_answers_as_torch_does() -> None:
    torch = pytest.importorskip("torch")
    from gram_os.train.models.type_heads import TypeHeads as TorchHeads

    torch.manual_seed(0)
    heads = TorchHeads(WIDTH, TYPES, HIDDEN)
    for parameter in heads.parameters():
        torch.nn.init.normal_(parameter)
    vectors = np.random.default_rng(0).normal(size=(5, WIDTH)).astype(np.float32)
    for side in Side:
        with torch.inference_mode():
            expected = heads.eval()(torch.from_numpy(vectors), side).numpy()
        np.testing.assert_allclose(heads.to_numpy().log_probs(vectors, side), expected, atol=1e-5)


def test_heads_go_through_their_file_in_half_precision(tmp_path: Path) -> None:
    heads, file = _draw(1), tmp_path / "type-heads.npz"
    heads.save(file)
    vectors = np.random.default_rng(2).normal(size=(6, WIDTH)).astype(np.float32)
    for side in Side:
        found = TypeHeads.load(file).log_probs(vectors, side)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, heads.log_probs(vectors, side), atol=0.02)
    assert file.stat().st_size < 6000  # 38 numbers of 2 bytes a side, and the headers of 12 arrays


@pytest.mark.parametrize("content", [b"", b"no arrays", None])
def test_a_file_without_heads_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "type-heads.npz"
    if content is None:
        heads = dict(_draw(0).arrays)
        del heads["types.title"]
        TypeHeads(heads).save(file)
    else:
        file.write_bytes(content)
    with pytest.raises(BundleError, match=r"type-heads\.npz holds no type heads .*; export the bundle again"):
        TypeHeads.load(file)


def test_a_sentence_is_the_unit_mean_of_its_words() -> None:
    states: FloatArray = np.array([[[3, 0], [0, 4], [9, 9]], [[1, 1], [5, 5], [5, 5]]], np.float32)
    mask = np.array([[1, 1, 0], [0, 0, 0]], np.float32)
    expected = np.array([[0.6, 0.8], [0, 0]], np.float32)
    np.testing.assert_allclose(pool_sentences(states, mask), expected, rtol=1e-6)
