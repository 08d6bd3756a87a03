"""The textbook beam search: clear, exact and slow. Tests and benchmarks compare `gram_os.model.decode` with it.

Every beam is a Python tuple that grows token by token. Nothing is cached, and no branch is cut early.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gram_os.arrays import FloatArray
from gram_os.model.decode import Generated
from gram_os.model.trie import CodeTrie

Prefix = tuple[int, ...]


def plain_beam_search(
    next_log_probs: Callable[[Sequence[Prefix]], FloatArray], end: int, trie: CodeTrie, width: int
) -> list[Generated]:
    """Return the `width` most probable codes of one text, best first.

    `next_log_probs` returns float32 (prefixes, vocabulary): natural log-probabilities of the token after each prefix.
    All prefixes of one call have the same length. `end` is the closing token. Codes with equal scores are in the order
    of their tokens.
    """
    beams = [Generated((), ())]
    closed: list[Generated] = []
    while beams:
        longer = []
        for beam, log_probs in zip(beams, next_log_probs([beam.tokens for beam in beams]), strict=True):
            node = trie.find(beam.tokens)
            assert node is not None
            if trie.final[node]:
                closed.append(Generated(beam.tokens, (*beam.log_probs, float(log_probs[end]))))
            for token in trie.children(node)[0].tolist():
                longer.append(Generated((*beam.tokens, token), (*beam.log_probs, float(log_probs[token]))))
        beams = _best(longer, width)
    return _best(closed, width)


def _best(found: Sequence[Generated], width: int) -> list[Generated]:
    return sorted(found, key=lambda g: (-g.score, g.tokens))[:width]
