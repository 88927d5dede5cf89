"""A folder of torch.distributed.checkpoint is a checkpoint without a copy, and its damage has a name."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as dcp
from foreign_files import RAN, Trap, in_place, raw, save_dcp, stored
from roots import Dying
from synthetic import flip

import headway as hw
from headway.checkpoint.catalog.collect import collect
from headway.checkpoint.catalog.retention import Keep
from headway.checkpoint.files.manifest import Object
from headway.checkpoint.files.write import FragmentData
from headway.checkpoint.formats.dcp.importer import import_dcp
from headway.checkpoint.formats.in_place import Found, take_over
from headway.checkpoint.layout.boxes import Box
from headway.checkpoint.state.values.tree import decode
from headway.errors import CheckpointDamaged, NoCheckpoint, SaveFailed, UsageError
from headway.storage.opening import open_backend


def model_state() -> dict[str, Any]:
    torch.manual_seed(1)
    return {
        "model": {
            "w": torch.randn(700, 801),
            "half": torch.randn(5, dtype=torch.float32).to(torch.bfloat16),
            "empty": torch.zeros(0, 3),
            "columns": torch.randn(4, 6).t(),
            "step": torch.tensor(7),
        },
        "opt": {"lr": 0.1, "betas": (0.9, 0.99), "nothing": None, "list": [torch.ones(2), 3]},
        "rng": torch.get_rng_state(),
    }


def test_a_dcp_folder_is_a_checkpoint_without_a_copy(tmp_path: Path) -> None:
    state = model_state()
    folder = save_dcp(state, tmp_path / "dcp")
    backend = open_backend(tmp_path / "root")
    manifest = import_dcp(backend, folder, step=40)
    found = stored(backend, manifest)
    for name, tensor in state["model"].items():
        assert found[f"model.{name}"][1:] == (tuple(tensor.shape), raw(tensor))
    assert found["rng"][2] == raw(state["rng"])
    assert found["opt.list.0"][2] == raw(torch.ones(2))
    assert {name: decode(value, lambda mark, its: None) for name, value in manifest.values.items()} == {
        "opt.lr": 0.1,
        "opt.betas": (0.9, 0.99),
        "opt.nothing": None,
        "opt.list.1": 3,
    }
    places = in_place(backend, manifest)
    assert {name for name, file in places.items() if not file.startswith(str(folder))} == {"model.columns"}  # transposed: copied
    assert sum(stat.nbytes for _, stat in backend.files("")) < 20_000
    assert hw.Checkpoints(tmp_path / "root").verify().whole


def test_it_is_loaded_like_any_other(tmp_path: Path) -> None:
    state = model_state()
    folder = save_dcp({"model": state["model"], "lr": 0.1}, tmp_path / "dcp")
    with hw.Checkpoints(tmp_path / "root") as ck:
        import_dcp(ck.backend, folder, step=40)
        mine = {"model": {name: torch.zeros_like(tensor) for name, tensor in state["model"].items()}, "lr": 0.0}
        assert ck.load(into=mine).step == 40
        assert all(torch.equal(mine["model"][name], tensor) for name, tensor in state["model"].items())
        assert mine["lr"] == 0.1


def test_names_can_be_changed_on_the_way(tmp_path: Path) -> None:
    folder = save_dcp({"app": {"w": torch.ones(2), "lr": 0.5}}, tmp_path / "dcp")
    manifest = import_dcp(open_backend(tmp_path / "root"), folder, rename=lambda name: name.replace("app.", "model."))
    assert (set(manifest.objects), set(manifest.values)) == ({"model.w"}, {"model.lr"})


def test_a_copy_does_not_need_the_dcp_folder_any_more(tmp_path: Path) -> None:
    folder = save_dcp(model_state(), tmp_path / "dcp")
    backend = open_backend(tmp_path / "root")
    manifest = import_dcp(backend, folder, copy=True)
    folder.rename(tmp_path / "away")
    assert stored(backend, manifest)["model.w"][2] == raw(model_state()["model"]["w"])


def test_a_collector_leaves_an_import_on_its_way_alone(tmp_path: Path) -> None:
    root = open_backend(tmp_path / "root")
    folder = save_dcp(model_state(), tmp_path / "dcp")
    collected = []

    def collecting() -> None:
        collected.append(collect(root, Keep(last=1), grace_s=0))

    changes = Dying(root, then=dict.fromkeys(range(1, 20), collecting))
    manifest = import_dcp(changes, folder, copy=True)
    assert len(collected) > 3
    assert stored(root, manifest)["model.w"][2] == raw(model_state()["model"]["w"])


def test_an_import_that_fails_half_way_leaves_no_data_behind(tmp_path: Path) -> None:
    root = open_backend(tmp_path / "root")

    def breaks() -> memoryview:
        raise OSError(5, "the source is gone")

    parts = [FragmentData("w", Object("F32", (2,)), Box((0,), (2,)), breaks)]
    with pytest.raises(OSError, match="the source is gone"):
        take_over(root, Found((), parts, {}, {}), step=1)
    assert [path for path in (tmp_path / "root").rglob("*") if path.is_file()] == []
    wrong = [FragmentData("w", Object("F32", (2,)), Box((0,), (2,)), np.zeros(3, "float32"))]
    with pytest.raises(UsageError, match=r"w\[0:2\]: 12 bytes were given, it has 8"):
        take_over(root, Found((), wrong, {}, {}), step=1)


def test_two_tensors_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = save_dcp({"a": {"w": torch.ones(2)}, "b": {"w": torch.ones(3)}}, tmp_path / "dcp")
    with pytest.raises(UsageError, match=r"two tensors are both called w: F32 \[\d\] and F32 \[\d\]"):
        import_dcp(open_backend(tmp_path / "root"), folder, rename=lambda name: name.rpartition(".")[2])


def test_code_in_dcp_metadata_is_named_and_not_run(tmp_path: Path) -> None:
    folder = save_dcp({"w": torch.ones(2)}, tmp_path / "dcp")
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    metadata.planner_data = Trap()
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    RAN.clear()
    with pytest.raises(UsageError, match=r"\.metadata: names foreign_files.ran"):
        import_dcp(open_backend(tmp_path / "root"), folder)
    assert RAN == []
    dcp.FileSystemReader(folder).read_metadata()
    assert RAN == ["code"]  # DCP's own reader does run it


def test_code_in_a_value_of_dcp_is_named_and_not_run(tmp_path: Path) -> None:
    RAN.clear()
    folder = save_dcp({"w": torch.ones(2), "value": Trap()}, tmp_path / "dcp")
    with pytest.raises(UsageError, match=r"value in .*__0_0.distcp: names foreign_files.ran"):
        import_dcp(open_backend(tmp_path / "root"), folder)
    assert RAN == []


def edited(folder: Path, edit: Any) -> None:
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    edit(metadata)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))


def test_a_flipped_bit_in_a_dcp_file_is_found_when_it_is_imported(tmp_path: Path) -> None:
    folder = save_dcp({"w": torch.arange(1000.0), "b": torch.ones(3)}, tmp_path / "dcp")
    data = (folder / "__0_0.distcp").read_bytes()
    flip(folder / "__0_0.distcp", data.index(raw(torch.arange(1000.0))) + 1234)
    backend = open_backend(tmp_path / "root")
    with pytest.raises(CheckpointDamaged, match=r"w in .*__0_0.distcp: bytes \d+ to \d+ are not what was written"):
        import_dcp(backend, folder)
    assert list(backend.files("steps")) == []
    import_dcp(backend, folder, check=False)  # what its owner may still ask for


def test_a_dcp_file_that_changed_since_is_damage_with_a_name(tmp_path: Path) -> None:
    folder = save_dcp({"w": torch.arange(1000.0)}, tmp_path / "dcp")
    backend = open_backend(tmp_path / "root")
    manifest = import_dcp(backend, folder)
    flip(folder / "__0_0.distcp", (folder / "__0_0.distcp").read_bytes().index(raw(torch.arange(1000.0))) + 1234)
    with pytest.raises(CheckpointDamaged, match=r"tensor w: block 0 in .*__0_0.distcp"):
        stored(backend, manifest)


def test_what_is_missing_from_a_dcp_folder_is_named(tmp_path: Path) -> None:
    backend = open_backend(tmp_path / "root")
    folder = save_dcp({"w": torch.ones(4, 2)}, tmp_path / "dcp")
    edited(folder, lambda metadata: metadata.state_dict_metadata["w"].chunks.clear())
    with pytest.raises(SaveFailed, match=r"w: nobody wrote \[0:4, 0:2\]"):
        import_dcp(backend, folder)
    save_dcp({"w": torch.ones(4, 2)}, folder)
    edited(folder, lambda metadata: metadata.storage_data.clear())
    with pytest.raises(CheckpointDamaged, match=r"does not say where w\[0:4, 0:2\] is"):
        import_dcp(backend, folder)
    save_dcp({"w": torch.ones(4, 2)}, folder)
    (folder / "__0_0.distcp").unlink()
    with pytest.raises(NoCheckpoint, match=r"__0_0.distcp: is missing"):
        import_dcp(backend, folder)
    (folder / ".metadata").unlink()
    with pytest.raises(NoCheckpoint, match=r"has no file .metadata"):
        import_dcp(backend, folder)


def test_metadata_that_contradicts_its_files_is_damage(tmp_path: Path) -> None:
    folder = save_dcp({"w": torch.ones(4, 2), "v": torch.ones(3)}, tmp_path / "dcp")

    def exchange(metadata: Any) -> None:
        one, other = list(metadata.storage_data)
        data = metadata.storage_data
        data[one], data[other] = data[other], data[one]

    edited(folder, exchange)
    with pytest.raises(CheckpointDamaged, match=r"w\[0:4, 0:2\] of type F32 should be there, and F32 \[3\] is"):
        import_dcp(open_backend(tmp_path / "root"), folder)


def test_a_dcp_folder_that_points_outside_is_refused(tmp_path: Path) -> None:
    folder = save_dcp({"w": torch.ones(4, 2)}, tmp_path / "dcp")

    def outside(metadata: Any) -> None:
        for place in metadata.storage_data.values():
            place.relative_path = "../secrets"

    edited(folder, outside)
    with pytest.raises(UsageError, match=r"refers to \.\./secrets, outside of the folder"):
        import_dcp(open_backend(tmp_path / "root"), folder)
