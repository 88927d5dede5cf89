"""torch.distributed.checkpoint over Headway's files: what trainers that use it save and load, and what they are told."""

from __future__ import annotations

import copy
import json
import pickle
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.distributed.checkpoint as dcp
from synthetic import flip
from torch.distributed.checkpoint import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner, _EmptyStateDictLoadPlanner
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch_gang import TorchGang

import headway as hw
from headway.checkpoint.catalog.collect import collect
from headway.checkpoint.catalog.listing import find
from headway.checkpoint.catalog.retention import Keep
from headway.checkpoint.files.stored import read_segment
from headway.checkpoint.formats.dcp.planner import HeadwayReader, HeadwayWriter
from headway.errors import UsageError

pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.distributed is disabled"),
    pytest.mark.filterwarnings("ignore:TypedStorage is deprecated"),
]


def state(value: float = 1.0) -> dict[str, Any]:
    model = torch.nn.Linear(3, 4)
    torch.nn.init.constant_(model.weight, value)
    return {
        "model": model.state_dict(),
        "opt": {
            "state": {0: {"exp_avg": torch.full((4, 3), value), "step": torch.tensor(value)}},
            "groups": [{"lr": value, "on": True}],
        },
        "columns": torch.arange(12.0).reshape(3, 4).t() * value,
        "one": (torch.arange(4.0) * value)[2:3:2],
        "empty": torch.zeros(0, 3),
        "half": torch.full((5,), value).to(torch.bfloat16),
    }


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return set(a) == set(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else bool(a == b)


def data_files(root: Path) -> list[Path]:
    return sorted(root.glob("steps/*/*.safetensors"))


# --- what comes back -------------------------------------------------------------------------------------------------


def test_what_dcp_saved_dcp_loads(tmp_path: Path) -> None:
    writer = HeadwayWriter(tmp_path, step=120)
    dcp.save(state(2), storage_writer=writer)
    found = state(0)
    dcp.load(found, storage_reader=HeadwayReader(tmp_path))
    assert equal(found, state(2) | {"model": found["model"]})
    assert torch.equal(found["model"]["weight"], torch.full((4, 3), 2.0))
    assert writer.saved is not None
    assert (writer.saved.step, find(hw.Checkpoints(tmp_path).backend, "latest")) == (120, writer.saved)


def test_hw_loads_and_opens_what_dcp_saved(tmp_path: Path) -> None:
    dcp.save({"model": {"w": torch.arange(12.0).reshape(3, 4)}, "lr": 0.5}, storage_writer=HeadwayWriter(tmp_path, step=3))
    with hw.Checkpoints(tmp_path) as ck:
        mine = {"model": {"w": np.zeros((3, 4), "float32")}, "lr": 0.0}
        assert ck.load(into=mine).step == 3
        assert mine["lr"] == 0.5
        assert np.array_equal(mine["model"]["w"], np.arange(12.0).reshape(3, 4))
        assert ck.verify().whole
        with ck.open(3) as opened:
            assert opened["model.w"][1, 2] == 6


def test_dcp_loads_what_hw_saved(tmp_path: Path) -> None:
    with hw.Checkpoints(tmp_path) as ck:
        ck.save({"model": {"w": torch.arange(12.0).reshape(3, 4)}, "lr": 0.5, "list": [1, {"x": 2}]}, 3).durable()
    found = {"model": {"w": torch.zeros(3, 4)}, "lr": 0.0}
    dcp.load(found, storage_reader=HeadwayReader(tmp_path))
    assert equal(found, {"model": {"w": torch.arange(12.0).reshape(3, 4)}, "lr": 0.5})


def test_values_of_all_plain_kinds_come_back(tmp_path: Path) -> None:
    values = {
        "numpy": np.random.RandomState(1).get_state(),
        "python": random.Random(1).getstate(),
        "tensors": (torch.ones(2, dtype=torch.bfloat16), ["x", torch.tensor(3)]),
        "number": np.float32(2.5),
        "counter": (Counter([1, 1]),),
        "set": {1, 2},
        "bytes": b"\xff\x00",
        "nan": float("inf"),
        "big": 10**30,
    }
    dcp.save(values, storage_writer=HeadwayWriter(tmp_path))
    found = copy.deepcopy(values) | {
        "numpy": None,
        "python": None,
        "tensors": None,
        "number": 0,
        "nan": 0,
        "big": 0,
        "set": None,
        "counter": 0,
    }
    dcp.load(found, storage_reader=HeadwayReader(tmp_path))
    assert equal(found, values)
    assert type(found["number"]) is np.float32


def test_a_state_is_rebuilt_without_a_template(tmp_path: Path) -> None:
    nested = {"a": {"b": [torch.ones(2), {"c.d": torch.zeros(1)}, 5]}, "flat.name": 7}
    dcp.save(nested, storage_writer=HeadwayWriter(tmp_path))
    found: dict[str, Any] = {}
    dcp.state_dict_loader._load_state_dict(
        found, storage_reader=HeadwayReader(tmp_path), planner=_EmptyStateDictLoadPlanner(), no_dist=True
    )
    assert equal(found, nested)


def test_another_type_is_converted_as_dcp_does(tmp_path: Path) -> None:
    dcp.save({"w": torch.tensor([1.5, 2.5])}, storage_writer=HeadwayWriter(tmp_path))
    found = {"w": torch.zeros(2, dtype=torch.float64)}
    dcp.load(found, storage_reader=HeadwayReader(tmp_path))
    assert equal(found["w"], torch.tensor([1.5, 2.5], dtype=torch.float64))


def test_two_ranks_save_rows_and_load_columns(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with TorchGang(2, tmp_path / "gang") as gang:
        said = gang.run("dcp_jobs:save_rows_and_load_columns", root=str(root))
    assert said == [[3, 7, "refused"], [None, None, "refused"]]  # only the coordinator has the manifest
    assert [file.name for file in data_files(root) if "003-" in file.parent.name] == ["00000.safetensors", "00001.safetensors"]
    assert [each.step for each in hw.Checkpoints(root).manifests()] == [7, 3]


def test_async_save_in_another_thread_is_the_state_of_its_moment(tmp_path: Path) -> None:
    mine = {"w": torch.ones(1000)}
    saving = dcp.async_save(mine, storage_writer=HeadwayWriter(tmp_path), no_dist=True)
    mine["w"].zero_()
    saving.result()
    dcp.load(mine, storage_reader=HeadwayReader(tmp_path))
    assert torch.equal(mine["w"], torch.ones(1000))


# --- what is on disk -------------------------------------------------------------------------------------------------


def test_files_are_valid_safetensors_and_hold_no_pickle(tmp_path: Path) -> None:
    dcp.save(state(), storage_writer=HeadwayWriter(tmp_path))
    (file,) = data_files(tmp_path)
    assert torch.equal(safetensors.torch.load_file(file)["columns"], torch.arange(12.0).reshape(3, 4).t())
    for sealed in tmp_path.rglob("*.json"):
        json.loads(sealed.read_text().splitlines()[0])
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {".json", ".safetensors", ""}


def test_a_step_is_taken_from_the_writer_the_checkpoint_id_or_the_last_one(tmp_path: Path) -> None:
    def saved(writer: HeadwayWriter, checkpoint_id: str | Path | None = None) -> int:
        dcp.save({"w": torch.ones(1)}, storage_writer=writer, checkpoint_id=checkpoint_id)
        assert writer.saved is not None
        return writer.saved.step

    assert saved(HeadwayWriter(tmp_path)) == 0
    assert saved(HeadwayWriter(tmp_path, step=40)) == 40
    writer = HeadwayWriter(tmp_path)
    assert [saved(writer, each) for each in ("120", "runs/step-130", Path("x/140"))] == [120, 130, 140]
    assert saved(HeadwayWriter(tmp_path)) == 141
    with pytest.raises(UsageError, match="has no number at its end"):
        saved(writer, "final")
    found = {"w": torch.zeros(1)}
    dcp.load(found, storage_reader=HeadwayReader(tmp_path), checkpoint_id="step-130")
    assert found["w"] == 1


def test_a_save_of_the_same_step_leaves_the_earlier_one_as_it_was(tmp_path: Path) -> None:
    dcp.save({"w": torch.ones(3)}, storage_writer=HeadwayWriter(tmp_path, step=5))
    (first,) = data_files(tmp_path)
    before = first.read_bytes()
    dcp.save({"w": torch.zeros(3)}, storage_writer=HeadwayWriter(tmp_path, step=5))
    assert first.read_bytes() == before
    assert len(data_files(tmp_path)) == 2


def test_files_of_a_save_on_its_way_are_not_collected(tmp_path: Path) -> None:
    root = hw.Checkpoints(tmp_path).backend

    class Collecting(HeadwayWriter):
        def finish(self, metadata: Any, results: Any) -> None:
            collect(root, Keep(last=1), grace_s=0)
            super().finish(metadata, results)

    writer = Collecting(tmp_path)
    dcp.save({"w": torch.ones(3)}, storage_writer=writer)
    assert hw.Checkpoints(tmp_path).verify().whole
    assert list(root.files("saving")) == []


# --- what goes wrong -------------------------------------------------------------------------------------------------


class Note:
    """An object of a class: no JSON."""


def test_what_would_need_a_pickle_is_refused_by_name_when_it_is_saved(tmp_path: Path) -> None:
    with pytest.raises(CheckpointException, match=r"opt.note: names test_dcp_neighbour.Note"):
        dcp.save({"w": torch.ones(1), "opt": {"note": Note()}}, storage_writer=HeadwayWriter(tmp_path))
    assert hw.Checkpoints(tmp_path).latest() is None


def test_a_flipped_bit_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    dcp.save({"a": torch.ones(1000), "w": torch.arange(5.0)}, storage_writer=HeadwayWriter(tmp_path))
    manifest = find(hw.Checkpoints(tmp_path).backend, "latest")
    segment = read_segment(hw.Checkpoints(tmp_path).backend, manifest.segments[0])
    flip(data_files(tmp_path)[0], next(each.start for each in segment.fragments if each.name == "w") + 2)
    found = {"a": torch.zeros(1000), "w": torch.zeros(5), "v": 1}
    del found["v"]
    with pytest.raises(CheckpointException, match=r"tensor w: block 0 in steps/.*00000.safetensors"):
        dcp.load(found, storage_reader=HeadwayReader(tmp_path))
    assert torch.equal(found["a"], torch.zeros(1000))
    assert torch.equal(found["w"], torch.zeros(5))


@pytest.fixture
def no_cached_plans() -> Iterator[None]:
    """DCP keeps plans in its classes."""
    caches = [value for name, value in vars(SavePlanner).items() if name.startswith("_cached")]
    yield
    for cache in caches:
        cache.clear()


@pytest.mark.usefixtures("no_cached_plans")
def test_a_planner_that_caches_its_plans_is_refused(tmp_path: Path) -> None:
    def save() -> None:
        dcp.save(
            {"w": torch.ones(1)},
            storage_writer=HeadwayWriter(tmp_path),
            planner=DefaultSavePlanner(enable_plan_caching=True),
        )

    save()
    with pytest.raises(CheckpointException, match="enable_plan_caching=False"):
        save()
    assert [each.step for each in hw.Checkpoints(tmp_path).manifests()] == [0]


def test_checkpoints_of_single_ranks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="use_collectives=False"):
        dcp.save({"w": torch.ones(1)}, storage_writer=HeadwayWriter(tmp_path), use_collectives=False)


def test_ranks_that_found_different_checkpoints_are_told(tmp_path: Path) -> None:
    dcp.save({"w": torch.ones(1)}, storage_writer=HeadwayWriter(tmp_path))
    plans = []
    for _ in range(2):
        reader = HeadwayReader(tmp_path)
        reader.read_metadata()
        plans.append(reader.prepare_local_plan(dcp.LoadPlan([])))
        dcp.save({"w": torch.ones(1)}, storage_writer=HeadwayWriter(tmp_path))
    assert reader.prepare_global_plan(plans[:1]) == plans[:1]
    with pytest.raises(Exception, match="a checkpoint was saved while ranks looked for the newest"):
        reader.prepare_global_plan(plans)


def test_a_planner_that_loses_the_ticket_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="dropped the storage_data"):
        HeadwayWriter(tmp_path).write_data(SavePlan([]), DefaultSavePlanner())


def test_a_writer_travels_to_another_process(tmp_path: Path) -> None:
    writer = HeadwayWriter(tmp_path, step=4)
    writer.prepare_global_plan([])
    copied = pickle.loads(pickle.dumps(writer))
    dcp.save({"w": torch.ones(1)}, storage_writer=copied)
    assert copied.saved.step == 4
    writer.prepare_global_plan([])
    writer._leases.close()


def test_there_is_no_checkpoint_yet(tmp_path: Path) -> None:
    with pytest.raises(CheckpointException, match="has no checkpoint yet"):
        dcp.load({"w": torch.ones(1)}, storage_reader=HeadwayReader(tmp_path))
