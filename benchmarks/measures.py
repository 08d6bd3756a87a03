"""Figures with their goals, printed as a table or as JSON, for the benchmarks of this folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure. `goal` is the largest good value, or the smallest where `at_least` is true."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    at_least: bool = False

    @property
    def holds(self) -> bool | None:
        """Whether the goal is met; None where there is no goal."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


def measure_row(measure: Measure) -> dict[str, object]:
    """Return a figure as it is printed: its value has four significant digits."""
    value = float(f"{measure.value:.4g}")
    return {"name": measure.name, "value": value, "unit": measure.unit, "goal": measure.goal, "holds": measure.holds}


def print_measures(title: str, measures: Sequence[Measure], *, as_json: bool) -> None:
    """Print one JSON object, `{"measures": [{"name", "value", "unit", "goal", "holds"}]}`, or a table."""
    rows = [measure_row(measure) for measure in measures]
    if as_json:
        sys.stdout.write(json.dumps({"measures": rows}) + "\n")
        return
    table = Table("measure", "value", "unit", "goal", "holds", title=title)
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row.values()))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
