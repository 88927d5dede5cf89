"""Random programs, drawn from a seed, stopped after a drawn number of journal rows and taken up again until they end.

Programs whose result does not hang on timing must end as if undisturbed; all programs must end, with every counter back at zero
and no budget overdrawn.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence
from typing import Any

import pytest

import headway as hw
from headway import testing
from headway.engine.drive import Driver
from headway.journal.records import Lease, Row

CALM = ("gather", "settle", "limit", "refs")  # the result does not hang on timing
WILD = (*CALM, "race", "as_completed", "budget", "deadline", "cancel")
EXPECTED = (ValueError, OSError, hw.CallError, ExceptionGroup)


def drawn(*what: object) -> int:
    return int.from_bytes(hashlib.blake2b(repr(what).encode(), digest_size=6).digest(), "big")


class Cut(hw.MemoryStore):
    """A store whose disk is full after `room` rows, in the middle of a group where it must be."""

    room: int | None = None

    def commit(self, lease: Lease, first_seq: int, rows: Sequence[Row], now: float, **more: Any) -> None:
        fits = len(rows) if self.room is None else max(0, self.room - (first_seq - 1))
        if fits:
            super().commit(lease, first_seq, rows[:fits], now, **more)
        if fits < len(rows):
            raise hw.StoreFull(28, "the disk is full")


@hw.task(retry=hw.Retry(attempts=3, delay_s=0.3, jitter=0))
async def flaky(seed: str) -> int:
    await asyncio.sleep(drawn(seed, "s") % 7 / 10)
    if hw.call().attempt <= drawn(seed, "k") % 4:
        raise OSError(seed)
    return drawn(seed) % 1000


@hw.task(cost={"tokens": 5})
async def leaf(seed: str) -> int:
    await asyncio.sleep(drawn(seed, "s") % 11 / 10)
    return drawn(seed) % 1000


@hw.task
async def bad(seed: str) -> int:
    raise ValueError(seed)


@hw.task(effect=True)
async def effect(seed: str) -> int:
    return drawn(seed) % 1000


@hw.task(batch=3, linger_ms=50)
async def batched(seeds: list[str]) -> list[int]:
    await asyncio.sleep(0.2)
    return [drawn(seed) % 1000 for seed in seeds]


@hw.task
async def plus(a: int, b: int) -> int:
    return a + b


@hw.task
async def node(seed: str, depth: int, kinds: tuple[str, ...]) -> int:
    return await body(seed, depth, kinds)


@hw.task(retry=hw.Retry(attempts=2, delay_s=0.2, jitter=0))
async def retried(seed: str, depth: int, kinds: tuple[str, ...]) -> int:
    return await body(seed, depth, kinds)


LEAVES: list[Any] = [leaf, flaky, leaf, effect, batched, bad]


def child(seed: str, depth: int, kinds: tuple[str, ...]) -> hw.Handle[int]:
    if depth <= 0 or drawn(seed, "deep") % 3 == 0:
        made: hw.Handle[int] = LEAVES[drawn(seed, "leaf") % len(LEAVES)](seed)
        return made
    return (retried if drawn(seed, "n") % 3 == 0 else node)(seed, depth - 1, kinds)


async def body(seed: str, depth: int, kinds: tuple[str, ...]) -> int:
    total = 0
    for step in range(1 + drawn(seed, "steps") % 3):
        place = f"{seed}.{step}"
        try:
            total += await part(kinds[drawn(place, "kind") % len(kinds)], place, depth, kinds)
        except EXPECTED:
            if drawn(place, "caught") % 3 == 0:
                raise
            total += 7
    return total


async def part(kind: str, place: str, depth: int, kinds: tuple[str, ...]) -> int:
    def calls() -> list[hw.Handle[int]]:
        return [child(f"{place}.{i}", depth, kinds) for i in range(1 + drawn(place, "width") % 4)]

    if kind == "settle":
        return sum(end.value or 0 for end in await hw.settle(*calls()))
    if kind == "limit":
        with hw.limit(1 + drawn(place) % 2):
            return sum(await hw.gather(*calls()))
    if kind == "refs":
        return await plus(hw.ref(child(f"{place}.a", depth, kinds)), hw.ref(child(f"{place}.b", depth, kinds)))
    if kind == "race":
        return await hw.race(*calls())
    if kind == "as_completed":
        return sum([h.result() async for h in hw.as_completed(*calls()) if h.exception() is None])
    if kind == "budget":
        with hw.budget(tokens=10 + drawn(place) % 30, calls=20):
            return sum(end.value or 0 for end in await hw.settle(*calls()))
    if kind == "deadline":
        with hw.deadline(seconds=1 + drawn(place) % 4 + 0.017, raises=False):
            return sum(await hw.gather(*calls()))
    if kind == "cancel":
        handle = child(f"{place}.c", depth, kinds)
        await hw.sleep(drawn(place, "z") % 5 / 10)
        handle.cancel()
        return len(await hw.settle(handle))
    return sum(await hw.gather(*calls()))


@hw.task
async def program(seed: str, kinds: tuple[str, ...]) -> int:
    return await body(seed, 3, kinds)


def live(seed: str, kinds: tuple[str, ...], store: Cut, clock: testing.VirtualClock, engines: list[Any]) -> Any:
    """One life of a program: its result, the kind of its error, or None where the disk ended it."""
    try:
        return testing.run(program, seed, kinds, store=store, run_id="r", clock=clock, max_active=(1, 2, 99)[drawn(seed) % 3])
    except hw.StoreFull:
        return None
    except EXPECTED as error:
        return type(error)


def check_books(engine: Any) -> None:
    assert engine.ready.active == engine.ready.in_pools == 0
    for account in engine.books.accounts.values():
        for unit, limit in account.limits.items():
            assert account.reserved.get(unit, 0.0) == pytest.approx(0.0, abs=1e-6)
            assert account.spent.get(unit, 0.0) <= limit * (1 + 1e-6)


def explore(seed: str, kinds: tuple[str, ...], crashes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    engines: list[Any] = []
    make = Driver._make_engine
    monkeypatch.setattr(Driver, "_make_engine", lambda self, known: engines.append(make(self, known)) or engines[-1])
    whole = Cut()
    undisturbed = live(seed, kinds, whole, testing.VirtualClock(), engines)
    check_books(engines[-1])
    rows = whole.run("r").nrows
    choice = random.Random(seed)
    for room in sorted(choice.sample(range(rows), min(rows, crashes))):
        store, clock = Cut(), testing.VirtualClock()
        store.room = room
        assert live(seed, kinds, store, clock, engines) is None
        store.room = room + choice.randint(0, 40)
        result = live(seed, kinds, store, clock, engines)
        if result is None:
            store.room = None
            result = live(seed, kinds, store, clock, engines)
        check_books(engines[-1])
        if kinds is CALM:
            assert result == undisturbed, f"seed {seed}, stopped after {room} of {rows} rows"


@pytest.mark.parametrize("number", range(12))
def test_a_calm_program_stopped_anywhere_ends_as_if_undisturbed(number, monkeypatch):
    explore(f"calm{number}", CALM, 4, monkeypatch)


@pytest.mark.parametrize("number", range(12))
def test_a_wild_program_stopped_anywhere_ends_with_its_books_in_order(number, monkeypatch):
    explore(f"wild{number}", WILD, 3, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("kinds", [CALM, WILD])
@pytest.mark.parametrize("number", range(100, 160))
def test_many_random_programs(number, kinds, monkeypatch):
    explore(f"long{number}", kinds, 6, monkeypatch)
