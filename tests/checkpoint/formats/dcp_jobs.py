"""What two ranks do in tests of torch.distributed.checkpoint and of its defects. Run by `torch_gang.py`."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from torch.distributed.tensor.placement_types import _StridedShard

import headway as hw
from headway.checkpoint.formats.dcp.planner import HeadwayReader, HeadwayWriter

WHOLE = torch.arange(63.0).reshape(7, 9)
PACKED = torch.arange(32.0).reshape(8, 4)  # gate is rows 0 to 3, up is rows 4 to 7


def save_rows_and_load_columns(root: str) -> list[Any]:
    """With dcp.save, dcp.async_save and dcp.load; which steps were saved, as the coordinator knows, and what was refused."""
    warnings.simplefilter("ignore")  # DCP's own
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))

    def state(tensor: torch.Tensor, value: Any, dim: int) -> dict[str, Any]:
        return {"w": distribute_tensor(tensor, mesh, [Shard(dim)]), "same": tensor[:2].clone(), "opt": {"betas": value}}

    said: list[Any] = []
    writer = HeadwayWriter(root, step=3)
    dcp.save(state(WHOLE, (0.9, 0.99), 0), storage_writer=writer)
    said.append(writer.saved.step if writer.saved else None)
    found = state(torch.zeros(7, 9), None, 1)
    dcp.load(found, storage_reader=HeadwayReader(root))
    assert torch.equal(found["w"].full_tensor(), WHOLE)
    assert torch.equal(found["same"], WHOLE[:2])
    assert found["opt"] == {"betas": (0.9, 0.99)}

    dcp.async_save(state(WHOLE + 1, 5, 1), checkpoint_id="run/step-7", storage_writer=writer).result()
    said.append(writer.saved.step if writer.saved else None)
    found = state(torch.zeros(7, 9), None, 0)
    dcp.load(found, storage_reader=HeadwayReader(root, step=7))
    assert torch.equal(found["w"].full_tensor(), WHOLE + 1)
    try:
        dcp.save({"w": WHOLE, "bad": object()}, checkpoint_id="9", storage_writer=writer)
    except dcp.CheckpointException:
        said.append("refused")
    return said


def save_packed_halves(root: str) -> list[Any]:
    """Each rank has a half of gate and a half of up in one DTensor. Saved, and loaded into the whole and into rows."""
    rank = dist.get_rank()
    mesh = init_device_mesh("cpu", (2,))

    def packed(local: torch.Tensor) -> DTensor:
        return DTensor.from_local(local, mesh, [_StridedShard(0, split_factor=2)], run_check=False, shape=(8, 4), stride=(4, 1))

    mine = torch.cat([PACKED[2 * rank : 2 * rank + 2], PACKED[4 + 2 * rank : 6 + 2 * rank]])
    with hw.Checkpoints(root) as ck:
        ck.save({"w": packed(mine)}, step=1).durable()
        whole = {"w": torch.zeros(8, 4)}
        ck.load(into=whole)
        rows = {"w": distribute_tensor(torch.zeros(8, 4), mesh, [Shard(0)])}
        ck.load(into=rows)
        again = {"w": packed(torch.zeros(4, 4))}
        ck.load(into=again)
    return [whole["w"].tolist(), rows["w"].to_local().tolist(), torch.equal(again["w"].to_local(), mine)]
