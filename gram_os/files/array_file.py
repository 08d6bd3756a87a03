"""Named arrays in one memory-mapped file: an .npz as numpy writes it, uncompressed and aligned.

Mapped arrays take no time to open, and all processes of a machine share them. A compressed .npz is read into memory.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import IO
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from gram_os.arrays import AnyArray

Arrays = Mapping[str, AnyArray]

_ALIGNMENT = 64  # bytes; numpy pads its own headers to the same
_HEADER = 30  # bytes of a zip member's header before its name
_PADDING = 0xD935  # a zip member's extra field that only aligns what follows, as Android's zipalign writes it


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write the arrays. `numpy.load` can read the file too.

    An older file is replaced, not overwritten: a process that has it mapped still reads the old one.
    """
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file, ZipFile(file, "w", ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = ZipInfo(f"{name}.npy")
            content = file.tell() + _HEADER + len(member.filename) + 4
            spare = -content % _ALIGNMENT
            member.extra = _PADDING.to_bytes(2, "little") + spare.to_bytes(2, "little") + bytes(spare)
            with archive.open(member, "w") as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)
    part.replace(path)


def map_arrays(path: Path) -> Arrays:
    """Map all arrays of a file, read-only. Raises ValueError, OSError or BadZipFile when they are not plain arrays."""
    with ZipFile(path) as archive:
        members = archive.infolist()
    if any(member.compress_type != ZIP_STORED for member in members):
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return {m.filename.removesuffix(".npy"): _map_member(file, m.header_offset, mapped) for m in members}


def _map_member(file: IO[bytes], header: int, mapped: mmap.mmap) -> AnyArray:
    """Map the array of the zip member whose header begins at byte `header`."""
    file.seek(header + _HEADER - 4)
    name, extra = (int.from_bytes(file.read(2), "little") for _ in range(2))
    file.seek(name + extra, 1)
    np.lib.format.read_magic(file)
    shape, fortran, kind = np.lib.format.read_array_header_1_0(file)
    if fortran or kind.hasobject:
        raise ValueError(f"an array of {kind}, which is not plain")
    return np.frombuffer(mapped, kind, int(np.prod(shape)), file.tell()).reshape(shape)
