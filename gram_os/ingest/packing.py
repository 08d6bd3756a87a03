"""The weighted codes of a product in the form that its document keeps: `weights`, and their probabilities beside them.

`weights` is searched and scored by. The probabilities explain a hit, and nothing searches by them. Knows codes, their
probabilities and their names in `weights`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final

import numpy as np

from gram_os.cluster.dsl import feature_name
from gram_os.model.coded import ScoredCode

_DIGITS: Final = 5  # of a weight, behind the point
_STEPS: Final = 16  # steps of a byte in one nat
_UNKNOWN: Final = 255
_LEAST: Final = 1e-9
_NOT_KNOWN: Final = -1.0  # stands for a probability that the model does not know


@dataclass(frozen=True, slots=True)
class PackedWeights:
    """Two fields of a document.

    features: the value of `weights`, a list of one object. A partial update replaces a list, but it merges an object
    into the existing one, and codes of an older title would stay. probabilities: base64 of one byte a value.
    """

    features: list[dict[str, float]]
    probabilities: str


def pack_weights(weights: Sequence[ScoredCode]) -> PackedWeights:
    """Pack the weighted codes of a document. Of two codes with one name in `weights` the heavier one counts.

    The codes stand in the order of their names, by UTF-8 bytes. A byte of the probabilities is round(-16 ln P), at most
    254, and 255 where the model does not know the value. When somebody edits the weights, the bytes no longer match.

    >>> from gram_os.text.code import Code
    >>> toner, part = Code(("toner",)), Code(("006r",))
    >>> packed = pack_weights([ScoredCode(toner, (0.5,), own=True, weight=0.7), ScoredCode(part, None, own=True)])
    >>> packed.features, list(base64.b64decode(packed.probabilities))
    ([{'006r': 1.0, 'toner': 0.7}], [255, 11])
    """
    named: dict[str, ScoredCode] = {}
    for scored in weights:
        name = feature_name(str(scored.code))
        before = named.get(name)
        if before is None or scored.weight >= before.weight:
            named[name] = scored
    names = sorted(named)  # by code points, which is the order of UTF-8 bytes
    ordered = [named[name] for name in names]
    rounded = np.round([scored.weight for scored in ordered], _DIGITS)
    return PackedWeights([dict(zip(names, rounded.tolist(), strict=True))], _pack_probabilities(ordered))


def _pack_probabilities(weights: Sequence[ScoredCode]) -> str:
    found: list[float] = []
    for scored in weights:
        found.extend(scored.probabilities or repeat(_NOT_KNOWN, len(scored.code.values)))
    probabilities = np.array(found)  # float64 (values,)
    steps = np.minimum(np.rint(-_STEPS * np.log(np.maximum(probabilities, _LEAST))), _UNKNOWN - 1)
    steps[probabilities == _NOT_KNOWN] = _UNKNOWN
    return base64.b64encode(steps.astype(np.uint8).tobytes()).decode("ascii")
