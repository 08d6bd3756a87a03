"""What co-alignment needs of a backbone in training: log P(token | text, side, tokens before) of given codes.

Both backbones give it, so the loss does not know which of them it trains. `CompactModel` needs one decoder step where
all codes are single values. A causal LM reads prompt and code.
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
        """Return the natural log-probabilities of the codes' tokens, with gradients.

        texts: token ids. codes: all codes that are scored for at least one text. wanted: bool (texts, codes), which
        codes are scored for which text. Returns float (texts, codes, longest code), 0 behind a code's end and where
        nothing is wanted. The closing token is left out, as in serving.
        """
