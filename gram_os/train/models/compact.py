"""The compact backbone: a pretrained encoder, a shallow decoder, and the log-probabilities that training needs.

Knows token ids and tensors. Knows neither texts nor ONNX.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gram_os.text.attribute import Side
from gram_os.text.dictionary import Tokens
from gram_os.train.models.compact_decoder import CompactDecoder, KeysValues
from gram_os.train.models.encoder import length_buckets, pad

_CHUNK = 64  # texts of similar length that are read at once: padding costs more than small matrix products


class CompactModel(nn.Module):
    """Encoder and decoder together; the encoder is any transformers model with a `last_hidden_state`."""

    def __init__(self, encoder: Any, decoder: CompactDecoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Read texts: ids and mask, int64 (texts, words) -> float (texts, words, width)."""
        hidden: Tensor = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden

    def first_log_probs(self, texts: Sequence[Sequence[int]], side: Side) -> Tensor:
        """Return natural log-probabilities of each text's first token, float (texts, values + 1); texts: token ids."""
        order, parts = [], []
        for places in length_buckets([len(text) for text in texts], _CHUNK):
            order += places
            parts.append(self._first(*self._read([texts[i] for i in places]), side))
        return torch.cat(parts)[_inverse(order)]

    def log_probs(self, texts: Sequence[Sequence[int]], side: Side, codes: Sequence[Tokens], wanted: Tensor) -> Tensor:
        """See `CodeModel.log_probs`: one decoder step for all first tokens, prefixes for codes with more tokens."""
        longer = [at for at, code in enumerate(codes) if len(code) > 1]
        first = torch.tensor([code[0] for code in codes])
        order, parts = [], []
        for places in length_buckets([len(text) for text in texts], _CHUNK):
            order += places
            memory, mask = self._read([texts[i] for i in places])
            found = self._first(memory, mask, side)[:, first.to(mask.device)][..., None]  # (texts, codes, 1)
            if longer:
                wanted_here = wanted[places][:, longer].to(mask.device)
                later = self._later(memory, mask, side, [codes[at] for at in longer], wanted_here)
                found = functional.pad(found, (0, later.shape[-1])).clone()
                found[:, longer, 1:] = later
            parts.append(found)
        together = torch.cat(parts)[_inverse(order)]
        return together * wanted[..., None].to(together.device)

    def _read(self, texts: Sequence[Sequence[int]]) -> tuple[list[KeysValues], Tensor]:
        """Return the decoder's memory of texts, and their mask."""
        device = self.decoder.bias.device
        ids, mask = (part.to(device) for part in pad(texts))
        return self.decoder.memory(self.encode(ids, mask)), mask

    def _first(self, memory: Sequence[KeysValues], mask: Tensor, side: Side) -> Tensor:
        opening = torch.full((len(mask), 1, 1), self.decoder.shape.side_tokens[side is Side.TITLE])
        return functional.log_softmax(self.decoder(opening.to(mask.device), memory, mask)[:, 0, 0].float(), -1)

    def _later(
        self, memory: Sequence[KeysValues], mask: Tensor, side: Side, codes: Sequence[Tokens], wanted: Tensor
    ) -> Tensor:
        """Return the log-probabilities of the second and all further tokens: float (texts, codes, longest - 1)."""
        longest = max(map(len, codes))
        opening = self.decoder.shape.side_tokens[side is Side.TITLE]
        rows = torch.full((len(codes), longest + 1), -1, device=mask.device)
        for row, code in enumerate(codes):
            rows[row, : len(code) + 1] = torch.tensor([opening, *code])
        found = torch.zeros(len(mask), len(codes), longest - 1, device=mask.device)
        # A batch has many codes and each text needs few of them. Only those are read: column by column, each text's
        # own ones.
        most = int(wanted.sum(1).max())
        chosen = wanted.int().argsort(dim=1, descending=True, stable=True)[:, :most]  # (texts, most)
        labels = rows[chosen][:, :, 2:]  # (texts, most, longest - 1)
        scored = (labels >= 0) & wanted.gather(1, chosen)[..., None]
        if not scored.any():
            return found
        hidden = self.decoder.hidden(rows[chosen][:, :, :-1].clamp(min=0), memory, mask)[:, :, 1:]
        scores = functional.log_softmax(self.decoder.logits(hidden[scored]).float(), -1)
        values = torch.zeros(labels.shape, device=mask.device)
        values[scored] = scores.gather(1, labels[scored][:, None])[:, 0]
        return found.scatter(1, chosen[..., None].expand_as(values), values)

    def forward(self, ids: Tensor, mask: Tensor, tokens: Tensor) -> Tensor:
        """Return the logits of the prefixes `tokens` (texts, beams, tokens) below the texts `ids` (texts, words)."""
        return self.decoder(tokens, self.decoder.memory(self.encode(ids, mask)), mask)  # type: ignore[no-any-return]


def _inverse(order: Sequence[int]) -> Tensor:
    """Return the permutation that undoes `order`."""
    return torch.argsort(torch.tensor(order))
