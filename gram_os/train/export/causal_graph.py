"""The ONNX graph of a causal LM that reads trees: several token sequences below one text in one run.

The tokens of all texts go through the layers' matrices side by side, without padding. Only for attention are they in
a grid (texts, slots). A text's keys and values exist once for all its beams, and a mask says which of them a token
sees. The graph is for the Llama family: rotary positions, grouped key heads, RMSNorm, a gated MLP, and biases and
norms of queries and keys where the model has them. It uses the modules of the transformers model itself. A comparison
with the model's own forward detects any other architecture.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gram_os.errors import InputError
from gram_os.model.causal_lm import INPUTS, OUTPUTS
from gram_os.train.export.graphs import Graph

_HIDDEN = -1e9  # is added to the scores of what a token does not see; finite, because a free slot sees nothing
_NEAR = 1e-2  # largest difference to the model's own log-probabilities; a larger one is no rounding


class TreeGraph(nn.Module):
    """tokens and what they see -> log-probabilities, and keys and values that include these tokens; see `forward`."""

    def __init__(self, model: Any):
        super().__init__()
        config, base = model.config, model.model
        self.embed, self.norm, self.rotary = base.embed_tokens, base.norm, base.rotary_emb
        self.head = model.get_output_embeddings()
        self.layers = nn.ModuleList(
            TreeLayer(layer, int(config.num_attention_heads), int(config.num_key_value_heads)) for layer in base.layers
        )

    def forward(
        self,
        ids: Tensor,
        positions: Tensor,
        slots: Tensor,
        places: Tensor,
        seen: Tensor,
        scored: Tensor,
        wanted: Tensor,
        whole: Tensor,
        *past: Tensor,
    ) -> tuple[Tensor, ...]:
        """Read tokens into the trees of their texts.

        - ids: int64 (tokens,).
        - positions, slots: int64 (texts, slots), the token of each slot and its position; any number in a free slot.
        - places: int64 (tokens,), the place of each token in the flat grid.
        - seen: bool (texts, slots, before + slots).
        - scored: int64 (scored,), the tokens after which log-probabilities are needed.
        - wanted: int64 (scored, any), next tokens whose log-probabilities are returned.
        - whole: int64 (some,), places in `scored` where the whole vocabulary is returned.
        - past: keys and values, layer by layer, (texts, key heads, before, head width), in the weights' own numbers.

        Returns float32 (some, vocabulary), (scored, any), and `past` with `before + slots` in place of `before`.
        """
        hidden = self.embed(ids)  # (tokens, width)
        cos, sin = self.rotary(hidden[None], positions.reshape(1, -1))  # (1, texts * slots, head width)
        half = cos.shape[-1] // 2
        rows = torch.arange(positions.numel()).reshape(positions.shape)
        turn = rows, cos[0, :, :half], sin[0, :, :half]
        bias = torch.where(seen, 0.0, _HIDDEN)[:, None]  # (texts, 1, slots, before + slots)
        present: list[Tensor] = []
        for layer, keys, values in zip(self.layers, past[::2], past[1::2], strict=True):
            hidden, *grown = layer(hidden, turn, slots, places, bias, keys, values)
            present += grown
        log_probs = functional.log_softmax(self.head(self.norm(hidden[scored])).float(), -1)
        return (log_probs[whole], log_probs.gather(1, wanted), *present)


class TreeLayer(nn.Module):
    """A decoder layer: matrices over tokens side by side, attention over trees in a grid.

    precision: what attention computes in.
    """

    def __init__(self, layer: Any, heads: int, groups: int):
        super().__init__()
        own = layer.self_attn
        self.precision = torch.float32
        self.heads, self.groups, self.width, self.scale = heads, groups, int(own.head_dim), float(own.scaling)
        self.before, self.after, self.mlp = layer.input_layernorm, layer.post_attention_layernorm, layer.mlp
        self.joined, self.out = _join([own.q_proj, own.k_proj, own.v_proj]), own.o_proj
        self.query_norm, self.key_norm = getattr(own, "q_norm", None), getattr(own, "k_norm", None)

    def forward(
        self, hidden: Tensor, turn: tuple[Tensor, Tensor, Tensor], slots: Tensor, places: Tensor, bias: Tensor,
        keys: Tensor, values: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """Run the layer; turn: the arguments of `_Rotate` behind the heads."""
        both = self.heads + self.groups
        read = self.joined(self.before(hidden)).reshape(-1, both + self.groups, self.width)  # (tokens, ...)
        grid = read[slots].transpose(1, 2)  # (texts, all heads, slots, head width)
        turned, value = torch.split_with_sizes(grid, [both, self.groups], 1)
        turned = _Rotate.apply(self._norm(turned), *turn)
        query, key = torch.split_with_sizes(turned, [self.heads, self.groups], 1)
        keys, values = torch.cat([keys, key], 2), torch.cat([values, value], 2)  # before + slots for slots
        seen = self._attend(query, keys, values, bias)  # (texts, heads, slots, head width)
        flat = seen.transpose(1, 2).reshape(-1, self.heads * self.width)  # (texts * slots, heads * head width)
        hidden = hidden + self.out(flat[places])
        return hidden + self.mlp(self.after(hidden)), keys, values

    def _norm(self, turned: Tensor) -> Tensor:
        """Apply the norms of queries and keys where the model has them."""
        if self.query_norm is None or self.key_norm is None:
            return turned
        query, key = torch.split_with_sizes(turned, [self.heads, self.groups], 1)
        return torch.cat([self.query_norm(query), self.key_norm(key)], 1)

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        """Return (texts, heads, slots, head width) in the query's own numbers."""
        own = query.dtype
        query, keys, values, bias = (part.to(self.precision) for part in (query, keys, values, bias))
        return self._attend_precisely(query, keys, values, bias).to(own)

    def _attend_precisely(self, query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        if self.heads == self.groups:  # saves computing shapes, which takes a fifth of a short run
            return ((query @ keys.transpose(2, 3)) * self.scale + bias).softmax(-1) @ values
        texts, slots = query.shape[0], query.shape[2]
        # Query heads that share a key head are one below the other in its group: (texts, groups, rows, head width).
        grouped = query.reshape(texts, self.groups, -1, self.width)
        scores = ((grouped @ keys.transpose(2, 3)) * self.scale).reshape(texts, self.heads, slots, -1)
        shares = (scores + bias).softmax(-1).reshape(texts, self.groups, -1, keys.shape[2])
        return (shares @ values).reshape(texts, self.heads, slots, self.width)


def _join(layers: Sequence[nn.Linear]) -> nn.Linear:
    """Join linear layers over the same input into one, with their outputs side by side."""
    weight = torch.cat([layer.weight.detach() for layer in layers])
    joined = nn.Linear(weight.shape[1], weight.shape[0], bias=layers[0].bias is not None)
    joined.weight = nn.Parameter(weight)
    if joined.bias is not None:
        joined.bias = nn.Parameter(torch.cat([layer.bias.detach() for layer in layers]))
    return joined


class _Rotate(torch.autograd.Function):
    """Rotary positions, (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin), as one operator of ONNX Runtime, not six."""

    @staticmethod
    def forward(ctx: Any, heads: Tensor, rows: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Rotate heads (texts, heads, slots, head width).

        rows: (texts, slots), the row of each slot in `cos` and `sin`, which are (positions, half the head width).
        """
        del ctx
        first, second = heads.chunk(2, -1)
        cos, sin = cos[rows][:, None], sin[rows][:, None]  # (texts, 1, slots, half the width)
        return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)

    @staticmethod
    def symbolic(graph: Any, heads: Any, rows: Any, cos: Any, sin: Any) -> Any:
        """Return the operator for the exported graph."""
        turned = graph.op("com.microsoft::RotaryEmbedding", heads, rows, cos, sin)
        turned.setType(heads.type())
        return turned


def tree_graph(model: Any, texts: Iterable[Sequence[int]] = ()) -> Graph:
    """Return the graph of a transformers causal LM in float32, with a module of its own.

    texts: token ids; they become the graph's samples. Raises InputError where the model is not of the Llama family.
    """
    try:
        module = TreeGraph(copy.deepcopy(model)).eval().float()
        traced = read_text(module, range(1, 13))
        with torch.inference_mode():
            gap = float((module(*traced)[0] - _own_log_probs(model, traced[0])).abs().max())
    except (AttributeError, TypeError, RuntimeError) as error:
        raise InputError(_refusal(model, f"it is built differently: {error}")) from error
    if not gap < _NEAR:
        raise InputError(_refusal(model, f"its log-probabilities would be {gap:.3g} off"))
    names = [f"past.{at}" for at in range(2 * len(module.layers))]
    grown = [name.replace("past", "present") for name in names]
    axes: dict[str, Mapping[int, str]] = {**INPUTS, **OUTPUTS}
    axes |= {name: {0: "texts", 2: "before"} for name in names}
    axes |= {name: {0: "texts", 2: "keys"} for name in grown}
    samples = [read_text(module, ids) for ids in texts]
    return Graph(module, [*INPUTS, *names], [*OUTPUTS, *grown], axes, samples, traced=traced)


def _refusal(model: Any, reason: str) -> str:
    return (
        f"a causal LM of type '{model.config.model_type}' cannot be exported: {reason}; choose one of the Llama family "
        "(Llama, Mistral, Qwen2, Qwen3, SmolLM2)"
    )


def read_text(graph: nn.Module, ids: Sequence[int]) -> tuple[Tensor, ...]:
    """Return inputs: one text of these tokens without a past, and the whole vocabulary after each token."""
    count = len(ids)
    tokens = torch.arange(count)
    layers: Any = graph.layers
    past = torch.zeros(1, layers[0].groups, 0, layers[0].width)
    seen = torch.ones(1, count, count, dtype=torch.bool).tril()
    return (
        torch.tensor(list(ids)), tokens[None], tokens[None], tokens, seen, tokens, tokens[:, None], tokens,
        *[past] * (2 * len(layers)),
    )  # fmt: skip


def _own_log_probs(model: Any, ids: Tensor) -> Tensor:
    logits: Tensor = model(input_ids=ids[None].to(next(model.parameters()).device)).logits[0]
    return functional.log_softmax(logits.float().cpu(), -1)
