"""ONNX graphs: what one is and how it is written. The three of a compact bundle, with samples to trace and calibrate.

Knows torch modules and names. `compact.py` knows the files of a bundle, `int8.py` the numbers of eight bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from gram_os.text.attribute import Side
from gram_os.text.tagger import MAX_TOKENS
from gram_os.train.models.compact import CompactModel
from gram_os.train.models.compact_decoder import CompactDecoder, KeysValues
from gram_os.train.models.tag_branch import BranchedTagger, hidden_states

DECODER_TABLE = "decoder.tokens.weight"  # in the decoder's graph

_TEXT: Mapping[int, str] = {0: "texts", 1: "words"}
_BEAMS, _STEPS = 10, 4  # beams and steps of each text in the decoder's samples

#: A text as token ids, and its side.
SampleText: TypeAlias = tuple[Sequence[int], Side]


@dataclass(frozen=True)
class Graph:
    """A module to export.

    inputs, outputs: names in the module's order. axes: for each name, which of its axes vary. samples: examples of
    the inputs. exact: names of linear layers of the module that eight bits would harm. traced: the inputs that the
    export runs the module on; without them, the longest sample twice.
    """

    module: nn.Module
    inputs: Sequence[str]
    outputs: Sequence[str]
    axes: Mapping[str, Mapping[int, str]]
    samples: Sequence[tuple[Tensor, ...]]
    exact: Sequence[str] = ()
    traced: tuple[Tensor, ...] | None = None


class _EncoderModule(nn.Module):
    """ids, mask -> the decoder's memory, and the encoder's hidden states, which the tagger reads."""

    def __init__(self, model: CompactModel):
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        states = hidden_states(self.model.encoder, ids, mask)
        return *_flatten(self.model.decoder.memory(states[-1])), *states


class _TaggerModule(nn.Module):
    """mask, hidden states -> tag logits.

    A graph of its own, because ONNX Runtime always runs the whole graph, also for some of its outputs.
    """

    def __init__(self, tagger: BranchedTagger):
        super().__init__()
        self.branch, self.tag_head = tagger.encoder, tagger.head

    def forward(self, mask: Tensor, *states: Tensor) -> Tensor:
        logits: Tensor = self.tag_head(self.branch(torch.stack(states, 2), mask))
        return logits


class _DecoderModule(nn.Module):
    """tokens, position, mask, memory, past -> log-probabilities after these tokens, and the past with them.

    The output layer also has columns for the side tokens, with a bias of -1e9, so they are never generated. Its
    weights are then the whole table of tokens, and the graph can hold that table once (`int8.tie_table`).
    """

    def __init__(self, decoder: CompactDecoder):
        super().__init__()
        self.decoder = decoder
        self.register_buffer("bias", torch.cat([decoder.bias.detach(), torch.full((2,), -1e9)]))

    def forward(self, tokens: Tensor, position: Tensor, mask: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        pairs = [(parts[at], parts[at + 1]) for at in range(0, len(parts), 2)]
        layers = len(pairs) // 2
        decoder = self.decoder
        hidden, present = decoder.step(tokens, position, pairs[:layers], mask, pairs[layers:])
        logits = functional.linear(decoder.scale * hidden, decoder.tokens.weight, self.get_buffer("bias"))
        return functional.log_softmax(logits, -1), *_flatten(present)


def encoder_graph(model: CompactModel, texts: Iterable[SampleText]) -> Graph:
    """Return the encoder's graph; `onnx_lm.CompactLm` runs it in serving."""
    memory, states = _cache_names("memory", model.decoder.shape.layers), _state_names(model)
    axes: dict[str, Mapping[int, str]] = dict.fromkeys(["ids", "mask", *states], _TEXT)
    axes |= {name: {0: "texts", 2: "words"} for name in memory}
    samples = [_as_batch(ids) for ids, _ in texts]
    exact = ["model.decoder.layers.0.cross_memory"]
    return Graph(_EncoderModule(model), ["ids", "mask"], [*memory, *states], axes, samples, exact)


@torch.inference_mode()
def tagger_graph(model: CompactModel, tagger: BranchedTagger, texts: Iterable[SampleText]) -> Graph:
    """Return the tagger's graph; its inputs are outputs of the encoder's graph."""
    states = _state_names(model)
    batches = [_as_batch(ids) for ids, _ in texts]
    samples = [(mask, *hidden_states(model.encoder, ids, mask)) for ids, mask in batches]
    axes = dict.fromkeys(["mask", *states, "tags"], _TEXT)
    return Graph(_TaggerModule(tagger), ["mask", *states], ["tags"], axes, samples)


def decoder_graph(model: CompactModel, texts: Iterable[SampleText]) -> Graph:
    """Return the decoder's graph, for one more token of every beam."""
    layers = model.decoder.shape.layers
    memory, past, present = (_cache_names(kind, layers) for kind in ("memory", "past", "present"))
    grid = {0: "texts", 1: "beams"}
    axes: dict[str, Mapping[int, str]] = {"tokens": grid, "mask": {0: "texts", 1: "words"}, "log_probs": grid}
    axes |= {name: {0: "texts", 2: "words"} for name in memory}
    axes |= {name: {**grid, 3: "before"} for name in past} | {name: {**grid, 3: "after"} for name in present}
    module = _DecoderModule(model.decoder).eval()
    samples = [inputs for ids, side in texts for inputs in _decoder_samples(model, module, ids, side)]
    inputs = ["tokens", "position", "mask", *memory, *past]
    return Graph(module, inputs, ["log_probs", *present], axes, samples, ["decoder.layers.0.cross_out"])


@torch.inference_mode()
def _decoder_samples(
    model: CompactModel, module: _DecoderModule, ids: Sequence[int], side: Side
) -> list[tuple[Tensor, ...]]:
    """Return the inputs of a text's first steps: its likeliest first tokens, then the likeliest token of each beam."""
    ids_row, mask = _as_batch(ids)
    decoder = model.decoder
    memory = _flatten(decoder.memory(model.encode(ids_row, mask)))
    tokens, past = torch.tensor([[decoder.shape.side_tokens[side is Side.TITLE]]]), decoder.empty_past(1)
    found = []
    for position in range(_STEPS):
        inputs = (tokens, torch.tensor([position]), mask, *memory, *_flatten(past))
        found.append(inputs)
        log_probs, *present = module(*inputs)
        if position == 0:
            most = min(_BEAMS, decoder.shape.values)
            tokens = log_probs[:, 0].topk(most).indices
            present = [part.repeat(1, most, 1, 1, 1) for part in present]
        else:
            tokens = log_probs[:, :, : decoder.shape.values].argmax(-1)
        past = [(present[at], present[at + 1]) for at in range(0, len(present), 2)]
    return found


def write_graph(graph: Graph, path: Path) -> None:
    """Write a graph in float32 by TorchScript; ONNX Runtime's quantiser and fusions know its graphs best."""
    inputs = graph.traced or _double_longest(graph.samples)
    with torch.inference_mode():
        torch.onnx.export(
            graph.module.eval(), inputs, str(path), input_names=list(graph.inputs), output_names=list(graph.outputs),
            dynamic_axes=graph.axes, opset_version=17, do_constant_folding=True, dynamo=False,
        )  # fmt: skip


def _double_longest(samples: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Return the longest sample twice. The exporter may take an axis of length 1 for a constant."""
    longest = max(samples, key=lambda sample: [part.numel() for part in sample[::-1]])
    return tuple(torch.cat([part, part]) if part.dim() > 1 else part for part in longest)


def _as_batch(ids: Sequence[int]) -> tuple[Tensor, Tensor]:
    row = torch.tensor([list(ids[:MAX_TOKENS])])
    return row, torch.ones_like(row)


def _flatten(layers: Iterable[KeysValues]) -> list[Tensor]:
    return [part for layer in layers for part in layer]


def _cache_names(kind: str, layers: int) -> list[str]:
    """Name the keys and values of all layers, in the order of inputs and outputs."""
    return [f"{kind}.{layer}.{part}" for layer in range(layers) for part in ("keys", "values")]


def _state_names(model: CompactModel) -> list[str]:
    """Name the encoder's hidden states, from the input of its first layer to the output of its last layer."""
    return [f"states.{level}" for level in range(model.encoder.config.num_hidden_layers + 1)]
