"""Int8: what becomes of weights when a compact model is exported.

Matrix products are ONNX Runtime's dynamic quantisation; the two large tables are ours. Knows graphs and tensors, no bundle.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import GraphProto, NodeProto, TensorProto, helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn
from torch.nn import functional

_SUFFIXES = "_quantized", "_scale"  # of what `quantize_dynamic` makes of a weight


class RowQuantisedEmbedding(nn.Module):
    """An embedding table in int8 with one scale a row.

    A quarter of the size; errors stay below half a percent of a row's largest entry.
    """

    def __init__(self, weight: Tensor):
        super().__init__()
        scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-8) / 127
        self.register_buffer("table", (weight / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, ids: Tensor) -> Tensor:
        """int64 (...) -> float32 (..., width)."""
        table, scale = self.get_buffer("table"), self.get_buffer("scale")
        return functional.embedding(ids, table).float() * functional.embedding(ids, scale)


def quantise(source: Path, target: Path) -> None:
    """Weights of the matrix products as int8, one scale a column; activations are scaled as they come."""
    quantize_dynamic(
        source, target, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )  # fmt: skip


def tie_table(path: Path, table: str) -> None:
    """Read the embedding `table` of a quantised graph off the output layer's weights, which are the same transposed.

    The output layer has the only product with as many columns as the table has rows. A column and its scale are what
    `RowQuantisedEmbedding` would keep of the row a second time. ONNX Runtime transposes once, when it opens the graph.
    """
    model = onnx.load(path)
    graph = model.graph
    rows, width = next(tuple(item.dims) for item in graph.initializer if item.name == table)
    weight = next(item.name for item in graph.initializer if tuple(item.dims) == (width, rows))
    place, node = next((at, node) for at, node in enumerate(graph.node) if table in node.input)
    del graph.node[place]
    for offset, new in enumerate(_read_columns(graph, weight, node)):
        graph.node.insert(place + offset, new)
    graph.initializer.remove(next(item for item in graph.initializer if item.name == table))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _read_columns(graph: GraphProto, weight: str, gather: NodeProto) -> list[NodeProto]:
    """The nodes that answer `gather` by columns of the int8 matrix `weight`."""
    ids, answer = gather.input[1], gather.output[0]
    scale = weight.removesuffix(_SUFFIXES[0]) + _SUFFIXES[1]
    last = helper.make_tensor(f"{answer}.last", TensorProto.INT64, [1], [-1])
    graph.initializer.append(last)
    table, rows, floats, scales, wide = (
        f"{answer}.{part}" for part in ("table", "rows", "floats", "scales", "wide")
    )
    return [
        helper.make_node("Transpose", [weight], [table], perm=[1, 0]),
        helper.make_node("Gather", [table, ids], [rows], axis=0),
        helper.make_node("Cast", [rows], [floats], to=TensorProto.FLOAT),
        helper.make_node("Gather", [scale, ids], [scales], axis=0),
        helper.make_node("Unsqueeze", [scales, last.name], [wide]),
        helper.make_node("Mul", [floats, wide], [answer]),
    ]
