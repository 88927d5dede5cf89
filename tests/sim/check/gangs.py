"""Programs with gangs, and with pools of their own, for the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import headway as hw
from headway.pools import Demand, Job, Traits

MANY = hw.Retry(attempts=50, delay_s=0.1, on=(hw.WorkerDied,))


@hw.task(pool="gang", processes=3, retry=MANY)
def total(number: int) -> list[int]:
    """Every member brings its rank and the number; they add up, and tell each other what they drew."""
    import random

    import torch
    import torch.distributed as dist

    seat = hw.call().seat
    assert seat is not None
    assert (dist.get_rank(), dist.get_world_size()) == (seat.rank, seat.size)
    mine = torch.tensor([number + seat.rank])
    random.seed(seat.rank)
    torch.manual_seed(seat.rank)
    dist.all_reduce(mine)
    drawn = [int(random.random() * 1000), int(torch.rand(1) * 1000)]  # as if nobody else had drawn meanwhile
    found: list[Any] = [None] * seat.size
    dist.all_gather_object(found, drawn)
    dist.barrier()
    told = [number if seat.rank == 0 else None]
    dist.broadcast_object_list(told, 0)
    assert told == [number]
    hw.charge(rows=1)
    return [int(mine), *(each for pair in found for each in pair)]


@hw.task
async def with_gangs(n: int) -> int:
    with hw.budget(rows=10_000):
        found = await hw.gather(*(total(i) for i in range(n)))
    return sum(map(sum, found))


@hw.task(pool="gang", processes=2)
def one_raises() -> None:
    import torch.distributed as dist

    if dist.get_rank() == 1:
        raise ValueError("the data is wrong")
    dist.barrier()


@hw.task(pool="gang", processes=2)
def one_leaves_early() -> None:
    import torch.distributed as dist

    if dist.get_rank() == 0:
        dist.barrier()


@hw.task(pool="gang", processes=2)
def apart() -> None:
    import torch
    import torch.distributed as dist

    if dist.get_rank() == 0:
        dist.barrier()
    else:
        dist.broadcast(torch.ones(1), 1)


@hw.task(pool="gang", processes=2)
def only_rank_0_has_a_result() -> int | None:
    import torch.distributed as dist

    return 7 if dist.get_rank() == 0 else object()  # type: ignore[return-value]


@hw.task(pool="gang", processes=2)
def subgroups() -> list[int]:
    import torch
    import torch.distributed as dist

    alone = [dist.new_group([rank]) for rank in range(2)]
    mine = torch.tensor([dist.get_rank() + 1])
    dist.all_reduce(mine, group=alone[dist.get_rank()])
    parts = [torch.zeros(1, dtype=torch.int64) for _ in range(2)]
    dist.all_gather(parts, mine)
    halves = torch.zeros(1, dtype=torch.int64)
    dist.reduce_scatter(halves, list((torch.tensor([1, 10]) * (dist.get_rank() + 1)).split(1)))
    both = [torch.zeros(1, dtype=torch.int64) for _ in range(2)]
    dist.all_gather(both, halves)
    return [int(each) for each in (*parts, *both)]


class RealBox:
    """A pool of one's own, which no simulation may start."""

    def __init__(self, traits: Traits, size: int = 2) -> None:
        self.traits, self._size = traits, size

    def free(self, need: Demand) -> int:
        return self._size // int(need.get("weight", 1))

    def submit(self, job: Job) -> None:
        raise AssertionError("a simulation started a real pool")

    def cancel(self, job: Job) -> bool:
        raise AssertionError("a simulation used a real pool")

    def start(self, on_free: Callable[[], None], emit: Any) -> None:
        raise AssertionError("a simulation started a real pool")

    async def close(self) -> None:
        raise AssertionError("a simulation closed a real pool")


def positive(value: object) -> str:
    return "" if isinstance(value, int) and value > 0 else "a whole number, at least 1"


KILLED = Traits(imports=True, copies=True, cancel="killed", needs={"weight": positive})
ABANDONED = Traits(imports=True, copies=True, cancel="abandoned", needs={"weight": positive})
COOPERATIVE = Traits(asks=True, cancel="cooperative", lends=True, needs={"weight": positive})

THREADS = Traits(asks=True, cancel="abandoned", lends=True, needs={"weight": positive})


@hw.task(pool="box", retry=MANY)
def boxed(x: int) -> int:
    return x * 3


@hw.task(pool="box", needs={"weight": 2}, retry=MANY)
def heavy(x: int) -> int:
    return x * 5


@hw.task
async def with_a_box(n: int) -> int:
    return sum(await hw.gather(*(boxed(i) for i in range(n)), *(heavy(i) for i in range(n))))


@hw.task
async def outruns(n: int) -> int:
    """The slower calls of each pair are cancelled in the box."""
    found = 0
    for i in range(n):
        found += await hw.race(boxed(i), boxed.options(key=("other", i))(i))
    return found


@hw.task(pool="box")
def waits_in_a_box(x: int) -> int:
    return hw.wait(leaf(x)) + 1


@hw.task
async def leaf(x: int) -> int:
    return x + 1


@hw.task
async def nested(n: int) -> int:
    return sum(await hw.gather(*(waits_in_a_box(i) for i in range(n))))


@hw.task(pool="bax")
def misnamed(x: int) -> int:
    return x


@hw.task
async def breaks_a_callback() -> None:
    """A callback that would have woken it raises."""
    loop = asyncio.get_running_loop()
    woken = loop.create_future()
    loop.call_soon(lambda: woken.set_result(1 // 0))
    await woken
