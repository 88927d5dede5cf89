"""The calls at the ends of a random program: one of each kind that Headway treats in a way of its own.

What a leaf returns depends on its name and its input, and a body's later inputs depend on its earlier results: a result that was
lost, swapped or computed from something else changes everything after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator

import watch
from nodes import CODE, OUTSIDE, drawn, value

import headway as hw
from headway.journal.codec.codec import decode
from headway.journal.records import COSTED, Kind, Outcome, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.sim.history import History


@hw.task
async def leaf(name: str, x: int) -> int:
    return value(name, x)


@hw.task
async def slow(name: str, x: int) -> int:
    with watch.running(name):
        await asyncio.sleep(CODE[name].number / 7)
    return value(name, x)


@hw.task(retry=hw.Retry(attempts=4, delay_s=0.3, jitter=0))
async def flaky(name: str, x: int) -> int:
    await asyncio.sleep(0.1)
    if hw.call().attempt <= CODE[name].number % 4:
        raise OSError(name)
    return value(name, x)


@hw.task(cost={"tokens": 5})
async def costly(name: str, x: int) -> int:
    watch.owes(5)
    with watch.running(name):
        await asyncio.sleep(CODE[name].number / 10)
    if CODE[name].number > 6:
        hw.charge(tokens=3)  # less than was reserved
        watch.owes(-2)
    return value(name, x)


@hw.task(cost={"tokens": 9})
async def thrifty(name: str, x: int) -> int:
    """Spends much less than it reserves."""
    await asyncio.sleep(CODE[name].number / 10)
    hw.charge(tokens=1)
    return value(name, x)


@hw.task
async def spender(name: str, x: int) -> int:
    """Says what it spends while it spends it, and reserves nothing."""
    hw.charge(tokens=min(2.0, hw.remaining("tokens")))
    await asyncio.sleep(CODE[name].number / 10)
    hw.charge(tokens=min(1.0, hw.remaining("tokens")))
    return value(name, x)


@hw.task
async def bad(name: str, x: int) -> int:
    raise ValueError(name)


@hw.task
async def moody(name: str, x: int) -> int:
    """Fails in the first attempt of the body that asks for it."""
    await asyncio.sleep(CODE[name].number / 10)
    if watch.number() == 1:
        raise OSError(name)
    return value(name, x)


@hw.task(effect=True)
async def effect(name: str, x: int) -> int:
    OUTSIDE[watch.happens(name)] += 1
    await asyncio.sleep(0.1)
    return value(name, x)


@hw.task(effect=True, retry=hw.Retry(attempts=2, delay_s=0.1, jitter=0))
async def paid(name: str, x: int) -> int:
    OUTSIDE[watch.happens(name)] += 1
    await asyncio.sleep(0.1)
    if hw.call().attempt == 1:
        raise OSError(name)
    return value(name, x)


async def _happened(name: str, x: int) -> hw.Happened | None:
    await asyncio.sleep(0.05)
    return hw.Happened(value(name, x)) if OUTSIDE[hw.call().idempotency_key] else None


@hw.task(effect=True, verify=_happened)
async def verified(name: str, x: int) -> int:
    key = watch.happens(name)
    OUTSIDE[key] += 1
    if OUTSIDE[key] > 1 and watch.drivers == 1:  # an overtaken driver that lives may do what the other one has just asked about
        watch.complain(f"{name} happened twice although it can be verified")
    await asyncio.sleep(0.1)
    return value(name, x)


@hw.task(batch=3, linger_s=0.05)
async def _batched(items: list[tuple[str, int]]) -> list[int]:
    await asyncio.sleep(0.2)
    return [value(name, x) for name, x in items]


def batched(name: str, x: int) -> hw.Handle[int]:
    return _batched((name, x))


@hw.task(pool="thread")
def threaded(name: str, x: int) -> int:
    return value(name, x)


@hw.task(pool="process", retry=hw.Retry(attempts=50, delay_s=0.1, on=(hw.WorkerDied,)))
def _process(name: str, x: int) -> int:
    return value(name, x)


@hw.task(pool="gang", processes=2, retry=hw.Retry(attempts=50, delay_s=0.1, on=(hw.WorkerDied,)))
def _together(name: str, x: int) -> int:
    """Two members that each bring a half of the input."""
    import torch
    import torch.distributed as dist

    half = torch.tensor([x // 2 if dist.get_rank() == 0 else x - x // 2])
    dist.all_reduce(half)
    return value(name, int(half))


def process(name: str, x: int) -> hw.Handle[int]:
    """A call in a process, or on two at once. They are drawn alike, so that programs of a seed stay what they are."""
    return _together(name, x) if CODE[name].number % 4 == 0 else _process(name, x)


@hw.task(cache="forever")
async def _forever(x: int) -> int:
    await asyncio.sleep(0.3)
    return x * 7 % 1000


def forever(name: str, x: int) -> hw.Handle[int]:
    return _forever(x % 3)


@hw.task
async def _alike(x: int) -> int:
    await asyncio.sleep(0.2)
    return value("alike", x)


def alike(name: str, x: int) -> hw.Handle[int]:
    """A call that others make as well, here and elsewhere."""
    return _alike(x % 2)


@hw.task(cache="forever")
async def _service(x: int) -> int:
    await asyncio.sleep(0.3)
    if (refused := watch.down(f"service {x}")) is not None:
        raise OSError(refused)
    return value("service", x)


def service(name: str, x: int) -> hw.Handle[int]:
    """A service that everybody asks, and that is down for those who ask first."""
    return _service(x % 3)


@hw.task(cache="forever", cost={"tokens": 3}, retry=hw.Retry(attempts=2, delay_s=0.2, jitter=0))
async def _stubborn_service(x: int) -> int:
    watch.owes(3)
    await asyncio.sleep(0.3)
    if (refused := watch.down(f"stubborn service {x}")) is not None:
        raise OSError(refused)
    return value("stubborn service", x)


def stubborn_service(name: str, x: int) -> hw.Handle[int]:
    """The same, which has a price and is asked twice before it counts as down."""
    return _stubborn_service(x % 2)


@hw.task
async def drawn_number(x: int) -> int:
    """A call whose equals get other answers."""
    await asyncio.sleep(0.2)
    return hw.random().randrange(1000)


_uses = itertools.count()


@hw.task(key=lambda name, x, use: (name, x))
async def _keyed(name: str, x: int, use: int) -> int:
    await asyncio.sleep(0.1)
    return value(name, x)


def keyed(name: str, x: int) -> hw.Handle[int]:
    """A call with an argument that is another one each time, which its key leaves out."""
    return _keyed(name, x, next(_uses))


@hw.task
async def _large(name: str, x: int) -> bytes:
    return value(name, x).to_bytes(2, "big") * 20_000


@hw.task
async def _size(data: bytes) -> int:
    return int.from_bytes(data[:2], "big")


def large(name: str, x: int) -> hw.Handle[int]:
    return _size(hw.ref(_large(name, x)))


@hw.task(timeout=500)
async def too_slow(name: str, x: int) -> int:
    try:
        await asyncio.sleep(1 if CODE[name].number < 7 else 1e6)
    except asyncio.CancelledError:
        if CODE[name].number < 8:
            raise
        await _go_on(name, x)
    return value(name, x)


async def _go_on(name: str, x: int) -> None:
    """Not hear that one is asked to stop, for longer than anybody listens, and then ask for more."""
    for _ in range(20):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)
    with contextlib.suppress(asyncio.CancelledError, hw.HeadwayError):
        hw.now()
        watch.complain(f"{name} was told the time long after it had been stopped")
    with contextlib.suppress(asyncio.CancelledError, hw.HeadwayError):
        leaf(f"{name} afterwards", x)
        watch.complain(f"{name} made a call long after it had been stopped")


@hw.task(on_change="rerun")
async def edition(name: str, x: int) -> int:
    """A call whose source somebody changes."""
    await asyncio.sleep(CODE[name].number / 10)
    return drawn(name, x, watch.EDITIONS["edition"]) % 1000


def publish(number: int) -> None:
    """Change the source of `edition`."""
    watch.EDITIONS["edition"] = number
    edition.spec._version[:] = [b"edition %d" % number]


@hw.task(effect=True)
async def books(name: str) -> str:
    key = watch.happens(name)
    OUTSIDE[key] += 1
    await asyncio.sleep(0.2)
    return key


@hw.task(effect=True)
async def unbooks(name: str, booking: str) -> str:
    await asyncio.sleep(0.2)
    return booking


@hw.task
async def trip(name: str, x: int) -> int:
    """Books two things, and leaves neither booked if it is stopped."""
    bookings: list[str] = []
    try:
        for place in ("a", "b"):
            with hw.shielded(timeout=100_000):  # it may wait for a limit or a budget that is around
                bookings.append(await books(f"{name} {place}"))
        await asyncio.sleep(CODE[name].number / 5)
        await hw.sleep(CODE[name].number / 5)
    except asyncio.CancelledError:
        with hw.shielded(timeout=100_000):
            for booking in reversed(bookings):
                await unbooks(name, booking)
        raise
    return value(name, x)


def left_booked(history: History) -> Iterator[str]:
    """What is booked still though the trip that it is part of was cancelled. Not of a trip that is asked for no more, or whose code
    was not let run for all of its grace: that may be left behind with what it did."""
    left_behind = {what for life in history.lives if life.engine is not None for what in life.engine.stops._warned}
    taken_over = len(history.lives[0].before) if history.lives else 0  # rows of another history, whose stops it doesn't know
    booked: dict[bytes, list[tuple[int, str]]] = {}
    unbooked: set[str] = set()
    last: dict[bytes, tuple[int, Outcome]] = {}
    for number, row in enumerate(history.rows()):
        if row.kind & ~COSTED != Kind.OUTCOME:
            continue
        outcome = decode_outcome(row.body)
        if number < taken_over:
            last.pop(row.key, None)
        else:
            last[row.key] = number, outcome
        if outcome.status == Status.OK and outcome.task == "leaves.books":
            booked.setdefault(row.parent, []).append((number, str(decode(outcome.value, ()))))
        elif outcome.status == Status.OK and outcome.task == "leaves.unbooks":
            unbooked.add(str(decode(outcome.value, ())))
    for trip, bookings in booked.items():
        ended, end = last.get(trip, (0, None))
        if end is None or end.status != Status.CANCELLED or f"{end.task}({end.label})" in left_behind:
            continue
        if left := [each for number, each in bookings if number < ended and each not in unbooked]:
            yield f"{end.label} ended {Status(end.status).name} ({end.reason}) and left {len(left)} of {len(bookings)} booked"
