"""The HTML report of an evaluation: one self-contained file without scripts, which loads nothing.

Knows how results look. Every text from outside (queries, titles, ids, system names) passes `html.escape`.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from gram_os.relevance.report_queries import render_queries
from gram_os.relevance.results import JUDGED, Comparison, Evaluation, Measure, SystemResult, show_metric


def render_report(
    evaluation: Evaluation,
    *,
    texts: Mapping[str, str],
    titles: Mapping[str, str] | None = None,
    heading: str = "Relevance",
) -> str:
    """Return the HTML page: the systems with intervals, then each system against the first, query by query.

    `texts` is query id -> text, `titles` is product id -> title; an id without an entry is shown as the id.
    """
    template = Template(files("gram_os.relevance").joinpath("report.html").read_text(encoding="utf-8"))
    first, *others = evaluation.systems
    return template.substitute(
        heading=escape(heading),
        facts=escape(_facts(evaluation)),
        warnings="\n".join(f'<p class="warning">{escape(warning)}</p>' for warning in evaluation.warnings),
        systems=_systems_table(evaluation),
        first=escape(first.system),
        comparisons="\n".join(_comparison(evaluation, other, texts=texts, titles=titles or {}) for other in others),
    )


def write_report(
    evaluation: Evaluation,
    path: Path,
    *,
    texts: Mapping[str, str],
    titles: Mapping[str, str] | None = None,
    heading: str = "Relevance",
) -> None:
    """Write the page of `render_report` to a file."""
    path.write_text(
        render_report(evaluation, texts=texts, titles=titles, heading=heading), encoding="utf-8", newline="\n"
    )


def show_figure(value: float) -> str:
    """Return a figure with four digits and without the leading zero, as in papers: .4525, 1.0000, -.0312."""
    return f"{value:.4f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.4f}"


def _facts(evaluation: Evaluation) -> str:
    judgments = evaluation.judgments
    return (
        f"{len(evaluation.query_ids)} queries with a relevant product; relevant from grade {judgments.relevant_at:g}; "
        f"nDCG gain 2^g - 1, g = grade - {judgments.lowest_grade:g}"
    )


def _systems_table(evaluation: Evaluation) -> str:
    heads = "".join(f"<th>{escape(show_metric(name))}</th>" for name in (*evaluation.metrics, "p50 ms", "p95 ms"))
    compared = [name for name in evaluation.metrics if name != JUDGED]
    best = {name: max(s.measures[name].mean for s in evaluation.systems) for name in compared}
    rows = "".join(_system_row(result, best) for result in evaluation.systems)
    return f"<table><thead><tr><th>system</th>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _system_row(result: SystemResult, best: Mapping[str, float]) -> str:
    cells = "".join(
        _measure_cell(measure, result.against_first.get(name), is_best=measure.mean == best.get(name))
        for name, measure in result.measures.items()
    )
    latency = result.latency
    shown = (f"{latency.p50:.1f}", f"{latency.p95:.1f}") if latency else ("", "")
    cells += "".join(f"<td>{value}</td>" for value in shown)
    return f"<tr><td><b>{escape(result.system)}</b></td>{cells}</tr>"


def _measure_cell(measure: Measure, comparison: Comparison | None, *, is_best: bool) -> str:
    low, high, mean = (100 * value for value in (measure.interval.low, measure.interval.high, measure.mean))
    bar = (
        f'<span class="span"><i style="left:{low:.2f}%;width:{high - low:.2f}%"></i>'
        f'<b style="left:{mean:.2f}%"></b></span>'
    )
    interval = f"{show_figure(measure.interval.low)} to {show_figure(measure.interval.high)}"
    figure = f'<span class="{"best" if is_best else ""}">{show_figure(measure.mean)}</span>'
    return f"<td>{_mark(comparison)}{figure}{bar}<small>{interval}</small></td>"


def _mark(comparison: Comparison | None) -> str:
    """Return the triangle of a significant difference, or nothing."""
    if comparison is None or not comparison.significant:
        return ""
    direction, sign = ("up", "&#9650;") if comparison.difference > 0 else ("down", "&#9660;")
    return f'<span class="mark {direction}" title="p = {comparison.p_value:.4f}">{sign}</span> '


def _comparison(
    evaluation: Evaluation, other: SystemResult, *, texts: Mapping[str, str], titles: Mapping[str, str]
) -> str:
    first = evaluation.systems[0]
    rows = "".join(
        _comparison_row(name, comparison, len(evaluation.query_ids)) for name, comparison in other.against_first.items()
    )
    heads = "".join(f"<th>{name}</th>" for name in ("difference", "95 % interval", "p", "won / equal / lost", ""))
    return (
        f"<h2>{escape(other.system)} against {escape(first.system)}</h2>"
        f'<div class="card"><table><thead><tr><th>metric</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
        + render_queries(evaluation, other, texts=texts, titles=titles)
    )


def _comparison_row(name: str, comparison: Comparison, queries: int) -> str:
    equal = queries - comparison.wins - comparison.losses
    colour = ("up" if comparison.difference > 0 else "down") if comparison.significant else ""
    parts = zip("wtl", (comparison.wins, equal, comparison.losses), strict=True)
    bar = "".join(f'<span class="{kind}" style="width:{100 * n / queries:.2f}%"></span>' for kind, n in parts)
    return (
        f'<tr><td>{escape(show_metric(name))}</td><td class="{colour}">{_signed(comparison.difference)}</td>'
        f"<td>{_signed(comparison.interval.low)} to {_signed(comparison.interval.high)}</td>"
        f"<td>{_probability(comparison.p_value)}</td>"
        f"<td>{comparison.wins} / {equal} / {comparison.losses}</td>"
        f'<td><span class="score">{bar}</span></td></tr>'
    )


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + show_figure(value)


def _probability(p: float) -> str:
    return "&lt; .001" if p < 0.001 else f"{p:.3f}".lstrip("0")
