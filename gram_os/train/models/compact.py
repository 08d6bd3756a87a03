"""The compact backbone: a pretrained encoder, a shallow decoder whose vocabulary is the attribute values.

One value is one token, so a code of two values takes three decoder steps. Knows tensors only; texts, codes and ONNX live
elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gram_os.text.attribute import Side
from gram_os.text.dictionary import Tokens
from gram_os.train.models.encoder import length_buckets, pad

#: Keys and values of a layer: of the text, each (texts, heads, words, head width), or of the tokens so far, each
#: (texts, beams, heads, tokens, head width). Tensors of their own, since cutting them out of one would copy them at every step.
KeysValues: TypeAlias = tuple[Tensor, Tensor]

_CHUNK = 64  # texts of like length that are read at once: padding costs more than small products of matrices


@dataclass(frozen=True, slots=True)
class CompactShape:
    """Sizes of the decoder; the encoder's width must equal `width`."""

    values: int  # attribute values in the dictionary
    width: int = 384
    heads: int = 6
    layers: int = 2
    feed_forward: int = 768
    max_tokens: int = 7  # side token and six values

    @property
    def end(self) -> int:
        """Token that closes a code."""
        return self.values

    @property
    def side_tokens(self) -> tuple[int, int]:
        """Tokens that open a code, for the query side and the title side: GRAM's two prompts."""
        return self.values + 1, self.values + 2

    def as_dict(self) -> dict[str, int]:
        """For the bundle's manifest."""
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
        """Keys and values of the text, float (texts, words, width)."""
        texts, words, _ = hidden.shape
        both: Tensor = self.cross_memory(hidden)
        keys, values = both.view(texts, words, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        return keys, values

    def forward(self, x: Tensor, memory: KeysValues, memory_mask: Tensor, causal: Tensor) -> Tensor:
        """One layer over prefixes.

        x: (texts, beams, tokens, width); memory: as `memory` gives it; memory_mask: float (texts, 1, 1, words), 0 or
        -inf; causal: float (tokens, tokens), 0 or -inf. Returns the shape of x.
        """
        q, k, v = self._project(x)
        return self._go_on(x, _attend(q, k, v, causal), memory, memory_mask)

    def step(self, x: Tensor, memory: KeysValues, memory_mask: Tensor, past: KeysValues) -> tuple[Tensor, KeysValues]:
        """One layer over one more token of each beam.

        x: (texts, beams, 1, width); past: of the tokens before. Returns the shape of x, and the past with this token.
        """
        q, k, v = self._project(x)
        grid = (*x.shape[:2], *k.shape[1:])
        keys, values = torch.cat([past[0], k.view(grid)], 3), torch.cat([past[1], v.view(grid)], 3)
        attended = _attend(q, keys.flatten(0, 1), values.flatten(0, 1), None)
        return self._go_on(x, attended, memory, memory_mask), (keys, values)

    def _project(self, x: Tensor) -> Tensor:
        """Queries, keys and values of self-attention: (3, texts * beams, heads, tokens, head width)."""
        texts, beams, tokens, _ = x.shape
        joined: Tensor = self.self_in(self.norms[0](x))
        return joined.view(texts * beams, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)

    def _go_on(self, x: Tensor, attended: Tensor, memory: KeysValues, memory_mask: Tensor) -> Tensor:
        """What follows self-attention; attended: (texts * beams, heads, tokens, head width)."""
        texts, beams, tokens, width = x.shape
        x = x + self._drop(self.self_out(attended.transpose(1, 2).reshape(texts, beams, tokens, width)))
        # Beams and tokens of a text stand in one row, so its keys and values are read once for all of them.
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
    """log P(next value | text, side, values so far) over the attribute dictionary, the closing token included."""

    def __init__(self, shape: CompactShape, *, dropout: float = 0.05):
        super().__init__()
        self.shape = shape
        self.tokens = nn.Embedding(shape.values + 3, shape.width)
        self.positions = nn.Embedding(shape.max_tokens, shape.width)
        self.layers = nn.ModuleList(DecoderLayer(shape, dropout) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.bias = nn.Parameter(torch.zeros(shape.values + 1))
        self.scale = nn.Parameter(torch.tensor(1.0))

    def initialise(self, vectors: Tensor, *, sharpness: float = 8.0) -> None:
        """Start as two towers: P(value | text) falls with the angle between the text's mean vector and the value's.

        vectors: float (values, width), unit length, in the space of the encoder's mean-pooled texts (`value_vectors`). The first
        layer's cross-attention begins as the mean over the text's words and everything else adds nothing yet, so that
        the first logits are `sharpness` times the cosine, before a step is trained.
        """
        width, first = self.shape.width, self._layers()[0]
        with torch.no_grad():
            self.tokens.weight.normal_(std=0.02)
            self.tokens.weight[: self.shape.values] = vectors
            self.positions.weight.normal_(std=0.01)
            self.scale.fill_(sharpness / width**0.5)  # the last norm gives vectors of length sqrt(width)
            for layer in self._layers():
                for branch in (layer.self_out, layer.cross_out, layer.feed_out):
                    nn.init.zeros_(branch.weight)
                    nn.init.zeros_(branch.bias)
            nn.init.zeros_(first.cross_query.weight)  # no query: all words weigh the same
            nn.init.zeros_(first.cross_query.bias)
            nn.init.zeros_(first.cross_memory.bias)
            first.cross_memory.weight[width:] = torch.eye(width)
            # Three times the mean: what the side's and the position's vectors add is small beside it.
            first.cross_out.weight.copy_(3 * torch.eye(width))

    def memory(self, hidden: Tensor) -> list[KeysValues]:
        """Keys and values of the encoder's output (texts, words, width), layer by layer."""
        return [layer.memory(hidden) for layer in self._layers()]

    def empty_past(self, texts: int) -> list[KeysValues]:
        """What `step` begins with: no token of one beam a text, layer by layer."""
        heads, width = self.shape.heads, self.shape.width // self.shape.heads
        nothing = torch.zeros(texts, 1, heads, 0, width, device=self.bias.device)
        return [(nothing, nothing) for _ in self.layers]

    def forward(self, tokens: Tensor, memory: Sequence[KeysValues], mask: Tensor) -> Tensor:
        """Logits after every token of the prefixes.

        tokens: int64 (texts, beams, tokens), the side token first; memory: as `memory` gives it; mask: int64
        (texts, words), 1 where there is text. Returns float (texts, beams, tokens, values + 1); the last is the end.
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
        """Hidden states of one more token of each beam, which `logits` reads: what serving asks for.

        tokens: int64 (texts, beams); position: int64 (1,), how many tokens stand before; past: of those. Returns float
        (texts, beams, width), and the past with these tokens.
        """
        x = self.tokens(tokens[:, :, None]) + self.positions(position)
        memory_mask = _memory_mask(mask, memory)
        presents = []
        for layer, of_text, before in zip(self._layers(), memory, past, strict=True):
            x, present = layer.step(x, of_text, memory_mask, before)
            presents.append(present)
        return self.norm(x)[:, :, 0], presents

    def hidden(self, tokens: Tensor, memory: Sequence[KeysValues], mask: Tensor) -> Tensor:
        """Final hidden states: float (texts, beams, tokens, width)."""
        length = tokens.shape[-1]
        steps = torch.arange(length, device=tokens.device)
        causal = torch.where(steps[None, :] > steps[:, None], -1e9, 0.0)
        memory_mask = _memory_mask(mask, memory)
        x = self.tokens(tokens) + self.positions(steps)
        for layer, of_text in zip(self._layers(), memory, strict=True):
            x = layer(x, of_text, memory_mask, causal)
        return self.norm(x)  # type: ignore[no-any-return]

    def logits(self, x: Tensor) -> Tensor:
        """Tied output layer: (..., width) -> (..., values + 1)."""
        return functional.linear(self.scale * x, self.tokens.weight[: self.shape.values + 1], self.bias)

    def _layers(self) -> list[DecoderLayer]:
        return cast("list[DecoderLayer]", list(self.layers))


def _memory_mask(mask: Tensor, memory: Sequence[KeysValues]) -> Tensor:
    """Float (texts, 1, 1, words): 0 where there is text, as good as -inf elsewhere."""
    return (1 - mask[:, None, None, :].to(memory[0][0].dtype)) * -1e9


class CompactModel(nn.Module):
    """Encoder and decoder together; the encoder is any transformers model that returns `last_hidden_state`."""

    def __init__(self, encoder: Any, decoder: CompactDecoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """int64 (texts, words) twice -> float (texts, words, width)."""
        hidden: Tensor = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden

    def first_log_probs(self, texts: Sequence[Sequence[int]], side: Side) -> Tensor:
        """Natural log-probabilities of the first token of texts, given as token ids: float (texts, values + 1)."""
        order, parts = [], []
        for places in length_buckets([len(text) for text in texts], _CHUNK):
            order += places
            parts.append(self._first(*self._read([texts[i] for i in places]), side))
        return torch.cat(parts)[_inverse(order)]

    def log_probs(self, texts: Sequence[Sequence[int]], side: Side, codes: Sequence[Tokens], wanted: Tensor) -> Tensor:
        """`CodeModel.log_probs`: one decoder step for all first tokens, and prefixes for the codes that go on."""
        longer = [at for at, code in enumerate(codes) if len(code) > 1]
        first = torch.tensor([code[0] for code in codes])
        order, parts = [], []
        for places in length_buckets([len(text) for text in texts], _CHUNK):
            order += places
            memory, mask = self._read([texts[i] for i in places])
            found = self._first(memory, mask, side)[:, first.to(mask.device)][..., None]  # (texts, codes, 1)
            if longer:
                asked = wanted[places][:, longer].to(mask.device)
                later = self._later(memory, mask, side, [codes[at] for at in longer], asked)
                found = functional.pad(found, (0, later.shape[-1])).clone()
                found[:, longer, 1:] = later
            parts.append(found)
        together = torch.cat(parts)[_inverse(order)]
        return together * wanted[..., None].to(together.device)

    def _read(self, texts: Sequence[Sequence[int]]) -> tuple[list[KeysValues], Tensor]:
        """The decoder's memory of texts, and their mask."""
        device = self.decoder.bias.device
        ids, mask = (part.to(device) for part in pad(texts))
        return self.decoder.memory(self.encode(ids, mask)), mask

    def _first(self, memory: Sequence[KeysValues], mask: Tensor, side: Side) -> Tensor:
        opening = torch.full((len(mask), 1, 1), self.decoder.shape.side_tokens[side is Side.TITLE])
        return functional.log_softmax(self.decoder(opening.to(mask.device), memory, mask)[:, 0, 0].float(), -1)

    def _later(
        self, memory: Sequence[KeysValues], mask: Tensor, side: Side, codes: Sequence[Tokens], wanted: Tensor
    ) -> Tensor:
        """Log-probabilities of the second and further tokens: float (texts, codes, longest - 1)."""
        longest = max(map(len, codes))
        opening = self.decoder.shape.side_tokens[side is Side.TITLE]
        rows = torch.full((len(codes), longest + 1), -1, device=mask.device)
        for row, code in enumerate(codes):
            rows[row, : len(code) + 1] = torch.tensor([opening, *code])
        found = torch.zeros(len(mask), len(codes), longest - 1, device=mask.device)
        # A batch's codes are many and a text wants few of them: only those are read, the texts' first ones side by side.
        most = int(wanted.sum(1).max())
        chosen = wanted.int().argsort(dim=1, descending=True, stable=True)[:, :most]  # (texts, most)
        labels = rows[chosen][:, :, 2:]  # (texts, most, longest - 1)
        asked = (labels >= 0) & wanted.gather(1, chosen)[..., None]
        if not asked.any():
            return found
        hidden = self.decoder.hidden(rows[chosen][:, :, :-1].clamp(min=0), memory, mask)[:, :, 1:]
        scores = functional.log_softmax(self.decoder.logits(hidden[asked]).float(), -1)
        values = torch.zeros(labels.shape, device=mask.device)
        values[asked] = scores.gather(1, labels[asked][:, None])[:, 0]
        return found.scatter(1, chosen[..., None].expand_as(values), values)

    def forward(self, ids: Tensor, mask: Tensor, tokens: Tensor) -> Tensor:
        """Logits of the prefixes `tokens` (texts, beams, tokens) of the texts `ids` (texts, words)."""
        return self.decoder(tokens, self.decoder.memory(self.encode(ids, mask)), mask)  # type: ignore[no-any-return]


def _inverse(order: Sequence[int]) -> Tensor:
    """The permutation that undoes `order`."""
    return torch.argsort(torch.tensor(order))
