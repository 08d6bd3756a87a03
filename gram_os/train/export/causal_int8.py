"""Int8 for a causal LM: every row of a matrix product's input has a scale of its own, its largest number.

So a token's answer depends on no other token of the run, and a text's on no other text. One scale for a whole product
is not enough: some tokens of a language model have far larger numbers than the others, and the others would get what is
left of the eight bits. Channels that are too large in every token are divided beforehand, and the weights that read
them are multiplied (SmoothQuant, arXiv 2211.10438). docs/log.md has the errors, sizes and times of the alternatives.
"""

from __future__ import annotations

from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from gram_os.train.export.causal_graph import TreeLayer
from gram_os.train.export.graphs import Graph
from gram_os.train.export.int8 import RowQuantisedEmbedding, input_ranges

_MIGRATION: Final = 0.5  # SmoothQuant's alpha: how much of an outlier moves to the weights
_INPUTS: Final = 127  # the largest number of an input
_WEIGHTS: Final = 63  # of a weight: seven bits, for processors without VNNI (int8.py)


class RowScaledLinear(nn.Module):
    """A linear layer with weights in int8, one scale an output, and inputs in eight bits, one scale a row.

    smoothing: float (inputs,), what each input channel is divided by.
    """

    def __init__(self, linear: nn.Linear, smoothing: Tensor):
        super().__init__()
        weight = (linear.weight.detach() * smoothing).T  # (inputs, outputs)
        scale = weight.abs().amax(0).clamp_min(1e-8) / _WEIGHTS
        self.register_buffer("weight", (weight / scale).round().to(torch.int8).contiguous())
        self.register_buffer("scale", scale)
        self.register_buffer("share", 1 / smoothing)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer: float (..., inputs) -> (..., outputs)."""
        x = x * self.get_buffer("share")
        largest = x.abs().amax(-1, keepdim=True).clamp_min(1e-8)  # (..., 1)
        answer = cast(Tensor, _Product.apply(x / largest, self.get_buffer("weight"), self.get_buffer("scale")))
        answer = answer * largest
        return answer if self.bias is None else answer + self.bias


class _Product(torch.autograd.Function):
    """A product of numbers from -1 to 1 in eight bits with weights in int8, as ONNX Runtime's integer product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        """Multiply float (..., inputs) with int8 (inputs, outputs) times float (outputs,)."""
        del ctx
        return (x * _INPUTS).round() @ weight.float() * (scale / _INPUTS)

    @staticmethod
    def symbolic(graph: Any, x: Any, weight: Any, scale: Any) -> Any:
        """Return the operators for the exported graph. ONNX Runtime makes one of them when it opens the graph."""
        step = graph.op("Constant", value_t=torch.tensor(1 / _INPUTS))
        zero = graph.op("Constant", value_t=torch.tensor(_INPUTS + 1, dtype=torch.uint8))
        rounded = graph.op("DequantizeLinear", graph.op("QuantizeLinear", x, step, zero), step, zero)
        answer = graph.op("MatMul", rounded, graph.op("DequantizeLinear", weight, scale, axis_i=1))
        answer.setType(x.type().with_sizes([*(x.type().sizes() or [None])[:-1], scale.type().sizes()[0]]))
        return answer


def quantise_rows(graph: Graph) -> None:
    """Replace the linear layers that the graph's samples pass through by `RowScaledLinear`, and the embedding too.

    The smoothing of channel j is max|x_j|^alpha / max|w_j|^(1 - alpha).
    """
    module = graph.module
    for name, reach in input_ranges(graph).items():
        parent, _, last = name.rpartition(".")
        linear = cast(nn.Linear, module.get_submodule(name))
        weight = linear.weight.detach().abs().amax(0).clamp_min(1e-5)
        smoothing = reach.clamp_min(1e-4) ** _MIGRATION / weight ** (1 - _MIGRATION)
        setattr(module.get_submodule(parent), last, RowScaledLinear(linear, smoothing))
    embedding = cast(nn.Embedding, module.get_submodule("embed"))
    for part in module.modules():
        if isinstance(part, TreeLayer):
            # In float32, attention differs in its last bits with the texts beside a text. Eight bits widen that.
            part.precision = torch.float64
    module.embed = RowQuantisedEmbedding(embedding.weight.detach())
