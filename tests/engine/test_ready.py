"""Who starts next when there is not room for all, and how a slow disk pushes back."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import headway as hw
from headway.engine.dispatch.ready import Ready
from headway.journal import log

ORDER: list[str] = []


@hw.task
async def rest(name: str, seconds: float) -> str:
    ORDER.append(name)
    await asyncio.sleep(seconds)
    return name


@hw.task
async def slow(name: str) -> str:
    ORDER.append(name)
    await asyncio.sleep(100)
    return name


@hw.task
async def quick(name: str) -> str:
    ORDER.append(name)
    await asyncio.sleep(1)
    return name


@hw.task
async def after(name: str, before: str) -> str:
    ORDER.append(name)
    await asyncio.sleep(100)
    return name


def test_without_known_durations_the_first_comes_first(go):
    ORDER.clear()

    @hw.task
    async def program() -> None:
        with hw.limit(1):
            await hw.gather(quick("a"), slow("b"), quick("c"))

    go(program)
    assert ORDER == ["a", "b", "c"]


def test_the_longest_path_ahead_starts_first_where_durations_are_known(go):
    @hw.task
    async def program() -> None:
        with hw.limit(1):
            await hw.gather(quick("learn"), slow("learn"), after("learn", "x"))
            ORDER.clear()
            leads = quick("leads to a long one")
            await hw.gather(quick("short"), leads, after("end", hw.ref(leads)), slow("long"))

    go(program)
    assert ORDER[0] == "leads to a long one"
    assert ORDER[-1] == "short"


def test_a_long_queue_is_ordered_anew_only_as_often_as_its_calls_start(go, monkeypatch):
    ordered: list[int] = []
    reorder = Ready._reorder

    def counted(self: Ready, queue: list[Any]) -> None:
        ordered.append(len(queue))
        reorder(self, queue)

    monkeypatch.setattr(Ready, "_reorder", counted)
    count = 4000

    @hw.task
    async def erratic(i: int) -> int:
        await asyncio.sleep(100 if i % 400 == 200 else 0.01)  # what is expected changes again and again
        return i

    @hw.task
    async def program() -> None:
        with hw.limit(1):
            await hw.gather(*map(erratic, range(count)))

    go(program)
    assert len(ordered) > 5
    assert sum(ordered) < 7 * count


def test_a_slow_disk_pushes_back_instead_of_filling_memory(go, monkeypatch):
    """With a queue of 50 rows no more than that, and what was running, can be waiting for the disk."""
    monkeypatch.setattr(log, "QUEUE_ROWS", 50)
    monkeypatch.setattr(log, "GROUP_ROWS", 10)
    waiting: list[int] = []
    gate = threading.Event()

    class Slow(hw.MemoryStore):
        def commit(self, *args: Any, **kwargs: Any) -> None:
            gate.wait(10)
            super().commit(*args, **kwargs)

    @hw.task
    async def one(i: int) -> int:
        waiting.append(i)
        if len(waiting) >= 50:
            gate.set()
        return i

    @hw.task
    async def program() -> int:
        handles = [one(i) for i in range(500)]
        assert len(waiting) == 0
        return sum(await hw.gather(*handles))

    assert go(program, store=Slow(), max_active=5) == sum(range(500))
    assert len(waiting) == 500


def test_equal_calls_keep_their_order_when_their_duration_becomes_known(go):
    """What is learned while calls wait changes the rank of all of them, and lets no later one overtake."""
    ORDER.clear()

    @hw.task
    async def program() -> None:
        with hw.limit(1):
            first = [rest(str(number), 1.0 + number / 100) for number in range(5)]
            await first[0]
            second = [rest(str(number), 1.0) for number in range(5, 10)]
            await hw.gather(*first, *second)

    go(program)
    assert [str(number) for number in range(10)] == ORDER
