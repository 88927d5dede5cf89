"""Every stop has an end of its own: code that catches its cancellation is left behind, and can do nothing in the run any more."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from notes import RAN

import headway as hw
from headway.engine.stopping import stops
from headway.engine.stopping.stops import GRACE_S
from headway.journal.records import COSTED, Kind

pytestmark = pytest.mark.filterwarnings("ignore:headway:RuntimeWarning")  # code left behind, which `told` looks at


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What the user is told of code that was left behind."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        texts: list[str] = []
        yield texts
        texts += [str(warning.message) for warning in caught]


@hw.task
async def work(x: Any) -> Any:
    RAN.append(x)
    return x


async def ignore(seconds: float) -> None:
    """Go on for so long, whatever happens."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    while loop.time() < ends:
        with contextlib.suppress(BaseException):
            await asyncio.sleep(0.25)


@hw.task
async def stubborn(seconds: float) -> str:
    await ignore(seconds)
    return "ended"


async def swallow(seconds: float) -> None:
    await ignore(seconds)


async def tidies_for_ever(seconds: float) -> None:
    try:
        await asyncio.sleep(1000)
    finally:
        await ignore(seconds)


async def shields(seconds: float) -> None:
    inner = asyncio.ensure_future(ignore(seconds))
    while not inner.done():
        try:
            await asyncio.shield(inner)
        except asyncio.CancelledError:
            continue


async def joins_plain_coroutines(seconds: float) -> None:
    await hw.gather(ignore(seconds), ignore(seconds))


async def in_a_generator(seconds: float) -> None:
    async def items() -> Any:
        try:
            yield 1
            await asyncio.sleep(1000)
        finally:
            await ignore(seconds)

    async for _ in items():
        pass


async def waits_for_a_child(seconds: float) -> None:
    while True:
        try:
            await stubborn(seconds)
            return
        except asyncio.CancelledError:
            await ignore(seconds)


WAYS: list[Callable[[float], Any]] = [
    *(swallow, tidies_for_ever, shields, joins_plain_coroutines, in_a_generator, waits_for_a_child),
]


@pytest.mark.parametrize("way", WAYS)
def test_a_timeout_reaches_whoever_waits_whatever_the_code_does(go, clock, way):
    limited = hw.task(timeout=1, name=f"limited {way.__name__}")(way)

    @hw.task
    async def program() -> tuple[str, float]:
        began = clock.elapsed
        (end,) = await hw.settle(limited(500))
        return type(end.error).__name__, clock.elapsed - began

    kind, seconds = go(program)
    assert kind == "CallTimeout"
    assert seconds <= 1 + 2 * GRACE_S + 1


def test_a_cancelled_call_ends_cancelled_and_its_siblings_go_on(go, told):
    @hw.task
    async def program() -> list[Any]:
        handle, other = stubborn(500), work(1)
        await asyncio.sleep(1)
        handle.cancel("changed my mind")
        (end,) = await hw.settle(handle)
        return [handle.cancelled(), end.cancelled, await other]

    assert go(program) == [True, True, 1]


def test_the_user_is_told_once_which_call_was_left_behind(go):
    @hw.task
    async def program() -> None:
        handle = stubborn(500)
        await asyncio.sleep(1)
        handle.cancel("changed my mind")
        await hw.settle(handle)

    with pytest.warns(RuntimeWarning) as caught:
        go(program)
    (text,) = [str(warning.message) for warning in caught]
    assert "stubborn(500) was asked to stop (changed my mind)" in text
    assert "let asyncio.CancelledError through" in text


@pytest.mark.parametrize("join", ["race", "gather", "deadline", "loose race"])
def test_a_join_does_not_wait_for_ever_for_what_it_stops(go, clock, join):
    async def fails() -> None:
        await asyncio.sleep(1)
        raise ValueError("no")

    @hw.task
    async def failing() -> None:
        await fails()

    async def one() -> int:
        return 1

    @hw.task
    async def program() -> str:
        try:
            match join:
                case "race":
                    return str(await hw.race(stubborn(500), work("won")))
                case "loose race":
                    return str(await hw.race(ignore(500), one()))
                case "gather":
                    await hw.gather(stubborn(500), failing())
                case _:
                    with hw.deadline(seconds=1):
                        await stubborn(500)
        except (ValueError, hw.DeadlineExceeded) as error:
            return type(error).__name__
        return "ended"

    assert go(program) in ("won", "1", "ValueError", "DeadlineExceeded")
    assert clock.elapsed < 100


def test_a_block_that_is_not_left_fails_its_call(go, clock):
    @hw.task
    async def never_leaves() -> str:
        with hw.deadline(seconds=1, raises=False):
            await ignore(500)
        return "left"

    @hw.task
    async def program() -> str:
        (end,) = await hw.settle(never_leaves())
        return f"{type(end.error).__name__}: {end.error}"

    assert "did not leave the block of its deadline" in go(program)
    assert clock.elapsed < 100


def test_code_that_was_left_behind_can_do_nothing_in_the_run(go, tmp_path):
    tried: dict[str, str] = {}

    async def attempt(what: str, do: Callable[[], Any]) -> None:
        try:
            await do()
            tried[what] = "done"
        except BaseException as error:
            tried[what] = type(error).__name__

    async def plan(make: Callable[[], Any]) -> None:
        make()

    @hw.task(timeout=1)
    async def zombie(child: str) -> None:
        mine = work("before")
        await ignore(20)
        await attempt("call", lambda: plan(lambda: work("after")))
        await attempt("await", lambda: mine)
        await attempt("gather", lambda: hw.gather(mine))
        await attempt("now", lambda: plan(hw.now))
        await attempt("random", lambda: plan(hw.random))
        await attempt("sleep", lambda: hw.sleep(1))
        await attempt("event", lambda: hw.wait_event("word", timeout=1))
        await attempt("budget", lambda: plan(lambda: hw.budget(tokens=5).__enter__()))
        RAN.append("went on")

    @hw.task
    async def program() -> str:
        (end,) = await hw.settle(zombie("x"))
        await hw.sleep(100)
        return type(end.error).__name__

    assert go(program) == "CallTimeout"
    assert RAN == ["before", "went on"]
    assert "done" not in {what: how for what, how in tried.items() if what != "await"}.values(), tried
    with hw.SqliteStore(tmp_path / "store") as store:
        kinds = [row.kind & ~COSTED for _, row in store.rows(store.run("run").uid)]
    assert kinds.count(Kind.OUTCOME) == 3
    assert kinds.count(Kind.DECISION) == 1


def test_an_attempt_that_was_left_behind_does_not_meddle_with_the_next(go):
    @hw.task(timeout=1, retry=hw.Retry(attempts=2, delay_s=5, on=hw.CallTimeout, jitter=0))
    async def twice() -> str:
        attempt = hw.call().attempt
        if attempt == 1:
            await ignore(GRACE_S + 3)  # it ends while the next attempt rests
            with pytest.raises((hw.HeadwayError, asyncio.CancelledError)):
                hw.now()
            with pytest.raises(asyncio.CancelledError):
                await work("stray")
            RAN.append("first ended")
            return "of the first"
        RAN.append("second")
        return "of the second"

    @hw.task
    async def program() -> str:
        return await twice()

    assert go(program) == "of the second"
    assert RAN == ["first ended", "second"]


def test_its_children_are_stopped_too_however_deep(go, clock):
    @hw.task
    async def nested(depth: int) -> None:
        child = nested(depth - 1) if depth else None
        RAN.append(depth)
        await ignore(500)
        if child is not None:
            await child

    @hw.task
    async def program() -> bool:
        handle = nested(6)
        await asyncio.sleep(1)
        handle.cancel()
        await hw.settle(handle)
        return handle.cancelled()

    assert go(program) is True
    assert clock.elapsed < 1 + 2 * GRACE_S + 2
    assert len(RAN) == 7


def test_its_slot_stays_taken_until_it_has_ended(go, clock):
    @hw.task
    async def program() -> float:
        handles = [stubborn(50), stubborn(51)]
        await hw.sleep(1)
        for handle in handles:
            handle.cancel()
        await hw.settle(*handles)
        await work("after")
        return clock.elapsed

    assert go(program, max_active=2) >= 50


def test_what_waits_for_a_child_that_is_stopped_with_it_does_not_succeed(go):
    ends: list[hw.Handle[Any]] = []

    @hw.task(retry=hw.Retry(attempts=3, delay_s=1000.0))
    async def rests_between_attempts() -> None:
        raise OSError("down")

    @hw.task
    async def child() -> int:
        rests_between_attempts()
        return 1

    @hw.task
    async def parent() -> None:
        ends.append(child())
        await ignore(500)

    @hw.task
    async def program() -> None:
        handle = parent()
        await hw.sleep(1)
        handle.cancel()
        await hw.settle(handle)

    go(program)
    assert ends[0].cancelled()


@pytest.mark.parametrize("held", ["a limit", "a named limit", "a resource"])
def test_its_places_in_limits_and_its_resources_stay_taken_until_it_has_ended(go, clock, held):
    limit = {"a limit": "", "a named limit": "gpu", "a resource": None}[held]
    bounded = {"resources": {"gpu": 1}} if limit is None else {}
    keeps, follows = hw.task(name="keeps", **bounded)(ignore), hw.task(name="follows", **bounded)(moment)

    @hw.task
    async def program() -> float:
        with contextlib.nullcontext() if limit is None else hw.limit(1, name=limit):
            handle = keeps(50)
            await hw.sleep(1)
            handle.cancel()
            await hw.settle(handle)
            assert clock.elapsed < 10
            await follows()
        return clock.elapsed

    assert 50 <= go(program, resources={"gpu": 1}) < 60


async def moment() -> None:
    pass


@pytest.mark.parametrize("name", ["", "gpu"])
def test_the_place_of_a_thread_that_was_stopped_stays_taken_until_its_code_has_ended(name):
    seen: list[str] = []
    began, ends = threading.Event(), threading.Event()

    @hw.task
    def thread() -> None:
        began.set()
        ends.wait(60)
        seen.append("the first ended")

    @hw.task
    def another() -> None:
        seen.append("the second began")

    @hw.task
    async def program() -> None:
        with hw.limit(1, name=name):
            handle = thread()
            await asyncio.to_thread(began.wait, 60)
            handle.cancel()
            await hw.settle(handle)
            second = another()
            await asyncio.sleep(0.2)
            ends.set()
            await second

    hw.run(program, store=None, progress=False)
    assert seen == ["the first ended", "the second began"]


def test_a_thread_that_goes_on_is_told_of(monkeypatch):
    monkeypatch.setattr(stops, "GRACE_S", 0.05)
    ends = threading.Event()

    @hw.task(timeout=0.01)
    def hangs() -> None:
        ends.wait(60)

    @hw.task(timeout=0.01)
    def ends_late() -> None:
        ends.wait(0.02)

    @hw.task
    async def program() -> list[str]:
        said = [type(end.error).__name__ for end in await hw.settle(hangs(), hangs(), ends_late())]
        await asyncio.sleep(0.2)
        ends.set()
        return said

    with pytest.warns(RuntimeWarning, match="hangs.* its thread still runs 0.05 s later: it is left behind") as seen:
        assert hw.run(program, store=None, progress=False) == ["CallTimeout"] * 3
    assert len(seen) == 1


def test_a_batch_that_nobody_wants_any_more_does_not_hold_up_the_run(go, clock):
    @hw.task(batch=2, linger_s=0.001, timeout=1)
    async def batched(items: list[int]) -> list[int]:
        await ignore(500)
        return items

    @hw.task
    async def program() -> list[str]:
        return [type(end.error).__name__ for end in await hw.settle(batched(1), batched(2))]

    assert go(program) == ["CallTimeout", "CallTimeout"]
    assert clock.elapsed < 100


def test_a_verify_that_catches_its_cancellation_ends_too(go, clock):
    async def verify(x: int) -> None:
        await ignore(500)

    @hw.task(effect=True, verify=verify, retry=hw.Retry(attempts=2, delay_s=0, on=OSError))
    async def pay(x: int) -> None:
        raise OSError("down")

    @hw.task
    async def program() -> bool:
        handle = pay(1)
        await asyncio.sleep(1)
        handle.cancel()
        await hw.settle(handle)
        return handle.cancelled()

    assert go(program) is True
    assert clock.elapsed < 100


def test_what_was_left_behind_is_gone_from_the_loop_when_the_run_has_ended(clock):
    """Of a run in somebody else's loop: nobody waits for it, and nobody is told of a task that was destroyed."""
    complaints: list[Any] = []

    @hw.task(timeout=1)
    async def endless() -> None:
        while True:
            try:
                await asyncio.sleep(1)
            except BaseException:
                continue

    @hw.task
    async def program() -> str:
        (end,) = await hw.settle(endless())
        return type(end.error).__name__

    async def service() -> tuple[str, int]:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        result = await hw.arun(program, store=None, progress=False)
        return result, len(asyncio.all_tasks())

    with asyncio.Runner(loop_factory=lambda: hw.testing.VirtualLoop(clock)) as runner:
        assert runner.run(service()) == ("CallTimeout", 1)
    assert not complaints


def test_runs_that_have_ended_leave_no_timer_in_the_loop(clock):
    """A loop that drives many runs is not to keep what belongs to those that are over."""

    @hw.task
    async def rest(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @hw.task
    async def program() -> None:
        with hw.deadline(seconds=1000):
            await hw.race(rest(1), rest(2))
            await hw.settle(rest.options(timeout=1)(5))
        with hw.deadline(seconds=1, raises=False):
            await rest(10)

    async def service() -> list[asyncio.TimerHandle]:
        loop: Any = asyncio.get_running_loop()
        await hw.arun(program, store=None, progress=False)
        return [timer for timer in loop._scheduled if not timer.cancelled()]

    with asyncio.Runner(loop_factory=lambda: hw.testing.VirtualLoop(clock)) as runner:
        assert runner.run(service()) == []


def test_a_run_that_nobody_awaits_any_more_leaves_nothing_behind(clock):
    async def service() -> int:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(hw.arun(both, store=None, progress=False), 5)
        RAN.append("over")
        await asyncio.sleep(1000)
        return len(asyncio.all_tasks())

    @hw.task
    async def honest() -> None:
        await asyncio.sleep(100)
        RAN.append("went on")

    @hw.task
    async def both() -> None:
        await hw.gather(honest(), stubborn(500))

    with asyncio.Runner(loop_factory=lambda: hw.testing.VirtualLoop(clock)) as runner:
        assert runner.run(service()) == 1
    assert RAN == ["over"]
