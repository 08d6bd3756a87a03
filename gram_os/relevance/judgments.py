"""Judgments grouped by query, and the two numbers that give grades their meaning.

The numbers are the grade from which a product is relevant, and the lowest grade of the scale. Knows what a scale of
grades is. Reads no file; `gram_os.catalogue` does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from gram_os.catalogue import Judgment
from gram_os.errors import InputError
from gram_os.relevance.metrics import gain

# 2^g must stay a finite float64, and so must a sum of them.
_WIDEST_SCALE = 1000


@dataclass(frozen=True)
class JudgmentSet:
    """Grades of the judged products of each query.

    `grades` is query id -> product id -> grade. The class has no slots, because derived views are cached on the
    instance.
    """

    grades: Mapping[str, Mapping[str, float]]
    relevant_at: float
    lowest_grade: float

    @classmethod
    def build(
        cls,
        judgments: Iterable[Judgment],
        *,
        relevant: float | None = None,
        lowest_grade: float | None = None,
    ) -> JudgmentSet:
        """Group judgments and settle the scale.

        `relevant` is the grade from which a product counts as relevant. It may be left out where the judgments hold at
        most two grades: then it is the higher one. Longer scales need it, because any rule would silently change every
        figure. For example, the middle of 0..3 and of 1..3 are both *below* what their raters called relevant (2 and
        2.33).

        `lowest_grade` is the grade of gain 0. The default is the lowest grade that occurs. Where all judgments have one
        positive grade, only relevant products were written down, and the default is 0: otherwise no product had a gain.

        Raises InputError when there is no judgment, when a grade is not finite, when a pair is judged twice with
        different grades, and when the two numbers do not fit the grades.
        """
        grades = _group(judgments)
        levels = sorted({grade for products in grades.values() for grade in products.values()})
        if not levels:
            raise InputError("there are no judgments; a judgments file holds query_id, product_id, relevance")
        lowest = _infer_lowest(levels) if lowest_grade is None else lowest_grade
        threshold = _infer_relevant(levels) if relevant is None else relevant
        _check_scale(levels, relevant=threshold, lowest=lowest)
        return cls(grades=grades, relevant_at=threshold, lowest_grade=lowest)

    @cached_property
    def relevant(self) -> Mapping[str, frozenset[str]]:
        """Query id -> relevant products, for the queries that have at least one."""
        found = {
            query_id: frozenset(id_ for id_, grade in products.items() if grade >= self.relevant_at)
            for query_id, products in self.grades.items()
        }
        return {query_id: products for query_id, products in found.items() if products}

    def gains(self, query_id: str) -> dict[str, float]:
        """Return product id -> gain for the judged products of a query."""
        return {id_: gain(grade, self.lowest_grade) for id_, grade in self.grades[query_id].items()}


def _group(judgments: Iterable[Judgment]) -> dict[str, dict[str, float]]:
    """Return query id -> product id -> grade. A pair may occur twice if its grades agree."""
    grades: dict[str, dict[str, float]] = {}
    for judgment in judgments:
        if not math.isfinite(judgment.relevance):
            raise InputError(
                f"query '{judgment.query_id}', product '{judgment.product_id}': relevance is {judgment.relevance}; "
                "give a finite number"
            )
        known = grades.setdefault(judgment.query_id, {})
        if known.setdefault(judgment.product_id, judgment.relevance) != judgment.relevance:
            raise InputError(
                f"query '{judgment.query_id}', product '{judgment.product_id}' is judged twice, "
                f"{known[judgment.product_id]:g} and {judgment.relevance:g}; keep one grade a pair"
            )
    return grades


def _infer_lowest(levels: list[float]) -> float:
    return 0.0 if len(levels) == 1 and levels[0] > 0 else levels[0]


def _infer_relevant(levels: list[float]) -> float:
    if len(levels) > 2:
        raise InputError(
            f"the judgments hold the grades {_show(levels)}: say from which one a product counts as relevant, "
            f"for example --relevant {levels[-2]:g}"
        )
    return levels[-1]


def _check_scale(levels: list[float], *, relevant: float, lowest: float) -> None:
    if not (math.isfinite(relevant) and math.isfinite(lowest)):
        raise InputError(f"relevant {relevant} and lowest grade {lowest} must be finite numbers")
    if lowest > levels[0]:
        raise InputError(f"the lowest grade was given as {lowest:g}, but the judgments hold {levels[0]:g}")
    if relevant <= lowest:
        raise InputError(
            f"relevant from {relevant:g} makes every judged product relevant: the lowest grade is {lowest:g}; "
            f"give a higher one (the judgments hold {_show(levels)})"
        )
    if levels[-1] - lowest > _WIDEST_SCALE:
        raise InputError(
            f"grades from {lowest:g} to {levels[-1]:g}: the gain 2^g - 1 needs a scale of at most {_WIDEST_SCALE}; "
            "rescale the judgments"
        )


def _show(levels: list[float]) -> str:
    """Return the grades as text, shortened in the middle."""
    shown = [f"{level:g}" for level in levels]
    return ", ".join(shown if len(shown) <= 8 else [*shown[:4], "...", *shown[-3:]])
