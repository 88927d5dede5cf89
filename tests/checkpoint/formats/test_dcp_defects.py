"""The seven defects of torch.distributed.checkpoint that `benchmarks/dcp_defects.py` shows, happening to Headway."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from dcp_jobs import PACKED
from synthetic import flip
from torch_gang import TorchGang

import headway as hw
from headway.checkpoint.files.manifest import Fragment
from headway.checkpoint.files.stored import read_segment
from headway.checkpoint.formats.safetensors_files import import_safetensors
from headway.checkpoint.process.failpoints import VARIABLE
from headway.errors import CheckpointDamaged, NoCheckpoint, SaveFailed


def state(value: float, tensors: int = 8) -> dict[str, Any]:
    return {f"w{n}": np.full(1000, value, "float32") for n in range(tensors)}


def values(held: dict[str, Any]) -> set[float]:
    return {float(value) for array in held.values() for value in np.unique(array)}


def place(ck: hw.Checkpoints, name: str) -> tuple[Path, Fragment]:
    """The file and the fragment of an array in the newest checkpoint."""
    manifest = ck.latest()
    assert manifest is not None
    segments = [read_segment(ck.backend, ref) for ref in manifest.segments]
    return next((Path(ck.root) / each.file, part) for each in segments for part in each.fragments if part.name == name)


def test_1_a_flipped_bit_is_an_error_that_names_the_tensor(tmp_path: Path) -> None:
    with hw.Checkpoints(tmp_path) as ck:
        ck.save(state(1), step=1).durable()
        file, fragment = place(ck, "w3")
        flip(file, fragment.start + 2)
        found = state(0)
        with pytest.raises(CheckpointDamaged, match=r"tensor w3: block 0 in .*\.safetensors"):
            ck.load(into=found, step=1)
        assert values(found) == {0}
        with pytest.raises(CheckpointDamaged, match="tensor w3"), ck.open(1) as opened:
            opened["w3"][:]


def test_2_an_error_while_writing_reaches_the_caller_and_makes_no_checkpoint(tmp_path: Path) -> None:
    ck = hw.Checkpoints(tmp_path / "root")
    ck.save(state(1), step=1).durable()
    shutil.move(tmp_path / "root" / "steps", tmp_path / "aside")
    (tmp_path / "root" / "steps").write_text("in the way of every file")
    failing = ck.save(state(2), step=2)
    with pytest.raises(SaveFailed):
        failing.durable()
    with pytest.warns(RuntimeWarning, match="step 2 was not saved"):
        ck.close()
    (tmp_path / "root" / "steps").unlink()
    shutil.move(tmp_path / "aside", tmp_path / "root" / "steps")
    assert [each.step for each in ck.manifests()] == [1]


@pytest.mark.parametrize("point", ["helper:data-half", "helper:before-segment", "helper:before-manifest"])
def test_3_a_save_that_dies_before_its_commit_leaves_the_one_before_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    with hw.Checkpoints(tmp_path) as ck:
        ck.save(state(1), step=1).durable()
    monkeypatch.setenv(VARIABLE, point)
    ck = hw.Checkpoints(tmp_path)
    dying = ck.save(state(2), step=1)
    with pytest.raises(SaveFailed, match="SIGKILL"):
        dying.durable()
    with pytest.warns(RuntimeWarning, match="step 1 was not saved"):
        ck.close()
    monkeypatch.delenv(VARIABLE)
    found = state(0)
    assert hw.Checkpoints(tmp_path).load(into=found).step == 1
    assert values(found) == {1}


class Code:
    def __reduce__(self) -> Any:
        return os.mkdir, ("code-has-run",)


def test_4_nothing_that_is_stored_is_a_pickle_and_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with hw.Checkpoints(tmp_path / "root") as ck:
        ck.save(state(1) | {"text": "x", "tuple": (1, None, b"y"), "rng": np.random.RandomState(1).get_state()}, step=1).durable()
        for file in (tmp_path / "root").rglob("*"):
            if file.is_file():
                with pytest.raises((pickle.UnpicklingError, ValueError, EOFError, KeyError, IndexError)):
                    pickle.loads(file.read_bytes())
        for name in ("manifest.json", "00000.json"):
            (file,) = (tmp_path / "root").rglob(name)
            kept = file.read_bytes()
            file.write_bytes(pickle.dumps(Code()))
            with pytest.raises(CheckpointDamaged, match=name):
                ck.load(into=state(0), step=1)
            file.write_bytes(kept)
    assert not (tmp_path / "code-has-run").exists()


def test_5_a_missing_file_is_an_error_and_no_row_keeps_its_old_value_silently(tmp_path: Path) -> None:
    with hw.Checkpoints(tmp_path / "root") as ck:
        ck.save(state(1), step=1).durable()
        file, _ = place(ck, "w0")
        file.unlink()
        found = state(0)
        with pytest.raises(CheckpointDamaged, match=file.name):
            ck.load(into=found, step=1)
        assert values(found) == {0}
        hub = tmp_path / "hub"
        hub.mkdir()
        for n in range(1, 4):
            safetensors.numpy.save_file({f"w{n}": np.ones(2)}, hub / f"model-{n:05d}-of-00003.safetensors")
        (hub / "model-00002-of-00003.safetensors").unlink()
        with pytest.raises(NoCheckpoint, match=r"model-00002-of-00003.safetensors is missing"):
            import_safetensors(ck.backend, hub)


def test_6_packed_and_strided_shards_are_saved_and_loaded_under_any_layout(tmp_path: Path) -> None:
    with TorchGang(2, tmp_path / "gang") as gang:
        said = gang.run("dcp_jobs:save_packed_halves", root=str(tmp_path / "root"))
    whole = PACKED.tolist()
    assert said == [[whole, whole[:4], True], [whole, whole[4:], True]]
    with hw.Checkpoints(tmp_path / "root").open() as opened:
        assert np.asarray(opened["w"]).tolist() == whole


def test_7_one_row_reads_one_block(tmp_path: Path) -> None:
    with hw.Checkpoints(tmp_path) as ck:
        array = np.arange(16 << 20, dtype="float32").reshape(16 << 10, 1 << 10)  # 64 MiB, as in the script
        ck.save({"w": array}, step=1).durable()
        with ck.open(1) as opened:
            assert np.array_equal(opened["w"][5000], array[5000])
            assert opened.bytes_read <= 4 << 20
