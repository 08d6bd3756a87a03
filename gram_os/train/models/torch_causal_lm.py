"""A causal LM in training as the beam search sees it: `CausalLm` with torch in place of ONNX Runtime.

So codes can be generated without an export. The keys and values of the tokens that were read stay in transformers' own
cache. Knows neither tries nor codes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch

from gram_os.arrays import IntArray
from gram_os.model.decode import Step
from gram_os.model.prompts import PromptEncoder, pad_left
from gram_os.text.attribute import Side
from gram_os.train.models.causal import CausalSource, model_feeds


@dataclass(frozen=True, slots=True)
class _State:
    """One row for each distinct pair of text and token sequence, so equal beams are read once."""

    cache: Any  # transformers' `Cache` of the rows; None before the first token is read
    mask: IntArray  # (rows, tokens so far), 0 where the prompt is padded
    rows: IntArray  # (texts, beams), row of a beam


class TorchCausalLm:
    """A causal LM as `gram_os.model.decode.LanguageModel`; it runs on the device that the model is on.

    bfloat16: compute matrices in bfloat16; log-probabilities then differ by some hundredths.
    """

    def __init__(self, source: CausalSource, *, bfloat16: bool = False):
        self.end = source.end
        self._model = source.model.eval()
        self._prompts = PromptEncoder(source.tokenizer)
        self._bfloat16 = bfloat16

    def start(self, texts: Sequence[str], side: Side) -> Step:
        """See `LanguageModel.start`."""
        return self.read(self._prompts.encode(texts, side))

    def read(self, prompts: Sequence[Sequence[int]]) -> Step:
        """Do what `start` does, for prompts that are token ids already."""
        ids, mask = pad_left(prompts)
        return self._answer(ids, _State(None, mask, np.arange(len(mask))[:, None]))

    def advance(self, state: object, parents: IntArray, tokens: IntArray) -> Step:
        """See `LanguageModel.advance`; the state does not change and can be continued again."""
        before = cast(_State, state)
        continued = np.take_along_axis(before.rows, parents, axis=1)  # (texts, beams)
        pairs = np.stack([continued.ravel(), tokens.ravel()])
        (kept, added), rows = np.unique(pairs, axis=1, return_inverse=True)
        mask = np.concatenate([before.mask[kept], np.ones((len(kept), 1), np.int64)], axis=1)
        with torch.inference_mode():
            cache = copy.deepcopy(before.cache)
            cache.batch_select_indices(torch.from_numpy(kept).to(self._device))
        return self._answer(added[:, None], _State(cache, mask, rows.reshape(parents.shape)))

    def _answer(self, ids: IntArray, state: _State) -> Step:
        """Read the rows' newest tokens, int64 (rows, tokens), into the state's cache; no other state shares it."""
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16),
        ):
            feeds = model_feeds(self._model, ids, state.mask, count=1)
            answer = self._model(**feeds, past_key_values=state.cache, use_cache=True)
            log_probs = answer.logits[:, -1].float().log_softmax(-1).cpu().numpy()
        return Step(log_probs[state.rows], _State(answer.past_key_values, state.mask, state.rows))

    @property
    def _device(self) -> torch.device:
        return cast(torch.device, next(self._model.parameters()).device)
