"""Int8 graphs of the compact model: how weights, and the numbers between layers, become numbers of eight bits.

The scales of the numbers are fixed beforehand, from sample texts. With scales at run time, the largest
number in a run would scale all its rows, and a text's codes would depend on the texts beside it. Before that,
channels with far larger numbers than the others are divided, and the weights that read them are multiplied
(SmoothQuant, arXiv 2211.10438). Otherwise such channels would take most of the eight bits. A graph names the layers
that stay exact: those that started as the identity. Their ones would take the whole scale (docs/log.md).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import torch
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import Tensor, nn
from torch.nn import functional

from gram_os.arrays import AnyArray
from gram_os.train.export.graphs import Graph, write_graph

_MIGRATION = 0.8  # SmoothQuant's alpha: how much of an outlier moves to the weights
_SUFFIXES = "_quantized", "_scale"  # that `quantize_static` adds to the name of a weight


class RowQuantisedEmbedding(nn.Module):
    """An embedding table in int8 with one scale a row.

    It has a quarter of the size. Errors stay below half a percent of a row's largest entry.
    """

    def __init__(self, weight: Tensor):
        super().__init__()
        scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-8) / 127
        self.register_buffer("table", (weight / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, ids: Tensor) -> Tensor:
        """Look up rows: int64 (...) -> float32 (..., width)."""
        table, scale = self.get_buffer("table"), self.get_buffer("scale")
        return functional.embedding(ids, table).float() * functional.embedding(ids, scale)


class SmoothedLinear(nn.Module):
    """A linear layer that divides its input channels by `scale`, with weights that are multiplied; same answer."""

    def __init__(self, linear: nn.Linear, scale: Tensor):
        super().__init__()
        self.linear = linear
        linear.weight.data *= scale
        self.register_buffer("share", 1 / scale)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer: float (..., inputs) -> (..., outputs)."""
        answer: Tensor = self.linear(x * self.get_buffer("share"))
        return answer


def write_int8(graph: Graph, path: Path) -> None:
    """Write a graph with matrix products in int8: weights with one scale a column, inputs with one scale each.

    Weights use seven bits. On processors without VNNI the sum of two products of eight bits is cut at sixteen bits,
    and a text would get other codes there. The graph's exact layers get weights in float16. Writing changes the
    graph's module (`smooth`), but not its answers.
    """
    smooth(graph)
    with tempfile.TemporaryDirectory() as folder:
        exact = Path(folder) / "exact.onnx"
        write_graph(graph, exact)
        spared = _products_with(exact, graph)
        quantize_static(
            exact, path, _Samples(graph), quant_format=QuantFormat.QDQ, op_types_to_quantize=["MatMul"],
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, reduce_range=True,
            nodes_to_exclude=spared,
            extra_options={"MatMulConstBOnly": True, "OpTypesToExcludeOutputQuantization": ["MatMul"]},
        )  # fmt: skip
    _halve(path, spared)


def _halve(path: Path, products: Sequence[str]) -> None:
    """Store the weights of these matrix products as float16; ONNX Runtime widens them when it opens the graph."""
    model = onnx.load(path)
    graph = model.graph
    arrays = {item.name: item for item in graph.initializer}
    for name in {node.input[1] for node in graph.node if node.name in products}:
        half = numpy_helper.to_array(arrays[name]).astype(np.float16)
        graph.initializer.remove(arrays[name])
        graph.initializer.append(numpy_helper.from_array(half, f"{name}.half"))
        graph.node.insert(0, helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _products_with(path: Path, graph: Graph) -> list[str]:
    """Name the matrix products in the file at `path` that are the graph's exact layers."""
    content = onnx.load(path).graph
    weights = [cast(nn.Linear, graph.module.get_submodule(name)).weight.detach().T.numpy() for name in graph.exact]
    arrays = {item.name: item for item in content.initializer}
    return [
        node.name
        for node in content.node
        if node.op_type == "MatMul" and node.input[1] in arrays
        and any(np.array_equal(numpy_helper.to_array(arrays[node.input[1]]), weight) for weight in weights)
    ]  # fmt: skip


class _Samples(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, graph: Graph):
        self._feeds: Iterator[Mapping[str, AnyArray]] = (
            {name: part.numpy() for name, part in zip(graph.inputs, sample, strict=True)} for sample in graph.samples
        )

    def get_next(self) -> Mapping[str, AnyArray] | None:
        return next(self._feeds, None)


def smooth(graph: Graph) -> None:
    """Replace every linear layer that the graph's samples pass through by `SmoothedLinear`, except the exact ones.

    The scale of channel j is max|x_j|^alpha / max|w_j|^(1 - alpha).
    """
    ranges = input_ranges(graph)
    for name, reach in ranges.items():
        parent, _, last = name.rpartition(".")
        linear = cast(nn.Linear, graph.module.get_submodule(name))
        weight = linear.weight.detach().abs().amax(0).clamp_min(1e-5)
        scale = reach.clamp_min(1e-4) ** _MIGRATION / weight ** (1 - _MIGRATION)
        setattr(graph.module.get_submodule(parent), last, SmoothedLinear(linear, scale))


@torch.inference_mode()
def input_ranges(graph: Graph) -> dict[str, Tensor]:
    """Return the largest |x| of each input channel of the linear layers over the samples: name -> float (inputs,)."""
    found: dict[str, Tensor] = {}

    def note(name: str, x: Tensor) -> None:
        reach = x.detach().abs().flatten(0, -2).amax(0)
        found[name] = torch.maximum(found[name], reach) if name in found else reach

    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, name=name: note(name, inputs[0]))
        for name, layer in graph.module.named_modules()
        if isinstance(layer, nn.Linear) and name not in graph.exact
    ]
    for sample in graph.samples:
        graph.module(*sample)
    for hook in hooks:
        hook.remove()
    return found


def tie_table(path: Path, table: str) -> None:
    """Make a quantised graph read the embedding `table` from the output layer's weights, which are its transpose.

    The output layer is the only product with one column for each row of the table. A column and its scale are the
    same numbers that `RowQuantisedEmbedding` would store for the row a second time. ONNX Runtime transposes once,
    when it opens the graph.
    """
    model = onnx.load(path)
    graph = model.graph
    rows, width = next(tuple(item.dims) for item in graph.initializer if item.name == table)
    weight = next(
        item.name
        for item in graph.initializer
        if tuple(item.dims) == (width, rows) and item.data_type == TensorProto.INT8
    )
    place, node = next((at, node) for at, node in enumerate(graph.node) if table in node.input)
    del graph.node[place]
    for offset, new in enumerate(_read_columns(graph, weight, node)):
        graph.node.insert(place + offset, new)
    graph.initializer.remove(next(item for item in graph.initializer if item.name == table))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _read_columns(graph: GraphProto, weight: str, gather: NodeProto) -> list[NodeProto]:
    """Make the nodes that do what `gather` does, but with columns of the int8 matrix `weight`."""
    ids, answer = gather.input[1], gather.output[0]
    scale = weight.removesuffix(_SUFFIXES[0]) + _SUFFIXES[1]
    last = helper.make_tensor(f"{answer}.last", TensorProto.INT64, [1], [-1])
    graph.initializer.append(last)
    table, rows, floats, scales, wide = (f"{answer}.{part}" for part in ("table", "rows", "floats", "scales", "wide"))
    return [
        helper.make_node("Transpose", [weight], [table], perm=[1, 0]),
        helper.make_node("Gather", [table, ids], [rows], axis=0),
        helper.make_node("Cast", [rows], [floats], to=TensorProto.FLOAT),
        helper.make_node("Gather", [scale, ids], [scales], axis=0),
        helper.make_node("Unsqueeze", [scales, last.name], [wide]),
        helper.make_node("Mul", [floats, wide], [answer]),
    ]
