"""Losses and dev metrics as rows `stage,step,name,value` of one CSV file, and their plot.

Does not know what is measured. A step is the number of optimiser steps that are done, as in `checkpoint`.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gram_os.errors import InputError, MissingExtraError
from gram_os.rows import read_rows
from gram_os.train.loop.processes import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("stage", "step", "name", "value")
_SMOOTHED = 20  # points in the moving mean of a curve with many points


@dataclass(frozen=True, slots=True)
class Point:
    """One value of one curve."""

    stage: str
    step: int
    name: str
    value: float


class CurveWriter(AbstractContextManager["CurveWriter"]):
    """Appends rows to the file; a row is there when `write` returns.

    In a distributed training only the first process has a writer.
    """

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_whole(path, _as_csv(()))
        self._truncate_torn_row()
        self._stream = path.open("a", encoding="utf-8", newline="", buffering=1)

    def write(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Add the values of a step, by name."""
        rows = io.StringIO()
        csv.writer(rows, lineterminator="\n").writerows(
            (stage, step, name, f"{value:.6g}") for name, value in values.items()
        )
        self._stream.write(rows.getvalue())
        self._stream.flush()

    def resume(self, stage: str, step: int) -> None:
        """Drop the rows of a stage after `step`, because those steps run again; 0 drops all rows of the stage."""
        self._stream.close()
        kept = [p for p in read_curves(self.path) if p.stage != stage or p.step <= step]
        write_whole(self.path, _as_csv(kept))
        self._stream = self.path.open("a", encoding="utf-8", newline="", buffering=1)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __exit__(self, *error: object) -> None:
        self.close()

    def _truncate_torn_row(self) -> None:
        """Cut off half a row at the end, which a kill may have left."""
        content = self.path.read_bytes()
        if not content.endswith(b"\n"):
            write_whole(self.path, content[: content.rfind(b"\n") + 1] or _as_csv(()))


def _as_csv(points: Iterable[Point]) -> bytes:
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((p.stage, p.step, p.name, f"{p.value:.6g}") for p in points)
    return rows.getvalue().encode()


def read_curves(path: Path) -> list[Point]:
    """Return all points in the order of the file; none where the file holds only its header."""
    if path.read_bytes().count(b"\n") <= 1:
        return []
    rows = read_rows(path, required=COLUMNS)
    return [Point(str(r["stage"]), int(str(r["step"])), str(r["name"]), float(str(r["value"]))) for _, r in rows]


def plot_curves(curves: Path, out: Path) -> None:
    """Plot every curve of a CSV file in a panel of its own, stage by stage.

    out: a `.png`, `.svg` or `.html` file; the page of the last loads nothing else. Raises InputError for another
    ending and for a file without points, MissingExtraError where matplotlib is not installed.
    """
    if out.suffix not in (".png", ".svg", ".html"):
        raise InputError(f"{out}: a plot is written as .png, .svg or .html, not '{out.suffix}'")
    points = read_curves(curves)
    if not points:
        raise InputError(f"{curves} holds no point yet; train first")
    figure = _draw(points)
    content = io.BytesIO()
    figure.savefig(
        content,
        format="png" if out.suffix == ".png" else "svg",
        metadata={"Date": None} if out.suffix != ".png" else None,
    )
    if out.suffix != ".html":
        write_whole(out, content.getvalue())
        return
    drawing = content.getvalue().decode()
    page = '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Training</title>\n<body>\n'
    write_whole(out, (page + drawing[drawing.index("<svg") :] + "</body></html>\n").encode())


def _draw(points: Iterable[Point]) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib, which draws the curves,", "train") from error
    curves: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        if math.isfinite(point.value):
            curves.setdefault((point.stage, point.name), []).append(point)
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(4.5 * columns, 3 * rows), layout="constrained")
    for at, ((stage, name), found) in enumerate(curves.items(), start=1):
        _panel(figure.add_subplot(rows, columns, at), f"{stage}: {name}", found)
    return figure


def _panel(axes: Axes, title: str, points: list[Point]) -> None:
    steps, values = [p.step for p in points], [p.value for p in points]
    many = len(points) > 3 * _SMOOTHED
    axes.plot(steps, values, linewidth=1, alpha=0.35 if many else 1, marker="" if many else ".")
    if many:
        means = [sum(values[i - _SMOOTHED : i]) / _SMOOTHED for i in range(_SMOOTHED, len(values) + 1)]
        axes.plot(steps[_SMOOTHED - 1 :], means, linewidth=1.5, color="C0")
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("step", fontsize=8)
    axes.grid(alpha=0.3)
