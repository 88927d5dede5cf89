"""Limits of programs: rates per window, places shared between runs, and what they cost. On a virtual clock."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import headway as hw
from headway import testing
from headway.engine.scopes.desk import PLACES_S
from headway.journal.shared.limits import Ask, Grant, Want
from headway.testing import VirtualClock

STARTS: list[float] = []
SLACK_S = 0.01  # for the moments that the virtual clock itself adds


@pytest.fixture(autouse=True)
def _no_starts() -> None:
    STARTS.clear()


def most_within(seconds: float, starts: Sequence[float] = STARTS) -> int:
    return max(sum(first <= other < first + seconds for other in starts) for first in starts)


def make(clock: VirtualClock) -> hw.Task[[int], Any]:
    @hw.task(name="request")
    async def request(number: int) -> int:
        STARTS.append(clock.elapsed)
        return number

    return request


@pytest.mark.parametrize("name", ["", "shared"])
@pytest.mark.parametrize("keeps", [True, False], ids=["a store", "no store"])
def test_no_window_of_a_rate_holds_more_than_the_rate(go, clock, name, keeps):
    request = make(clock)

    @hw.task
    async def program() -> None:
        with hw.limit(rate=10, per_s=1.0, name=name):
            await hw.gather(*(request(number) for number in range(45)))

    go(program, **({} if keeps else {"store": None, "run_id": None}))
    assert most_within(1.0) == 10
    assert STARTS[-1] == pytest.approx(4.0, abs=0.05)


@pytest.mark.parametrize("name", ["", "shared"])
def test_who_uses_less_than_the_rate_never_waits(go, clock, name):
    request = make(clock)

    @hw.task
    async def program() -> None:
        with hw.limit(rate=10, per_s=1.0, name=name):
            for number in range(30):
                wanted = clock.elapsed
                await request(number)
                assert STARTS[-1] - wanted < SLACK_S
                await asyncio.sleep(0.12)

    go(program)


def test_of_nested_rates_each_is_kept(go, clock):
    request = make(clock)

    @hw.task
    async def program() -> None:
        with hw.limit(rate=12, per_s=10.0, name="day"), hw.limit(rate=3, per_s=1.0), hw.limit(rate=2, per_s=0.3):
            await hw.gather(*(request(number) for number in range(30)))

    go(program)
    assert (most_within(10.0), most_within(1.0), most_within(0.3)) == (12, 3, 2)
    assert STARTS[-1] < 25


def test_what_code_held_that_ended_while_a_coroutine_of_it_waits_is_free_at_once(go, clock):
    helpers: list[asyncio.Task[None]] = []

    @hw.task
    async def long() -> None:
        await asyncio.sleep(100.0)

    @hw.task(resources={"gpu": 1})
    async def holds() -> None:
        async def helper() -> None:
            await long()

        helpers.append(asyncio.create_task(helper()))
        await asyncio.sleep(1.0)

    @hw.task(resources={"gpu": 1})
    async def needs() -> float:
        return clock.elapsed

    @hw.task
    async def program() -> float:
        return (await hw.settle(holds(), needs()))[1].value or 0.0

    assert go(program, resources={"gpu": 1}) == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("name", ["", "shared"])
def test_a_call_that_rested_goes_on_when_the_one_that_took_its_place_has_ended(go, clock, name):
    @hw.task
    async def rests() -> float:
        await hw.sleep(1.0)
        return clock.elapsed

    @hw.task
    async def works() -> None:
        await asyncio.sleep(5.0)

    @hw.task
    async def program() -> float:
        with hw.deadline(seconds=100.0), hw.limit(1, name=name):
            rested = rests()
            await hw.gather(rested, works())
        return await rested

    assert go(program) == pytest.approx(5.0, abs=0.2)


@pytest.mark.parametrize("name", ["", "shared"])
def test_a_call_that_rested_goes_on_when_the_one_that_took_its_place_rests(go, clock, name):
    @hw.task
    async def rests(seconds: float) -> float:
        await asyncio.sleep(seconds)
        await hw.sleep(1.0)
        went_on = clock.elapsed
        await asyncio.sleep(seconds)
        await hw.sleep(100.0)
        return went_on

    @hw.task
    async def program() -> list[float]:
        with hw.deadline(seconds=1000.0), hw.limit(1, name=name):
            return await hw.gather(rests(0.0), rests(5.0))

    assert go(program) == pytest.approx([5.0, 6.0], abs=0.2)


@pytest.mark.parametrize("name", ["", "shared"])
def test_a_start_counts_when_the_code_of_its_call_begins(go, clock, name):
    @hw.task
    async def request(number: int) -> None:
        STARTS.append(clock.elapsed)
        if number % 4 == 0:
            clock.advance(0.9)  # it blocks the loop; others that had got their room begin late

    @hw.task
    async def program() -> None:
        with hw.limit(rate=4, per_s=1.0, name=name):
            await hw.gather(*(request(number) for number in range(24)))

    go(program)
    assert most_within(1.0) <= 4


def test_calls_that_are_stopped_before_they_begin_use_up_nothing(go, clock):
    request = make(clock)

    @hw.task(resources={"seat": 1})
    async def seated(number: int) -> int:
        return await request(number)

    @hw.task
    async def program() -> None:
        with hw.limit(rate=2, per_s=100.0):
            for number in range(6):
                with hw.budget(calls=0), pytest.raises(hw.BudgetExceeded):
                    await request(number)
            await hw.gather(request(10), request(11))

    go(program)
    assert len(STARTS) == 2
    assert STARTS[-1] < 1.0


def test_a_fractional_rate_never_rounds_up(go, clock):
    request = make(clock)

    @hw.task
    async def program() -> None:
        with hw.limit(rate=2.5, per_s=1.0):
            await hw.gather(*(request(number) for number in range(8)))
        with hw.limit(rate=0.5, per_s=1.0):
            await hw.gather(*(request(number) for number in range(10, 13)))

    go(program)
    assert most_within(1.0, STARTS[:8]) == 2
    assert [round(later - earlier) for earlier, later in itertools.pairwise(STARTS[8:])] == [2, 2]


@pytest.mark.parametrize("name", ["", "shared"])
@pytest.mark.on_postgres
def test_a_resumed_run_counts_what_began_before_it(go, clock, name):
    request = make(clock)
    until = [13]

    @hw.task
    async def program() -> None:
        with hw.limit(rate=10, per_s=60.0, name=name):
            async for number in hw.map(request, range(40), window=40):
                if number >= until[0]:
                    raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        go(program)
    began, until[0] = len(STARTS), 100
    clock.advance(5.0)
    go(program)
    assert began < 40 <= len(STARTS)
    assert most_within(60.0) <= 10


@pytest.mark.on_postgres
def test_a_new_run_shares_the_window_of_a_named_rate_and_of_no_other(go, clock):
    request = make(clock)

    @hw.task
    async def program(name: str) -> None:
        with hw.limit(rate=3, per_s=60.0, name=name):
            await hw.gather(*(request(number) for number in range(3)))

    for run, (name, waits) in enumerate([("a", False), ("a", True), ("b", False), ("", False), ("", False)]):
        before = clock.elapsed
        go(program, name, run_id=f"run {run}")
        assert (clock.elapsed - before > 50) == waits, name


class Counting(hw.SqliteStore):
    """A store that knows how often it was asked for places, and by which threads."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked = 0
        self.threads: set[int] = set()

    def share(self, holder: str, asks: Sequence[Ask], wants: Sequence[Want], now: float, ttl_s: float) -> dict[str, Grant]:
        self.asked += 1
        self.threads.add(threading.get_ident())
        return super().share(holder, asks, wants, now, ttl_s)


def test_a_named_limit_costs_a_few_questions_and_none_of_them_on_the_loop(go, tmp_path):
    @hw.task
    async def ask(number: int) -> int:
        await asyncio.sleep(0.005)
        return number

    @hw.task
    async def one(number: int) -> int:
        return await ask(number) + await ask(-number)

    @hw.task
    async def pipeline() -> int:
        with hw.limit(20, name="provider"), hw.limit(rate=1e6, per_s=60.0):
            return sum([value async for value in hw.map(one, range(200), window=40)])

    with Counting(tmp_path / "counted") as store:
        assert go(pipeline, store=store) == 0
        assert 0 < store.asked < 60, "of 600 calls that take a place, and 200 that take one again"
        assert threading.get_ident() not in store.threads


def test_a_call_that_needs_two_places_asks_for_none_while_its_process_uses_up_one(go, tmp_path, clock):
    @hw.task
    async def holds(seconds: float) -> None:
        await asyncio.sleep(seconds)

    @hw.task
    async def program() -> None:
        with hw.limit(1, name="a"):
            first = holds(100.0)
            await asyncio.sleep(0)
            with hw.limit(1, name="b"):
                await hw.gather(first, holds(1.0))

    with Counting(tmp_path / "counted") as store:
        go(program, store=store)
        assert clock.elapsed == pytest.approx(101.0, abs=0.5)
        assert 0 < store.asked < 150  # it looks once a second for others that wait


class Slow(hw.SqliteStore):
    """A store that takes its time to take unused places back, and lets the program know."""

    asked: asyncio.Event | None = None
    loop: asyncio.AbstractEventLoop
    running = 0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.seen: list[tuple[int, int]] = []  # how many calls ran and how many places they had, when places were given back

    def share(self, holder: str, asks: Sequence[Ask], wants: Sequence[Want], now: float, ttl_s: float) -> dict[str, Grant]:
        gives_back = self.asked is not None and not wants
        if gives_back:
            self.loop.call_soon_threadsafe(self.asked.set)
            time.sleep(0.05)  # long enough for a loop that does not wait for the answer to begin the next call
        grants = super().share(holder, asks, wants, now, ttl_s)
        if gives_back:
            self.seen.append((self.running, grants["x"].amount))
        return grants


def test_no_place_is_used_while_the_store_takes_it_back(tmp_path, clock):
    store = Slow(tmp_path / "store")

    @hw.task
    async def leaf(number: int) -> int:
        store.running += 1
        await asyncio.sleep(0.01)
        store.running -= 1
        return number

    @hw.task
    async def program() -> int:
        with hw.limit(1, name="x"):
            await leaf(0)
            store.loop, store.asked = asyncio.get_running_loop(), asyncio.Event()
            await asyncio.wait_for(store.asked.wait(), 100)
            return await leaf(1)

    assert testing.run(program, clock=clock, store=store, run_id="run", progress=False) == 1
    store.close()
    assert (0, 0) in store.seen
    assert all(running <= places for running, places in store.seen)


def places_left(folder: Path) -> list[str]:
    from headway.journal.sql.limits import _read_boards

    connection = sqlite3.connect(folder / "journal.db")
    names = [name for (name,) in connection.execute("SELECT name FROM shared_limit")]
    boards = _read_boards(connection, names)
    connection.close()
    return [name for name, board in boards.items() if board.places]


@pytest.mark.parametrize("how", ["ends", "fails", "is cut off"])
def test_a_run_that_ends_leaves_no_place_behind(go, tmp_path, how):
    @hw.task
    async def leaf(number: int) -> int:
        await asyncio.sleep(1)
        if how == "fails" and number == 2:
            raise ValueError("no")
        return number

    @hw.task
    async def program() -> None:
        with hw.limit(2, name="one"), hw.limit(3, name="two"):
            calls = hw.gather(*(leaf(number) for number in range(6)))
            if how == "is cut off":
                with hw.deadline(seconds=1.5):
                    await calls
            await calls

    if how == "ends":
        go(program)
    else:
        with pytest.raises((ValueError, hw.DeadlineExceeded)):
            go(program)
    assert places_left(tmp_path / "store") == []


def test_a_place_that_is_held_for_long_stays_held(tmp_path, clock):
    """Its lease is renewed; nobody who can't see the process takes it."""
    store = hw.SqliteStore(tmp_path / "store")
    rooms: list[int] = []

    @hw.task
    async def long() -> None:
        for _ in range(4):
            await asyncio.sleep(PLACES_S * 0.9)
            asked = [Ask("x", capacity=1)]
            grants = await asyncio.to_thread(store.share, "elsewhere", asked, [Want(("x",), 1)], clock.now, 0.1)
            rooms.append(grants["x"].room)

    @hw.task
    async def program() -> None:
        with hw.limit(1, name="x"):
            await long()

    testing.run(program, clock=clock, store=store, run_id="run", progress=False)
    store.close()
    assert rooms == [0, 0, 0, 0]


def test_blocks_of_one_name_within_each_other_are_one_limit(go):
    @hw.task
    async def leaf() -> int:
        with hw.limit(1, name="x"):
            return 1

    @hw.task
    async def program() -> int:
        with hw.limit(1, name="x"), hw.limit(1, name="x"):
            return sum(await hw.gather(leaf(), leaf()))

    assert go(program) == 2


def test_the_newest_block_of_a_name_says_how_many(go, clock):
    running, most = [0], [0]

    @hw.task
    async def leaf(number: int) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await asyncio.sleep(1)
        running[0] -= 1

    @hw.task
    async def program() -> list[int]:
        seen = []
        for place, number in enumerate((4, 1, 3, 2)):
            most[0] = 0
            with hw.limit(number, name="x"):
                await hw.gather(*(leaf(10 * place + each) for each in range(6)))
            seen.append(most[0])
        return seen

    assert go(program) == [4, 1, 3, 2]


# --- several runs at a time ----------------------------------------------------------------------------------------------


def run_both(clock: VirtualClock, folder: Path, *programs: Any) -> list[Any]:
    """Runs of one store at the same time, on one clock."""

    async def both() -> list[Any]:
        options = {"store": folder, "progress": False}
        runs = [hw.arun(program, run_id=f"run {number}", **options) for number, program in enumerate(programs)]
        return list(await asyncio.gather(*runs))

    with asyncio.Runner(loop_factory=lambda: testing.VirtualLoop(clock)) as runner:
        return runner.run(both())


def test_runs_that_share_a_name_never_use_more_places_together_and_each_gets_its_share(tmp_path, clock):
    running, most, ended = [0], [0], {}

    @hw.task
    async def leaf(who: int, number: int) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await asyncio.sleep(0.5)
        running[0] -= 1
        ended.setdefault(who, []).append(clock.elapsed)

    def make_program(who: int) -> Any:
        @hw.task(name=f"program{who}")
        async def program() -> None:
            if who:
                await asyncio.sleep(3)
            with hw.limit(4, name="gpu"):
                await hw.gather(*(leaf(who, number) for number in range(80 if not who else 10)))

        return program

    run_both(clock, tmp_path / "store", make_program(0), make_program(1))
    assert most[0] == 4
    assert max(ended[1]) < 8.5, "ten calls at two a time take 2.5 s, whatever another run has in line"
    assert max(ended[0]) < 14, "ninety calls of half a second, four at a time"


def test_runs_that_share_a_name_keep_its_rate_together(tmp_path, clock):
    request = make(clock)

    def make_program(who: int) -> Any:
        @hw.task(name=f"program{who}")
        async def program() -> None:
            with hw.limit(rate=10, per_s=2.0, name="api"):
                await hw.gather(*(request(100 * who + number) for number in range(30)))

        return program

    run_both(clock, tmp_path / "store", make_program(0), make_program(1))
    assert len(STARTS) == 60
    assert most_within(2.0 - SLACK_S) <= 10
    assert max(STARTS) < 14


def test_runs_that_need_the_same_two_places_in_another_order_both_end(tmp_path, clock):
    @hw.task
    async def leaf(number: int) -> int:
        await asyncio.sleep(0.1)
        return number

    def make_program(first: str, second: str) -> Any:
        @hw.task(name=f"program{first}")
        async def program() -> int:
            with hw.limit(1, name=first), hw.limit(1, name=second):
                return sum(await hw.gather(*(leaf(number) for number in range(12))))

        return program

    assert run_both(clock, tmp_path / "store", make_program("x", "y"), make_program("y", "x")) == [66, 66]


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("inner", [{"concurrency": 1}, {"rate": 5}, {"concurrency": 2, "rate": 5}])
def test_a_block_in_another_of_one_name_takes_no_number_away(go, inner, stored):
    @hw.task
    async def program() -> str:
        with hw.limit(2, name="desk"):
            with hw.limit(2, name="desk"):
                pass
            with pytest.raises(hw.UsageError, match=r"name='desk'.*give all numbers in one block"), hw.limit(**inner, name="desk"):
                pass
        with hw.limit(**inner, name="desk"):
            return "free again"

    assert go(program, **({} if stored else {"store": None})) == "free again"


@pytest.mark.parametrize("name", ["", "door"])
def test_an_attempt_that_is_made_again_is_a_start_too(go, clock, name):
    @hw.task(retry=hw.Retry(attempts=3, delay_s=0.001, jitter=0.0))
    async def fails_twice() -> int:
        if hw.call().attempt < 3:
            raise OSError("down")
        return 3

    @hw.task
    async def program() -> int:
        with hw.limit(rate=1, per_s=10, name=name):
            return await fails_twice()

    assert go(program) == 3
    assert 20 <= clock.elapsed < 22
