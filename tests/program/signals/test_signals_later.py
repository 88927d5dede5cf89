"""Signals that come while nothing runs, in the last moment, to a fork, or for a call that an edited program does not ask for."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest
from notes import SWITCH
from signalled import Told, ask, rest, soon

import headway as hw
from headway import events
from headway.context import encode_signal
from headway.journal.codec.codec import decode
from headway.journal.records import COSTED, Kind, Signal
from headway.journal.recovery.given import Given
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash


@hw.task
async def approval() -> Any:
    try:
        return await hw.wait_event("approve", timeout=10)
    except TimeoutError:
        return "too late"


@pytest.mark.parametrize(("after", "said"), [(9.0, "Ann"), (11.0, "too late")])
def test_what_was_sent_in_time_while_nothing_ran_counts_and_what_was_not_does_not(after, said):
    told = Told()
    history = told.history
    history.live(approval, crash=Crash(1, "after"))
    assert history.lives[-1].how == "died"
    history.universe.now = after
    told.send("approve", "Ann")
    history.universe.now = 100.0
    assert told.run(approval) == said


@pytest.mark.on_postgres
def test_what_was_sent_in_the_last_moment_counts_though_nobody_has_seen_it_yet(go, clock):
    store = hw.MemoryStore()

    @hw.task
    async def program() -> Any:
        engine = (handle := rest(0))._call.engine
        await handle
        engine.loop.call_later(9.999, lambda: store.send_signal("run", "approve", encode_signal("Ann"), clock.now))
        return await approval()

    assert go(program, store=store) == "Ann"


@hw.task
async def strict() -> Any:
    return await hw.wait_event("approve", timeout=10)


def test_a_run_that_failed_because_nobody_answered_goes_on_with_a_late_answer():
    told = Told()
    assert isinstance(told.run(strict), TimeoutError)
    assert isinstance(told.run(strict), TimeoutError)  # it waited anew, and again in vain
    assert told.history.universe.now > 20
    told.send("approve", "Bob")
    assert told.run(strict) == "Bob"


def test_the_time_limit_of_a_wait_that_has_not_ended_is_kept():
    told = Told()
    told.history.live(strict, crash=Crash(1, "after"))
    told.history.universe.now = 8.0
    assert isinstance(told.run(strict), TimeoutError)
    assert told.history.universe.now < 12


@hw.task
async def fails_once() -> list[Any]:
    got = [await hw.wait_event("a"), await ask("b")]
    if SWITCH.get("stop", True):
        raise ValueError("stop")
    return [*got, await soon("a"), await soon("b")]


def test_a_run_that_failed_is_told_the_same_when_it_goes_on():
    told = Told((1.0, "a", "A"), (1.1, "b", "B"))
    assert isinstance(told.run(fails_once), ValueError)
    SWITCH["stop"] = False
    assert told.run(fails_once) == ["A", "B", None, None]


@hw.task
async def approved(text: str) -> list[Any]:
    return [text, await hw.wait_event("approve")]


@hw.task
async def letters() -> list[Any]:
    return [await approved("first"), await approved("second"), await hw.wait_event("approve", timeout=5)]


def test_a_fork_has_the_signals_that_nothing_in_it_was_told():
    told = Told((1.0, "approve", "Ann"), (2.0, "approve", "Bob"), (2.5, "approve", "Cid"))
    expected = [["first", "Ann"], ["second", "Bob"], "Cid"]
    assert told.run(letters) == expected
    history = told.history
    rows = [row for row in history.rows() if row.kind & ~COSTED == Kind.OUTCOME]
    source = history.store.run(history.run_id)
    from headway.journal.recovery.forking import fork_rows

    fork_rows(history.store, source, rows[1].key.hex(), "fork", history.universe.start)
    fork = History(1, STEADY, store=history.store, run_id="fork")
    assert fork.live(letters).value == expected
    fork.check()


CHILD = """
import sys
import time

real, later_s = time.time, float(sys.argv[2])
time.time = lambda: real() + later_s  # the clock of this process; before Headway is imported
import headway as hw

@hw.task
async def approval() -> str:
    try:
        return f"approved by {await hw.wait_event('approve', timeout=300)}"
    except TimeoutError:
        return "timeout"

print("ready", flush=True)
print(hw.run(approval, store=sys.argv[1], run_id="r", progress=False))
"""


@pytest.mark.long
def test_an_answer_that_came_while_the_process_was_down_is_an_answer(tmp_path):
    file = tmp_path / "child.py"
    file.write_text(CHILD)
    command = [sys.executable, str(file), str(tmp_path / "store")]
    with subprocess.Popen([*command, "0"], stdout=subprocess.DEVNULL) as first:
        store = _opened(tmp_path / "store")
        _until_it_waits(store)
        first.kill()
    hw.signal("r", "approve", "Ann", store=store)
    ran = subprocess.run([*command, "1000"], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.splitlines()[-1] == "approved by Ann"


def _opened(path: Any) -> hw.SqliteStore:
    """The store of a process that is watched from outside: it has no event for others."""
    for _ in range(600):
        if (path / "journal.db").exists():
            return hw.SqliteStore(path)
        time.sleep(0.05)
    raise AssertionError("the child made no store")


def _until_it_waits(store: hw.SqliteStore) -> None:
    """Until the row of the time limit is written."""
    for _ in range(600):
        if store.runs() and list(store.rows(store.run("r").uid)):
            return
        time.sleep(0.05)
    raise AssertionError("the child waits for nothing")


@pytest.mark.on_postgres
def test_every_wait_is_shown_with_what_it_was_told(go):
    seen: list[events.Event] = []
    store = hw.MemoryStore()

    @hw.task
    async def program() -> Any:
        hw.signal("run", "a", {"by": "Ann"}, store=store)
        return await hw.wait_event("a")

    assert go(program, store=store, events=seen.append) == {"by": "Ann"}
    assert go(program, store=store) == {"by": "Ann"}


@pytest.mark.parametrize("ended", [("call",), ("call", "parent"), ("call", "parent", "root")])
def test_a_call_that_ended_well_and_fails_when_it_is_asked_again_gives_its_signal_back(ended):
    """As it is asked again when the source of a task below it has changed."""
    given, sent = Given(), Signal(number=1, name="a", value=b"", at=0.0)
    above = {"call": b"parent", "parent": b"root", "root": b""}
    given.tell(b"wait", b"call", sent, 1)
    for name in ended:
        assert given.end(name.encode(), above[name], ok=True, afresh=False) == []
    assert given.free() == []
    assert given.end(b"call", b"parent", ok=False, afresh=False) == [1]
    assert given.end(b"parent", b"root", ok=False, afresh=True) == []
    assert given.free() == [sent]


@hw.task(retry=hw.Retry(attempts=2, delay_s=1, jitter=0))
async def owed(name: str) -> Any:
    value = await hw.wait_event("a")
    if hw.call().attempt == 1:
        raise ConnectionError(name)
    return value


@hw.task
async def edited() -> list[Any]:
    if SWITCH["edition"] == 1:
        return [await owed("first")]
    if SWITCH["edition"] == 2:
        return [await hw.wait_event("a")]
    return [await soon("b"), "asked for nothing"]


@pytest.mark.parametrize(("edition", "left"), [(2, []), (3, ["A"])])
def test_what_is_owed_to_a_call_that_an_edited_program_does_not_ask_for_is_free(edition, left):
    SWITCH["edition"] = 1
    whole = Told((0.5, "a", "A"))
    assert whole.run(edited) == ["A"]
    failed = [seq for seq, row in enumerate(whole.history.rows(), 1) if row.kind & ~COSTED == Kind.ATTEMPT]
    told = Told((0.5, "a", "A"))
    told.run(edited, crash=Crash(failed[0], "after"))
    assert told.history.lives[-1].how == "died"
    SWITCH["edition"] = edition
    told.history.edited = True
    value = told.run(edited)
    assert value == (["A"] if edition == 2 else [None, "asked for nothing"])
    engine = told.history.lives[-1].engine
    assert engine is not None
    assert [decode(each.value) for each in engine.signals.queue.get("a", ())] == left
