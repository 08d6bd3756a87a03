"""Parquet in, coded Parquet out, part by part. What is finished is never coded twice.

A worker reads one part of the catalogue, codes it and writes `coded/NAME.parquet`, and the rows that have no codes to
`refused/NAME.parquet`. The file in `coded` is written last and appears as a whole: it says that the part is finished.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from gram_os.cluster.dsl import code_field
from gram_os.cluster.stored import DocumentKey
from gram_os.errors import InputError
from gram_os.ingest.documents import (
    CodedDocument,
    Document,
    ProductCoder,
    build_code_fields,
    code_documents,
    source_hash,
)
from gram_os.ingest.ray import parquet
from gram_os.ingest.ray.catalogue_rows import REASON, RowReader, join_columns
from gram_os.ingest.ray.parquet import Part
from gram_os.ingest.ray.run_file import Run, begin_run
from gram_os.ingest.ray.workers import Workers, run_parts
from gram_os.model.bundle import Bundle

CODED: Final = "coded"
REFUSED: Final = "refused"
#: Rows of a part: about a minute of work for a worker without a GPU.
BATCH: Final = 10_000

OpenCoder = Callable[[], ProductCoder]
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class CodeReport:
    """What a run coded.

    rows: of the whole catalogue. finished_before: those that an earlier run finished. coded, refused: what became of
    the others. seconds: of this run, with the start of the workers.
    """

    rows: int
    finished_before: int
    coded: int
    refused: int
    seconds: float
    workers: int

    @property
    def rate(self) -> float:
        """Rows a second of this run."""
        return (self.coded + self.refused) / self.seconds if self.seconds else 0.0


def code_parquet(
    source: Sequence[str],
    target: str,
    open_coder: OpenCoder,
    bundle: Bundle,
    *,
    label: str | None = None,
    id_field: str = "id",
    title_field: str = "title",
    workers: Workers | None = None,
    batch: int = BATCH,
    progress: Progress = lambda _: None,
    on_plan: Progress = lambda _: None,
) -> CodeReport:
    """Code a catalogue of Parquet files into the folder `target`.

    source: files and folders, local or as URIs that pyarrow takes. open_coder: picklable; each worker calls it once.
    bundle: the one that the coder has. label: the bundle's own by default. batch: rows of a part, which a run that is
    killed does again. progress is called with the rows of each finished part, on_plan with all rows that are to do.

    The coded files have all columns of the catalogue and a column `gram_LABEL`, the value of that field as JSON text.

    Raises FileFormatError for a file that is no Parquet, InputError for missing columns and for a target that holds
    another run's output, and what `run_parts` raises.
    """
    if batch < 1:
        raise InputError(f"parts of {batch} rows; give at least 1")
    started = time.monotonic()
    workers = workers or Workers()
    label = label or bundle.manifest.label
    files = parquet.find_files(source)
    reader = RowReader(id_field, title_field, join_columns(file.columns.names for file in files))
    reader.check(code_field(label))
    fields = tuple(bundle.manifest.coded_fields)
    run = Run(bundle.id, label, fields, id_field, title_field, reader.columns, batch)
    begin_run(target, run, files)
    parquet.clear_unfinished(target)
    finished = parquet.list_tables(target, CODED)
    parts = [part for file in files for part in parquet.cut_parts(file, batch)]
    waiting = [part for part in parts if part.name not in finished]
    rows, left = sum(part.rows for part in parts), sum(part.rows for part in waiting)
    on_plan(left)
    coded = refused = 0
    for answer in run_parts(workers, partial(_CodeWorker, open_coder, target, run), waiting):
        coded += answer["coded"]
        refused += answer["refused"]
        progress(answer["coded"] + answer["refused"])
    return CodeReport(rows, rows - left, coded, refused, time.monotonic() - started, workers.count)


class _CodeWorker:
    """Codes parts."""

    def __init__(self, open_coder: OpenCoder, target: str, run: Run) -> None:
        self._coder, self._target, self._field = open_coder(), target, code_field(run.label)
        if self._coder.bundle.id != run.bundle:
            raise InputError(
                f"the worker has bundle {self._coder.bundle.id} and the run bundle {run.bundle}; "
                "all machines need the same bundle, gram-os and PyStemmer"
            )
        self._reader = RowReader(run.id_field, run.title_field, run.columns)
        self._names = self._reader.names()
        self._columns = self._reader.choose_columns(run.coded_fields)

    def work(self, part: Part) -> dict[str, int]:
        """Code a part and write what came of it."""
        table = parquet.read_part(part)
        there = [name for name in self._columns if name in table.column_names]
        documents: dict[int, Document] = {}
        reasons: dict[int, str] = {}
        for place, row in enumerate(parquet.read_rows(table, there)):
            try:
                documents[place] = self._read(row, part)
            except InputError as error:
                reasons[place] = str(error)
        texts: dict[int, str] = {}
        for place, item in zip(documents, code_documents(self._coder, documents.values()), strict=True):
            if isinstance(item, CodedDocument):
                texts[place] = json.dumps(build_code_fields(item.coded, item.document.source), ensure_ascii=False)
            else:
                reasons[place] = item.reason
        parquet.remove_table(self._target, REFUSED, part.name)
        if reasons:
            refused = parquet.choose_rows(table, reasons, REASON)
            parquet.write_table(refused, self._target, REFUSED, part.name)
        parquet.write_table(parquet.choose_rows(table, texts, self._field), self._target, CODED, part.name)
        return {"coded": len(texts), "refused": len(reasons)}

    def _read(self, row: parquet.Row, part: Part) -> Document:
        product = self._reader.read(row, self._names)
        source = source_hash(product, self._coder.bundle)
        return Document(DocumentKey(part.path, product.id), product, source, False, 0, 0)
