"""Lazy arrays against numpy: the same elements for the same index, and not a block more than it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices
from synthetic import Synthetic, blocks_of, make, needed_nbytes, random_array, random_cuts, same

from headway.checkpoint.layout.boxes import Box
from headway.checkpoint.layout.dtypes import NBYTES
from headway.checkpoint.load.blocks import Contents
from headway.checkpoint.load.lazy import OpenCheckpoint, open_checkpoint
from headway.errors import CheckpointDamaged, UsageError


@pytest.fixture
def made(tmp_path: Path) -> Synthetic:
    big = random_array((4096, 1024), "F32", 1)  # 16 MiB, four blocks
    return make(tmp_path, {"big": big, "s": random_array((), "F64", 2)}, aliases={"twin": "big"}, values={"lr": 0.1})


@pytest.fixture
def opened(made: Synthetic) -> OpenCheckpoint:
    return open_checkpoint(made.backend, made.manifest, made.segments)


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_an_index_gives_what_numpy_gives(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Random element types, shapes, fragments, block sizes, and indices of integers, slices, steps, ellipses and new axes."""
    rng = data.draw(st.randoms())
    shape = data.draw(st.lists(st.integers(0, 7), max_size=4).map(tuple))
    code = data.draw(st.sampled_from(sorted(NBYTES)))
    array = random_array(shape, code, 3)
    block = NBYTES[code] * data.draw(st.integers(1, 20))
    with blocks_of(block):
        cuts = {"w": [(rng.randrange(2), box) for box in random_cuts(shape, 4, rng)]}
        made = make(tmp_path_factory.mktemp("lazy"), {"w": array}, cuts)
        with open_checkpoint(made.backend, made.manifest, made.segments) as opened:
            index = data.draw(basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
            got, expected = opened["w"][index], array[index]
            assert type(got) is type(expected)
            assert same(np.asarray(got), np.asarray(expected))
            mask = np.zeros(shape, bool)
            mask[index] = True
            assert opened.bytes_read == needed_nbytes(made, {"w": mask})


def test_a_row_reads_one_block_and_its_neighbours_nothing_more(made: Synthetic, opened: OpenCheckpoint) -> None:
    big = opened["big"]
    assert opened.bytes_read == 0
    for row in range(1000, 1020):
        assert same(big[row], made.arrays["big"][row])
    assert opened.bytes_read == 4 << 20
    assert same(opened["twin"][1000], made.arrays["big"][1000])
    assert opened.bytes_read == 4 << 20


def test_blocks_that_were_not_used_for_long_are_read_again(made: Synthetic) -> None:
    with open_checkpoint(made.backend, made.manifest, made.segments, cache_bytes=8 << 20) as opened:
        for row in (0, 1024, 0, 2048, 0, 1024):  # the last one was dropped for 2048
            opened["big"][row]
        assert opened.bytes_read == 16 << 20


def test_it_is_a_mapping_of_arrays(made: Synthetic, opened: OpenCheckpoint) -> None:
    assert list(opened) == ["big", "s", "twin"]
    assert len(opened) == 3
    assert "nothing" not in opened
    assert opened.plain_values == {"lr": 0.1}
    big = opened["twin"]
    assert (big.shape, big.dtype, big.code, big.ndim) == ((4096, 1024), np.dtype("f4"), "F32", 2)
    assert (big.size, big.nbytes, len(big)) == (4 << 20, 16 << 20, 4096)
    assert "F32 [4096, 1024]" in repr(big)
    assert "3 arrays" in repr(opened)
    with pytest.raises(KeyError, match="nothing"):
        opened["nothing"]
    with pytest.raises(TypeError):
        len(opened["s"])


def test_it_becomes_a_numpy_array(made: Synthetic, opened: OpenCheckpoint) -> None:
    assert same(np.asarray(opened["big"]), made.arrays["big"])
    assert np.asarray(opened["s"], dtype="f4").dtype == np.float32
    assert np.add(opened["s"], 0.0) == made.arrays["s"]
    with pytest.raises(ValueError, match="without a copy"):
        np.array(opened["s"], copy=False)


@pytest.mark.parametrize("index", [4096, -4097, (0, 0, 0), (0, 1024), (..., ...)])
def test_an_index_that_numpy_refuses_is_refused(made: Synthetic, opened: OpenCheckpoint, index: Any) -> None:
    with pytest.raises(IndexError):
        made.arrays["big"][index]
    with pytest.raises(IndexError, match="big"):
        opened["big"][index]


@pytest.mark.parametrize("index", [[0, 1], np.array([0]), True, np.bool_(True), "w", 1.5])
def test_an_index_that_would_need_any_number_of_blocks_is_refused(opened: OpenCheckpoint, index: Any) -> None:
    with pytest.raises(UsageError, match="Read a slice and index that"):
        opened["big"][index]


def test_a_damaged_block_is_never_given_out(made: Synthetic, opened: OpenCheckpoint) -> None:
    start = made.fragments("big")[0][1].start
    made.flip(0, start + (5 << 20))
    assert same(opened["big"][:1024], made.arrays["big"][:1024])
    for _ in range(2):
        with pytest.raises(CheckpointDamaged, match=r"tensor big: block 1 in \S*00000.safetensors"):
            opened["big"][1000:1100]
    with pytest.raises(CheckpointDamaged):
        opened["big"].box(Box((2047, 0), (1, 1)))


def test_closing_it_gives_everything_back_once(made: Synthetic) -> None:
    given_back: list[bool] = []
    before = len(list(Path("/proc/self/fd").iterdir()))
    opened = open_checkpoint(made.backend, made.manifest, made.segments, on_close=lambda: given_back.append(True))
    row = opened["big"][0]
    opened.close()
    opened.close()
    assert given_back == [True]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert same(row, made.arrays["big"][0])
    with pytest.raises(UsageError, match="was closed"):
        opened["big"][0]


def test_torch_is_not_needed(made: Synthetic) -> None:
    code = f"""
import sys
sys.modules["torch"] = None
from headway.storage.local import LocalBackend
from headway.checkpoint.load.lazy import open_checkpoint
from headway.checkpoint.files.stored import read_manifest, read_segments
backend = LocalBackend({str(made.root)!r})
manifest = read_manifest(backend, {made.manifest.folder!r})
print(open_checkpoint(backend, manifest, read_segments(backend, manifest))["big"][7, 7])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.stdout.strip(), ran.stderr) == (str(made.arrays["big"][7, 7]), "")


def test_contents_name_what_they_have(made: Synthetic) -> None:
    from headway.errors import CheckpointMismatch

    with pytest.raises(CheckpointMismatch, match="has no tensor nothing; it has big, s, twin"):
        Contents(made.manifest, made.segments).holder("nothing")
