"""The codes of typed values: a search over slots, with a reward for length (arXiv 2504.01403, section 5).

Log-probabilities add up, so without a reward the shortest code always wins. The paper divides a code's score by a
number that grows with its length, n = sqrt(k) * k / K, for k values of at most K. Knows values, slots and
probabilities; knows no texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Final

from gram_os.reading.placed_values import dimension
from gram_os.text.attribute import AttributeType, TypedValue
from gram_os.text.code import MAX_ATTRIBUTES, MAX_CODES, Granularity

_T = AttributeType
#: Slots of a code beside the product type, each with the least probability of its values in the search. The values are
#: true, whatever the model thinks of them. The number says how readily shoppers narrow by a slot.
SLOTS: Final[Mapping[AttributeType, float]] = {
    _T.BRAND: 0.5,
    _T.COLOUR: 0.4,
    _T.SERIES: 0.2,
    _T.TECHNICAL_SPECIFICATION: 0.1,
    _T.MODEL: 0.1,
    _T.MATERIAL: 0.05,
    _T.FUNCTION: 0.05,
    _T.STYLE: 0.03,
    _T.AUDIENCE: 0.03,
    _T.SALES_SPECIFICATION: 0.01,
}
#: Codes of each granularity that win a place before the others are looked at: of the first name of the product type,
#: and of its second name.
QUOTAS: Final = {Granularity.COARSE: (3, 1), Granularity.MEDIUM: (2, 1), Granularity.FINE: (3, 0)}
#: Without a product type, codes begin with one of these.
_ALONE: Final = frozenset({_T.BRAND, _T.COLOUR, _T.SERIES, _T.MODEL})
_PER_SLOT: Final = 2  # values of a slot that are tried
_BEAM: Final = 10  # hypotheses of one length


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A code in the making.

    log_probs: the sum of ln P of its values, without the first. at: where the next value is looked for.
    """

    values: tuple[TypedValue, ...]
    log_probs: float = 0.0
    at: int = 0

    @property
    def score(self) -> float:
        """The sum of ln P over n = sqrt(k) * k / K."""
        size = len(self.values)
        return self.log_probs * MAX_ATTRIBUTES / (sqrt(size) * size)

    @property
    def granularity(self) -> Granularity:
        size = len(self.values)
        return Granularity.COARSE if size <= 2 else Granularity.MEDIUM if size == 3 else Granularity.FINE

    @property
    def shape(self) -> tuple[str, ...]:
        """Its first value and the types of the others."""
        return (self.values[0].value, *(value.type for value in self.values[1:]))


def combine(types: Sequence[TypedValue], others: Sequence[TypedValue]) -> tuple[tuple[TypedValue, ...], ...]:
    """Return at most `MAX_CODES` sets of values, those of fewer values first, best first among equals.

    types: names of what the text is about, the one that codes are made of first; two are read. others: the text's other
    values, best first within a type. Each code holds a type where there is one. Of codes with equal types of values the
    best wins a place first. The values of a code differ in words: "paper" does not stand beside "photo paper".

    >>> T = AttributeType
    >>> values = [TypedValue(value, kind, 0.5, own=True) for value, kind in (("xerox", T.BRAND), ("black", T.COLOUR))]
    >>> codes = combine([TypedValue("toner", T.PRODUCT_TYPE, 0.9, own=True)], values)
    >>> [" | ".join(value.value for value in code) for code in codes]
    ['toner', 'toner | xerox', 'toner | black', 'toner | xerox | black']
    """
    tried = [value for slot in SLOTS for value in [v for v in others if v.type is slot][:_PER_SLOT]]
    starts = types[:2] or [value for value in tried if value.type in _ALONE]
    found = [one for start in starts for one in _search(start, tried, later=not types)]
    return tuple(one.values for one in _choose(found, types[0].value if types else None))


def _search(start: TypedValue, tried: Sequence[TypedValue], *, later: bool) -> Iterator[_Candidate]:
    """Yield the best codes of each length that begin with a value. later: only values behind it in `tried` join."""
    beam = [_Candidate((start,), 0.0, tried.index(start) + 1 if later else 0)]
    while beam:
        yield from beam
        longer = [
            _Candidate((*one.values, value), one.log_probs + _log_prob(value), at + 1)
            for one in beam
            if len(one.values) < MAX_ATTRIBUTES
            for at, value in enumerate(tried[one.at :], one.at)
            if _fits(value, one.values)
        ]
        beam = sorted(longer, key=lambda one: -one.log_probs)[:_BEAM]


def _log_prob(value: TypedValue) -> float:
    return log(max(value.probability or 0.0, SLOTS[value.type]))


def _fits(value: TypedValue, values: Sequence[TypedValue]) -> bool:
    """Say whether a value may join a code: no second one of its slot, except measures of another kind; new words."""
    same = [other for other in values if other.type is value.type]
    if same and (value.type is not _T.TECHNICAL_SPECIFICATION or len(same) > 1):
        return False
    if same and dimension(value.value) == dimension(same[0].value):
        return False
    words = set(value.value.split())
    return not any(words <= (others := set(other.value.split())) or others <= words for other in values)


def _choose(found: Sequence[_Candidate], first: str | None) -> list[_Candidate]:
    """Choose by quotas, then fill up with what is shortest. first: the type's first name, None without a type."""
    ranked = sorted(found, key=lambda one: -one.score)
    is_first = [first is None or one.values[0].value == first for one in ranked]
    left = Counter({(kind, False): second for kind, (_, second) in QUOTAS.items()})
    left.update({(kind, True): places for kind, (places, _) in QUOTAS.items()})
    chosen: set[int] = set()
    shapes: set[tuple[str, ...]] = set()
    for at, one in enumerate(ranked):
        quota = (one.granularity, is_first[at])
        if left[quota] > 0 and one.shape not in shapes:
            left[quota] -= 1
            shapes.add(one.shape)
            chosen.add(at)
    order = sorted(range(len(ranked)), key=lambda at: (len(ranked[at].values), not is_first[at], at))
    chosen.update([at for at in order if at not in chosen][: MAX_CODES - len(chosen)])
    return [ranked[at] for at in order if at in chosen]
