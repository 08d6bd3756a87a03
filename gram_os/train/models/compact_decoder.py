"""The decoder of the compact backbone: shallow, with the attribute values as its vocabulary.

One value is one token, so a code of two values takes three decoder steps. Knows tensors only: neither texts nor codes
nor ONNX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Keys and values of a layer. Those of the text are each (texts, heads, words, head width), those of the tokens so
#: far each (texts, beams, heads, tokens, head width). They are two tensors: to cut them out of one would copy them at
#: every step.
KeysValues: TypeAlias = tuple[Tensor, Tensor]

_SHARPNESS = 8.0  # of the first logits, see `CompactDecoder.initialise`


@dataclass(frozen=True, slots=True)
class CompactShape:
    """Sizes of the decoder; `width` must equal the width of the encoder."""

    values: int  # attribute values in the dictionary
    width: int = 384
    heads: int = 6
    layers: int = 2
    feed_forward: int = 768
    max_tokens: int = 7  # side token and six values

    @property
    def end(self) -> int:
        """The token that closes a code."""
        return self.values

    @property
    def side_tokens(self) -> tuple[int, int]:
        """The tokens that open a code on the query side and on the title side: GRAM's two prompts."""
        return self.values + 1, self.values + 2

    def as_dict(self) -> dict[str, int]:
        """Return the sizes for the bundle's manifest."""
        return asdict(self)


class DecoderLayer(nn.Module):
    """Pre-norm transformer layer: causal self-attention, cross-attention to the text, feed-forward."""

    def __init__(self, shape: CompactShape, dropout: float):
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.dropout = dropout
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.self_in = nn.Linear(width, 3 * width)
        self.self_out = nn.Linear(width, width)
        self.cross_query = nn.Linear(width, width)
        self.cross_memory = nn.Linear(width, 2 * width)
        self.cross_out = nn.Linear(width, width)
        self.feed_in = nn.Linear(width, shape.feed_forward)
        self.feed_out = nn.Linear(shape.feed_forward, width)

    def memory(self, hidden: Tensor) -> KeysValues:
        """Return the keys and values of the text's hidden states, float (texts, words, width)."""
        texts, words, _ = hidden.shape
        both: Tensor = self.cross_memory(hidden)
        keys, values = both.view(texts, words, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        return keys, values

    def forward(self, x: Tensor, memory: KeysValues, memory_mask: Tensor, causal: Tensor) -> Tensor:
        """Run one layer over prefixes.

        x: (texts, beams, tokens, width). memory: what `memory` returns. memory_mask: float (texts, 1, 1, words), 0 or
        -1e9. causal: float (tokens, tokens), 0 or -1e9. Returns the shape of x.
        """
        q, k, v = self._project(x)
        return self._finish(x, _attend(q, k, v, causal), memory, memory_mask)

    def step(self, x: Tensor, memory: KeysValues, memory_mask: Tensor, past: KeysValues) -> tuple[Tensor, KeysValues]:
        """Run one layer over one more token of each beam.

        x: (texts, beams, 1, width). past: keys and values of the tokens before. Returns the shape of x, and the past
        with this token.
        """
        q, k, v = self._project(x)
        grid = (*x.shape[:2], *k.shape[1:])
        keys, values = torch.cat([past[0], k.view(grid)], 3), torch.cat([past[1], v.view(grid)], 3)
        attended = _attend(q, keys.flatten(0, 1), values.flatten(0, 1), None)
        return self._finish(x, attended, memory, memory_mask), (keys, values)

    def _project(self, x: Tensor) -> Tensor:
        """Queries, keys and values of self-attention: (3, texts * beams, heads, tokens, head width)."""
        texts, beams, tokens, _ = x.shape
        joined: Tensor = self.self_in(self.norms[0](x))
        return joined.view(texts * beams, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)

    def _finish(self, x: Tensor, attended: Tensor, memory: KeysValues, memory_mask: Tensor) -> Tensor:
        """Do what follows self-attention; attended: (texts * beams, heads, tokens, head width)."""
        texts, beams, tokens, width = x.shape
        x = x + self._drop(self.self_out(attended.transpose(1, 2).reshape(texts, beams, tokens, width)))
        # All beams and tokens of a text are queries in one row, so the text's keys and values are read once for all
        # of them.
        q = self.cross_query(self.norms[1](x)).view(texts, beams * tokens, self.heads, -1).transpose(1, 2)
        attended = _attend(q, *memory, memory_mask)  # (texts, heads, beams * tokens, head)
        attended = attended.transpose(1, 2).reshape(texts, beams, tokens, width)
        x = x + self._drop(self.cross_out(attended))
        return x + self._drop(self.feed_out(functional.gelu(self.feed_in(self.norms[2](x)))))

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    weights: Tensor = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    weights = weights if mask is None else weights + mask
    attended: Tensor = weights.softmax(-1) @ v
    return attended


class CompactDecoder(nn.Module):
    """log P(next value | text, side, values so far) over the attribute dictionary and the closing token."""

    def __init__(self, shape: CompactShape, *, dropout: float = 0.05):
        super().__init__()
        self.shape = shape
        self.tokens = nn.Embedding(shape.values + 3, shape.width)
        self.positions = nn.Embedding(shape.max_tokens, shape.width)
        self.layers = nn.ModuleList(DecoderLayer(shape, dropout) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.bias = nn.Parameter(torch.zeros(shape.values + 1))
        self.scale = nn.Parameter(torch.tensor(1.0))

    def initialise(self, vectors: Tensor) -> None:
        """Start as two towers: P(value | text) falls with the angle between the text's mean vector and the value's.

        vectors: float (values, width), unit length, in the space of the encoder's mean-pooled texts
        (`value_vectors`). The cross-attention of the first layer starts as the mean over the text's words, and
        everything else adds nothing. So the first logits are `_SHARPNESS` times the cosine before any training step.
        """
        width, first = self.shape.width, self._layers()[0]
        with torch.no_grad():
            self.tokens.weight.normal_(std=0.02)
            self.tokens.weight[: self.shape.values] = vectors
            self.positions.weight.normal_(std=0.01)
            self.scale.fill_(_SHARPNESS / width**0.5)  # vectors behind the last norm have length sqrt(width)
            for layer in self._layers():
                for branch in (layer.self_out, layer.cross_out, layer.feed_out):
                    nn.init.zeros_(branch.weight)
                    nn.init.zeros_(branch.bias)
            nn.init.zeros_(first.cross_query.weight)  # with a query of 0 all words weigh the same
            nn.init.zeros_(first.cross_query.bias)
            nn.init.zeros_(first.cross_memory.bias)
            first.cross_memory.weight[width:] = torch.eye(width)
            # Three times the mean: beside it the vectors of side and position are small.
            first.cross_out.weight.copy_(3 * torch.eye(width))

    def memory(self, hidden: Tensor) -> list[KeysValues]:
        """Return the keys and values of the encoder's output (texts, words, width), layer by layer."""
        return [layer.memory(hidden) for layer in self._layers()]

    def empty_past(self, texts: int) -> list[KeysValues]:
        """Return the past that `step` starts with, layer by layer: one beam a text, no tokens."""
        heads, width = self.shape.heads, self.shape.width // self.shape.heads
        nothing = torch.zeros(texts, 1, heads, 0, width, device=self.bias.device)
        return [(nothing, nothing) for _ in self.layers]

    def forward(self, tokens: Tensor, memory: Sequence[KeysValues], mask: Tensor) -> Tensor:
        """Return the logits after every token of the prefixes.

        tokens: int64 (texts, beams, tokens), the side token first. memory: what `memory` returns. mask: int64 (texts,
        words), 1 where there is text. Returns float (texts, beams, tokens, values + 1); the last column is the
        closing token.
        """
        return self.logits(self.hidden(tokens, memory, mask))

    def step(
        self,
        tokens: Tensor,
        position: Tensor,
        memory: Sequence[KeysValues],
        mask: Tensor,
        past: Sequence[KeysValues],
    ) -> tuple[Tensor, list[KeysValues]]:
        """Return the hidden states of one more token of each beam, for `logits`; serving works step by step like this.

        tokens: int64 (texts, beams). position: int64 (1,), the number of tokens before. past: keys and values of
        those tokens. Returns float (texts, beams, width), and the past with these tokens.
        """
        x = self.tokens(tokens[:, :, None]) + self.positions(position)
        memory_mask = _memory_mask(mask, memory)
        presents = []
        for layer, text_memory, before in zip(self._layers(), memory, past, strict=True):
            x, present = layer.step(x, text_memory, memory_mask, before)
            presents.append(present)
        return self.norm(x)[:, :, 0], presents

    def hidden(self, tokens: Tensor, memory: Sequence[KeysValues], mask: Tensor) -> Tensor:
        """Return the final hidden states of the prefixes: float (texts, beams, tokens, width)."""
        length = tokens.shape[-1]
        steps = torch.arange(length, device=tokens.device)
        causal = torch.where(steps[None, :] > steps[:, None], -1e9, 0.0)
        memory_mask = _memory_mask(mask, memory)
        x = self.tokens(tokens) + self.positions(steps)
        for layer, text_memory in zip(self._layers(), memory, strict=True):
            x = layer(x, text_memory, memory_mask, causal)
        return self.norm(x)  # type: ignore[no-any-return]

    def logits(self, x: Tensor) -> Tensor:
        """Apply the output layer, whose weights are those of the tokens: (..., width) -> (..., values + 1)."""
        return functional.linear(self.scale * x, self.tokens.weight[: self.shape.values + 1], self.bias)

    def _layers(self) -> list[DecoderLayer]:
        return cast("list[DecoderLayer]", list(self.layers))


def _memory_mask(mask: Tensor, memory: Sequence[KeysValues]) -> Tensor:
    """Float (texts, 1, 1, words): 0 where there is text, -1e9 elsewhere, which works as -inf."""
    return (1 - mask[:, None, None, :].to(memory[0][0].dtype)) * -1e9
