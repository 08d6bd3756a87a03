"""A compact model in training as the beam search sees it: `CompactLm` with torch in place of ONNX Runtime.

So codes can be generated without an export. Knows neither tries nor codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from tokenizers import Tokenizer
from torch import Tensor

from gram_os.arrays import IntArray
from gram_os.model.decode import Step
from gram_os.text.attribute import Side
from gram_os.train.models.compact import CompactModel
from gram_os.train.models.compact_decoder import KeysValues
from gram_os.train.models.encoder import pad


@dataclass(frozen=True, slots=True)
class _State:
    memory: Sequence[KeysValues]
    mask: Tensor
    past: Sequence[KeysValues]
    position: int


class TorchLanguageModel:
    """A compact model as `gram_os.model.decode.LanguageModel`, with a KV cache.

    tokenizer: must neither pad nor cut. most_tokens: how many tokens of a text are read, by side. bfloat16: compute
    matrices in bfloat16, about twice as fast; log-probabilities then differ by some hundredths.
    """

    def __init__(
        self,
        model: CompactModel,
        tokenizer: Tokenizer,
        most_tokens: Mapping[Side, int],
        *,
        bfloat16: bool = False,
    ):
        self.model = model
        self._tokenizer, self._most, self._bfloat16 = tokenizer, most_tokens, bfloat16

    @property
    def end(self) -> int:
        """The token that closes a code."""
        return self.model.decoder.shape.end

    def start(self, texts: Sequence[str], side: Side) -> Step:
        """Read the texts and return the log-probabilities of the first token, float32 (texts, 1, values + 1)."""
        shape, device = self.model.decoder.shape, _device(self.model)
        items = self._tokenizer.encode_batch(list(texts))
        ids, mask = (part.to(device) for part in pad([item.ids[: self._most[side]] for item in items]))
        with _inference(self.model, bfloat16=self._bfloat16):
            memory = self.model.decoder.memory(self.model.encode(ids, mask))
        past = self.model.decoder.empty_past(len(texts))
        opening = torch.full((len(texts), 1), shape.side_tokens[side is Side.TITLE], device=device)
        return self._answer(opening, _State(memory, mask, past, 0))

    def advance(self, state: object, parents: IntArray, tokens: IntArray) -> Step:
        """Append one token to each beam; parents, tokens: int64 (texts, beams). See `LanguageModel.advance`."""
        before = cast(_State, state)
        rows, chosen = torch.arange(len(parents))[:, None], torch.from_numpy(parents)
        past = [(keys[rows, chosen], values[rows, chosen]) for keys, values in before.past]
        kept = _State(before.memory, before.mask, past, before.position)
        return self._answer(torch.from_numpy(tokens).to(before.mask.device), kept)

    def _answer(self, tokens: Tensor, state: _State) -> Step:
        position = torch.tensor([state.position], device=tokens.device)
        with _inference(self.model, bfloat16=self._bfloat16):
            decoder = self.model.decoder
            hidden, past = decoder.step(tokens, position, state.memory, state.mask, state.past)
            log_probs = decoder.logits(hidden).float().log_softmax(-1).cpu().numpy()
        return Step(log_probs, _State(state.memory, state.mask, past, state.position + 1))


@contextmanager
def _inference(model: CompactModel, *, bfloat16: bool) -> Iterator[None]:
    """Run without gradients and without dropout, then put the model back into the mode that it was in."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode(), torch.autocast(_device(model).type, torch.bfloat16, enabled=bfloat16):
            yield
    finally:
        model.train(training)


def _device(model: CompactModel) -> torch.device:
    return model.decoder.bias.device
