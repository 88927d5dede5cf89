"""The writer of a run's journal: what it does besides writing, even when there is always something to write."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from headway.errors import StoreError, StoreFull
from headway.journal import writer
from headway.journal.log import Log
from headway.journal.memory import MemoryStore
from headway.journal.records import Ending, Lease, Row, RunSpec, RunStatus


class Busy(MemoryStore):
    """A store whose every commit brings another row, until the lease was renewed a few times."""

    log: Log

    def __init__(self) -> None:
        super().__init__()
        self.renewed = 0
        self.enough = threading.Event()

    def commit(self, lease: Lease, *args: Any, **kwargs: Any) -> None:
        super().commit(lease, *args, **kwargs)
        if self.renewed < 3:
            self.log.append(Row(3, bytes(16), bytes(16), b"body"))
        else:
            self.enough.set()

    def renew(self, lease: Lease, now: float) -> None:
        super().renew(lease, now)
        self.renewed += 1


def test_a_writer_that_always_has_something_to_write_keeps_its_lease_and_hears_a_cancel():
    store = Busy()
    store.create_run(RunSpec(run_id="sky", task="t"))
    lease = store.acquire("sky", "me", 0.003, 0.0)
    heard: list[bool] = []
    log = Log(store, lease, 0, post=lambda callback: callback(), on_room=lambda: None, on_failure=lambda _: None)
    store.log = log
    store.request_cancel("sky", 0.0)
    thread = writer.Writer(log, lambda info, _: heard.append(info.cancel_requested), lambda: None)
    log.append(Row(3, bytes(16), bytes(16), b"body"))
    thread.start()
    assert store.enough.wait(60)
    thread.close()
    assert store.renewed >= 3
    assert heard in ([], [True])  # it looks ten times a second


@pytest.mark.parametrize("set_by", [-365 * 86_400.0, -3600.0, 3600.0, 365 * 86_400.0])
def test_a_driver_renews_its_lease_as_soon_as_it_finds_the_clock_set(set_by):
    store, clock, jumps = MemoryStore(), [1.7e9], []
    store.create_run(RunSpec(run_id="sky", task="t"))
    lease = store.acquire("sky", "me", 30.0, clock[0])
    log = Log(store, lease, 0, post=lambda call: call(), on_room=lambda: None, on_failure=lambda _: None, wall=lambda: clock[0])
    upkeep = writer.Upkeep(log, lambda *_: None, lambda: jumps.append(clock[0]), 0.0)
    clock[0] += 5.0
    upkeep.compare_clocks(5.0)
    assert (store.run("sky").lease_until, jumps) == (1.7e9 + 30.0, [])
    clock[0] += set_by
    upkeep.compare_clocks(5.1)
    assert (store.run("sky").lease_until, jumps) == (clock[0] + 30.0, [clock[0]])


def _log(store: MemoryStore) -> Log:
    store.create_run(RunSpec(run_id="sky", task="t"))
    lease = store.acquire("sky", "me", 30.0, 0.0)
    return Log(store, lease, 0, post=lambda call: call(), on_room=lambda: None, on_failure=lambda _: None, wall=lambda: 0.0)


def _append(log: Log, *names: str) -> None:
    for name in names:
        log.append(Row(3, bytes(16), bytes(16), name.encode()))


def _names(group: list[Row]) -> str:
    return "".join(row.body.decode() for row in group)


def test_rows_that_are_held_are_written_when_they_are_released_and_in_one_group():
    log = _log(MemoryStore())
    _append(log, "a", "b")
    log.hold()
    _append(log, "c")
    log.hold()  # by another call in the same step
    _append(log, "d", "e")
    assert _names(log.take_group()) == "ab"
    assert log.take_group() == []
    assert log.pending == 3
    log.release()
    _append(log, "f")
    log.release()  # the other call's
    assert _names(log.take_group(most=1)) == "cde"
    assert _names(log.take_group(most=1)) == "f"
    log.hold()
    log.release()
    _append(log, "g", "h")
    assert [_names(log.take_group(most=1)) for _ in range(2)] == ["g", "h"]


def test_a_writer_that_is_closed_writes_what_is_held():
    store = MemoryStore()
    log = _log(store)
    thread = writer.Writer(log, lambda info, signals: None, lambda: None)
    thread.start()
    log.hold()
    _append(log, "a", "b")
    thread.close()
    assert store.run("sky").nrows == 2
    assert log.durable == 2


class Watched(MemoryStore):
    """A store that notes what is done to it. No commit is done while it is full."""

    full = False

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []

    def commit(self, *args: Any, **kwargs: Any) -> None:
        self.done.append("commit")
        if self.full:
            raise StoreFull(28, "the disk is full")
        super().commit(*args, **kwargs)

    def release(self, *args: Any, **kwargs: Any) -> None:
        self.done.append("release")
        super().release(*args, **kwargs)

    def renew(self, *args: Any, **kwargs: Any) -> None:
        self.done.append("renew")
        super().renew(*args, **kwargs)


def _end(store: Watched, *names: str, ttl_s: float = 30.0) -> list[StoreError]:
    """Drive a run that appends rows of these names, and give it back as done; what failed."""
    failed: list[StoreError] = []
    store.create_run(RunSpec(run_id="sky", task="t"))
    lease = store.acquire("sky", "me", ttl_s, 0.0)
    log = Log(store, lease, 0, post=lambda call: call(), on_room=lambda: None, on_failure=failed.append, wall=lambda: 0.0)
    thread = writer.Writer(log, lambda info, signals: None, lambda: None)
    _append(log, *names)
    log.end(Ending(RunStatus.DONE))
    thread.start()
    thread.close()
    log.give_back()
    log.give_back()
    return failed


def test_the_last_rows_give_the_run_back():
    store = Watched()
    assert _end(store, "a", "b") == []
    assert store.done == ["commit"]
    assert (store.run("sky").status, store.run("sky").owner, store.run("sky").nrows) == ("done", "", 2)


def test_only_the_last_of_several_commits_gives_the_run_back(monkeypatch):
    monkeypatch.setattr(Log.take_group, "__defaults__", (2,))
    store = Watched()
    assert _end(store, "a", "b", "c", "d", "e") == []
    assert store.done == ["commit"] * 3
    assert (store.run("sky").status, store.run("sky").owner, store.run("sky").nrows) == ("done", "", 5)


def test_a_run_without_last_rows_is_released():
    store = Watched()
    assert _end(store) == []
    assert store.done == ["release"]
    assert (store.run("sky").status, store.run("sky").owner) == ("done", "")


def test_a_run_whose_last_rows_are_too_much_for_the_disk_is_not_done():
    store = Watched()
    store.full = True
    assert [type(error) for error in _end(store, "a")] == [StoreFull]
    assert store.done == ["commit", "release"]
    assert (store.run("sky").status, store.run("sky").owner, store.run("sky").nrows) == ("interrupted", "", 0)


def test_a_run_that_was_given_back_is_not_renewed():
    """A lease of no length is always due."""
    store = Watched()
    assert _end(store, "a", ttl_s=0.0) == []
    assert store.done[-1] == "commit"
