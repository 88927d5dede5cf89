"""Nothing on an event loop waits for a store: in debug mode every use of one on the loop's thread is an error that says so."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headway as hw
from headway.journal.off_loop import as_beside, check_thread, watch_thread
from headway.journal.open import open_store
from headway.journal.records import RunSpec
from headway.journal.sqlite.store import SqliteStore
from headway.sim.history import History
from headway.sim.nature import STEADY

LARGE = 100_000
USES: dict[str, Callable[[SqliteStore], Any]] = {
    "run": lambda store: store.run("sky"),
    "runs": lambda store: store.runs(),
    "rows": lambda store: list(store.rows(1)),
    "cached": lambda store: store.cached(b"k" * 16),
    "create_run": lambda store: store.create_run(RunSpec(run_id="sea", task="t")),
    "begin_run": lambda store: store.begin_run(RunSpec(run_id="sea", task="t"), "pid 1 on here", 30.0, 1.0),
    "acquire": lambda store: store.acquire("sky", "pid 1 on here", 30.0, 1.0),
    "put_blob": lambda store: store.put_blob(b"d" * 16, b"data"),
    "get_blob": lambda store: store.get_blob(b"d" * 16),
    "send_signal": lambda store: store.send_signal("sky", "go", b"", 1.0),
    "signals": lambda store: store.signals(1),
    "share": lambda store: store.share("me", (), (), 1.0, 30.0),
    "changed": lambda store: store.changed(),
    "delete_run": lambda store: store.delete_run("sky", 1.0),
    "close": lambda store: store.close(),
}


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    made = SqliteStore(tmp_path / "store")
    made.create_run(RunSpec(run_id="sky", task="t"))
    return made


@pytest.mark.parametrize("name", USES)
def test_each_use_of_a_store_on_a_watched_thread_is_refused_by_its_name(store: SqliteStore, name: str) -> None:
    with watch_thread(True), pytest.raises(hw.StoreOnLoop, match=f"^{name} of the store .*test_off_loop.py:[0-9]+"):
        USES[name](store)
    USES["runs"](store)  # nobody watches any more
    store.close()


def test_opening_a_store_on_a_watched_thread_is_refused(tmp_path: Path) -> None:
    with watch_thread(True), pytest.raises(hw.StoreOnLoop):
        SqliteStore(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_other_threads_and_what_counts_as_one_may_use_the_store(store: SqliteStore) -> None:
    found: list[int] = []
    with watch_thread(True):
        thread = threading.Thread(target=lambda: found.append(len(store.runs())))
        thread.start()
        thread.join()
        with as_beside():
            found.append(len(store.runs()))
        with pytest.raises(hw.StoreOnLoop):
            store.runs()
    assert found == [1, 1]
    store.close()


def test_a_thread_that_drives_two_runs_is_watched_until_both_have_ended(store: SqliteStore) -> None:
    with watch_thread(True):
        with watch_thread(True):
            pass
        with pytest.raises(hw.StoreOnLoop):
            check_thread(store)
    check_thread(store)
    store.close()


@hw.task
async def looks_back(folder: str) -> int:
    return len(hw.view("other", store=folder).calls)


@hw.task
async def looks_back_beside(folder: str) -> int:
    return await asyncio.to_thread(lambda: len(hw.view("other", store=folder).calls))


@hw.task
async def one() -> int:
    return 1


def test_a_call_on_the_loop_that_reads_a_run_back_is_told_how_to(tmp_path: Path) -> None:
    hw.run(one, store=tmp_path / "store", run_id="other")
    with pytest.raises(hw.StoreOnLoop, match=r"run of the store .*through view\).*Await asyncio.to_thread\(view, …\)"):
        hw.run(looks_back, str(tmp_path / "store"), store=tmp_path / "mine")
    assert hw.run(looks_back_beside, str(tmp_path / "store"), store=tmp_path / "mine") == 1


def test_out_of_debug_mode_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hw.run(one, store=tmp_path / "store", run_id="other")
    monkeypatch.setitem(os.environ, "HEADWAY_DEBUG", "0")
    assert hw.run(looks_back, str(tmp_path / "store"), store=tmp_path / "mine") == 1


def test_asyncios_debug_mode_is_debug_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hw.run(one, store=tmp_path / "store", run_id="other")
    monkeypatch.setitem(os.environ, "HEADWAY_DEBUG", "0")
    with pytest.raises(hw.StoreOnLoop):
        asyncio.run(hw.arun(looks_back, str(tmp_path / "store"), store=tmp_path / "mine"), debug=True)


# --- what a run needs of its store is read beside the loop -------------------------------------------------------------


@hw.task
async def large(letter: str) -> str:
    return letter * LARGE


@hw.task
async def lengths(fails: list[int]) -> list[int]:
    handles = [large(letter) for letter in "abc"]
    first = await handles[0]
    rest = await hw.gather(*handles[1:])
    joined = await both(hw.ref(handles[1]), hw.ref(handles[2]))
    if fails.pop():
        raise ValueError("not yet")
    return [len(first), *map(len, rest), joined]


@hw.task(pool="thread")
def both(left: str, right: str) -> int:
    return len(left + right)


lengths_of = hw.task(lengths.spec.fn, key=lambda fails: "fixed", name="lengths_of")


def test_large_results_are_there_for_awaits_joins_arguments_and_results(tmp_path: Path) -> None:
    fails = [False, True]
    with pytest.raises(ValueError, match="not yet"):
        hw.run(lengths_of, fails, store=tmp_path, run_id="run")
    again: list[str] = []
    assert hw.run(lengths_of, fails, store=tmp_path, run_id="run", events=lambda e: again.append(type(e).__name__)) == [
        LARGE,
        LARGE,
        LARGE,
        2 * LARGE,
    ]
    assert again.count("CallReused") == 4


def test_a_run_that_is_done_answers_with_a_large_result(tmp_path: Path) -> None:
    for _ in range(2):
        assert hw.run(large, "a", store=tmp_path, run_id="run") == "a" * LARGE


def test_a_call_that_is_stopped_while_its_result_is_read_keeps_it(tmp_path: Path) -> None:
    store = open_store(tmp_path)

    @hw.task(key=lambda stops: "fixed")
    async def stops_it(stops: list[bool]) -> str:
        handle = large("a")
        if stops.pop():
            handle.cancel()
            with pytest.raises(hw.CallCancelled):
                await handle
            raise ValueError("stopped it")
        if stops:
            await handle
            raise ValueError("has it")
        return await handle

    stops = [False, True, False]
    stops.insert(0, False)
    for why in ("has it", "stopped it"):
        with pytest.raises(ValueError, match=why):
            hw.run(stops_it, stops, store=store, run_id="run")
    ran: list[str] = []
    del stops[:-1]
    assert hw.run(stops_it, stops, store=store, run_id="run", events=lambda e: ran.append(type(e).__name__)) == "a" * LARGE
    assert "CallReused" in ran
    assert ran.count("CallStarted") == 1
    store.close()


def test_a_large_result_that_is_damaged_fails_whoever_wants_it(tmp_path: Path) -> None:
    hw.run(large, "a", store=tmp_path, run_id="run")
    for blob in (tmp_path / "blobs").glob("*/*"):
        blob.write_bytes(b"b" * blob.stat().st_size)
    with pytest.raises(hw.StoreDamaged, match="other bytes than were written"):
        hw.run(large, "a", store=tmp_path, run_id="run")


@hw.task(cache="forever")
async def shared(letter: str) -> str:
    RAN.append(letter)
    return letter * LARGE


RAN: list[str] = []


@hw.task
async def shares(letters: str) -> int:
    return sum(map(len, await hw.gather(*map(shared, letters))))


def test_what_other_runs_shared_is_found_beside_the_loop_once_for_all_that_ask(tmp_path: Path) -> None:
    RAN.clear()
    assert hw.run(shares, "ab", store=tmp_path) == 2 * LARGE
    assert hw.run(shares, "abba", store=tmp_path) == 4 * LARGE
    assert RAN == ["a", "b"]


def test_the_simulators_store_is_watched_too() -> None:
    @hw.task
    async def cheats() -> int:
        return len(list(history.store.rows(1)))

    history = History(1, STEADY)
    life = history.live(cheats)
    assert isinstance(life.error, hw.StoreOnLoop)
