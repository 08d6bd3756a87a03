"""A search system that answers from a table, and judgments written as a dict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gram_os.catalogue import Judgment
from gram_os.relevance import JudgmentSet, Ranking, Run


@dataclass(frozen=True, slots=True)
class FakeHit:
    id: str
    score: float


@dataclass(slots=True)
class TableSystem:
    """Answers by query text, and records its calls (name, text, size) in a list that several systems may share."""

    name: str
    answers: Mapping[str, str]
    calls: list[tuple[str, str, int]] = field(default_factory=list)

    def search(self, text: str, size: int) -> Sequence[FakeHit]:
        self.calls.append((self.name, text, size))
        ids = self.answers.get(text, "").split()
        return [FakeHit(id_, float(len(ids) - rank)) for rank, id_ in enumerate(ids[:size])]


def make_judgments(
    grades: Mapping[str, Mapping[str, float]],
    *,
    relevant: float | None = None,
    lowest_grade: float | None = None,
) -> JudgmentSet:
    rows = [Judgment(q, p, grade) for q, products in grades.items() for p, grade in products.items()]
    return JudgmentSet.build(rows, relevant=relevant, lowest_grade=lowest_grade)


def make_run(system: str, answers: Mapping[str, str], *, latency_ms: float | None = None) -> Run:
    """Make a run from query id -> product ids with spaces between. Scores fall from the number of products to 1."""
    rankings = {}
    for query_id, text in answers.items():
        ids = tuple(text.split())
        rankings[query_id] = Ranking(ids, tuple(float(len(ids) - rank) for rank in range(len(ids))), latency_ms)
    return Run(system, rankings)
