"""A universal checkpoint of DeepSpeed is loaded into a model and its optimizer, or refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from foreign_files import RAN, Trap, in_place, raw, stored
from synthetic import flip

import headway as hw
from headway.checkpoint.formats.dcp.universal import import_universal
from headway.errors import CheckpointDamaged, NoCheckpoint, UsageError
from headway.storage.opening import open_backend


def universal(folder: Path, parameters: dict[str, torch.Tensor], tag: str = "global_step100_universal") -> Path:
    """A universal checkpoint as ds_to_universal.py leaves it."""
    for name, weight in parameters.items():
        place = folder / tag / "zero" / name
        place.mkdir(parents=True)
        torch.save({"param": weight, "cat_dim": 0}, place / "fp32.pt")
        torch.save({"param": weight * 2, "cat_dim": 0}, place / "exp_avg.pt")
        torch.save({"param": weight**2}, place / "exp_avg_sq.pt")
        torch.save(torch.tensor(100.0) if name.endswith("bias") else 100, place / "step.pt")
    torch.save({"optimizer_state_dict": {}}, folder / tag / "zero" / "optimizer_state.pt")
    torch.save({"module": None}, folder / tag / "mp_rank_00_model_states.pt")
    (folder / "latest_universal").write_text(tag)
    return folder


PARAMETERS = {"module.0.weight": torch.randn(4, 3), "module.0.bias": torch.randn(4)}


def test_a_universal_checkpoint_is_loaded_into_a_model_and_its_optimizer(tmp_path: Path) -> None:
    universal(tmp_path / "ds", PARAMETERS)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4))
    optimizer = torch.optim.Adam(model.parameters())
    with hw.Checkpoints(tmp_path / "root") as ck:
        manifest = import_universal(ck.backend, tmp_path / "ds")
        assert (manifest.step, manifest.objects["opt.state.model.0.weight.exp_avg"].kind) == (100, "moment")
        assert ck.load(into={"model": model, "opt": optimizer}, strict=False).step == 100
    assert torch.equal(model[0].weight, PARAMETERS["module.0.weight"])
    moments = optimizer.state[model[0].bias]
    assert torch.equal(moments["exp_avg_sq"], PARAMETERS["module.0.bias"] ** 2)
    assert moments["step"] == 100
    assert optimizer.state[model[0].weight]["step"] == 100


def test_its_bytes_stay_where_they_are_and_what_is_not_imported_is_listed(tmp_path: Path) -> None:
    folder = universal(tmp_path / "ds", PARAMETERS)
    backend = open_backend(tmp_path / "root")
    manifest = import_universal(backend, folder / "global_step100_universal", model="net", optimizer="adam")
    places = in_place(backend, manifest)
    assert {name for name, file in places.items() if not file.startswith(str(folder))} == {"adam.state.net.0.weight.step"}
    assert manifest.provenance["not_imported"] == ["mp_rank_00_model_states.pt", "zero/optimizer_state.pt"]
    assert stored(backend, manifest)["adam.state.net.0.weight.exp_avg"][2] == raw(PARAMETERS["module.0.weight"] * 2)


def test_a_universal_checkpoint_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    backend = open_backend(tmp_path / "root")
    folder = universal(tmp_path / "ds", PARAMETERS)
    place = folder / "global_step100_universal" / "zero" / "module.0.weight"
    torch.save({"param": torch.ones(2)}, place / "exp_avg.pt")
    with pytest.raises(CheckpointDamaged, match=r"exp_avg.pt: has shape \[2\], the weight beside it \[4, 3\]"):
        import_universal(backend, folder)
    (place / "fp32.pt").unlink()
    with pytest.raises(NoCheckpoint, match=r"module.0.weight: fp32.pt is missing"):
        import_universal(backend, folder)
    with pytest.raises(NoCheckpoint, match=r"has no folder zero"):
        import_universal(backend, tmp_path)


def test_code_in_a_universal_checkpoint_is_named_and_not_run(tmp_path: Path) -> None:
    folder = universal(tmp_path / "ds", PARAMETERS)
    torch.save({"param": Trap()}, folder / "global_step100_universal" / "zero" / "module.0.weight" / "exp_avg.pt")
    RAN.clear()
    with pytest.raises(UsageError, match=r"exp_avg.pt: names foreign_files.ran"):
        import_universal(open_backend(tmp_path / "root"), folder)
    assert RAN == []


def test_a_flipped_bit_in_a_universal_checkpoint_is_found(tmp_path: Path) -> None:
    folder = universal(tmp_path / "ds", PARAMETERS)
    file = folder / "global_step100_universal" / "zero" / "module.0.weight" / "fp32.pt"
    flip(file, file.read_bytes().index(raw(PARAMETERS["module.0.weight"])) + 5)
    with pytest.raises(CheckpointDamaged, match=r"model.0.weight in .*fp32.pt"):
        import_universal(open_backend(tmp_path / "root"), folder)


def test_the_step_of_a_folder_with_another_name_has_to_be_said(tmp_path: Path) -> None:
    folder = universal(tmp_path / "ds", PARAMETERS, tag="mine")
    with pytest.raises(UsageError, match="give step="):
        import_universal(open_backend(tmp_path / "root"), folder)
    assert import_universal(open_backend(tmp_path / "root"), folder, step=5).step == 5
    (folder / "latest_universal").write_text(os.fspath(tmp_path))
    with pytest.raises(UsageError, match="is not a folder beside it"):
        import_universal(open_backend(tmp_path / "root"), folder)
