"""What a process of a gang does before and after the gang's function: join torch.distributed, and leave it.

The runtime decides who is in the gang and where its members meet; the function finds a process group that works: gloo on the CPU,
NCCL where each member has a GPU of its own. The usual environment variables (RANK, WORLD_SIZE, LOCAL_RANK) are set for libraries.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from headway.extras import explain_missing
from headway.pools.base import CallFacts, Seat

COLLECTIVE_TIMEOUT = timedelta(minutes=10)
"""How long a member waits for the others in a collective: for one that hangs. One that has died ends the gang at once."""


def run_as_member(facts: CallFacts, body: Callable[[], Any]) -> Any:
    """Run the function of a call as one of its members. Only rank 0 has a result: another's may not even be encodable."""
    with join_gang(facts.seat):
        value = body()
    return value if facts.seat is None or facts.seat.rank == 0 else None


@contextmanager
def join_gang(seat: Seat | None) -> Iterator[None]:
    """Join the gang while the block runs. Does nothing for a call without a gang."""
    if seat is None:
        yield
        return
    with explain_missing("a gang"):
        import torch
        import torch.distributed as dist
    os.environ.update(RANK=str(seat.rank), WORLD_SIZE=str(seat.size), LOCAL_RANK=str(seat.rank), LOCAL_WORLD_SIZE=str(seat.size))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(max(1, cores // seat.size))
    gpus = torch.cuda.is_available() and torch.cuda.device_count() >= seat.size
    if gpus:
        torch.cuda.set_device(seat.rank)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if gpus else "gloo",
        init_method=f"file://{seat.meeting}",
        rank=seat.rank,
        world_size=seat.size,
        timeout=COLLECTIVE_TIMEOUT,
    )
    yield
    # Not after an error: the others would fail for want of this one, and whose fault it was would be a race.
    if dist.is_initialized():  # a function written for torchrun leaves by itself
        dist.destroy_process_group()
