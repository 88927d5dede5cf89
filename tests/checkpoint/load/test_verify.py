"""Everything that is wrong with a checkpoint is in one report."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import numpy as np
import pytest
from synthetic import Synthetic, flip, make, random_array, random_cuts

from headway.checkpoint.files.manifest import SegmentRef, read_sealed_hash, seal
from headway.checkpoint.layout.boxes import Box, whole
from headway.checkpoint.load.verify import Report, verify
from headway.errors import NoCheckpoint


@pytest.fixture
def made(tmp_path: Path) -> Synthetic:
    arrays = {
        "big": random_array((3000, 1024), "F32", 1),
        "cols": random_array((64, 48), "BF16", 3),
        "step": random_array((), "I64", 4),
        "none": random_array((0, 5), "F16", 6),
    }
    cuts = {
        "big": [(0, Box((0, 0), (1700, 1024))), (1, Box((1700, 0), (1300, 1024)))],
        "cols": [(1, Box((0, 0), (64, 20))), (2, Box((0, 20), (64, 28)))],
    }
    return make(tmp_path, arrays, cuts, aliases={"tied": "cols"})


def found(report: Report) -> list[tuple[str, str, tuple[str, ...], int]]:
    return [(problem.kind, problem.file.rpartition("/")[2], problem.tensors, problem.block) for problem in report.problems]


def test_a_whole_checkpoint_has_no_problems(made: Synthetic) -> None:
    for given in (made.manifest, made.manifest.folder):
        report = verify(made.backend, given)
        assert report.whole, str(report)
        assert (report.files, report.blocks) == (7, 2 + 2 + 2 + 1)
        assert report.nbytes == sum(path.stat().st_size for path in made.root.glob("steps/*/*.safetensors"))
        assert "checkpoint 6a1f of step 7: whole (7 files, 7 blocks" in str(report)


def test_progress_goes_to_the_end(made: Synthetic) -> None:
    told: list[tuple[int, int]] = []
    report = verify(made.backend, made.manifest, lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (report.nbytes, report.nbytes)


def test_all_that_is_wrong_is_reported_together(made: Synthetic) -> None:
    starts = {(file, fragment.name): fragment.start for name in made.arrays for file, fragment in made.fragments(name)}
    made.flip(0, starts[0, "big"] + 10)  # block 0 of its part
    made.flip(0, starts[0, "big"] + (5 << 20))  # block 1
    made.flip(1, 100)  # the header
    made.flip(1, starts[1, "cols"])
    os.truncate(made.path(2), starts[2, "cols"] + 1)
    report = verify(made.backend, made.manifest)
    assert found(report) == [
        ("block", "00000.safetensors", ("big",), 0),
        ("block", "00000.safetensors", ("big",), 1),
        ("header", "00001.safetensors", (), -1),
        ("block", "00001.safetensors", ("cols",), 0),
        ("truncated", "00002.safetensors", ("cols",), -1),
    ]
    assert report.tensors == ("big", "cols")
    first = report.problems[0]
    assert (first.begin, first.end) == (starts[0, "big"], starts[0, "big"] + (4 << 20))
    assert str(report).count("\n") == 5


def test_every_bit_of_the_small_regions_counts(made: Synthetic) -> None:
    """Every 61st byte of sealed files and headers, the first and the last byte of every fragment."""
    folder = made.root / made.manifest.folder
    for path in sorted(folder.glob("*.json")):
        for at in [*range(0, path.stat().st_size, 61), path.stat().st_size - 1]:
            flip(path, at)
            report = verify(made.backend, made.manifest)
            assert ("manifest" if path.name == "manifest.json" else "segment", path.name) in {each[:2] for each in found(report)}
            flip(path, at)
    for number, segment in enumerate(made.segments):
        for at in range(0, segment.header_nbytes, 1013):
            made.flip(number, at)
            assert [each[:2] for each in found(verify(made.backend, made.manifest))] == [("header", f"0000{number}.safetensors")]
            made.flip(number, at)
    assert verify(made.backend, made.manifest).whole


def test_a_missing_file_is_reported_with_what_was_in_it(made: Synthetic) -> None:
    made.path(1).unlink()
    report = verify(made.backend, made.manifest)
    assert found(report) == [("missing", "00001.safetensors", ("big", "cols"), -1)]
    assert "00001.safetensors is missing: lost are big, cols" in str(report)


def test_a_file_that_is_longer_is_reported_and_its_tensors_are_whole(made: Synthetic) -> None:
    with made.path(2).open("ab") as file:
        file.write(b"x")
    assert found(verify(made.backend, made.manifest)) == [("longer", "00002.safetensors", (), -1)]


def test_a_lost_segment_is_reported_with_the_tensors_that_it_makes_incomplete(made: Synthetic) -> None:
    (made.root / made.manifest.segments[2].file).unlink()
    report = verify(made.backend, made.manifest)
    assert found(report) == [("segment", "00002.json", (), -1), ("coverage", "", ("cols",), -1)]
    assert "tensor cols: [0:64, 20:48] is in none of its files" in str(report)


def test_a_manifest_that_cannot_be_read_is_a_problem_and_one_that_is_not_there_an_error(made: Synthetic) -> None:
    path = made.root / made.manifest.folder / "manifest.json"
    flip(path, 30)
    assert found(verify(made.backend, made.manifest.folder)) == [("manifest", "manifest.json", (), -1)]
    path.write_bytes(seal(msgspec.structs.replace(made.manifest, serial=5)))
    assert "not the manifest that was given" in str(verify(made.backend, made.manifest))
    path.unlink()
    assert [each[0] for each in found(verify(made.backend, made.manifest))] == ["manifest"]
    with pytest.raises(NoCheckpoint):
        verify(made.backend, made.manifest.folder)


def test_bytes_that_belong_to_no_object_are_reported(made: Synthetic) -> None:
    objects = {name: known for name, known in made.manifest.objects.items() if name != "step"}
    changed = msgspec.structs.replace(made.manifest, objects=objects)
    (made.root / made.manifest.folder / "manifest.json").write_bytes(seal(changed))
    report = verify(made.backend, changed)
    assert found(report) == [("coverage", "00000.safetensors", ("step",), -1)]


def test_fragments_that_overlap_are_reported_and_the_rest_is_checked(made: Synthetic) -> None:
    segment = made.segments[1]
    shifted = tuple(msgspec.structs.replace(each, offset=(1600, 0)) if each.name == "big" else each for each in segment.fragments)
    sealed = seal(msgspec.structs.replace(segment, fragments=shifted))
    ref = made.manifest.segments[1]
    (made.root / ref.file).write_bytes(sealed)
    refs = (made.manifest.segments[0], SegmentRef(ref.file, read_sealed_hash(sealed), ref.data_nbytes), made.manifest.segments[2])
    changed = msgspec.structs.replace(made.manifest, segments=refs)
    (made.root / changed.folder / "manifest.json").write_bytes(seal(changed))
    made.flip(2, made.segments[2].nbytes - 1)
    assert [each[0] for each in found(verify(made.backend, changed))] == ["coverage", "block"]


def test_many_small_fragments_are_checked(tmp_path: Path) -> None:
    import random

    arrays = {f"w{n}": np.full((50, 50), n, "f4") for n in range(3)}
    rng = random.Random(0)
    cuts = {name: [(rng.randrange(5), box) for box in random_cuts((50, 50), 700, rng)] for name in arrays}
    made = make(tmp_path, {**arrays, "x": np.zeros(1)}, {**cuts, "x": [(0, whole((1,)))]})
    assert verify(made.backend, made.manifest).blocks == sum(len(segment.fragments) for segment in made.segments)
    made.flip(3, made.segments[3].nbytes - 1)
    assert [each[:2] for each in found(verify(made.backend, made.manifest, threads=1))] == [("block", "00003.safetensors")]
