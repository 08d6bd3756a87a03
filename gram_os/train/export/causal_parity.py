"""Compares the codes of an exported causal LM with those of the torch model that it was exported from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gram_os.model.decode import LanguageModel, beam_search, score_sequences
from gram_os.model.trie import CodeTrie
from gram_os.text.attribute import Side
from gram_os.train.models.causal import CausalSource
from gram_os.train.models.torch_causal_lm import TorchCausalLm

_BATCH = 16  # texts that are searched together


@dataclass(frozen=True, slots=True)
class Parity:
    """What an export and torch in float32 say of the same texts.

    texts: how many. same_likeliest: the share of texts with the same likeliest code. overlap: the share of torch's
    codes that the export generates too. largest_gap: the largest difference of ln P of a token of torch's likeliest
    codes. largest_swap: of the texts with another likeliest code, the largest distance in torch's own ln P between the
    two codes; 0 where none has another. A small one is a tie that rounding decides.
    """

    texts: int
    same_likeliest: float
    overlap: float
    largest_gap: float
    largest_swap: float


def compare_codes(
    source: CausalSource, exported: LanguageModel, trie: CodeTrie, texts: Sequence[str], side: Side, *, width: int = 10
) -> Parity:
    """Search the codes of the texts with both models, by beams of `width`. There must be a text and a code."""
    torch_lm = TorchCausalLm(source)
    same, overlaps, gaps, misses = [], [], [0.0], [0.0]
    for start in range(0, len(texts), _BATCH):
        batch = texts[start : start + _BATCH]
        own_first, first = torch_lm.start(batch, side), exported.start(batch, side)
        wanted = beam_search(torch_lm, trie, own_first, width=width)
        found = beam_search(exported, trie, first, width=width)
        best = [codes[0] for codes in wanted]
        scored = score_sequences(exported, first, [[code.tokens] for code in best])
        rivals = score_sequences(torch_lm, own_first, [[codes[0].tokens] if codes else [] for codes in found])
        for codes, others, (log_probs,), rival in zip(wanted, found, scored, rivals, strict=True):
            expected = codes[0].log_probs[:-1]
            gaps.append(float(np.abs(np.subtract(log_probs, expected)).max()))
            same.append(bool(others) and others[0].tokens == codes[0].tokens)
            overlaps.append(len({c.tokens for c in codes} & {c.tokens for c in others}) / len(codes))
            if rival and not same[-1]:
                misses.append(abs(sum(expected) - sum(rival[0])))
    return Parity(len(texts), float(np.mean(same)), float(np.mean(overlaps)), max(gaps), max(misses))
