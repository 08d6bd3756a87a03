"""Int8 with a scale a row: by hand, as ONNX Runtime computes it, and beside tokens and channels that are too large."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from gram_os.arrays import FloatArray
from gram_os.train.export.causal_graph import tree_graph
from gram_os.train.export.causal_int8 import RowScaledLinear, quantise_rows
from gram_os.train.export.graphs import Graph, write_graph
from gram_os.train.export.int8 import write_int8
from tests.train.tiny_lm import make_source, make_tokenizer

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the TorchScript exporter says that it is one
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:Exporting aten.*index operator of advanced indexing:UserWarning"),
]


class OneLayer(nn.Module):
    """A language model's embedding, which nothing reads, and one layer."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.embed, self.layer = nn.Embedding(4, 2), layer

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.layer(x)
        return answer


def _linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    torch.manual_seed(inputs)
    return nn.Linear(inputs, outputs, bias=bias).eval()


def _graph(module: nn.Module, x: Tensor) -> Graph:
    axes = {place: f"axis{place}" for place in range(x.dim() - 1)}
    return Graph(module, ["x"], ["y"], {"x": axes, "y": axes}, [(x,)])


def _run(path: Path, x: Tensor) -> FloatArray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x.numpy()})[0])


def test_a_row_by_hand() -> None:
    linear = nn.Linear(2, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[63.0, 31.0], [-2.0, 0.5]]))  # 63 steps of 1, and 63 steps of 2 / 63
        linear.bias.copy_(torch.tensor([0.5, 0.0]))
    layer = RowScaledLinear(linear, torch.ones(2))
    with torch.inference_mode():
        found = layer(torch.tensor([[1.0, -0.5], [4.0, 4.0], [0.0, 0.0]]))
    half, second = 64 / 127, 2 / 63  # -0.5 is 63.5 steps, of which half a step is rounded to the even 64
    expected = [
        [63 - 31 * half + 0.5, second * (-63 - 16 * half)],  # 0.5 is 15.75 steps of 2 / 63
        [4 * (63 + 31) + 0.5, 4 * second * (-63 + 16)],
        [0.5, 0.0],
    ]
    assert found.numpy() == pytest.approx(np.array(expected), rel=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_onnx_runtime_computes_what_torch_does(bias: bool, tmp_path: Path) -> None:
    layer = RowScaledLinear(_linear(48, 20, bias=bias), torch.linspace(0.5, 2, 48))
    x = torch.randn(30, 48)
    write_graph(_graph(layer, x), tmp_path / "rows.onnx")
    with torch.inference_mode():
        expected = layer(x).numpy()
    np.testing.assert_allclose(_run(tmp_path / "rows.onnx", x), expected, atol=1e-5)


def test_no_row_depends_on_the_rows_beside_it_and_a_loud_one_costs_them_nothing(tmp_path: Path) -> None:
    linear, x = _linear(64, 64), torch.randn(20, 64)
    x[7] *= 300  # as the first token of a language model's text
    with torch.inference_mode():
        expected = linear(x).numpy()
        layer = RowScaledLinear(linear, torch.ones(64))
    write_graph(_graph(layer, x), tmp_path / "rows.onnx")
    together = _run(tmp_path / "rows.onnx", x)
    for row in range(20):
        np.testing.assert_array_equal(_run(tmp_path / "rows.onnx", x[row : row + 1])[0], together[row])
    sizes = np.abs(expected).mean(1)
    errors = np.abs(together - expected).mean(1) / sizes
    assert errors.max() < 0.04
    write_int8(_graph(nn.Sequential(linear), x[None]), tmp_path / "one.onnx")  # one scale for all rows
    one = np.abs(_run(tmp_path / "one.onnx", x[None])[0] - expected).mean(1) / sizes
    assert np.delete(one, 7).min() > 10 * errors.max()


def test_a_loud_channel_is_smoothed(tmp_path: Path) -> None:
    x = torch.randn(40, 64)
    x[:, 3] *= 1000
    errors = []
    for seen in (x, torch.ones(40, 64)):  # samples that show the loud channel, and samples that do not
        linear = _linear(64, 64)
        with torch.no_grad():
            linear.weight[:, 3] /= 1000
            expected = linear(x).numpy()
        module = OneLayer(linear)
        quantise_rows(_graph(module, seen))
        with torch.inference_mode():
            errors.append(np.abs(module(x).numpy() - expected).mean() / np.abs(expected).mean())
    assert errors[0] < 0.03
    assert errors[1] > 5 * errors[0]


def test_a_language_models_graph_has_no_matrix_in_float32_and_leaves_the_model_alone(tmp_path: Path) -> None:
    source = make_source("qwen2", make_tokenizer(["black toner"]))
    before = {name: weight.clone() for name, weight in source.model.state_dict().items()}
    graph = tree_graph(source.model, [[1, 2, 3, 4], [5, 6]])
    quantise_rows(graph)
    write_graph(graph, tmp_path / "model.onnx")
    for name, weight in source.model.state_dict().items():
        assert torch.equal(weight, before[name])
    initializers = onnx.load(tmp_path / "model.onnx").graph.initializer
    types = Counter(item.data_type for item in initializers if len(item.dims) > 1 and min(item.dims) > 1)
    # The table of tokens, five products in each of two layers, and the output layer, which the table is tied to. Not
    # counted are vectors, and the scales of the table's rows.
    assert types == {onnx.TensorProto.INT8: 1 + 2 * 5 + 1}
