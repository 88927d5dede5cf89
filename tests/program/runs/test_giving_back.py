"""How a run gives itself back at its end: in the commit of its last rows, and never before they are written."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from failing_store import BreakingStore

import headway as hw


class Watched(hw.MemoryStore):
    """A store that notes each commit and release, and calls `on_commit` in a commit."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []
        self.on_commit: Callable[[], None] | None = None

    def commit(self, *args: Any, **kwargs: Any) -> None:
        if self.on_commit is not None:
            self.on_commit()
        super().commit(*args, **kwargs)
        self.done.append("commit")

    def release(self, *args: Any, **kwargs: Any) -> None:
        super().release(*args, **kwargs)
        self.done.append("release")


@hw.task
async def double(x: int) -> int:
    return 2 * x


@hw.task(pool="thread")
def halve(x: int) -> int:
    return x // 2


@hw.task
async def on_the_loop() -> int:
    return sum(await hw.gather(*[double(i) for i in range(10)]))


@hw.task
async def fails() -> int:
    await double(1)
    raise OSError("down")


@pytest.mark.on_postgres
def test_a_short_run_is_one_commit(go):
    store = Watched()
    assert go(on_the_loop, store=store) == 90
    assert store.done == ["commit"]
    assert (store.run("run").status, store.run("run").owner) == ("done", "")


def test_a_run_with_workers_is_durable_before_they_are_ended(go):
    @hw.task
    async def program() -> int:
        return await halve(84)

    store = Watched()
    assert go(program, store=store) == 42
    assert store.done[-1] == "release"
    assert store.run("run").status == "done"


@pytest.mark.on_postgres
def test_a_failed_run_says_with_its_last_rows_which_failures_are_asked_again(go):
    store = Watched()
    with pytest.raises(OSError, match="down"):
        go(fails, store=store)
    info = store.run("run")
    assert (store.done, info.status, info.error_floor) == (["commit"], "failed", info.nrows)


def test_a_run_whose_result_cannot_be_written_fails_and_goes_on(go):
    store = BreakingStore()
    store.broken = True
    with pytest.raises(hw.StoreFull, match="the disk is full") as caught:
        go(on_the_loop, store=store)
    assert any("when there is room again" in note for note in caught.value.__notes__)
    assert (store.run("run").status, store.run("run").owner, store.run("run").nrows) == ("interrupted", "", 0)
    store.broken = False
    assert go(on_the_loop, store=store) == 90
    assert store.run("run").status == "done"


def test_whoever_stops_waiting_while_the_last_rows_are_written_gets_a_run_that_is_given_back():
    store = Watched()

    async def main() -> None:
        loop, heard = asyncio.get_running_loop(), threading.Event()
        running = asyncio.ensure_future(hw.arun(on_the_loop, store=store, run_id="run", progress=False))

        def stop_waiting() -> None:
            loop.call_soon_threadsafe(running.cancel)
            loop.call_soon_threadsafe(loop.call_soon, heard.set)
            assert heard.wait(60)

        store.on_commit = stop_waiting
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (store.done, store.run("run").status, store.run("run").owner) == (["commit"], "done", "")

    asyncio.run(main())


def test_a_store_of_its_own_is_closed_only_when_the_last_rows_are_there(tmp_path, monkeypatch):
    async def main() -> None:
        loop, heard = asyncio.get_running_loop(), threading.Event()
        running = asyncio.ensure_future(hw.arun(on_the_loop, store=tmp_path, run_id="run", progress=False))
        commit = hw.SqliteStore.commit

        def stop_waiting(*args: Any, **kwargs: Any) -> None:
            loop.call_soon_threadsafe(running.cancel)
            loop.call_soon_threadsafe(loop.call_soon, heard.set)
            assert heard.wait(60)
            commit(*args, **kwargs)

        monkeypatch.setattr(hw.SqliteStore, "commit", stop_waiting)
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    monkeypatch.undo()
    assert hw.run(on_the_loop, store=tmp_path, run_id="run", progress=False) == 90
    assert not list(tmp_path.glob("*-wal"))
