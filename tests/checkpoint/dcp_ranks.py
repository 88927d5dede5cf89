"""Run by test_dcp_neighbour.py on each of two ranks: dcp.save and dcp.load through Headway, sharded by rows and read by columns."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from headway.checkpoint.neighbours.dcp import HeadwayReader, HeadwayWriter

WHOLE = torch.arange(63.0).reshape(7, 9)


def main(root: str, file: str, rank: int, size: int) -> None:
    warnings.simplefilter("ignore")  # DCP's and gloo's own
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=size)
    mesh = init_device_mesh("cpu", (size,))

    def state(tensor: torch.Tensor, value: Any, dim: int) -> dict[str, Any]:
        return {"w": distribute_tensor(tensor, mesh, [Shard(dim)]), "same": tensor[:2].clone(), "opt": {"betas": value}}

    writer = HeadwayWriter(root, step=3)
    dcp.save(state(WHOLE, (0.9, 0.99), 0), storage_writer=writer)
    found = state(torch.zeros(7, 9), None, 1)
    dcp.load(found, storage_reader=HeadwayReader(root))
    assert torch.equal(found["w"].full_tensor(), WHOLE)
    assert torch.equal(found["same"], WHOLE[:2])
    assert found["opt"] == {"betas": (0.9, 0.99)}

    dcp.async_save(state(WHOLE + 1, 5, 1), checkpoint_id="run/step-7", storage_writer=writer).result()
    assert (writer.saved.step if writer.saved else None) == (7 if rank == 0 else None)
    found = state(torch.zeros(7, 9), None, 0)
    dcp.load(found, storage_reader=HeadwayReader(root, step=7))
    assert torch.equal(found["w"].full_tensor(), WHOLE + 1)

    refused = False
    try:
        dcp.save({"w": WHOLE, "bad": object()}, checkpoint_id="9", storage_writer=writer)
    except dcp.CheckpointException:
        refused = True
    assert refused
    Path(root, f"rank-{rank}-is-fine").touch()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
