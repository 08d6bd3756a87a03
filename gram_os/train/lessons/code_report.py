"""Which codes the two sides have and share: the report on initial codes (GRAM section 2) and the drift (section 4).

Counts codes in the dictionary's tokens, one token a value. Knows neither a catalogue nor a model.
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
    """Counts of initial codes; the field names are the keys in the stage's report.

    codes: different codes of both sides. shared: those that both sides have. products_mean, products_median,
    products_most: the number of titles with a code, over all codes of titles. queries, titles: texts with codes.
    unshared_queries: queries that share no code with any title. query_shares, title_shares: the coarse, medium and
    fine share of a side's codes; a code counts once for each text that has it.
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
        """Return the counts for JSON."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """Return the lines of a table: name and number."""
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
    query_codes = [target.codes for target in queries]
    title_codes = [target.codes for target in titles]
    query_counts = Counter(code for codes in query_codes for code in codes)
    title_counts = Counter(code for codes in title_codes for code in codes)
    products = list(title_counts.values())  # of each code
    return InitialCodesReport(
        codes=len(query_counts.keys() | title_counts.keys()),
        shared=len(query_counts.keys() & title_counts.keys()),
        products_mean=mean(products) if products else 0.0,
        products_median=median(products) if products else 0.0,
        products_most=max(products, default=0),
        queries=len(query_codes),
        titles=len(title_codes),
        unshared_queries=sum(not any(code in title_counts for code in codes) for codes in query_codes),
        query_shares=_granularity_shares(query_counts),
        title_shares=_granularity_shares(title_counts),
    )


@dataclass(frozen=True, slots=True)
class Drift:
    """How far the codes of the two sides are apart; the field names are the keys in the stage's report.

    fine_queries, fine_titles: the share of fine codes. met: the share of query codes that some title has.
    met_queries: the share of queries with at least one such code. query_codes, title_codes: the mean number of codes
    a text. A code counts once for each text that has it.
    """

    fine_queries: float
    fine_titles: float
    met: float
    met_queries: float
    query_codes: float
    title_codes: float

    def as_dict(self) -> dict[str, float]:
        """Return the figures for JSON."""
        return asdict(self)


def measure_drift(query_codes: Mapping[str, Sequence[Tokens]], title_codes: Sequence[Sequence[Tokens]]) -> Drift:
    """Compare the codes of queries with those of the whole catalogue; a share of nothing is 0."""
    query_counts = Counter(code for codes in query_codes.values() for code in codes)
    title_counts = Counter(code for codes in title_codes for code in codes)
    met = sum(n for code, n in query_counts.items() if code in title_counts)
    met_queries = sum(any(code in title_counts for code in codes) for codes in query_codes.values())
    return Drift(
        fine_queries=_granularity_shares(query_counts)[Granularity.FINE],
        fine_titles=_granularity_shares(title_counts)[Granularity.FINE],
        met=_share(met, query_counts.total()),
        met_queries=_share(met_queries, len(query_codes)),
        query_codes=_share(query_counts.total(), len(query_codes)),
        title_codes=_share(title_counts.total(), len(title_codes)),
    )


def _granularity_shares(counts: Mapping[Tokens, int]) -> dict[str, float]:
    """Return the coarse, medium and fine share of counted codes.

    >>> _granularity_shares({(1,): 2, (1, 2): 1, (1, 2, 3, 4): 1})
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
