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
from headway.journal.records import RunSpec
from headway.journal.sqlite.store import SqliteStore
from headway.sim.config import STEADY
from headway.sim.history import History

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
    "data_version": lambda store: store.data_version(1),
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
    with pytest.raises(hw.StoreOnLoop, match=r"open_to_read of the store .*through view\).*Await asyncio.to_thread\(view, …\)"):
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


@hw.task(pool="thread")
def both(left: str, right: str) -> int:
    return len(left + right)


@hw.task
async def lengths() -> list[int]:
    handles = [large(letter) for letter in "abc"]
    first = await handles[0]
    rest = await hw.gather(*handles[1:])
    joined = await both(hw.ref(handles[1]), hw.ref(handles[2]))
    if not DONE:
        raise ValueError("not yet")
    return [len(first), *map(len, rest), joined, await both(hw.ref(handles[1]), "d")]


DONE: list[bool] = []


def test_large_results_are_there_for_awaits_joins_and_arguments(tmp_path: Path) -> None:
    DONE.clear()
    with pytest.raises(ValueError, match="not yet"):
        hw.run(lengths, store=tmp_path, run_id="run")
    DONE.append(True)
    again: list[str] = []
    found = hw.run(lengths, store=tmp_path, run_id="run", events=lambda event: again.append(type(event).__name__))
    assert found == [LARGE, LARGE, LARGE, 2 * LARGE, LARGE + 1]
    assert again.count("CallReused") == 4


def test_a_run_that_is_done_answers_with_a_large_result(tmp_path: Path) -> None:
    for _ in range(2):
        assert hw.run(large, "a", store=tmp_path, run_id="run") == "a" * LARGE


@hw.task
async def stops_it() -> str:
    handle = large("a")
    if WHY == "first":
        await handle
        raise ValueError(WHY)
    if WHY == "stopped":
        handle.cancel()
        reading = asyncio.ensure_future(wait_for(handle))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        raise ValueError(f"{WHY} {reading.cancelled()}")
    return await handle + await large("b")


async def wait_for(handle: hw.Handle[str]) -> str:
    return await handle


WHY = ""


def test_a_wait_for_a_large_result_that_is_stopped_takes_nothing_of_it_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def go() -> Any:
        told.clear()
        return hw.run(stops_it, store=tmp_path, run_id="run", events=lambda event: told.append(type(event).__name__))

    for why, error in (("first", "first"), ("stopped", "stopped True")):
        monkeypatch.setitem(globals(), "WHY", why)
        with pytest.raises(ValueError, match=error):
            go()
    assert told.count("CallReused") == 1
    monkeypatch.setitem(globals(), "WHY", "")
    assert go() == "a" * LARGE + "b" * LARGE
    assert told.count("CallReused") == 1
    assert told.count("CallStarted") == 2  # the root, and what nobody had recorded


def test_a_large_result_that_nobody_asks_for_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []

    class Counting(SqliteStore):
        def get_blob(self, digest: bytes) -> memoryview:
            read.append(digest)
            return super().get_blob(digest)

    @hw.task
    async def sizes() -> int:
        size = await both(hw.ref(large("a")), "b")
        if WHY:
            raise ValueError(WHY)
        return size

    with Counting(tmp_path) as store:
        monkeypatch.setitem(globals(), "WHY", "not yet")
        with pytest.raises(ValueError, match="not yet"):
            hw.run(sizes, store=store, run_id="run")
        monkeypatch.setitem(globals(), "WHY", "")
        assert hw.run(sizes, store=store, run_id="run") == LARGE + 1
    assert read == []


def test_a_large_result_is_read_before_a_new_call_that_gets_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @hw.task
    async def sizes() -> int:
        size = await both(hw.ref(large("a")), WHY)
        if WHY == "first":
            raise ValueError(WHY)
        return size

    monkeypatch.setitem(globals(), "WHY", "first")
    with pytest.raises(ValueError, match="first"):
        hw.run(sizes, store=tmp_path, run_id="run")
    monkeypatch.setitem(globals(), "WHY", "again")
    assert hw.run(sizes, store=tmp_path, run_id="run") == LARGE + len("again")


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
