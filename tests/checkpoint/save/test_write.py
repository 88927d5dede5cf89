"""Writing a checkpoint from this process: what the parts say, in the order of the format, or no file at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hand_saved import files_of, read_back

from headway.checkpoint.catalog.commit_alone import commit
from headway.checkpoint.files.coverage import Draft
from headway.checkpoint.files.manifest import Object
from headway.checkpoint.files.write import FragmentData, put_segment, write_segment
from headway.checkpoint.layout.boxes import Box, whole
from headway.errors import UsageError
from headway.storage.backend import DataWriter
from headway.storage.local import LocalBackend

MIB = 1 << 20


class Aligned(LocalBackend):
    """Takes chunks as every backend wants them."""

    chunks: list[int]

    def create(self, file: str, nbytes: int) -> DataWriter:
        sink, self.chunks = super().create(file, nbytes), []
        really = sink.write

        def write(chunk: memoryview) -> None:
            assert all(each % MIB == 0 for each in self.chunks), "only the last may have another size"
            assert np.frombuffer(chunk, "u1").ctypes.data % 4096 == 0
            self.chunks.append(len(chunk))
            really(chunk)

        sink.write = write  # type: ignore[method-assign]
        return sink


def part(name: str, data: Any, box: Box | None = None) -> FragmentData:
    return FragmentData(name, Object("F32", data.shape), box or whole(data.shape), data)


def test_arrays_of_any_memory_are_written_row_by_row(tmp_path: Path) -> None:
    base = np.arange(24, dtype="float32").reshape(4, 6)
    arrays = {"plain": base, "turned": base.T, "columns": np.asfortranarray(base), "some": base[::2, ::-3], "one": np.float32(7)}
    parts = [part(name, array) for name, array in arrays.items()]
    parts.append(FragmentData("raw", Object("F32", (4, 6)), whole((4, 6)), memoryview(base)))
    parts.append(FragmentData("late", Object("F32", (4, 6)), whole((4, 6)), lambda: base.copy()))
    segment = write_segment(LocalBackend(tmp_path), "steps", "00000", parts, "id")
    read = safetensors.numpy.load_file(tmp_path / segment.file)
    for name, array in {**arrays, "raw": base, "late": base}.items():
        np.testing.assert_array_equal(read[name], array, err_msg=name)


def test_many_mebibytes_are_given_on_in_aligned_chunks_and_read_back(tmp_path: Path) -> None:
    backend = Aligned(tmp_path)
    arrays = {name: np.arange(size, dtype="float32") for name, size in (("a", 3 * MIB + 5), ("b", 7), ("c", 2 * MIB))}
    draft = Draft("id", 3, 0, 0.0, {name: Object("F32", array.shape) for name, array in arrays.items()}, {}, parent="elsewhere")
    folder = "steps/000000000003-id"
    commit(backend, Draft("before", 1, 0, 0.0, {}, {}), [])
    segment = write_segment(backend, folder, "00000", [part(name, array) for name, array in arrays.items()], "id")
    assert len(backend.chunks) > 1
    assert sum(backend.chunks) == segment.nbytes == (tmp_path / segment.file).stat().st_size
    manifest = commit(backend, draft, [(put_segment(backend, folder, segment), segment)])
    assert (manifest.serial, manifest.parent) == (2, "elsewhere")
    for name, array in read_back(tmp_path, manifest).items():
        np.testing.assert_array_equal(array, arrays[name])


def breaks() -> Any:
    raise RuntimeError("the source is gone")


ROW = np.zeros(3, "float32")
WIDE = Object("F32", (4,))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: [FragmentData("w", WIDE, whole((4,)), ROW)], UsageError, r"w\[0:4\]: 12 bytes were given, it has 16"),
        (lambda: [part("w", ROW), part("w", ROW)], UsageError, "w"),
        (lambda: [part("w", ROW), FragmentData("x", Object("F32", (3,)), whole((3,)), breaks)], RuntimeError, "the source is gone"),
    ],
)
def test_where_the_parts_are_wrong_no_file_is_left(
    tmp_path: Path, wrong: Callable[[], list[FragmentData]], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        write_segment(LocalBackend(tmp_path), "steps", "00000", wrong(), "id")
    assert files_of(tmp_path) == []
