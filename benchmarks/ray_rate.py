"""Rows a second of one and of two Ray workers, with a coder that waits for a remote model and uses no core.

`measure` codes a made-up catalogue through `code_parquet`, the whole way from Parquet to Parquet. The rate counts from
the moment when all workers are at work until one of them has nothing more to do. The start of Ray and of its workers is
a figure of its own, since a catalogue of hours pays it once.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gram_os.catalogue import Product
from gram_os.ingest.ray import Workers, code_parquet
from gram_os.model.bundle import Bundle
from gram_os.model.coded import CodedText

WAIT_S = 0.02  # of the remote model, for one product
BATCH = 200  # rows of a part: four seconds of work


class RemoteModel:
    """A coder that waits `WAIT_S` a product, and notes when it began and ended each part in a file of its own."""

    def __init__(self, notes: Path) -> None:
        self.bundle = Bundle.load(None)
        self._notes = notes / f"{os.getpid()}.txt"

    def code_products(self, products: Iterable[Product]) -> Iterator[CodedText]:
        """Wait for each product."""
        began, rows = time.time(), 0
        for _ in products:
            time.sleep(WAIT_S)
            rows += 1
            yield CodedText()
        with self._notes.open("a", encoding="utf-8") as file:
            file.write(f"{began} {time.time()} {rows}\n")

    def code_batch(self, products: Sequence[Product]) -> list[CodedText]:
        """Wait for each product."""
        return list(self.code_products(products))


def measure(seconds: float = 20.0, workers: Sequence[int] = (1, 2)) -> dict[str, float]:
    """Return figures by name, for a run of about `seconds` with each number of workers.

    ray.N.rate: rows a second of N workers at work. ray.N.start_s: seconds until all of them were. ray.ratio: the rate
    of the most workers, divided by that of the fewest.
    """
    found: dict[str, float] = {}
    for count in workers:
        with tempfile.TemporaryDirectory() as folder:
            found |= _measure_workers(Path(folder), count, max(3, round(seconds / (WAIT_S * BATCH))) * BATCH)
    found["ray.ratio"] = found[f"ray.{max(workers)}.rate"] / found[f"ray.{min(workers)}.rate"]
    return found


def _measure_workers(folder: Path, count: int, rows: int) -> dict[str, float]:
    """Measure `count` workers with `rows` rows each."""
    notes = folder / "notes"
    notes.mkdir()
    numbers = [str(number) for number in range(rows * count)]
    pq.write_table(pa.table({"id": numbers, "title": numbers}), folder / "catalogue.parquet")
    started = time.time()
    code_parquet(
        [str(folder / "catalogue.parquet")],
        str(folder / "coded"),
        partial(RemoteModel, notes),
        Bundle.load(None),
        workers=Workers(count, gpus=0),
        batch=BATCH,
    )
    each = [[tuple(map(float, line.split())) for line in file.read_text().splitlines()] for file in notes.iterdir()]
    begin = max(min(began for began, _, _ in parts) for parts in each)
    end = min(max(ended for _, ended, _ in parts) for parts in each)
    done = sum(n * _share(began, ended, begin, end) for parts in each for began, ended, n in parts)
    return {f"ray.{count}.rate": done / (end - begin), f"ray.{count}.start_s": begin - started}


def _share(began: float, ended: float, begin: float, end: float) -> float:
    """Return how much of a part lies between two moments.

    >>> _share(0.0, 4.0, 1.0, 9.0)
    0.75
    """
    return max(0.0, min(ended, end) - max(began, begin)) / (ended - began)


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name:14} {value:8.2f}")
