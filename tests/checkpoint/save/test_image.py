"""The layout of a data file, judged by the safetensors package."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from headway.checkpoint.files.file_layout import PAGE, FileImage, key_of, lay_out
from headway.checkpoint.files.manifest import Object
from headway.checkpoint.layout.boxes import Box, whole
from headway.checkpoint.layout.dtypes import NBYTES
from headway.errors import UsageError


def filled(image: FileImage) -> bytes:
    """The file with every entry's bytes set to its number."""
    data = bytearray(image.header + bytes(image.nbytes - len(image.header)))
    for number, entry in enumerate(image.fragments):
        data[entry.start : entry.start + entry.nbytes] = bytes([number % 256]) * entry.nbytes
    return bytes(data)


def part(name: str, dtype: str, *shape: int) -> tuple[str, Object, Box]:
    return name, Object(dtype, shape), whole(shape)


@pytest.mark.parametrize("dtype", sorted(NBYTES))
def test_safetensors_reads_every_element_type(dtype: str) -> None:
    data = filled(lay_out([part("w", dtype, 3, 5), part("scalar", dtype), part("empty", dtype, 0, 4)], "id"))
    entries = dict(safetensors.deserialize(data))
    more = [2] if dtype in ("C128", "C32") else []
    shapes = {"w": [3, 5, *more], "scalar": more, "empty": [0, 4, *more]}
    if dtype == "F4_X2":
        shapes = {"w": [3, 10], "scalar": [2], "empty": [0, 8]}
    assert {name: entry["shape"] for name, entry in entries.items()} == shapes
    assert {entry["dtype"] for entry in entries.values()} == {{"C128": "F64", "C32": "F16", "F4_X2": "F4"}.get(dtype, dtype)}
    assert len(entries["w"]["data"]) == 15 * NBYTES[dtype]


def test_a_file_without_entries_is_one_of_safetensors_too() -> None:
    image = lay_out([], "id")
    assert safetensors.deserialize(filled(image)) == []
    assert image.nbytes == len(image.header) == PAGE


def test_every_entry_holds_its_own_bytes() -> None:
    image = lay_out([part("b", "F32", 4), part("a", "F32", 2), part("c", "F64", 1), part("d", "U8", 3)], "id")
    assert [entry.name for entry in image.fragments] == ["c", "a", "b", "d"]
    read = safetensors.numpy.load(filled(image))
    assert [read[name].tobytes()[0] for name in "cabd"] == [0, 1, 2, 3]


def test_the_header_says_whose_file_it_is() -> None:
    header = lay_out([part("a", "F32", 2)], "6a1f").header
    assert json.loads(header[8:])["__metadata__"] == {"format": "headway", "id": "6a1f"}


def test_a_part_of_an_object_is_called_by_its_place() -> None:
    kept = Object("F32", (8, 8))
    image = lay_out([("w", kept, Box((4, 0), (4, 8))), ("w", kept, Box((0, 4), (4, 4)))], "id")
    assert set(safetensors.numpy.load(filled(image))) == {"w@4,0+4,8", "w@0,4+4,4"}
    assert key_of("s", (), Box((), ())) == "s"


def test_two_parts_with_one_key_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="'w@0\\+2'"):
        lay_out([("w", Object("F32", (4,)), Box((0,), (2,))), part("w@0+2", "F32", 9)], "id")
    with pytest.raises(UsageError, match="__metadata__"):
        lay_out([part("__metadata__", "F32", 1)], "id")


SHAPES = st.lists(st.integers(0, 6), max_size=3).map(tuple)
PARTS = st.dictionaries(
    st.text(max_size=12).filter(lambda name: name != "__metadata__"), st.tuples(st.sampled_from(sorted(NBYTES)), SHAPES)
)


@given(PARTS)
def test_any_state_has_a_layout_that_is_aligned_and_without_holes(parts: dict[str, Any]) -> None:
    image = lay_out([part(name, dtype, *shape) for name, (dtype, shape) in parts.items()], "id")
    assert len(image.header) % PAGE == 0
    at = len(image.header)
    for entry in image.fragments:
        assert entry.start == at
        assert entry.start % entry.itemsize == 0
        at += entry.nbytes
    assert at == image.nbytes
    assert {name for name, _ in safetensors.deserialize(filled(image))} == set(parts)


@given(st.permutations([part("a", "F32", 2), part("b", "F32", 2), part("c", "BF16", 3), part("d", "F64")]))
def test_the_layout_does_not_depend_on_the_order_of_the_state(parts: list[tuple[str, Object, Box]]) -> None:
    assert lay_out(parts, "id") == lay_out(sorted(parts), "id")


def test_numpy_reads_values_back_from_where_the_layout_says() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    image = lay_out([part("w", "F32", 3, 4), part("flag", "BOOL")], "id")
    data = bytearray(filled(image))
    (entry,) = (entry for entry in image.fragments if entry.name == "w")
    data[entry.start : entry.start + entry.nbytes] = values.tobytes()
    assert np.array_equal(safetensors.numpy.load(bytes(data))["w"], values)
