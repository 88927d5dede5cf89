"""DTensors, FSDP2 and DDP: what torch says about a shard against what is held of it, with torch's own splitting as the oracle."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from in_memory import Stored
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.placement_types import _StridedShard
from torch.testing._internal.distributed.fake_pg import FakeStore

from headway.checkpoint.layout.declared import Layout, Replicated, Split
from headway.checkpoint.state.torch.tensors import _cuts_of
from headway.checkpoint.state.walk import take, take_for_load
from headway.errors import LayoutError, UsageError


@settings(deadline=None, max_examples=150)
@given(
    size=st.integers(0, 23),
    splits=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=3),
    data=st.data(),
)
def test_cuts_are_what_torch_splits(size: int, splits: Any, data: Any) -> None:
    local = torch.arange(size)
    shards = []
    for ranks, chunks in splits:
        rank = data.draw(st.integers(0, ranks - 1))
        placement = _StridedShard(0, split_factor=chunks) if chunks > 1 else Shard(0)
        local = placement._split_tensor(local, ranks, with_padding=False, contiguous=False)[0][rank]
        shards.append((0, rank, ranks, chunks))
    (cut,) = _cuts_of((size,), shards)
    assert [run.whole + at for run in cut for at in range(run.size)] == local.tolist()
    assert [run.here for run in cut] == [sum(run.size for run in cut[:n]) for n in range(len(cut))]


@contextmanager
def as_rank(rank: int, ranks: int) -> Iterator[None]:
    """This process as one of a job whose others are not there: collectives do nothing."""
    dist.init_process_group("fake", rank=rank, world_size=ranks, store=FakeStore())
    try:
        yield
    finally:
        dist.destroy_process_group()


CASES = [
    ((4,), [Shard(0)], (10, 3)),
    ((4,), [Shard(1)], (3, 9)),
    ((4,), [Shard(0)], (2, 3)),  # two ranks have nothing
    ((4,), [Replicate()], (5,)),
    ((2, 2), [Replicate(), Shard(0)], (5, 2)),  # HSDP
    ((2, 2), [Shard(0), Shard(1)], (5, 3)),  # FSDP and row-parallel
    ((2, 2), [Shard(0), Shard(0)], (7, 2)),
    ((2, 2), [_StridedShard(0, split_factor=2), Shard(0)], (8, 3)),  # FSDP and column-parallel
    ((3, 2), [_StridedShard(0, split_factor=2), Shard(0)], (12,)),
    ((2, 2, 2), [Replicate(), _StridedShard(1, split_factor=2), Shard(1)], (3, 8)),
]


@pytest.mark.parametrize(("mesh", "placements", "shape"), CASES)
def test_the_shards_of_a_dtensor_are_the_array_and_load_back(mesh: Any, placements: Any, shape: Any) -> None:
    ranks = int(np.prod(mesh))
    whole = torch.arange(float(np.prod(shape))).reshape(shape)
    inventories = []
    for rank in range(ranks):
        with as_rank(rank, ranks):
            tensor = distribute_tensor(whole, init_device_mesh("cpu", mesh), placements, src_data_rank=None)
            inventories.append(take({"w": tensor}))
    checkpoint = Stored(inventories)
    np.testing.assert_array_equal(checkpoint.arrays["w"].view("float32"), whole.numpy())
    for rank in range(ranks):
        with as_rank(rank, ranks):
            tensor = distribute_tensor(whole, init_device_mesh("cpu", mesh), placements, src_data_rank=None)
            expected = tensor.to_local().clone()
            tensor.to_local().zero_()
            checkpoint.load({"w": tensor})
            assert torch.equal(tensor.to_local(), expected)


@pytest.mark.parametrize("size", [7, 5, 3])
def test_uneven_rows_under_fsdp_and_tensor_parallelism_lie_where_fsdp_puts_them(size: int) -> None:
    """FSDP2 cuts the shard that tensor parallelism left; `_StridedShard` describes it otherwise where sizes don't divide."""
    whole = torch.arange(float(size))
    inventories = []
    for rank in range(6):
        with as_rank(rank, 6):
            mesh = init_device_mesh("cpu", (3, 2))
            tp = list(torch.chunk(whole, 2))[rank % 2]
            chunks = [*torch.chunk(tp, 3), *(whole[:0] for _ in range(3))]
            placements = [_StridedShard(0, split_factor=2), Shard(0)]
            tensor = DTensor.from_local(chunks[rank // 2], mesh, placements, run_check=False, shape=whole.shape, stride=(1,))
            inventories.append(take({"w": tensor}))
    np.testing.assert_array_equal(Stored(inventories).arrays["w"].view("float32"), whole.numpy())


def test_a_dtensor_of_declared_shards_is_a_shard_of_the_whole() -> None:
    """Tensor parallelism by plain tensors, whose shards FSDP2 cuts again."""
    whole = torch.arange(24.0).reshape(8, 3)
    inventories = []
    for dp, tp in itertools.product(range(2), range(2)):
        with as_rank(dp, 2):
            shard = distribute_tensor(whole[4 * tp :][:4], init_device_mesh("cpu", (2,)), [Shard(0)], src_data_rank=None)
            inventories.append(take({"w": shard}, Layout([Split("w", 0, "tp")], {"tp": (tp, 2)})))
    np.testing.assert_array_equal(Stored(inventories).arrays["w"].view("float32"), whole.numpy())


def test_a_partial_sum_and_a_wrong_shard_are_refused() -> None:
    with as_rank(0, 2):
        mesh = init_device_mesh("cpu", (2,))
        with pytest.raises(UsageError, match="DTensor w is a partial sum"):
            take({"w": DTensor.from_local(torch.ones(2), mesh, [Partial()], run_check=False)})
        wrong = DTensor.from_local(torch.ones(2), mesh, [Shard(0)], run_check=False, shape=torch.Size([8]), stride=(1,))
        with pytest.raises(
            LayoutError, match=r"DTensor w of shape \(8,\).*should have \(4,\) at \(0,\), but its local tensor has \(2,\)"
        ):
            take({"w": wrong})


def own_mesh(rank: int) -> Any:
    """A mesh of two that is not equal to that of the other rank: torch keeps what it found out about operations by mesh."""
    return init_device_mesh("cpu", (2,), mesh_dim_names=(f"of_{rank}",))


def test_moments_of_a_dtensor_are_shards_as_their_parameter_also_in_a_fresh_optimizer() -> None:
    whole = torch.randn(5, 4)
    inventories = []

    def make(rank: int) -> tuple[Any, Any]:
        tensor = distribute_tensor(whole, own_mesh(rank), [Shard(0)], src_data_rank=None)
        parameter = torch.nn.Parameter(tensor)
        return parameter, torch.optim.AdamW([parameter], foreach=False)

    def step(parameter: Any, optimizer: Any) -> None:
        parameter.grad = parameter.detach() * 2
        optimizer.step()

    for rank in range(2):
        with as_rank(rank, 2):
            parameter, optimizer = make(rank)
            step(parameter, optimizer)
            inventories.append(take({"w": parameter, "opt": optimizer}))
    checkpoint = Stored(inventories)
    assert checkpoint.objects["opt.state.w.exp_avg"].shape == (5, 4)
    for rank in range(2):
        with as_rank(rank, 2):
            parameter, optimizer = make(rank)
            expected, other = make(rank)
            step(expected, other)
            inventory = take_for_load({"w": parameter, "opt": optimizer}, checkpoint.objects, checkpoint.values)
            assert not optimizer.state
            checkpoint.fill(inventory)
            got = optimizer.state[parameter]["exp_avg"]
            assert isinstance(got, DTensor)
            assert torch.equal(got.to_local(), other.state[expected]["exp_avg"].to_local())
            assert torch.equal(parameter.to_local(), expected.to_local())
            assert optimizer.state[parameter]["step"].item() == 1


def test_moments_that_an_optimizer_keeps_as_plain_shards_are_shards_of_the_whole() -> None:
    whole = torch.arange(20.0).reshape(5, 4)
    inventories = []
    for rank in range(2):
        with as_rank(rank, 2):
            parameter = torch.nn.Parameter(distribute_tensor(whole, own_mesh(rank), [Shard(0)], src_data_rank=None))
            optimizer = torch.optim.SGD([parameter])
            optimizer.state[parameter]["momentum_buffer"] = parameter.to_local().detach().clone()
            inventories.append(take({"w": parameter, "opt": optimizer}, Layout([Replicated("*")])))
    np.testing.assert_array_equal(Stored(inventories).arrays["opt.state.w.momentum_buffer"].view("float32"), whole.numpy())


def test_a_plain_slot_that_is_no_shard_like_its_parameter_is_refused() -> None:
    with as_rank(0, 2):
        parameter = torch.nn.Parameter(distribute_tensor(torch.zeros(5, 4), own_mesh(0), [Shard(0)], src_data_rank=None))
        optimizer = torch.optim.SGD([parameter])
        optimizer.state[parameter]["row_var"] = torch.zeros(5, 1)
        with pytest.raises(LayoutError, match=r"opt\.state\.w\.row_var has shape \(5, 1\), the shard of its parameter \(3, 4\)"):
            take({"w": parameter, "opt": optimizer})


# --- real processes --------------------------------------------------------------------------------------------------


def run_jobs(folder: Path, *jobs: str) -> None:
    """Run jobs (`save:KIND:RANKS`, `load:KIND:RANKS`), each of which has what the one before kept."""
    command = [sys.executable, str(Path(__file__).parent / "fsdp_ranks.py"), str(folder), *jobs]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def assert_all_same(folder: Path) -> None:
    """What was held is what torch itself put together before, and after."""
    with np.load(folder / "stored.npz") as stored, np.load(folder / "save.npz") as before, np.load(folder / "load.npz") as after:
        assert set(stored.files) == set(before.files) == set(after.files)
        for name in stored.files:
            np.testing.assert_array_equal(stored[name].view("float32"), before[name], err_msg=name)
            np.testing.assert_array_equal(stored[name].view("float32"), after[name], err_msg=name)


def test_fsdp2_with_tensor_parallelism_comes_back_under_ddp(tmp_path: Path) -> None:
    run_jobs(tmp_path, "save:fsdp-tp:4", "load:ddp:2")
    assert_all_same(tmp_path)


@pytest.mark.long
@pytest.mark.parametrize(("before", "after"), [("ddp:2", "fsdp:4"), ("fsdp:3", "hsdp:4"), ("hsdp:4", "fsdp-tp:4")])
def test_any_wrapping_loads_what_another_saved(tmp_path: Path, before: str, after: str) -> None:
    run_jobs(tmp_path, f"save:{before}", f"load:{after}")
    assert_all_same(tmp_path)
