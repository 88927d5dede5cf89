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
from headway.pools.current import worker_call

TCP = "tcp://"
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
    local_rank, local_size = (seat.local_rank, seat.local_size) if seat.local_size else (seat.rank, seat.size)
    if seat.gpus:  # before CUDA is first used
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(seat.gpus)
    with explain_missing("a gang"):
        import torch
        import torch.distributed as dist
    os.environ.update(RANK=str(seat.rank), WORLD_SIZE=str(seat.size), LOCAL_RANK=str(local_rank), LOCAL_WORLD_SIZE=str(local_size))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(max(1, cores // local_size))
    gpus = torch.cuda.is_available() and torch.cuda.device_count() >= local_size
    if gpus:
        torch.cuda.set_device(local_rank)
    backend = "cpu:gloo,cuda:nccl" if gpus else "gloo"
    if seat.meeting.startswith(TCP):
        store = _meet(seat)
        dist.init_process_group(backend, store=store, rank=seat.rank, world_size=seat.size, timeout=COLLECTIVE_TIMEOUT)
    else:
        method = f"file://{seat.meeting}"
        dist.init_process_group(backend, init_method=method, rank=seat.rank, world_size=seat.size, timeout=COLLECTIVE_TIMEOUT)
    yield
    # Not after an error: the others would fail for want of this one, and whose fault it was would be a race.
    if dist.is_initialized():  # a function written for torchrun leaves by itself
        dist.destroy_process_group()


def _meet(seat: Seat) -> Any:
    """The store by which members on several machines find each other. Rank 0 opens it on a port that the system picks, and says
    which: a port that was free a moment ago may be taken."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # public, by torch's own docs

    host, _, port = seat.meeting.removeprefix(TCP).rpartition(":") if seat.rank else (seat.meeting.removeprefix(TCP), "", "0")
    is_first = seat.rank == 0
    store = TCPStore(host, int(port), seat.size, is_first, timeout=COLLECTIVE_TIMEOUT, wait_for_workers=False)
    if is_first and (call := worker_call()) is not None:
        call.open_meeting(f"{TCP}{host}:{store.port}")
    return store
