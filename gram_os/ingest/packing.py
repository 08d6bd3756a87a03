"""The probabilities of a product's weighted codes in the form that its document keeps: one byte a value.

They explain a hit, and nothing searches by them. Knows codes, their probabilities and their names in `weights`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from itertools import repeat

import numpy as np

from gram_os.cluster.dsl import feature_name
from gram_os.model.coded import ScoredCode

_STEPS = 16  # steps of a byte in one nat
_UNKNOWN = 255
_LEAST = 1e-9
_NOT_KNOWN = -1.0  # stands for a probability that the model does not know


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
    for scored in weights:
        name = feature_name(str(scored.code))
        before = named.get(name)
        if before is None or scored.weight >= before.weight:
            named[name] = scored
    found: list[float] = []
    for name in sorted(named):  # by code points, which is the order of UTF-8 bytes
        scored = named[name]
        found.extend(scored.probabilities or repeat(_NOT_KNOWN, len(scored.code.values)))
    probabilities = np.array(found)  # float64 (values,)
    steps = np.minimum(np.rint(-_STEPS * np.log(np.maximum(probabilities, _LEAST))), _UNKNOWN - 1)
    steps[probabilities == _NOT_KNOWN] = _UNKNOWN
    return base64.b64encode(steps.astype(np.uint8).tobytes()).decode("ascii")
