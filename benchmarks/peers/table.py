"""The table in the terminal and the measures as JSON, with the goals.

Knows results. Does not know how they were produced.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise

from rich.console import Console
from rich.table import Table

from benchmarks.peers.statistics import MEASURED, RELEVANCE_CUTS, Difference, RowResult
from gram_os.relevance.results import show_metric

Goals = Mapping[tuple[str, str], float]  # (row, metric) -> the least good value

# Set for Home Depot before anything was trained.
GOALS: Goals = {
    ("gram", "R@10"): 0.50,
    ("gram", "R@100"): 0.83,
    ("gram", "R@300"): 0.905,
    ("gram", "nDCG@10"): 0.42,
    ("hybrid", "R@10"): 0.54,
    ("hybrid", "R@100"): 0.86,
    ("hybrid", "R@300"): 0.93,
    ("hybrid", "nDCG@10"): 0.47,
}
P_GOAL = 0.01
WIDTH = 180
# The paper's ablation (arXiv 2504.01403) finds this order, best first, in these metrics.
ABLATION = ("gram", "gram_no_cotraining", "gram_no_cotraining_no_alignment")
ABLATION_METRICS = ("R@300", "RelR@300")
SHOWN = (*MEASURED, *(f"RelR@{cut}" for cut in RELEVANCE_CUTS))


def measure_entries(
    rows: Sequence[RowResult], differences: Sequence[Difference], goals: Goals = GOALS
) -> list[dict[str, object]]:
    """Return every figure with its goal where there is one, then every difference, then the order of the ablation."""
    entries: list[dict[str, object]] = []
    for row in rows:
        for metric, figure in row.figures.items():
            goal = goals.get((row.name, metric))
            entries.append(
                {"name": f"{row.name}.{metric}", "value": round(figure.mean, 4), "unit": "ratio", "goal": goal,
                 "holds": None if goal is None else figure.mean >= goal,
                 "interval": [round(figure.low, 4), round(figure.high, 4)],
                 "seeds": row.seeds, "spread": None if figure.spread is None else round(figure.spread, 4)}
            )  # fmt: skip
    for each in differences:
        entries.append(
            {"name": f"{each.better}-{each.other}.{each.metric}", "value": round(each.mean, 4), "unit": "ratio",
             "goal": None, "holds": each.mean > 0 and each.p_holm < P_GOAL,
             "interval": [round(each.low, 4), round(each.high, 4)], "p": each.p, "p_holm": each.p_holm}
        )  # fmt: skip
    return entries + _ablation_entries(rows)


def _ablation_entries(rows: Sequence[RowResult]) -> list[dict[str, object]]:
    named = {row.name: row for row in rows}
    if not all(name in named for name in ABLATION):
        return []
    return [
        {"name": f"ablation.{fuller}>{poorer}.{metric}", "value": round(step, 4), "unit": "ratio", "goal": 0.0,
         "holds": step > 0}
        for metric in ABLATION_METRICS
        for fuller, poorer in pairwise(ABLATION)
        for step in [named[fuller].figures[metric].mean - named[poorer].figures[metric].mean]
    ]  # fmt: skip


def print_tables(
    rows: Sequence[RowResult],
    differences: Sequence[Difference],
    *,
    queries: int,
    notes: Sequence[str] = (),
    goals: Goals = GOALS,
) -> None:
    """Print the rows, the notes, and the tests of the differences."""
    # Without a terminal, rich assumes 80 columns, which would cut the intervals.
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    table = Table(
        title=f"{queries} queries with a relevant product; mean, and 95 % interval below",
        caption="judged@10: judged share of the first 10 hits; condensed: products that nobody judged are left out",
        caption_justify="left",
    )
    for column in ("row", "seeds", *(show_metric(metric) for metric in SHOWN)):
        table.add_column(column, justify="left" if column == "row" else "right")
    for row in rows:
        table.add_row(
            row.name, str(row.seeds), *(_cell(row, metric, goals.get((row.name, metric))) for metric in SHOWN)
        )
    console.print(table)
    for note in notes:
        console.print(note, markup=False)
    if differences:
        console.print(_difference_table(differences))


def _cell(row: RowResult, metric: str, goal: float | None) -> str:
    figure = row.figures[metric]
    mark = "" if goal is None else (" >=" if figure.mean >= goal else " <") + _short(goal)
    spread = "" if figure.spread is None else f" sd {_short(figure.spread)}"
    return f"{_short(figure.mean)}{mark}\n{_short(figure.low)}-{_short(figure.high)}{spread}"


def _difference_table(differences: Sequence[Difference]) -> Table:
    table = Table(title="paired randomisation tests; p after Holm over all lines")
    for column in ("difference", "metric", "mean", "95 %", "p", "p (Holm)"):
        table.add_column(column, justify="right" if column in ("mean", "p", "p (Holm)") else "left")
    for each in differences:
        table.add_row(
            f"{each.better} - {each.other}",
            each.metric,
            f"{each.mean:+.4f}",
            f"{each.low:+.4f} to {each.high:+.4f}",
            f"{each.p:.4f}",
            f"{each.p_holm:.4f}" + ("" if each.mean > 0 and each.p_holm < P_GOAL else " !"),
        )
    return table


def _short(value: float) -> str:
    return f"{value:.4f}".removeprefix("0")
