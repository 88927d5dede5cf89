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

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_memory import Stored

from headway.checkpoint.boxes import Box
from headway.checkpoint.inventory import Holding, HostMemory, Inventory, Piece
from headway.checkpoint.layout import Layout, Replicated, Split
from headway.checkpoint.manifest import Object
from headway.checkpoint.state import take, take_for_load
from headway.errors import LayoutError, UsageError

torch = pytest.importorskip("torch")
dist = pytest.importorskip("torch.distributed")

from torch.distributed.device_mesh import init_device_mesh  # noqa: E402
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor  # noqa: E402
from torch.distributed.tensor.placement_types import _StridedShard  # noqa: E402
from torch.testing._internal.distributed.fake_pg import FakeStore  # noqa: E402

from headway.checkpoint.torch_state import _cuts_of  # noqa: E402


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


def test_moments_of_a_dtensor_are_shards_as_their_parameter_also_in_a_fresh_optimizer() -> None:
    whole = torch.randn(5, 4)
    inventories = []

    def make(rank: int) -> tuple[Any, Any]:
        tensor = distribute_tensor(whole, init_device_mesh("cpu", (2,)), [Shard(0)], src_data_rank=None)
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
            parameter = torch.nn.Parameter(distribute_tensor(whole, init_device_mesh("cpu", (2,)), [Shard(0)], src_data_rank=None))
            optimizer = torch.optim.SGD([parameter])
            optimizer.state[parameter]["momentum_buffer"] = parameter.to_local().detach().clone()
            inventories.append(take({"w": parameter, "opt": optimizer}, Layout([Replicated("*")])))
    np.testing.assert_array_equal(Stored(inventories).arrays["opt.state.w.momentum_buffer"].view("float32"), whole.numpy())


# --- real processes --------------------------------------------------------------------------------------------------


def run_ranks(action: str, ranks: int, folder: Path) -> None:
    here = Path(__file__).parent
    command = [sys.executable, str(here / "fsdp_ranks.py"), action]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    processes = [
        subprocess.Popen([*command, str(rank), str(ranks), str(folder)], env=environment, stderr=subprocess.PIPE, text=True)
        for rank in range(ranks)
    ]
    failed = []
    for rank, process in enumerate(processes):
        try:
            _, errors = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            _, errors = process.communicate()
        failed += [f"rank {rank}: {errors}"] if process.returncode else []
    assert not failed, "\n".join(failed)


def collected(folder: Path, ranks: int) -> Stored:
    """The checkpoint of all ranks, from their files, which it also leaves for the next job."""
    inventories = []
    for rank in range(ranks):
        said = msgspec.json.decode((folder / f"{rank}.json").read_bytes())
        holdings = []
        with np.load(folder / f"{rank}.npz") as arrays:
            for name, (known, boxes) in said["boxes"].items():
                for number, (offset, extent) in enumerate(boxes):
                    flat = arrays[f"{name}|{number}"].reshape(-1)
                    strides = tuple(int(np.prod(extent[d + 1 :])) for d in range(len(extent)))
                    piece = Piece(Box(tuple(offset), tuple(extent)), 0, strides)
                    holdings.append(Holding(name, msgspec.convert(known, Object), (piece,), HostMemory(flat)))
        inventories.append(Inventory(holdings, {}, said["values"]))
    stored = Stored(inventories)
    np.savez(folder / "stored.npz", **stored.arrays)
    (folder / "stored.json").write_bytes(msgspec.json.encode({"values": stored.values, "objects": stored.objects}))
    return stored


def assert_same(folder: Path, action: str, stored: Stored) -> None:
    with np.load(folder / f"{action.replace(':', '-')}.npz") as whole:
        assert set(whole.files) == set(stored.arrays)
        for name in whole.files:
            np.testing.assert_array_equal(stored.arrays[name].view("float32"), whole[name], err_msg=name)


def test_fsdp2_with_tensor_parallelism_comes_back_under_ddp(tmp_path: Path) -> None:
    run_ranks("save:fsdp-tp", 4, tmp_path)
    stored = collected(tmp_path, 4)
    assert_same(tmp_path, "save:fsdp-tp", stored)
    run_ranks("load:ddp", 2, tmp_path)
    assert_same(tmp_path, "load:ddp", stored)


@pytest.mark.long
@pytest.mark.parametrize(("before", "after"), [("ddp", "fsdp"), ("fsdp", "hsdp"), ("hsdp", "fsdp-tp")])
def test_any_wrapping_loads_what_another_saved(tmp_path: Path, before: str, after: str) -> None:
    run_ranks(f"save:{before}", 2 if before == "ddp" else 4, tmp_path)
    stored = collected(tmp_path, 2 if before == "ddp" else 4)
    assert_same(tmp_path, f"save:{before}", stored)
    run_ranks(f"load:{after}", 4, tmp_path)
    assert_same(tmp_path, f"load:{after}", stored)
