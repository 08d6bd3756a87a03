"""What co-alignment and the pair scorer ask of a backbone: log P(token | text, side, tokens before) of given codes.

Both backbones answer it (`CompactModel` from one decoder step where all codes are single values, a causal LM by reading
prompt and code), so that neither loss knows which one it trains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from gram_os.text.attribute import Side
from gram_os.text.dictionary import Tokens


@runtime_checkable
class CodeModel(Protocol):
    """A backbone in training."""

    def log_probs(self, texts: Sequence[Sequence[int]], side: Side, codes: Sequence[Tokens], wanted: Tensor) -> Tensor:
        """Natural log-probabilities of the codes' tokens, with gradients.

        texts: token ids; codes: those that are asked of any of the texts; wanted: bool (texts, codes), which of them.
        Returns float (texts, codes, longest code), 0 behind a code's end and where nothing is wanted; the closing token
        is left out, as in serving.
        """
