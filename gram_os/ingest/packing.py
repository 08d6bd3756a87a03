"""The probabilities of a product's weighted codes in the form that its document keeps: one byte a value.

They explain a hit, and nothing searches by them. Knows codes, their probabilities and their names in `weights`.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable

from gram_os.cluster.dsl import feature_name
from gram_os.model.coded import ScoredCode

_STEPS = 16  # steps of a byte in one nat
_UNKNOWN = 255


def pack_probabilities(weights: Iterable[ScoredCode]) -> str:
    """Return the probabilities of a document's weighted codes: base64 of one byte a value, code by code.

    A byte is round(-16 ln P), at most 254, and 255 where the model does not know the value. The codes stand in the
    order of their names in the field `weights`, by UTF-8 bytes. Of two codes with one name the heavier one counts, as
    there. When somebody edits the weights, the bytes no longer match them.

    >>> from gram_os.text.code import Code
    >>> toner, part = Code(("toner",)), Code(("006r",))
    >>> packed = pack_probabilities([ScoredCode(toner, (0.5,), own=True), ScoredCode(part, None, own=True)])
    >>> list(base64.b64decode(packed))
    [255, 11]
    """
    named: dict[str, ScoredCode] = {}
    for scored in sorted(weights, key=lambda scored: scored.weight):
        named[feature_name(str(scored.code))] = scored
    packed = bytearray()
    for _, scored in sorted(named.items(), key=lambda pair: pair[0].encode()):
        if scored.probabilities is None:
            packed += bytes([_UNKNOWN] * len(scored.code.values))
        else:
            packed += bytes(min(_UNKNOWN - 1, round(-_STEPS * math.log(max(p, 1e-9)))) for p in scored.probabilities)
    return base64.b64encode(packed).decode("ascii")
