"""Parquet as Ray's workers share it: files, the parts that a catalogue is cut into, and output that is whole or absent.

A path is a local one or a URI that pyarrow takes, such as `s3://bucket/folder`. The only module here that imports
pyarrow. Knows neither products nor Ray.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from gram_os.errors import FileFormatError

_SUFFIXES: Final = (".parquet", ".pq")
_UNFINISHED: Final = "_unfinished"
_FOOTERS_TOGETHER: Final = 16

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class InputFile:
    """A Parquet file. changed_ns: when it was last written, nanoseconds since 1970. columns: their names and types."""

    path: str
    size: int
    changed_ns: int
    rows: int
    columns: pa.Schema


@dataclass(frozen=True, slots=True)
class Part:
    """The rows `start` to `stop` of a file: what a worker takes at a time. name: the output file's, without its end."""

    name: str
    path: str
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.stop - self.start


def find_files(paths: Sequence[str]) -> list[InputFile]:
    """Return the Parquet files that paths name, with what their footers say. A folder stands for all files below it.

    Raises FileFormatError for a path that is not there, for a folder without a Parquet file and for a damaged file.
    """
    found = {path: info for given in paths for path, info in _list_files(given)}
    with ThreadPoolExecutor(_FOOTERS_TOGETHER) as pool:
        return list(pool.map(_read_footer, found, found.values()))


def cut_parts(file: InputFile, rows: int) -> Iterator[Part]:
    """Cut a file into parts of up to `rows` rows. The names differ between files, also where their names are the same.

    >>> file = InputFile("shop/products.parquet", 1, 1, 25, pa.schema([]))
    >>> [(part.start, part.stop, part.name) for part in cut_parts(file, 20)]
    [(0, 20, 'products-aae7ad12-000000000000'), (20, 25, 'products-aae7ad12-000000000020')]
    """
    stem = f"{PurePosixPath(file.path).stem}-{hashlib.sha256(file.path.encode()).hexdigest()[:8]}"
    for start in range(0, file.rows, rows):
        yield Part(f"{stem}-{start:012d}", file.path, start, min(start + rows, file.rows))


def read_part(part: Part) -> pa.Table:
    """Read the rows of a part. Raises FileFormatError for a damaged file."""
    with _explaining(part.path), _open(part.path) as file:
        groups, first, at = [], None, 0
        for group in range(file.metadata.num_row_groups):
            stop = at + file.metadata.row_group(group).num_rows
            if at < part.stop and stop > part.start:
                groups.append(group)
                first = at if first is None else first
            at = stop
        at, batches = first or 0, []
        for batch in file.iter_batches(batch_size=part.rows, row_groups=groups):
            kept = batch.slice(max(part.start - at, 0), part.stop - max(part.start, at))
            batches.append(kept)
            at += batch.num_rows
            if at >= part.stop:
                break
        return pa.Table.from_batches(batches, file.schema_arrow)


def read_rows(table: pa.Table, columns: Sequence[str] | None = None) -> list[Row]:
    """Return the rows of a table as Python values, of some columns or of all."""
    rows: list[Row] = (table if columns is None else table.select(list(columns))).to_pylist()
    return rows


def choose_rows(table: pa.Table, texts: Mapping[int, str], column: str) -> pa.Table:
    """Return the rows that have a text, by their places in the table, with a column of these texts added."""
    places = sorted(texts)
    chosen = table.take(pa.array(places, pa.int64()))
    return chosen.append_column(pa.field(column, pa.string()), pa.array([texts[at] for at in places], pa.string()))


def make_table(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> pa.Table:
    """Make a table of texts."""
    return pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in columns})


def write_table(table: pa.Table, target: str, folder: str, name: str) -> None:
    """Write a table to `target/folder/name.parquet`, in place of what is there. The file is there as a whole or not."""
    beside = _join(target, _UNFINISHED, f"{name}-{uuid.uuid4().hex}.parquet")
    files, path = _filesystem(beside)
    files.create_dir(str(PurePosixPath(path).parent))
    pq.write_table(table, path, filesystem=files, compression="zstd")
    _, final = _filesystem(_join(target, folder, f"{name}.parquet"))
    files.create_dir(str(PurePosixPath(final).parent))
    files.move(path, final)


def remove_table(target: str, folder: str, name: str) -> None:
    """Remove what `write_table` wrote. Nothing happens when it is not there."""
    files, path = _filesystem(_join(target, folder, f"{name}.parquet"))
    if files.get_file_info(path).type != pa.fs.FileType.NotFound:
        files.delete_file(path)


def list_tables(target: str, folder: str) -> set[str]:
    """Return the names of the tables in `target/folder`."""
    files, path = _filesystem(_join(target, folder))
    selector = pa.fs.FileSelector(path, allow_not_found=True)
    return {PurePosixPath(info.path).stem for info in files.get_file_info(selector)}


def clear_unfinished(target: str) -> None:
    """Remove what runs that were killed left half written."""
    files, path = _filesystem(_join(target, _UNFINISHED))
    if files.get_file_info(path).type == pa.fs.FileType.Directory:
        files.delete_dir(path)


def table_folder(target: str, folder: str) -> str:
    """Return the path of `target/folder`."""
    return _join(target, folder)


def read_text(target: str, name: str) -> str | None:
    """Return the text of `target/name`, None when it is not there."""
    files, path = _filesystem(_join(target, name))
    if files.get_file_info(path).type == pa.fs.FileType.NotFound:
        return None
    with files.open_input_stream(path) as stream:
        return bytes(stream.read()).decode()


def write_text(target: str, name: str, text: str) -> None:
    """Write `target/name`, in place of what is there."""
    files, path = _filesystem(_join(target, name))
    files.create_dir(str(PurePosixPath(path).parent))
    with files.open_output_stream(path) as stream:
        stream.write(text.encode())


def find_kinds(schema: pa.Schema) -> dict[str, str]:
    """Return the kind of each column that an index can map (`FIELD_KINDS` in `gram_os.cluster.dsl`)."""
    kinds = {column.name: _find_kind(column.type) for column in schema}
    return {name: kind for name, kind in kinds.items() if kind is not None}


def _find_kind(type_: pa.DataType) -> str | None:
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return _find_kind(type_.value_type)
    if pa.types.is_dictionary(type_):
        return _find_kind(type_.value_type)
    tests = {
        "boolean": (pa.types.is_boolean,),
        "integer": (pa.types.is_integer,),
        "float": (pa.types.is_floating, pa.types.is_decimal),
        "date": (pa.types.is_date, pa.types.is_timestamp),
        "prose": (pa.types.is_string, pa.types.is_large_string, pa.types.is_time),
        "object": (pa.types.is_struct, pa.types.is_map),
    }
    return next((kind for kind, checks in tests.items() if any(check(type_) for check in checks)), None)


def _filesystem(path: str) -> tuple[pa.fs.FileSystem, str]:
    if "://" in path:
        found: tuple[pa.fs.FileSystem, str] = pa.fs.FileSystem.from_uri(path)
        return found
    return pa.fs.LocalFileSystem(), str(Path(path).expanduser().absolute())


def _join(target: str, *names: str) -> str:
    bare, mark, query = target.partition("?") if "://" in target else (target, "", "")
    return "/".join((bare.rstrip("/"), *names)) + mark + query


def _list_files(path: str) -> Iterator[tuple[str, Any]]:
    with _explaining(path):
        files, base = _filesystem(path)
        info = files.get_file_info(base)
        if info.type == pa.fs.FileType.NotFound:
            raise FileFormatError(path, "does not exist; check the path")
        if info.type == pa.fs.FileType.File:
            yield (path if "://" in path else base), info
            return
        base = base.rstrip("/")
        root = path if "://" in path else base
        below = [item for item in files.get_file_info(pa.fs.FileSelector(base, recursive=True)) if _is_data(item, base)]
        if not below:
            raise FileFormatError(path, f"is a folder without a Parquet file ({', '.join(_SUFFIXES)})")
        for item in sorted(below, key=lambda item: str(item.path)):
            yield _join(root, item.path[len(base) + 1 :]), item


def _is_data(info: Any, base: str) -> bool:
    """Say whether a file holds rows. What begins with _ or a dot is a file of Spark or of others beside them."""
    inner = PurePosixPath(info.path[len(base) + 1 :])
    hidden = any(part.startswith(("_", ".")) for part in inner.parts)
    return info.type == pa.fs.FileType.File and inner.suffix.lower() in _SUFFIXES and not hidden


def _read_footer(path: str, info: Any) -> InputFile:
    with _explaining(path), _open(path) as file:
        return InputFile(path, info.size, info.mtime_ns, file.metadata.num_rows, file.schema_arrow)


@contextmanager
def _open(path: str) -> Iterator[pq.ParquetFile]:
    files, inner = _filesystem(path)
    with files.open_input_file(inner) as stream, pq.ParquetFile(stream, pre_buffer=False) as file:
        yield file


@contextmanager
def _explaining(path: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise FileFormatError(path, f"cannot be read as Parquet: {str(error).splitlines()[0]}") from error
