"""Product types and codes that a person has judged, and fresh samples to judge.

    product_types.tsv    product_id, type, right, title: whether the product is a thing of this type
    codes_true.tsv       product_id, code, true, title: whether every value of the code is true of the product

The third column holds 1 or 0, and nothing in a fresh sample. The title is there for the reader. A row counts as long
as the product still has this type or this code.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.code_measures import CodedProduct
from benchmarks.measures import Measure
from gram_os.errors import FileFormatError
from gram_os.rows import read_lines

TYPES_FILE, CODES_FILE = "product_types.tsv", "codes_true.tsv"
GOALS = {TYPES_FILE: 0.93, CODES_FILE: 0.95}
_COLUMNS = {TYPES_FILE: ("product_id", "type", "right", "title"), CODES_FILE: ("product_id", "code", "true", "title")}
_NAMES = {TYPES_FILE: "types_by_eye.right", CODES_FILE: "codes_by_eye.true"}


@dataclass(frozen=True, slots=True)
class Label:
    """A judged row. value: a type, or a code as text."""

    product_id: str
    value: str
    right: bool


def read_labels(path: Path) -> list[Label]:
    """Read a judged sample. Raises FileFormatError for another header, and for a row that is not judged."""
    columns, labels = _COLUMNS[path.name], []
    for line, text in read_lines(path):
        cells = text.rstrip("\r\n").split("\t")
        if line == 1:
            if tuple(cells[:3]) != columns[:3]:
                raise FileFormatError(path, f"the first line must be {' '.join(columns)}, parted by tabs", line=1)
            continue
        if len(cells) < 3 or not (cells[0] and cells[1]) or cells[2] not in ("0", "1"):
            reason = f"a line is product_id<TAB>{columns[1]}<TAB>1 or 0<TAB>title; judge it or delete it"
            raise FileFormatError(path, reason, line=line, field=columns[2])
        labels.append(Label(cells[0], cells[1], cells[2] == "1"))
    return labels


def measure_labels(products: Iterable[CodedProduct], folder: Path) -> list[Measure]:
    """Return the share of right rows of each judged sample in a folder, and how many rows count and do not count."""
    by_id = {one.product.id: one for one in products}
    measures = []
    for name, holds in _HOLDS.items():
        if (folder / name).is_file():
            labels = read_labels(folder / name)
            here = [label for label in labels if label.product_id in by_id and holds(by_id[label.product_id], label)]
            share = sum(label.right for label in here) / len(here) if here else 0.0
            measures += [
                Measure(_NAMES[name], share, "ratio", GOALS[name], at_least=True),
                Measure(f"{_NAMES[name]}.rows", len(here), "rows"),
                Measure(f"{_NAMES[name]}.rows_gone", len(labels) - len(here), "rows"),
            ]
    return measures


_HOLDS: dict[str, Callable[[CodedProduct, Label], bool]] = {
    TYPES_FILE: lambda one, label: one.type == label.value,
    CODES_FILE: lambda one, label: label.value in map(str, one.codes),
}


def draw_samples(products: Sequence[CodedProduct], rows: int, seed: int, folder: Path) -> list[Path]:
    """Write fresh samples: of products with a type, and of pairs of a product and one of its codes.

    Raises FileFormatError where a file is there already: judgments are work that nobody wants to lose.
    """
    drawn = random.Random(seed)
    typed = [(one, one.type) for one in products if one.type is not None]
    pairs = [(one, str(code)) for one in products for code in one.codes]
    files = []
    for name, rows_of in ((TYPES_FILE, typed), (CODES_FILE, pairs)):
        path = folder / name
        if path.exists():
            raise FileFormatError(path, "is there already; give --out another folder, or move the file away")
        sample = drawn.sample(rows_of, min(rows, len(rows_of)))
        lines = [_COLUMNS[name], *((one.product.id, value, "", _one_line(one.product.title)) for one, value in sample)]
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
        files.append(path)
    return files


def _one_line(text: str) -> str:
    return " ".join(text.split())
