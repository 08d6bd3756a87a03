"""The files that an evaluation writes: `report.html`, `metrics.json`, `queries.tsv`, `runs/SYSTEM.trec`.

Knows their names and the form of `queries.tsv`: one line for each query and system, one column for each metric.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from gram_os.errors import InputError
from gram_os.relevance.report import write_report
from gram_os.relevance.results import Evaluation
from gram_os.relevance.runs import write_trec_run

_FILE_NAME = re.compile(r"[\w+-][\w.+-]*")
_WHITE_SPACE = re.compile(r"\s+")


def prepare_folder(out: Path) -> None:
    """Create the folder and check that it can be written to, before an hour of searching is spent.

    Raises InputError when it cannot be written to.
    """
    try:
        (out / "runs").mkdir(parents=True, exist_ok=True)
        (out / "queries.tsv").touch()
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror or error}; give --out another folder") from error


def write_outputs(
    evaluation: Evaluation,
    out: Path,
    *,
    texts: Mapping[str, str],
    titles: Mapping[str, str] | None = None,
    heading: str = "Relevance",
) -> None:
    """Write all files of an evaluation, over those of an earlier one.

    `texts` is query id -> text, `titles` is product id -> title; an id without an entry is shown as the id. Raises
    InputError when a system's name cannot name a file, and when a file cannot be written.
    """
    for result in evaluation.systems:
        if not _FILE_NAME.fullmatch(result.system):
            raise InputError(f"system '{result.system}' cannot name a file; use letters, digits, . _ + -")
    prepare_folder(out)
    try:
        for result in evaluation.systems:
            write_trec_run(result.run, out / "runs" / f"{result.system}.trec")
        _write_text(out / "metrics.json", json.dumps(evaluation.as_json(), indent=2) + "\n")
        _write_text(out / "queries.tsv", _query_table(evaluation, texts))
        write_report(evaluation, out / "report.html", texts=texts, titles=titles, heading=heading)
    except OSError as error:
        raise InputError(f"cannot write the results to {out}: {error.strerror or error}") from error


def _query_table(evaluation: Evaluation, texts: Mapping[str, str]) -> str:
    """Return the values of every query under every system as TSV.

    White space in a query text becomes one space, so that the columns stay apart.
    """
    lines = ["\t".join(("query_id", "query", "system", *evaluation.metrics, "latency_ms"))]
    for row, query_id in enumerate(evaluation.query_ids):
        text = _WHITE_SPACE.sub(" ", texts.get(query_id, ""))
        for result in evaluation.systems:
            values = [f"{measure.values[row]:.6f}" for measure in result.measures.values()]
            ranking = result.run.rankings.get(query_id)
            latency = "" if ranking is None or ranking.latency_ms is None else f"{ranking.latency_ms:.2f}"
            lines.append("\t".join((query_id, text, result.system, *values, latency)))
    return "\n".join(lines) + "\n"


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
