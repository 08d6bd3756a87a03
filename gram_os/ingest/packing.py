"""The probabilities of a product's codes in the form that its document keeps: one byte a value.

They explain a hit, and nothing searches by them.

Knows codes and their probabilities, not the cluster.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from dataclasses import dataclass

from gram_os.model.generator import ScoredCode

_STEPS = 16  # steps of a byte in one nat
_UNKNOWN = 255


@dataclass(frozen=True, slots=True)
class PackedCodes:
    """A product's codes in the form that its document keeps.

    codes: the canonical texts, in the order in which doc values return them (by their UTF-8 bytes). probabilities:
    base64 of one byte a value, code by code: round(-16 ln P), at most 254, and 255 where the model does not know the
    value. When somebody edits the codes, the bytes no longer match them.
    """

    codes: tuple[str, ...]
    probabilities: str


def pack_codes(codes: Iterable[ScoredCode]) -> PackedCodes:
    """Return codes and the probabilities of their values in the form that documents keep.

    >>> from gram_os.text.code import Code
    >>> toner, part = Code(("toner",)), Code(("006r",))
    >>> packed = pack_codes([ScoredCode(toner, (0.5,), own=True), ScoredCode(part, None, own=True)])
    >>> packed.codes, list(base64.b64decode(packed.probabilities))
    (('006r', 'toner'), [255, 11])
    """
    ordered = sorted(((str(scored.code), scored) for scored in codes), key=lambda pair: pair[0].encode())
    packed = bytearray()
    for _, scored in ordered:
        if scored.probabilities is None:
            packed += bytes([_UNKNOWN] * len(scored.code.values))
        else:
            packed += bytes(min(_UNKNOWN - 1, round(-_STEPS * math.log(max(p, 1e-9)))) for p in scored.probabilities)
    return PackedCodes(tuple(text for text, _ in ordered), base64.b64encode(packed).decode("ascii"))
