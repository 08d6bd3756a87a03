"""Arrays written, mapped and read back, by us and by numpy."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest

from gram_os.arrays import AnyArray
from gram_os.files.array_file import map_arrays, write_arrays

ARRAYS: dict[str, AnyArray] = {
    "a": np.arange(7, dtype=np.int32),
    "none": np.zeros(0, dtype=np.int64),
    "flags": np.array([[True, False], [False, True]]),
    "z": np.linspace(0, 1, 5, dtype=np.float32),
}


def test_written_arrays_are_mapped_at_aligned_places(tmp_path: Path) -> None:
    write_arrays(tmp_path / "x.npz", ARRAYS)
    mapped = map_arrays(tmp_path / "x.npz")
    assert list(mapped) == list(ARRAYS)
    for name, array in ARRAYS.items():
        found = mapped[name]
        assert (found.dtype, found.shape, found.tolist()) == (array.dtype, array.shape, array.tolist())
        assert not found.flags.writeable
        assert found.ctypes.data % 64 == 0
        base = found
        while isinstance(base.base, np.ndarray):
            base = base.base
        assert isinstance(base.base, mmap.mmap | memoryview)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_files_of_numpy_are_read(tmp_path: Path, save: object) -> None:
    assert callable(save)
    save(tmp_path / "x.npz", **ARRAYS)
    for name, array in map_arrays(tmp_path / "x.npz").items():
        assert array.tolist() == ARRAYS[name].tolist()


def test_numpy_reads_ours(tmp_path: Path) -> None:
    write_arrays(tmp_path / "x.npz", ARRAYS)
    with np.load(tmp_path / "x.npz") as found:
        assert {name: found[name].tolist() for name in found} == {n: a.tolist() for n, a in ARRAYS.items()}


def test_whoever_reads_the_old_file_goes_on_reading_it(tmp_path: Path) -> None:
    write_arrays(tmp_path / "x.npz", ARRAYS)
    mapped = map_arrays(tmp_path / "x.npz")
    write_arrays(tmp_path / "x.npz", {"a": np.zeros(1)})
    assert mapped["z"].tolist() == ARRAYS["z"].tolist()
    assert [file.name for file in tmp_path.iterdir()] == ["x.npz"]


def test_the_same_arrays_are_the_same_bytes(tmp_path: Path) -> None:
    write_arrays(tmp_path / "x.npz", ARRAYS)
    write_arrays(tmp_path / "y.npz", ARRAYS)
    assert (tmp_path / "x.npz").read_bytes() == (tmp_path / "y.npz").read_bytes()


@pytest.mark.parametrize("array", [np.array([{"a": 1}], dtype=object), np.asfortranarray(np.ones((2, 3)))])
def test_other_arrays_are_refused(tmp_path: Path, array: AnyArray) -> None:
    np.savez(tmp_path / "x.npz", x=array)
    with pytest.raises(ValueError, match="not plain"):
        map_arrays(tmp_path / "x.npz")
