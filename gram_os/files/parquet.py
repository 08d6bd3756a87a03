"""Parquet files. A batch of rows is in memory at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gram_os.errors import FileFormatError, InputError
from gram_os.files.delimited import check_columns
from gram_os.files.json_values import Row, Rows, as_json

_BATCH = 1000


def read_parquet(path: Path, required: Sequence[str]) -> Rows:
    """Stream the rows, numbered from 1. Nulls are left out.

    Raises FileFormatError for a missing column, a damaged file, and a file without a row.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            check_columns(path, file.schema_arrow.names, required)
            for batch in file.iter_batches(batch_size=_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, _clean_row(path, number, row)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        message = str(error).splitlines()[0]
        raise FileFormatError(path, f"is not a whole Parquet file: {message}", line=number + 1) from error
    if number == 0:
        raise FileFormatError(path, "holds no row")


def _clean_row(path: Path, number: int, row: Mapping[str, object]) -> Row | FileFormatError:
    clean: Row = {}
    for name, value in row.items():
        try:
            item = as_json(value)
        except InputError as error:
            return FileFormatError(path, str(error), line=number, field=name)
        if item is not None:
            clean[name] = item
    return clean
