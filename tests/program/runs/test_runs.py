"""Runs as a whole: effects, events, signals, cancel, ownership, bad input, types."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import pytest
from notes import RAN, SWITCH

import headway as hw
from headway import events
from headway.journal.records import RunStatus


@hw.task
async def work(x: Any) -> Any:
    RAN.append(x)
    return x


def _say_how_far() -> str:
    for step in range(3):
        hw.progress(step + 1, 3, loss=0.5 / (step + 1))
    hw.progress(7)
    return "done"


@hw.task
async def far_inline() -> str:
    return _say_how_far()


@hw.task
def far_in_thread() -> str:
    return _say_how_far()


@hw.task(pool="process")
def far_in_process() -> str:
    return _say_how_far()


@pytest.mark.parametrize("pool", ["inline", "thread", "process"])
def test_a_call_says_how_far_it_is_wherever_it_runs(go, pool):
    name, task = {
        "inline": ("far_inline", far_inline),
        "thread": ("far_in_thread", far_in_thread),
        "process": ("far_in_process", far_in_process),
    }[pool]
    heard: list[Any] = []

    @hw.task
    async def program() -> str:
        call = task()
        await call
        return call.key

    key = go(program, events=heard.append)
    said = [event for event in heard if isinstance(event, events.CallProgress)]
    assert {(event.key, event.task) for event in said} == {(key, f"test_runs.{name}")}
    assert [(event.done, event.total, event.numbers) for event in said] == [
        (1, 3, {"loss": 0.5}),
        (2, 3, {"loss": 0.25}),
        (3, 3, {"loss": 0.5 / 3}),
        (7, None, {}),
    ]
    assert _say_how_far() == "done"  # outside of a run nobody hears it


@pytest.mark.on_postgres
def test_an_effect_starts_only_when_all_it_depends_on_is_durable(go):
    @hw.task(effect=True)
    async def pay(amount: int) -> int:
        store: hw.MemoryStore = SWITCH["store"]
        RAN.append(sum(1 for _ in store.rows(1)))
        return amount

    @hw.task
    async def program() -> int:
        await hw.gather(*(work(i) for i in range(10)))
        return await pay(5)

    SWITCH["store"] = store = hw.MemoryStore()
    assert go(program, store=store) == 5
    assert RAN[-1] == 11, "ten outcomes and the effect's own start"


@pytest.mark.on_postgres
def test_an_effect_that_may_have_happened_is_verified_and_not_repeated(go):
    class Dying(hw.MemoryStore):
        dead = False

        def commit(self, *args: Any, **kwargs: Any) -> None:
            if self.dead:
                raise hw.StoreFull(28, "dead")
            super().commit(*args, **kwargs)

    paid: dict[str, int] = {}

    async def look(amount: int) -> Any:
        key = hw.call().idempotency_key
        return hw.Happened(paid[key]) if key in paid else None

    @hw.task(effect=True, verify=look)
    async def pay(amount: int) -> int:
        RAN.append(amount)
        paid[hw.call().idempotency_key] = amount
        SWITCH["store"].dead = True
        return amount

    @hw.task
    async def program() -> int:
        return await pay(5)

    SWITCH["store"] = store = Dying()
    with pytest.raises(hw.StoreFull):
        go(program, store=store)
    store.dead = False
    assert go(program, store=store) == 5
    assert RAN == [5]


@pytest.mark.on_postgres
def test_idempotency_keys_stay_over_attempts_and_differ_between_runs(go):
    @hw.task(retry=hw.Retry(attempts=2, delay_s=1))
    async def keyed() -> str:
        RAN.append(hw.call().idempotency_key)
        if len(RAN) == 1:
            raise OSError("again")
        return hw.call().idempotency_key

    @hw.task
    async def program() -> str:
        return await keyed()

    first = go(program)
    assert [first, first] == RAN
    assert go(program, run_id="other") != first


@pytest.mark.on_postgres
def test_a_durable_sleep_rests_only_for_what_is_left(go, clock):
    @hw.task
    async def program() -> None:
        handle = stop_later()
        await hw.sleep(100)
        await handle

    @hw.task
    async def stop_later() -> None:
        if SWITCH.get("stop", True):
            await asyncio.sleep(30)
            raise RuntimeError("stop")

    @hw.task
    async def both() -> None:
        await hw.gather(program(), stop_later())

    began = clock.now
    with pytest.raises(RuntimeError):
        go(both)
    clock.advance(40)
    SWITCH["stop"] = False
    go(both)
    assert clock.now - began == pytest.approx(100, abs=1)


def test_a_signal_reaches_a_waiting_run_and_is_told_again(go, tmp_path):
    @hw.task
    async def program() -> list[Any]:
        got = [await hw.wait_event("approve"), await hw.wait_event("approve")]
        RAN.append(got)
        if SWITCH.get("stop", True):
            raise RuntimeError("stop")
        return got

    store = hw.MemoryStore()

    def send(event: events.Event) -> None:
        if isinstance(event, events.RunStarted) and not RAN:
            hw.signal("run", "approve", {"by": "ann"}, store=store)
            hw.signal("run", "other", 1, store=store)
            hw.signal("run", "approve", 2, store=store)

    with pytest.raises(RuntimeError):
        go(program, store=store, events=send)
    SWITCH["stop"] = False
    assert go(program, store=store) == [{"by": "ann"}, 2]


@pytest.mark.on_postgres
def test_waiting_for_an_event_can_time_out(go):
    @hw.task
    async def program() -> str:
        with pytest.raises(TimeoutError, match="approve"):
            await hw.wait_event("approve", timeout=50)
        return "on"

    assert go(program) == "on"
    assert go(program) == "on"


@pytest.mark.on_postgres
def test_a_run_is_cancelled_from_outside_and_can_go_on(go):
    store = hw.MemoryStore()

    @hw.task
    async def program() -> int:
        await work(1)
        if SWITCH.get("stop", True):
            hw.cancel("run", store=store)
            await hw.wait_event("never")
        return 1

    with pytest.raises(hw.RunCancelled, match="resume"):
        go(program, store=store)
    assert store.run("run").status == RunStatus.CANCELLED
    SWITCH["stop"] = False
    assert go(program, store=store) == 1
    assert RAN == [1]


@pytest.mark.on_postgres
def test_a_run_that_another_driver_holds_is_refused_with_its_owner(go, clock):
    store = hw.MemoryStore()
    clock.start = time.time()

    @hw.task
    async def program() -> str:
        with pytest.raises(hw.RunOwned) as caught:
            second = functools.partial(hw.run, program, store=store, run_id="run")
            await asyncio.get_running_loop().run_in_executor(None, second)
        return str(caught.value)

    message = go(program, store=store)
    assert "pid" in message
    assert "take" in message


@pytest.mark.on_postgres
def test_a_driver_that_lost_its_lease_stops_and_its_rows_are_rejected(go):
    store = hw.MemoryStore()

    @hw.task
    async def program() -> int:
        info = store.run("run")
        store.acquire("run", "somebody else", 30.0, info.lease_until, take_over=True)
        await work(1)
        await hw.wait_event("never")
        return 1

    with pytest.raises(hw.LeaseLost):
        go(program, store=store)
    assert list(store.rows(1)) == []


@pytest.mark.parametrize(
    ("argument", "error", "words"),
    [
        (lambda: 1, hw.NoCanonicalForm, ["x", "key="]),
        (object(), hw.NoCanonicalForm, ["x", "unkeyed"]),
        (threading.Lock(), hw.NoCanonicalForm, ["x"]),
    ],
)
def test_an_argument_without_a_canonical_form_is_refused_at_the_call(go, argument, error, words):
    @hw.task
    async def program() -> None:
        await work(argument)

    with pytest.raises(error) as caught:
        go(program)
    assert all(word in str(caught.value) for word in words)
    assert RAN == []


def test_an_unkeyed_argument_does_not_name_the_call(go):
    class Client:
        pass

    @hw.task
    async def ask(client: Annotated[Client, hw.unkeyed], text: str) -> str:
        RAN.append(text)
        return text

    @hw.task
    async def program() -> list[str]:
        got = [await ask(Client(), "a"), await ask(Client(), "b")]
        if SWITCH.get("stop", True):
            raise RuntimeError("stop")
        return got

    with pytest.raises(RuntimeError):
        go(program)
    SWITCH["stop"] = False
    assert go(program) == ["a", "b"]
    assert RAN == ["a", "b"]


def test_a_result_that_cannot_be_encoded_fails_that_call_and_says_which_part(go):
    @hw.task
    async def give() -> Any:
        return {"items": [1, 2, threading.Lock()]}

    @hw.task
    async def program() -> str:
        with pytest.raises(hw.NotEncodable) as caught:
            await give()
        return str(caught.value)

    message = go(program)
    assert "items" in message
    assert "[2]" in message
    assert "give" in message


def test_wrong_arguments_are_refused_at_the_call(go):
    @hw.task
    async def pair(a: int, b: int = 0) -> int:
        return a + b

    @hw.task
    async def program() -> str:
        with pytest.raises(hw.WrongArguments) as caught:
            pair(1, c=2)  # type: ignore[call-arg]
        return str(caught.value)

    message = go(program)
    assert "pair" in message
    assert "c" in message


def test_a_handle_of_another_run_is_refused(go):
    kept: list[Any] = []

    @hw.task
    async def first() -> int:
        kept.append(work(1))
        return await kept[0]

    @hw.task
    async def second() -> None:
        with pytest.raises(hw.ForeignHandle, match="run 'a'"):
            await kept[0]
        with pytest.raises(hw.ForeignHandle, match="run 'a'"):
            work(kept[0])

    go(first, run_id="a")
    go(second, run_id="b")


def test_a_cycle_through_ref_is_refused(go):
    box: dict[str, hw.Handle[int]] = {}

    @hw.task
    async def child(x: int) -> int:
        return x

    @hw.task
    async def parent() -> int:
        return await child(hw.ref(box["parent"]))

    @hw.task
    async def program() -> None:
        box["parent"] = parent()
        with pytest.raises(hw.CycleError, match="cycle"):
            await box["parent"]

    go(program)


def test_siblings_that_would_await_each_other_are_refused(go):
    box: dict[str, hw.Handle[int]] = {}

    @hw.task
    async def one() -> int:
        await asyncio.sleep(1)
        return await box["two"]

    @hw.task
    async def two(x: int) -> int:
        return x

    @hw.task
    async def program() -> bool:
        box["one"] = one()
        box["two"] = two(hw.ref(box["one"]))
        ends = await hw.settle(box["one"], box["two"])
        return isinstance(ends[0].error, hw.CycleError)

    assert go(program)


def test_an_unknown_run_names_near_misses(go, tmp_path):
    @hw.task
    async def program() -> int:
        return 1

    go(program, run_id="sky")
    with pytest.raises(hw.UnknownRun, match="sky"):
        hw.resume("skye", store=tmp_path / "store")


def test_resume_goes_on_with_the_stored_arguments(go, tmp_path):
    @hw.task(name="resumable")
    async def program(x: int, *, style: str) -> str:
        if SWITCH.get("stop", True):
            raise RuntimeError("stop")
        return style * x

    with pytest.raises(RuntimeError):
        go(program, 3, kwargs={"style": "ab"})
    SWITCH["stop"] = False
    assert hw.resume("run", store=tmp_path / "store") == "ababab"


def test_events_tell_what_happens_in_order(go, tmp_path):
    seen: list[events.Event] = []

    @hw.task(retry=hw.Retry(attempts=2, delay_s=1))
    async def flaky() -> int:
        RAN.append(1)
        if len(RAN) == 1:
            raise OSError("x")
        return 1

    @hw.task
    async def program() -> int:
        with hw.budget(calls=10):
            return await flaky()

    go(program, events=[seen.append, tmp_path / "events.jsonl"])
    names = [type(event).__name__ for event in seen]
    for one, other in [
        ("RunStarted", "CallSpawned"),
        ("CallSpawned", "BudgetOpened"),
        ("CallRetrying", "CallEnded"),
        ("CallEnded", "RunEnded"),
    ]:
        assert names.index(one) < names.index(other)
    from headway.observe.sinks import read_events

    assert len(list(read_events(tmp_path / "events.jsonl"))) == len(seen)


@pytest.mark.parametrize("error", [OSError, SystemExit])
def test_a_sink_that_fails_ends_its_subscription_not_the_run(go, error):
    def broken(event: events.Event) -> None:
        raise error("no space")

    @hw.task
    async def program() -> int:
        return 1

    with pytest.warns(UserWarning, match="no space"):
        assert go(program, events=broken) == 1


def test_hw_run_inside_a_loop_points_to_arun():
    async def main() -> None:
        with pytest.raises(hw.UsageError, match="arun"):
            hw.run(work, 1, store=None)
        assert await hw.arun(work, 2, store=None) == 2

    asyncio.run(main())


@pytest.mark.parametrize("pool", ["inline", "thread"])
def test_hw_run_inside_a_call_points_to_the_task(go, pool):
    def program() -> None:
        hw.run(work, 1, store=None)

    async def inline() -> None:
        program()

    with pytest.raises(hw.UsageError, match="call the task instead"):
        go(hw.task(inline if pool == "inline" else program))


def test_a_run_of_a_call_points_to_the_task():
    with pytest.raises(hw.UsageError, match=r"Write hw\.run\(work, …\) with its arguments behind it"):
        hw.run(work(1), store=None)


def test_a_call_that_nobody_awaited_is_neither_true_nor_false(go):
    @hw.task
    async def program() -> str:
        return "wrong" if work(False) else "right"

    with pytest.raises(hw.UsageError, match=r"work\(False\) is a call, neither true nor false: write `await` before it"):
        go(program)


def test_types_survive_the_decorators():
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(Path(__file__).parent / "typed.py")],
        capture_output=True,
        text=True,
        check=False,
        env={"MYPYPATH": str(Path(hw.__file__).parents[1]), "PATH": ""},
    )
    assert found.returncode == 0, found.stdout + found.stderr
