"""Named arrays in one file that is memory-mapped, not read: an .npz as numpy's, uncompressed and aligned.

Mapped arrays cost no time to open, and all processes of a machine share them. What numpy compressed is read instead.
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

_ALIGNMENT = 64  # bytes; what numpy's own headers are padded to
_HEADER = 30  # bytes of a zip member's header before its name
_PADDING = 0xD935  # the extra field of a zip member that is there to align what follows, as Android's zipalign has it


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write the arrays; `numpy.load` reads the file too.

    A file that stood there is replaced, not written over: whoever has it mapped goes on reading the old one.
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
    """All arrays of a file, read-only. Raises ValueError, OSError or BadZipFile for anything else than plain arrays."""
    with ZipFile(path) as archive:
        members = archive.infolist()
    if any(member.compress_type != ZIP_STORED for member in members):
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return {m.filename.removesuffix(".npy"): _map_member(file, m.header_offset, mapped) for m in members}


def _map_member(file: IO[bytes], header: int, mapped: mmap.mmap) -> AnyArray:
    """The array of the member whose header stands at that byte."""
    file.seek(header + _HEADER - 4)
    name, extra = (int.from_bytes(file.read(2), "little") for _ in range(2))
    file.seek(name + extra, 1)
    np.lib.format.read_magic(file)
    shape, fortran, kind = np.lib.format.read_array_header_1_0(file)
    if fortran or kind.hasobject:
        raise ValueError(f"an array of {kind}, which is not plain")
    return np.frombuffer(mapped, kind, int(np.prod(shape)), file.tell()).reshape(shape)
