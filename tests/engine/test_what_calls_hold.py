"""What a call makes for itself only when it needs it: containers, threads, a connection."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import pytest

import headway as hw
from headway.engine.call import NO_ENTRIES, NO_ITEMS, Extra, current
from headway.journal.open import open_store
from headway.journal.sqlite.locks import descriptor_of

HELD: list[list[type]] = []
STORE: list[hw.MemoryStore] = []


@hw.task
async def leaf(x: int) -> int:
    return x


@hw.task
async def parent() -> int:
    total = sum(await hw.gather(leaf(1), leaf(2)))
    frame = current.get()
    assert frame is not None
    assert isinstance(frame.call.x, Extra)
    HELD.append([type(each) for each in gc.get_referents(frame.call.x) if type(each) in (list, dict, set)])
    return total


def test_a_call_that_waited_for_its_children_has_made_no_container_besides(go):
    HELD.clear()
    assert go(parent) == 3
    assert HELD == [[]]


def test_what_stands_for_an_empty_container_can_not_be_filled():
    with pytest.raises(AttributeError):
        NO_ITEMS.append(1)
    with pytest.raises(TypeError):
        NO_ENTRIES["a"] = 1


def test_a_wait_that_is_over_leaves_nothing_of_the_name_that_it_waited_for(go):
    @hw.task
    async def waits(name: str) -> str:
        return str(await hw.wait_event(name, timeout=20 if name == "never" else None))

    @hw.task
    async def program() -> list[object]:
        calls = [waits("never"), *(waits(f"name {number}") for number in range(3))]
        await hw.sleep(1)
        for number in range(3):
            hw.signal(hw.call().run_id, f"name {number}", number, store=STORE[-1])
        ends = await hw.settle(*calls)
        frame = current.get()
        assert frame is not None
        signals = frame.call.engine.signals
        return [[end.value for end in ends], dict(signals._waiters), dict(signals.queue)]

    store = hw.MemoryStore()
    STORE[:] = [store]
    assert go(program, store=store) == [[None, "0", "1", "2"], {}, {}]


@hw.task
async def empty() -> None:
    pass


def test_a_run_starts_a_thread_to_begin_one_to_write_and_one_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    hw.run(empty, store=tmp_path, progress=False)
    started: list[str] = []
    start = threading.Thread.start

    def noted(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", noted)
    hw.run(empty, store=tmp_path, run_id="again", progress=False)
    assert started == ["headway-beside", "headway-journal-again", "headway-beside"]


def test_a_run_closes_the_store_that_it_opened_and_leaves_one_that_it_was_given_open(tmp_path: Path):
    hw.run(empty, store=tmp_path, run_id="own", progress=False)
    assert descriptor_of(tmp_path / "journal.db") is None
    assert not (tmp_path / "journal.db-wal").exists()
    with open_store(tmp_path) as store:
        hw.run(empty, store=store, run_id="given", progress=False)
        assert [info.spec.run_id for info in store.runs()] == ["own", "given"]
