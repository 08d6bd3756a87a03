"""What codes two sides have and share: the report on initial codes (GRAM section 2) and how far sides drift (section 4).

Pure counts over codes as dictionary tokens, one token a value; knows neither a catalogue nor a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median

from gram_os.text.code import Code, Granularity
from gram_os.text.dictionary import Tokens
from gram_os.train.lessons.targets import Target


@dataclass(frozen=True, slots=True)
class InitialCodesReport:
    """Counts of initial codes.

    codes: different ones in all; shared: those that both sides have. products_mean, products_median, products_most:
    titles that have a code, over the codes of titles. queries, titles: texts with codes; unshared_queries: queries none of
    whose codes any title has. query_shares, title_shares: coarse, medium and fine share of a side's codes, a code
    counting in each text that has it.
    """

    codes: int
    shared: int
    products_mean: float
    products_median: float
    products_most: int
    queries: int
    titles: int
    unshared_queries: int
    query_shares: Mapping[str, float]
    title_shares: Mapping[str, float]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """For a table: what, and how much."""
        return [
            ("codes", f"{self.codes:,}"),
            ("shared by both sides", f"{self.shared:,}"),
            ("products a code, mean", f"{self.products_mean:.1f}"),
            ("products a code, median", f"{self.products_median:g}"),
            ("products a code, most", f"{self.products_most:,}"),
            ("queries", f"{self.queries:,}"),
            ("titles", f"{self.titles:,}"),
            ("queries without a shared code", f"{self.unshared_queries:,}"),
            ("query codes coarse / medium / fine", _percent(self.query_shares)),
            ("title codes coarse / medium / fine", _percent(self.title_shares)),
        ]


def report_codes(queries: Iterable[Target], titles: Iterable[Target]) -> InitialCodesReport:
    """Count the codes of both sides."""
    asked = [target.codes for target in queries]
    given = [target.codes for target in titles]
    held = Counter(code for codes in given for code in codes)
    ours = Counter(code for codes in asked for code in codes)
    titles_of = list(held.values())
    return InitialCodesReport(
        codes=len(ours.keys() | held.keys()),
        shared=len(ours.keys() & held.keys()),
        products_mean=mean(titles_of) if titles_of else 0.0,
        products_median=median(titles_of) if titles_of else 0.0,
        products_most=max(titles_of, default=0),
        queries=len(asked),
        titles=len(given),
        unshared_queries=sum(not any(code in held for code in codes) for codes in asked),
        query_shares=granularity_shares(ours),
        title_shares=granularity_shares(held),
    )


@dataclass(frozen=True, slots=True)
class Drift:
    """How far the two sides' codes are apart.

    fine_queries, fine_titles: share of fine codes; met: share of query codes that some title has; met_queries: share of
    queries with at least one such code; query_codes, title_codes: codes a text on average. A code counts in each text.
    """

    fine_queries: float
    fine_titles: float
    met: float
    met_queries: float
    query_codes: float
    title_codes: float

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


def measure_drift(query_codes: Mapping[str, Sequence[Tokens]], title_codes: Sequence[Sequence[Tokens]]) -> Drift:
    """Compare the codes of queries with those of the whole catalogue; shares of nothing are 0."""
    asked = list(query_codes.values())
    ours = Counter(code for codes in asked for code in codes)
    held = Counter(code for codes in title_codes for code in codes)
    met = sum(n for code, n in ours.items() if code in held)
    return Drift(
        fine_queries=granularity_shares(ours)[Granularity.FINE],
        fine_titles=granularity_shares(held)[Granularity.FINE],
        met=_share(met, ours.total()),
        met_queries=_share(sum(any(code in held for code in codes) for codes in asked), len(asked)),
        query_codes=_share(ours.total(), len(asked)),
        title_codes=_share(held.total(), len(title_codes)),
    )


def granularity_shares(counts: Mapping[Tokens, int]) -> dict[str, float]:
    """Coarse, medium and fine share of counted codes.

    >>> granularity_shares({(1,): 2, (1, 2): 1, (1, 2, 3, 4): 1})
    {'coarse': 0.75, 'medium': 0.0, 'fine': 0.25}
    """
    sizes: Counter[Granularity] = Counter()
    for code, n in counts.items():
        sizes[Code(tuple(map(str, code))).granularity] += n
    return {kind.value: _share(sizes[kind], sizes.total()) for kind in Granularity}


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _percent(shares: Mapping[str, float]) -> str:
    return " / ".join(f"{100 * share:.1f} %" for share in shares.values())
