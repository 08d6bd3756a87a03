"""The pair score of a query and a product over the codes that they share (GRAM section 6).

For a code of k values let P_i^q and P_i^t be the probabilities that the query side and the title side give value i. The
paper's per-value term is the Jensen-Shannon divergence of the two, not normalised:

    D_i = P_i^q ln(2 P_i^q / (P_i^q + P_i^t)) + P_i^t ln(2 P_i^t / (P_i^q + P_i^t)),    0 <= D_i <= (P_i^q + P_i^t) ln 2

The paper leaves the sign open. **Implemented is a similarity, larger is better**: a shared code counts its weight w
(share x idf, as in the first stage) times an agreement that is 1 where both sides give its values equal probability:

    S(q, t) = sum over shared codes c of  w_c (1 - gamma mean_i D_i / ((P_i^q + P_i^t) ln 2))

gamma is the bundle's. A value that the model does not know is literal evidence: its D is 0. Which readings were
compared, and on what, is in docs/log.md. Knows neither texts nor the cluster.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gram_os.code import SEPARATOR
from gram_os.generator import ScoredCode

_STEPS = 16  # steps of the packed byte in one nat
_UNKNOWN = 255


@dataclass(frozen=True, slots=True)
class CodeScore:
    """What one shared code adds to a pair's score: `weight` times `agreement`."""

    code: str
    weight: float
    agreement: float

    @property
    def score(self) -> float:
        """The part of the sum."""
        return self.weight * self.agreement


@dataclass(frozen=True, slots=True)
class PairScore:
    """A pair's score and its parts, largest first."""

    total: float
    parts: tuple[CodeScore, ...]


@dataclass(frozen=True, slots=True)
class PackedCodes:
    """A product's codes as they stand in its document.

    codes: the canonical texts, ascending, as doc values give them back; probabilities: base64 of one byte a value, code
    by code: round(-16 ln P), 254 at most, 255 where the model does not know the value. Codes that were edited by hand no
    longer match the bytes; then nothing counts as known.
    """

    codes: tuple[str, ...]
    probabilities: str


@dataclass(frozen=True, slots=True)
class WeightedCode:
    """A query's code with its weight against this index."""

    code: ScoredCode
    weight: float


def pack_codes(codes: Iterable[ScoredCode]) -> PackedCodes:
    """Codes and token probabilities in the form that documents store.

    >>> from gram_os.code import Code
    >>> packed = pack_codes([ScoredCode(Code(("toner",)), (0.5,), own=True), ScoredCode(Code(("006r",)), None, own=True)])
    >>> packed.codes, list(base64.b64decode(packed.probabilities))
    (('006r', 'toner'), [255, 11])
    """
    ordered = sorted(((str(scored.code), scored) for scored in codes), key=lambda pair: pair[0].encode())
    packed = bytearray()
    for _, scored in ordered:
        if scored.probabilities is None:
            packed += bytes([_UNKNOWN] * len(scored.code.values))
        else:
            packed += bytes(
                min(_UNKNOWN - 1, round(-_STEPS * math.log(max(p, 1e-9)))) for p in scored.probabilities
            )
    return PackedCodes(tuple(text for text, _ in ordered), base64.b64encode(packed).decode("ascii"))


class JensenShannonScorer:
    """The pair score above, with the bundle's gamma."""

    def __init__(self, gamma: float):
        self._gamma = gamma

    def score(self, query: Sequence[WeightedCode], products: Sequence[PackedCodes]) -> list[PairScore]:
        """Score one query's codes against each product's."""
        wanted = {str(weighted.code.code): weighted for weighted in query}
        return [self._score_one(wanted, product) for product in products]

    def _score_one(self, wanted: Mapping[str, WeightedCode], product: PackedCodes) -> PairScore:
        sizes = [text.count(SEPARATOR) + 1 for text in product.codes]
        packed = _unpack(product.probabilities)
        if len(packed) != sum(sizes):  # someone edited the codes; no byte can be said to be any code's
            packed = bytes([_UNKNOWN] * sum(sizes))
        parts, at = [], 0
        for text, size in zip(product.codes, sizes, strict=True):
            weighted = wanted.get(text)
            if weighted is not None:
                agreement = self._agreement(weighted.code.probabilities, packed[at : at + size])
                parts.append(CodeScore(text, weighted.weight, agreement))
            at += size
        parts.sort(key=lambda part: -part.score)
        return PairScore(sum(part.score for part in parts), tuple(parts))

    def _agreement(self, query: Sequence[float] | None, packed: bytes) -> float:
        if query is None or _UNKNOWN in packed:
            return 1.0
        title = [math.exp(-byte / _STEPS) for byte in packed]
        shares = [divergence(p, q) / ((p + q) * math.log(2)) for p, q in zip(query, title, strict=True)]
        return 1.0 - self._gamma * sum(shares) / len(shares)


def _unpack(text: str) -> bytes:
    """Bytes of base64 in either alphabet; OpenSearch gives binary doc values back URL-safe and without padding."""
    return base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_") + "=" * (-len(text) % 4))


def divergence(p: float, q: float) -> float:
    """D of two probabilities, in nats.

    >>> divergence(0.5, 0.5), round(divergence(0.5, 0.0), 4) == round(0.5 * math.log(2), 4)
    (0.0, True)
    """
    both = p + q
    return (p * math.log(2 * p / both) if p > 0 else 0.0) + (q * math.log(2 * q / both) if q > 0 else 0.0)
