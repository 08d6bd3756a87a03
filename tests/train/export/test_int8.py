"""Int8 graphs: no text's answer depends on the texts beside it, outliers cost little, and one table does for two."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn
from transformers import BertConfig, BertModel

from gram_os.arrays import AnyArray, FloatArray
from gram_os.text.attribute import Side
from gram_os.train.export.graphs import DECODER_TABLE, Graph, decoder_graph, write_graph
from gram_os.train.export.int8 import tie_table, write_int8
from gram_os.train.models.compact import CompactModel
from gram_os.train.models.compact_decoder import CompactDecoder, CompactShape

SHAPE = CompactShape(values=37, width=48, heads=6, layers=2, feed_forward=24)
TEXTS = [([1, 2, 3, 4], Side.QUERY), ([5, 6], Side.TITLE)]

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the TorchScript exporter says that it is one
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]


@pytest.fixture
def model() -> CompactModel:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=10, hidden_size=48, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24)
    model = CompactModel(BertModel(config, add_pooling_layer=False), CompactDecoder(SHAPE)).eval()
    with torch.no_grad():  # numbers that seven bits can hold, so that a table in float32 says the same
        table = torch.randint(-64, 65, (SHAPE.values + 3, 48)).float()
        table[:, 0] = 64.0
        model.decoder.tokens.weight.copy_(table / 1000)
    return model


def _answer(path: Path) -> FloatArray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["log_probs"], _feeds(session))[0])


def _feeds(session: onnxruntime.InferenceSession) -> dict[str, AnyArray]:
    """Two texts with two beams each, after one token."""
    rng = np.random.default_rng(0)
    feeds: dict[str, AnyArray] = {
        "tokens": np.array([[3, 36], [SHAPE.end, 0]]), "position": np.array([1]), "mask": np.ones((2, 4), np.int64)
    }  # fmt: skip
    for node in session.get_inputs():
        if "." in node.name:
            shape = (2, 6, 4, 8) if node.name.startswith("memory") else (2, 2, 6, 1, 8)
            feeds[node.name] = rng.normal(size=shape).astype(np.float32)
    return feeds


def test_a_text_gets_the_same_answer_in_any_company(model: CompactModel, tmp_path: Path) -> None:
    write_int8(decoder_graph(model, TEXTS), tmp_path / "int8.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "int8.onnx", providers=["CPUExecutionProvider"])
    feeds = _feeds(session)
    loud = {
        name: np.concatenate([part[:1], 40 * part[1:]]) if "memory" in name else part for name, part in feeds.items()
    }
    alone = {name: part[:1] if part.ndim > 1 else part for name, part in feeds.items()}
    expected = session.run(["log_probs"], alone)[0]
    for company in (feeds, loud):
        np.testing.assert_array_equal(session.run(["log_probs"], company)[0][:1], expected)


def test_outliers_are_moved_to_the_weights_and_nothing_else_changes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 64)).eval()
    x = torch.randn(20, 10, 64)
    x[:, :, 7] *= 60
    graph = Graph(layers, ["x"], ["y"], {"x": {0: "rows"}, "y": {0: "rows"}}, [(x[:15],)])
    with torch.inference_mode():
        expected = layers(x).numpy()
    errors = []
    for path, write in (("rough.onnx", _write_rough), ("smooth.onnx", write_int8)):
        write(graph, tmp_path / path)
        session = onnxruntime.InferenceSession(tmp_path / path, providers=["CPUExecutionProvider"])
        errors.append(np.abs(session.run(None, {"x": x.numpy()})[0] - expected).mean() / np.abs(expected).mean())
    with torch.inference_mode():
        torch.testing.assert_close(layers(x).numpy(), expected, rtol=1e-4, atol=1e-4)
    assert errors[1] < 0.04
    assert errors[0] > 2 * errors[1]


def test_what_is_to_stay_exact_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64)).eval()
    x = torch.randn(5, 10, 64)
    with torch.inference_mode():
        expected = layers(x).numpy()
    graph = Graph(layers, ["x"], ["y"], {"x": {0: "rows"}, "y": {0: "rows"}}, [(x,)], ["0", "1"])
    write_int8(graph, tmp_path / "exact.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "exact.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": x.numpy()})[0], expected, atol=1e-3)
    assert (tmp_path / "exact.onnx").stat().st_size < 2.2 * 2 * 64 * 64  # weights of two bytes


def _write_rough(graph: Graph, path: Path) -> None:
    write_graph(graph, path.with_suffix(".exact"))
    quantize_dynamic(
        path.with_suffix(".exact"), path, op_types_to_quantize=["MatMul"], per_channel=True,
        weight_type=QuantType.QInt8, extra_options={"MatMulConstBOnly": True},
    )  # fmt: skip


def test_a_tied_graph_is_smaller_and_answers_the_same(model: CompactModel, tmp_path: Path) -> None:
    write_int8(decoder_graph(model, TEXTS), tmp_path / "two.onnx")
    shutil.copyfile(tmp_path / "two.onnx", tmp_path / "one.onnx")
    tie_table(tmp_path / "one.onnx", DECODER_TABLE)
    np.testing.assert_allclose(_answer(tmp_path / "one.onnx"), _answer(tmp_path / "two.onnx"), atol=1e-5)
    names = [item.name for item in onnx.load(tmp_path / "one.onnx").graph.initializer]
    assert DECODER_TABLE not in names
    saved = (tmp_path / "two.onnx").stat().st_size - (tmp_path / "one.onnx").stat().st_size
    assert saved > 0.8 * 4 * (SHAPE.values + 3) * 48


def test_side_tokens_are_never_generated(model: CompactModel, tmp_path: Path) -> None:
    write_graph(decoder_graph(model, TEXTS), tmp_path / "exact.onnx")
    log_probs = _answer(tmp_path / "exact.onnx")
    assert log_probs.shape == (2, 2, SHAPE.values + 3)
    assert (log_probs[:, :, list(SHAPE.side_tokens)] < -1e8).all()
    np.testing.assert_allclose(np.exp(log_probs).sum(-1), 1, atol=1e-5)
