"""Exact-span precision, recall and F1 of a bundle's tagger on a file in the form of QueryNER or OA-Mine.

python benchmarks/tagger.py --data FILE.jsonl [--bundle FOLDER] [--json]

A span counts when its type and both ends agree (seqeval's default mode). Figures are micro-averages. Queries are
measured on QueryNER's own 17 types, titles on the 16 types of gram_os.text.attribute. The goal is for QueryNER's
validation set.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gram_os.errors import GramError
from gram_os.model.bundle import Bundle
from gram_os.text.attribute import Side
from gram_os.text.tagger import Tagger
from gram_os.train.models.annotation import MarkedText, SpanScore, read_marked, score_tagger

QUERY_GOAL = 0.64


def load_tagger(bundle: Path | None) -> Tagger:
    """Load the tagger of a bundle (None: the shipped one), or of a checkpoint of the tagger's own training."""
    if bundle is not None and (bundle / "model.safetensors").is_file():
        from gram_os.train.models.encoder import load_tokenizer
        from gram_os.train.models.tagger import make_tagger
        from gram_os.train.models.tagger_checkpoint import load_checkpoint

        return make_tagger(load_checkpoint(bundle), load_tokenizer())
    from gram_os.model.onnx_lm import CompactLm

    loaded = Bundle.load(bundle)
    return Tagger(loaded.tokenizer, CompactLm(loaded).tag)


def measure_rows(texts: list[MarkedText], scores: dict[str, SpanScore]) -> list[dict[str, object]]:
    """Return micro F1, precision and recall, then each type's F1. F1 has a goal where the file has only queries."""
    micro = scores["micro"]
    goal = QUERY_GOAL if all(text.side == Side.QUERY for text in texts) else None
    rows = [
        _row("span_f1", micro.f1, goal),
        _row("span_precision", micro.precision),
        _row("span_recall", micro.recall),
    ]
    return rows + [_row(f"span_f1.{label}", score.f1) for label, score in scores.items() if label != "micro"]


def _row(name: str, value: float, goal: float | None = None) -> dict[str, object]:
    holds = None if goal is None else value >= goal
    return {"name": name, "value": round(value, 4), "unit": "ratio", "goal": goal, "holds": holds}


def show(texts: list[MarkedText], scores: dict[str, SpanScore]) -> None:
    """Print the figures as a table."""
    table = Table("label", "precision", "recall", "F1", "marked", title=f"{len(texts)} texts, exact spans")
    for label, score in sorted(scores.items(), key=lambda item: -item[1].marked):
        table.add_row(label, f"{score.precision:.3f}", f"{score.recall:.3f}", f"{score.f1:.3f}", str(score.marked))
    Console().print(table)


def main() -> int:
    """Measure and print. Returns the exit code, which is 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        texts = read_marked(options.data)
        scores = score_tagger(load_tagger(options.bundle), texts)
    except GramError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    rows = measure_rows(texts, scores)
    if options.json:
        print(json.dumps({"measures": rows}))
    else:
        show(texts, scores)
    return int(rows[0]["holds"] is False)


if __name__ == "__main__":
    sys.exit(main())
