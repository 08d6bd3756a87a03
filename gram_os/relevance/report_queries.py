"""The query-by-query part of the HTML report: the queries that a system wins and loses against the first, side by side.

Queries are ordered by the difference in nDCG on the first page, then by the difference in recall at the deepest
cut-off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from gram_os.relevance.results import (
    CONDENSED,
    FIRST_PAGE,
    JUDGED,
    NDCG,
    NO_DIFFERENCE,
    Evaluation,
    SystemResult,
    show_metric,
)
from gram_os.relevance.runs import Run

# Queries shown in each list: a page of a thousand result lists helps nobody, and queries.tsv has all values.
SHOWN_A_SIDE = 50
_FOUND_ONLY_SHOWN = 10


@dataclass(frozen=True, slots=True)
class _Difference:
    """One query under the metrics that a line of the list shows: metric -> value of the first system, of the other.

    `order` is the sort key, in nDCG and then in recall, first minus other: the largest gain of the other comes first.
    """

    query_id: str
    shown: Mapping[str, tuple[float, float]]
    order: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Names:
    """Query texts and product titles by id."""

    texts: Mapping[str, str]
    titles: Mapping[str, str]

    def query(self, query_id: str) -> str:
        return escape(self.texts.get(query_id, query_id))

    def product(self, product_id: str) -> str:
        return f'<span title="{escape(product_id)}">{escape(self.titles.get(product_id, product_id))}</span>'


def render_queries(
    evaluation: Evaluation, other: SystemResult, *, texts: Mapping[str, str], titles: Mapping[str, str]
) -> str:
    """Return the HTML of two lists, won and lost.

    Each query is shown with the first page of both systems and with the relevant products that only one of them found.
    """
    names = _Names(texts, titles)
    won, lost = _split(evaluation, other)
    return _render_list("Won", won, evaluation, other, names) + _render_list("Lost", lost, evaluation, other, names)


def shown_products(evaluation: Evaluation) -> set[str]:
    """Return the ids of all products that `render_queries` shows. Their titles have to be looked up."""
    shown: set[str] = set()
    first = evaluation.systems[0].run
    for other in evaluation.systems[1:]:
        for side in _split(evaluation, other):
            for difference in side[:SHOWN_A_SIDE]:
                id_ = difference.query_id
                for one, two in ((first, other.run), (other.run, first)):
                    shown.update(one.product_ids(id_)[:FIRST_PAGE])
                    shown.update(product for _, product in _found_only(evaluation, id_, one, two))
    return shown


def _split(evaluation: Evaluation, other: SystemResult) -> tuple[list[_Difference], list[_Difference]]:
    """Return two lists: the queries that the other system won and those it lost, largest difference first."""
    rows = [_difference(evaluation, other, row) for row in range(len(evaluation.query_ids))]
    rows = [row for row in rows if any(abs(difference) > NO_DIFFERENCE for difference in row.order)]
    rows.sort(key=lambda row: row.order)
    won = [row for row in rows if row.order < (0.0, 0.0)]
    return won, rows[len(won) :][::-1]


def _difference(evaluation: Evaluation, other: SystemResult, row: int) -> _Difference:
    """Return what a line shows of the query in this row of the values."""
    recall = _deepest_recall(evaluation)
    first = evaluation.systems[0].measures
    shown = {
        metric: (float(first[metric].values[row]), float(other.measures[metric].values[row]))
        for metric in (NDCG, CONDENSED, JUDGED, recall)
    }
    order = (shown[NDCG][0] - shown[NDCG][1], shown[recall][0] - shown[recall][1])
    return _Difference(evaluation.query_ids[row], shown, order)


def _deepest_recall(evaluation: Evaluation) -> str:
    """Return the name of an evaluation's recall at the deepest cut-off."""
    return [name for name in evaluation.metrics if name.startswith("R@")][-1]


def _render_list(
    title: str, rows: Sequence[_Difference], evaluation: Evaluation, other: SystemResult, names: _Names
) -> str:
    recall = _deepest_recall(evaluation)
    more = (
        f" The {SHOWN_A_SIDE} largest differences are shown; queries.tsv has all." if len(rows) > SHOWN_A_SIDE else ""
    )
    return (
        f"<h3>{title}: {len(rows)} queries</h3>"
        f'<p class="soft"><small>By difference in {NDCG}, then in {escape(recall)}.{more}</small></p>'
        + "\n".join(_render_query(row, evaluation, other, names) for row in rows[:SHOWN_A_SIDE])
    )


def _render_query(row: _Difference, evaluation: Evaluation, other: SystemResult, names: _Names) -> str:
    first = evaluation.systems[0]
    sides = (
        (first.run, other.run),
        (other.run, first.run),
    )
    deltas = "".join(_render_delta(metric, values) for metric, values in row.shown.items())
    columns = "".join(_render_side(row.query_id, one, two, evaluation, names) for one, two in sides)
    return (
        f'<details><summary><span class="query" dir="auto">{names.query(row.query_id)}</span>'
        f"{deltas}</summary>"
        f'<div class="sides">{columns}</div></details>'
    )


def _render_delta(metric: str, values: tuple[float, float]) -> str:
    """Return a metric's two values; the second one is coloured where it is better or worse than the first."""
    before, after = values
    colour = "up" if after - before > NO_DIFFERENCE else "down" if before - after > NO_DIFFERENCE else "soft"
    if metric == JUDGED:  # a larger share is not better
        colour = "soft"
    return (
        f'<span class="delta"><small>{escape(show_metric(metric))}</small> {before:.2f} '
        f'<span class="{colour}">&rarr; {after:.2f}</span></span>'
    )


def _render_side(query_id: str, run: Run, against: Run, evaluation: Evaluation, names: _Names) -> str:
    """Return the first page of one system, then its relevant products below that page that the other system misses."""
    ids = run.product_ids(query_id)
    top = list(enumerate(ids[:FIRST_PAGE], start=1))
    only = _found_only(evaluation, query_id, run, against)
    lists = _render_products(top, query_id, evaluation, names) or '<p class="soft">no product</p>'
    if only:
        lists += f"<h4>relevant, below, and not found by {escape(against.system)}</h4>"
        lists += _render_products(only, query_id, evaluation, names)
    return f"<div><h4>{escape(run.system)} ({len(ids)} found)</h4>{lists}</div>"


def _found_only(evaluation: Evaluation, query_id: str, run: Run, against: Run) -> list[tuple[int, str]]:
    """Return rank and id of relevant products below the first page that the other system did not find."""
    relevant = evaluation.judgments.relevant[query_id]
    missed = relevant.difference(against.product_ids(query_id))
    ranked = list(enumerate(run.product_ids(query_id), start=1))[FIRST_PAGE:]
    return [(rank, id_) for rank, id_ in ranked if id_ in missed][:_FOUND_ONLY_SHOWN]


def _render_products(ranked: Sequence[tuple[int, str]], query_id: str, evaluation: Evaluation, names: _Names) -> str:
    rows = "".join(
        f'<li><span class="rank">{rank}</span><span class="title" dir="auto">{names.product(id_)}</span>'
        f"{_render_grade(evaluation, query_id, id_)}</li>"
        for rank, id_ in ranked
    )
    return f"<ol>{rows}</ol>" if rows else ""


def _render_grade(evaluation: Evaluation, query_id: str, product_id: str) -> str:
    judgments = evaluation.judgments
    grade = judgments.grades[query_id].get(product_id)
    if grade is None:
        return '<span class="grade" title="nobody judged this product for this query">?</span>'
    kind = "yes" if grade >= judgments.relevant_at else "no"
    return f'<span class="grade {kind}">{grade:g}</span>'
