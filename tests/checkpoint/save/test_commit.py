"""The decision to commit: what is and what is not all of a state."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.checkpoint.files.coverage import Draft, commit_manifest
from headway.checkpoint.files.file_layout import lay_out
from headway.checkpoint.files.manifest import Coverage, Fragment, Object, Segment, SegmentRef, block_nbytes
from headway.checkpoint.layout.boxes import Box, flat_boxes, whole
from headway.checkpoint.layout.dtypes import NBYTES
from headway.errors import SaveFailed

OBJECTS = {
    "w": Object("F32", (8, 4)),
    "scalar": Object("I64", ()),
    "empty": Object("F32", (0, 4)),
    "tied": Object("F32", (8, 4), alias_of="w"),
}


def segment(
    writer: str, boxes: list[tuple[str, Box]], objects: dict[str, Object] = OBJECTS, **changes: Any
) -> tuple[SegmentRef, Segment]:
    image = lay_out([(name, objects[name], box) for name, box in boxes], "id")
    fragments = []
    for entry in image.fragments:
        blocks = -(-entry.nbytes // block_nbytes(entry.box.extent, entry.itemsize))
        fragments.append(Fragment(entry.name, *entry.box, entry.start, "0" * 32 * blocks))
    fields = {"nbytes": image.nbytes, "fragments": tuple(fragments), **changes}
    made = Segment(f"{writer}.safetensors", header_nbytes=len(image.header), header_hash="", writer=writer, **fields)
    return SegmentRef(f"{writer}.json", "hash", made.nbytes), made


def draft(objects: dict[str, Object] = OBJECTS) -> Draft:
    return Draft("id", 7, 3, 0.0, objects, {"lr": 0.1}, parent="before", metrics={"loss": 2.0})


REST = [("scalar", Box((), ())), ("empty", Box((0, 0), (0, 4)))]
TOP, BOTTOM = ("w", Box((0, 0), (4, 4))), ("w", Box((4, 0), (4, 4)))


def test_segments_that_hold_everything_once_make_a_manifest() -> None:
    segments = [segment("00000", [TOP, *REST]), segment("00001", [BOTTOM])]
    manifest = commit_manifest(segments, draft())
    assert manifest.coverage == Coverage(4, 4, 8 * 4 * 4 + 8)
    assert manifest.segments == tuple(ref for ref, _ in segments)
    assert (manifest.id, manifest.step, manifest.serial, manifest.parent) == ("id", 7, 3, "before")
    assert (manifest.values, manifest.metrics) == ({"lr": 0.1}, {"loss": 2.0})


def test_an_empty_tensor_needs_no_fragment() -> None:
    commit_manifest([segment("00000", [TOP, BOTTOM, REST[0]])], draft())


def test_a_hole_is_named() -> None:
    with pytest.raises(SaveFailed, match=r"w: nobody wrote \[4:8, 0:4\]"):
        commit_manifest([segment("00000", [TOP, *REST])], draft())
    with pytest.raises(SaveFailed, match=r"scalar: nobody wrote \[\]"):
        commit_manifest([segment("00000", [TOP, BOTTOM])], draft())


def test_an_overlap_is_named_with_its_files() -> None:
    clash = ("w", Box((3, 1), (5, 2)))
    with pytest.raises(SaveFailed, match=r"w: \[0:4, 0:4\] and \[3:8, 1:3\] overlap \(00000.safetensors and 00001.safetensors\)"):
        commit_manifest([segment("00000", [TOP, *REST]), segment("00001", [clash])], draft())


def test_an_overlap_as_large_as_the_hole_is_not_taken_for_all() -> None:
    with pytest.raises(SaveFailed, match="overlap"):
        commit_manifest([segment("00000", [TOP, *REST]), segment("00001", [TOP])], draft())


def test_a_fragment_of_something_else_is_refused() -> None:
    more = OBJECTS | {"other": Object("F32", (2,))}
    with pytest.raises(SaveFailed, match=r"other\[0:2\] in 00000.safetensors is not part of the state"):
        commit_manifest([segment("00000", [("other", Box((0,), (2,)))], more)], draft())
    with pytest.raises(SaveFailed, match=r"tied.* is not part of the state"):
        commit_manifest([segment("00000", [("tied", whole((8, 4)))])], draft())


def test_a_box_outside_of_its_tensor_is_refused() -> None:
    larger = {"w": Object("F32", (9, 4))}
    with pytest.raises(SaveFailed, match=r"lies outside of the tensor, whose shape is \[8, 4\]"):
        commit_manifest([segment("00000", [("w", whole((9, 4)))], larger)], draft())
    with pytest.raises(SaveFailed, match="lies outside of the tensor"):
        commit_manifest([segment("00000", [("w", whole((32,)))], {"w": Object("F32", (32,))})], draft())


def test_a_fragment_outside_of_its_file_is_refused() -> None:
    with pytest.raises(SaveFailed, match="are not in the file's 4,096 bytes"):
        commit_manifest([segment("00000", [TOP, BOTTOM, *REST], nbytes=4096)], draft())
    in_header = Fragment("w", (0, 0), (8, 4), 8, "0" * 32)
    with pytest.raises(SaveFailed, match="128 bytes from 8, which are not in the file"):
        commit_manifest([segment("00000", REST, fragments=(in_header,))], draft())


def test_a_block_without_a_hash_is_refused() -> None:
    naked = Fragment("w", (0, 0), (8, 4), 4096, "")
    with pytest.raises(SaveFailed, match="has 1 blocks, but 0 digits of hashes"):
        commit_manifest([segment("00000", [TOP, BOTTOM, *REST], fragments=(naked,))], draft())


def test_a_tie_to_nothing_is_refused() -> None:
    with pytest.raises(SaveFailed, match="tied is said to be tied to gone"):
        commit_manifest([segment("00000", [])], draft({"tied": Object("F32", (2,), alias_of="gone")}))


@given(st.lists(st.integers(1, 5), max_size=3), st.data())
def test_flat_ranges_in_a_row_make_a_tensor_and_any_missing_one_is_a_hole(shape: list[int], data: st.DataObject) -> None:
    objects = {"w": Object("BF16", tuple(shape))}
    elements = objects["w"].nbytes // NBYTES["BF16"]
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, max(1, elements - 1)), max_size=4))), elements]
    ranges = [(begin, end) for begin, end in pairwise(cuts) if begin < end]
    segments = [segment(f"{n:05d}", [("w", box) for box in flat_boxes(shape, *each)], objects) for n, each in enumerate(ranges)]
    commit_manifest(segments, draft(objects))
    gone = data.draw(st.integers(0, len(segments) - 1))
    with pytest.raises(SaveFailed, match="nobody wrote"):
        commit_manifest(segments[:gone] + segments[gone + 1 :], draft(objects))


def test_ten_thousand_objects_of_two_writers_are_proved_quickly() -> None:
    objects = {f"layers.{n}.w": Object("F32", (64, 16)) for n in range(10_000)}
    segments = [segment(f"{rank:05d}", [(name, Box((32 * rank, 0), (32, 16))) for name in objects], objects) for rank in range(2)]
    begin = time.process_time()
    commit_manifest(segments, draft(objects))
    assert time.process_time() - begin < 2
