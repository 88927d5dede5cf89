"""Safetensors files of others: what they read of ours, what we read of theirs, and what is refused in between."""

from __future__ import annotations

import json
import os
import random
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import Array, bits, flip, make, random_array, random_cuts, same

import headway as hw
from headway.checkpoint.catalog.listing import find
from headway.checkpoint.files.manifest import Manifest
from headway.checkpoint.files.stored import read_segment
from headway.checkpoint.formats import export as export_module
from headway.checkpoint.formats.export import Wanted
from headway.checkpoint.formats.safetensors_files import export_safetensors, import_safetensors
from headway.checkpoint.layout.boxes import Box
from headway.checkpoint.layout.dtypes import NBYTES
from headway.checkpoint.load.blocks import Contents
from headway.checkpoint.load.lazy import open_checkpoint
from headway.errors import CheckpointConflict, CheckpointDamaged, NoCheckpoint, UsageError
from headway.storage.backend import Backend
from headway.storage.opening import open_backend

shapes = st.lists(st.integers(0, 7), max_size=4).map(tuple)
STORED = {"C128": "F64", "C32": "F16", "F4_X2": "F4"}


def contents(backend: Backend, step: int | str = "latest") -> Contents:
    manifest = find(backend, step)
    return Contents(manifest, [read_segment(backend, ref) for ref in manifest.segments])


def raw(file: Path) -> dict[str, dict[str, Any]]:
    """A file as the reference implementation reads it, without any library of arrays."""
    return dict(safetensors.deserialize(file.read_bytes()))


def read(backend: Backend, manifest: Manifest) -> dict[str, Array]:
    with open_checkpoint(backend, manifest, [read_segment(backend, ref) for ref in manifest.segments]) as opened:
        return {name: np.asarray(opened[name]) for name in opened}


# --- export ----------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(shapes, st.sampled_from(sorted(NBYTES)), st.integers(1, 6)), min_size=1, max_size=4), st.integers(0, 2**31)
)
def test_any_fragments_are_put_together_to_the_array(kinds: list[tuple[tuple[int, ...], str, int]], seed: int) -> None:
    rng = random.Random(seed)
    arrays = {f"a{n}": random_array(shape, code, seed + n) for n, (shape, code, _) in enumerate(kinds)}
    cuts = {
        f"a{n}": [(rng.randrange(3), box) for box in random_cuts(shape, pieces, rng)] for n, (shape, _, pieces) in enumerate(kinds)
    }
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder) / "root", arrays, cuts)
        (file,) = export_safetensors(made.backend, Contents(made.manifest, made.segments), Path(folder) / "out.safetensors")
        exported = raw(file)
    assert set(exported) == set(arrays)
    for (shape, code, _), (name, array) in zip(kinds, arrays.items(), strict=True):
        assert bytes(exported[name]["data"]) == bits(array).tobytes()
        assert exported[name]["dtype"] == STORED.get(code, code)
        stored = (*shape, 2) if code in ("C128", "C32") else shape
        if code == "F4_X2":
            stored = (*shape[:-1], 2 * shape[-1]) if shape else (2,)
        assert tuple(exported[name]["shape"]) == stored


def columns(array: Array) -> dict[str, list[tuple[int, Box]]]:
    rows, width = array.shape
    return {"w": [(0, Box((0, 0), (rows, width // 2))), (1, Box((0, width // 2), (rows, width - width // 2)))]}


def test_a_tensor_of_many_blocks_and_columns_is_exported(tmp_path: Path) -> None:
    array = random_array((1500, 2001), "F32", 1)  # each half has two blocks
    made = make(tmp_path / "root", {"w": array}, columns(array))
    (file,) = export_safetensors(made.backend, Contents(made.manifest, made.segments), tmp_path / "out.safetensors")
    assert same(safetensors.numpy.load_file(file)["w"], array)


def test_bytes_go_from_file_to_file_without_passing_through_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = random_array((48 << 10, 256), "F32", 2)  # 48 MiB
    made = make(tmp_path / "root", {"w": array})
    copied, copy = [0], os.copy_file_range

    def counting(*args: int) -> int:
        copied.append(copy(*args))
        return copied[-1]

    monkeypatch.setattr(export_module.os, "copy_file_range", counting)
    tracemalloc.start()
    export_safetensors(made.backend, Contents(made.manifest, made.segments), tmp_path / "out.safetensors")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(copied) == array.nbytes
    assert peak < 6 << 20  # one block, to verify
    assert same(safetensors.numpy.load_file(tmp_path / "out.safetensors")["w"], array)


def test_where_the_kernel_cannot_copy_a_buffer_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(export_module.os, "copy_file_range")
    array = random_array((1500, 1000), "F32", 3)
    made = make(tmp_path / "root", {"w": array})
    export_safetensors(made.backend, Contents(made.manifest, made.segments), tmp_path / "out.safetensors")
    assert same(safetensors.numpy.load_file(tmp_path / "out.safetensors")["w"], array)


@pytest.mark.parametrize("cut", [False, True], ids=["contiguous", "columns"])
def test_a_flipped_bit_is_named_and_nothing_is_exported(tmp_path: Path, cut: bool) -> None:
    array = random_array((1500, 2000), "F32", 4)
    made = make(tmp_path / "root", {"w": array, "fine": array[:1].copy()}, columns(array) if cut else None)
    (number, fragment), *_ = made.fragments("w")
    made.flip(number, fragment.start + (4 << 20) + 77)  # in the second block
    with pytest.raises(CheckpointDamaged, match=r"tensor w: block 1 in .*0000\d.safetensors"):
        export_safetensors(made.backend, Contents(made.manifest, made.segments), tmp_path / "out" / "w.safetensors")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_or_short_data_file_is_named(tmp_path: Path) -> None:
    made = make(tmp_path / "root", {"w": random_array((100,), "F32", 5)})
    with made.path(0).open("r+b") as file:
        file.truncate(4200)
    with pytest.raises(CheckpointDamaged, match=r"tensor w.*the file ends"):
        export_safetensors(made.backend, Contents(made.manifest, made.segments), tmp_path / "out.safetensors")
    made.path(0).unlink()
    with pytest.raises(CheckpointDamaged, match=r"00000.safetensors is missing"):
        export_safetensors(made.backend, Contents(made.manifest, made.segments), tmp_path / "out.safetensors")


def test_shards_are_at_most_so_large_and_have_an_index(tmp_path: Path) -> None:
    arrays = {f"model.{name}": random_array((size,), "F32", size) for name, size in {"a": 100, "b": 60, "c": 50, "d": 10}.items()}
    made = make(tmp_path / "root", {**arrays, "opt.x": random_array((5,), "F32", 9)})
    files = export_safetensors(
        made.backend, Contents(made.manifest, made.segments), tmp_path / "hf", select="model.*", strip="model.", shard_nbytes=480
    )
    assert [file.name for file in files] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    index = json.loads(files[-1].read_text())
    assert index["metadata"] == {"total_size": 880}
    assert {
        name: [key for key, file in index["weight_map"].items() if file == name] for name in set(index["weight_map"].values())
    } == {
        "model-00001-of-00002.safetensors": ["a"],
        "model-00002-of-00002.safetensors": ["b", "c", "d"],
    }
    for file in files[:-1]:
        for key, array in safetensors.numpy.load_file(file).items():
            assert same(array, arrays[f"model.{key}"])


def test_a_model_that_fits_in_one_file_is_one_file_that_torch_tools_accept(tmp_path: Path) -> None:
    made = make(tmp_path / "root", {"w": random_array((4,), "F32", 1)})
    files = export_safetensors(made.backend, Contents(made.manifest, made.segments), tmp_path / "hf", shard_nbytes=1 << 30)
    assert [file.name for file in files] == ["model.safetensors"]
    with safetensors.safe_open(str(files[0]), "numpy") as opened:
        assert opened.metadata() == {"format": "pt", "headway": "6a1f", "step": "7"}


def test_tied_arrays_are_written_once(tmp_path: Path) -> None:
    made = make(tmp_path / "root", {"emb": random_array((4, 2), "F32", 1)}, aliases={"a.head": "emb"})
    (file,) = export_safetensors(made.backend, Contents(made.manifest, made.segments), tmp_path / "both.safetensors")
    with safetensors.safe_open(str(file), "numpy") as opened:
        assert (list(opened.keys()), opened.metadata()["a.head"]) == (["emb"], "emb")
    (file,) = export_safetensors(made.backend, Contents(made.manifest, made.segments), tmp_path / "one.safetensors", select="a.*")
    assert same(safetensors.numpy.load_file(file)["a.head"], made.arrays["emb"])


def test_names_that_become_one_are_refused(tmp_path: Path) -> None:
    made = make(tmp_path / "root", {"model.w": np.zeros(2), "w": np.zeros(2)})
    with pytest.raises(UsageError, match=r"without 'model.' two arrays would be called 'w'"):
        export_safetensors(made.backend, Contents(made.manifest, made.segments), tmp_path / "x.safetensors", strip="model.")


def test_what_matches_nothing_is_an_error(tmp_path: Path) -> None:
    made = make(tmp_path / "root", {"w": np.zeros(2)})
    with pytest.raises(UsageError, match=r"no array matches 'model.\*'"):
        export_safetensors(made.backend, Contents(made.manifest, made.segments), tmp_path / "x.safetensors", select="model.*")


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    made = make(tmp_path / "root", {"w": np.zeros(2)})
    target = tmp_path / "model.safetensors"
    target.write_text("dear")
    for place in (target, tmp_path):
        with pytest.raises((UsageError, CheckpointConflict), match="is there already"):
            export_safetensors(made.backend, Contents(made.manifest, made.segments), place)
    assert target.read_text() == "dear"


def test_a_file_that_appears_meanwhile_is_not_overwritten_either(tmp_path: Path) -> None:
    made = make(tmp_path / "root", {"w": np.zeros(2)})
    target = tmp_path / "model.safetensors"
    target.write_text("dear")
    tensors = {"w": Wanted("w", made.manifest.objects["w"])}
    with pytest.raises(CheckpointConflict):
        export_module.write_file(made.backend, Contents(made.manifest, made.segments), target, tensors, {})
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["model.safetensors"]
    assert target.read_text() == "dear"


def test_a_checkpoint_in_an_object_store_is_exported(tmp_path: Path) -> None:
    array = random_array((1500, 1000), "F32", 6)
    source = tmp_path / "w.safetensors"
    safetensors.numpy.save_file({"w": array}, source)
    backend = open_backend(f"memory://{tmp_path}")
    import_safetensors(backend, source)
    (file,) = export_safetensors(backend, contents(backend), tmp_path / "out.safetensors")
    assert same(safetensors.numpy.load_file(file)["w"], array)


# --- import ----------------------------------------------------------------------------------------------------------


def hf(folder: Path, shards: list[dict[str, Array]]) -> Path:
    """A folder as transformers writes it."""
    folder.mkdir()
    where = {}
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        safetensors.numpy.save_file(shard, folder / name, {"format": "pt"})
        where |= dict.fromkeys(shard, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": where}))
    return folder


def shards() -> list[dict[str, Array]]:
    return [{"a": random_array((3, 5), "F32", 1), "s": random_array((), "I64", 2)}, {"b": random_array((0, 4), "F16", 3)}]


def test_a_foreign_file_is_a_checkpoint_without_a_copy(tmp_path: Path) -> None:
    arrays = {"w": random_array((1500, 1000), "F32", 1), "b": random_array((7,), "U8", 2)}
    source = tmp_path / "foreign.safetensors"
    safetensors.numpy.save_file(arrays, source)
    backend = open_backend(tmp_path / "root")
    manifest = import_safetensors(backend, source, step=12, prefix="model.")
    assert (manifest.step, set(manifest.objects)) == (12, {"model.w", "model.b"})
    found = read(backend, manifest)
    assert all(same(found[f"model.{name}"], array) for name, array in arrays.items())
    assert sum(stat.nbytes for _, stat in backend.files("")) < 10_000
    assert hw.Checkpoints(tmp_path / "root").verify().whole


def test_it_is_loaded_like_any_other(tmp_path: Path) -> None:
    array = random_array((30, 4), "F32", 1)
    safetensors.numpy.save_file({"w": array}, tmp_path / "foreign.safetensors")
    with hw.Checkpoints(tmp_path / "root") as ck:
        import_safetensors(ck.backend, tmp_path / "foreign.safetensors", step=3, prefix="model.")
        state = {"model": {"w": np.zeros_like(array)}}
        assert ck.load(into=state).step == 3
        assert same(state["model"]["w"], array)
        ck.save(state, 4).durable()
        assert [each.step for each in ck.manifests()] == [4, 3]


def test_a_folder_with_an_index_is_imported_and_exported_again_bit_by_bit(tmp_path: Path) -> None:
    folder = hf(tmp_path / "hf", shards())
    backend = open_backend(tmp_path / "root")
    found = read(backend, import_safetensors(backend, folder))
    arrays = shards()[0] | shards()[1]
    assert set(found) == set(arrays)
    assert all(same(found[name], array) for name, array in arrays.items())
    (file,) = export_safetensors(backend, contents(backend), tmp_path / "again.safetensors")
    again = safetensors.numpy.load_file(file)
    assert all(same(again[name], array) for name, array in arrays.items())


def test_a_shard_file_that_is_missing_from_an_index_is_named(tmp_path: Path) -> None:
    folder = hf(tmp_path / "hf", shards())
    (folder / "model-00002-of-00002.safetensors").unlink()
    backend = open_backend(tmp_path / "root")
    for source in (folder, folder / "model.safetensors.index.json"):
        with pytest.raises(NoCheckpoint, match=r"model-00002-of-00002.safetensors: is missing.*1 tensors \(b"):
            import_safetensors(backend, source)
    assert list(backend.files("")) == []


def test_a_numbered_file_that_is_missing_is_named_even_without_an_index(tmp_path: Path) -> None:
    folder = hf(tmp_path / "hf", shards())
    (folder / "model.safetensors.index.json").unlink()
    backend = open_backend(tmp_path / "root")
    assert set(import_safetensors(backend, folder).objects) == {"a", "s", "b"}
    (folder / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(NoCheckpoint, match=r"model-00001-of-00002.safetensors is missing"):
        import_safetensors(backend, folder)


def test_a_tensor_that_is_not_where_the_index_says_is_named(tmp_path: Path) -> None:
    folder = hf(tmp_path / "hf", shards())
    index = folder / "model.safetensors.index.json"
    listed = json.loads(index.read_text())
    listed["weight_map"]["b"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(listed))
    with pytest.raises(CheckpointDamaged, match=r"model-00001-of-00002.safetensors: has no tensor b"):
        import_safetensors(open_backend(tmp_path / "root"), folder)


def test_a_foreign_file_that_changed_since_is_damage_with_a_name(tmp_path: Path) -> None:
    source = tmp_path / "foreign.safetensors"
    safetensors.numpy.save_file({"w": random_array((100,), "F32", 1)}, source)
    backend = open_backend(tmp_path / "root")
    manifest = import_safetensors(backend, source)
    flip(source, source.stat().st_size - 3)
    with pytest.raises(CheckpointDamaged, match=r"tensor w: block 0 in .*foreign.safetensors"):
        read(backend, manifest)


def test_a_copy_does_not_need_the_foreign_file_any_more(tmp_path: Path) -> None:
    array = random_array((1500, 1000), "F32", 1)
    source = tmp_path / "foreign.safetensors"
    safetensors.numpy.save_file({"w": array}, source)
    for root in (str(tmp_path / "root"), f"memory://{tmp_path}/store"):
        backend = open_backend(root)
        manifest = import_safetensors(backend, source, copy=True)
        kept = source.rename(tmp_path / "away")
        assert same(read(backend, manifest)["w"], array)
        kept.rename(source)


def header(described: object, data: bytes = b"") -> bytes:
    text = described if isinstance(described, bytes) else json.dumps(described).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        (b"", CheckpointDamaged, "too short for its header"),
        (b"\xff" * 40, CheckpointDamaged, "too short for its header"),
        (header(b"{}")[:-1], CheckpointDamaged, "too short for its header"),
        (header(b"not json"), CheckpointDamaged, "its header is not what"),
        (
            header({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"1234"),
            CheckpointDamaged,
            "should have bytes 0 to 8",
        ),
        (header({"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"12345678"), CheckpointDamaged, "bytes 0 to 4"),
        (header({"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}}), CheckpointDamaged, "shape \\[-1\\]"),
        (header({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"1234567"), CheckpointDamaged, "it is cut off"),
        (
            header({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"12345"),
            CheckpointDamaged,
            "or something was appended",
        ),
        (
            header({"w": {"dtype": "F6_E2M3", "shape": [4], "data_offsets": [0, 3]}}, b"123"),
            UsageError,
            "w has elements of type F6",
        ),
        (header({"w": {"dtype": "F4", "shape": [2, 3], "data_offsets": [0, 3]}}, b"123"), UsageError, r"F4 in shape \[2, 3\]"),
        (header({"w": {"dtype": "C32", "shape": [1], "data_offsets": [0, 4]}}, b"1234"), UsageError, "w has elements of type C32"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(tmp_path: Path, data: bytes, error: type[Exception], says: str) -> None:
    source = tmp_path / "bad.safetensors"
    source.write_bytes(data)
    with pytest.raises(error, match=says):
        import_safetensors(open_backend(tmp_path / "root"), source)


def test_several_files_without_an_order_are_not_guessed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        safetensors.numpy.save_file({name: np.zeros(2)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(UsageError, match=r"there are: a.safetensors, b.safetensors"):
        import_safetensors(open_backend(tmp_path / "root"), tmp_path)
    with pytest.raises(NoCheckpoint, match="no such file"):
        import_safetensors(open_backend(tmp_path / "root"), tmp_path / "none")


RARE = ["float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2", "uint16", "uint32", "uint64"]


@pytest.mark.parametrize("dtype", RARE)
def test_rare_element_types_go_through_files_of_others_both_ways(tmp_path: Path, dtype: str) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    kind = getattr(torch, dtype)
    tensor = torch.arange(24, dtype=torch.uint8).view(kind).reshape(3, -1)
    save_file({"w": tensor}, tmp_path / "theirs.safetensors")
    backend = open_backend(str(tmp_path / "root"))
    import_safetensors(backend, tmp_path / "theirs.safetensors", step=1)
    state = {"w": torch.zeros_like(tensor)}
    with hw.Checkpoints(tmp_path / "root") as ck:
        ck.load(into=state)
        assert torch.equal(state["w"].view(torch.uint8), tensor.view(torch.uint8))
        ck.save(state, 2).durable()
    (file,) = export_safetensors(backend, contents(backend, 2), tmp_path / "ours.safetensors")
    ours = load_file(file)["w"]
    assert (ours.dtype, ours.shape) == (kind, tensor.shape)
    assert torch.equal(ours.view(torch.uint8), tensor.view(torch.uint8))
