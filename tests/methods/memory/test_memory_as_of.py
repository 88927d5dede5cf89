"""A memory as of the time: of a resume, a replay, a fork and a pin, whatever others have written in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import headway as hw
from headway.engine import following
from headway.methods.memory import Case, Memory

memory = Memory("team")
ANSWERS = {"ask": "small"}


def texts(found: Any) -> list[str]:
    return sorted(hit.case.text for hit in found)


@hw.task
async def note(text: str) -> str:
    """A put inside of a call, which a replay skips as a whole."""
    await hw.sleep(1)
    return await memory.put(Case(text))


@hw.task
async def ask(question: str) -> str:
    await hw.sleep(1)
    return ANSWERS["ask"]


@hw.task
async def look(of: Memory, place: str) -> list[str]:
    return texts(await of.search("fact"))


@hw.task
async def program(pinned: bool = True) -> tuple[list[str], str, list[str]]:
    of = await memory.pin() if pinned else memory
    await note("my first fact")
    first = await look(of, "first")
    said = await ask("which model?")
    await note(f"fact of the {said} model")
    return first, said, await look(of, f"last, {said}")


def put(go: Any, text: str, run_id: str) -> None:
    @hw.task(name="put")
    async def other() -> str:
        return await memory.put(Case(text))

    go(other, run_id=run_id)


def fork_at(tmp_path: Path, task: str) -> str:
    store = tmp_path / "store"
    key = next(call.key for call in hw.view("run", store=store).calls if call.task.endswith(task))
    return hw.fork("run", at=key, new_id="fork", store=store)


def test_a_pinned_memory_shows_what_was_there_and_what_its_run_writes(go, clock):
    put(go, "an old fact", "before")

    @hw.task
    async def both() -> Any:
        of = await memory.pin()
        await hw.sleep(10)
        await note("my own fact")
        return texts(await of.search("fact")), texts(await memory.search("fact"))

    @hw.task
    async def outer() -> Any:
        handle = both()
        await hw.sleep(1)
        await note("a fact of a sibling")
        return await handle

    seen, now = go(outer)
    assert seen == now == ["a fact of a sibling", "an old fact", "my own fact"]
    put(go, "a later fact", "after")
    assert go(outer)[0] == seen


def test_a_fork_sees_the_memory_of_the_time_at_which_it_begins(go, tmp_path, monkeypatch):
    put(go, "an old fact", "before")
    first, _, last = go(program)
    assert first == ["an old fact", "my first fact"]
    assert last == ["an old fact", "fact of the small model", "my first fact"]
    put(go, "another's later fact", "between")
    fork = fork_at(tmp_path, ".ask")
    monkeypatch.setitem(ANSWERS, "ask", "large")
    forked_first, said, forked_last = go(program, run_id=fork)
    assert (forked_first, said) == (first, "large")
    assert forked_last == ["an old fact", "fact of the large model", "my first fact"]  # neither the source's future nor another's


def test_a_fork_of_a_run_that_pins_nothing_sees_what_is_there_when_it_searches_again(go, tmp_path, monkeypatch):
    first, _, _ = go(program, False)
    put(go, "another's later fact", "between")
    fork = fork_at(tmp_path, ".ask")
    monkeypatch.setitem(ANSWERS, "ask", "large")
    forked_first, _, forked_last = go(program, False, run_id=fork)
    assert forked_first == first  # that search was copied
    assert forked_last == ["another's later fact", "fact of the large model", "fact of the small model", "my first fact"]


def test_a_fork_that_writes_the_same_once_more_sees_it_once_it_has_been_told_so(go, tmp_path):
    """The fork begins at the first look. The notes after it are copied: they are the fork's own as soon as it comes to them."""
    _, _, last = go(program)
    fork = fork_at(tmp_path, ".look")
    assert go(program, run_id=fork) == (["my first fact"], "small", last)


def test_a_fork_of_a_fork_sees_the_past_of_both(go, tmp_path, monkeypatch):
    go(program)
    store = tmp_path / "store"
    monkeypatch.setitem(ANSWERS, "ask", "large")
    go(program, run_id=fork_at(tmp_path, ".ask"))
    calls = hw.view("fork", store=store).calls
    last = next(call.key for call in calls if call.task.endswith(".look") and "large" in call.label)
    second = hw.fork("fork", at=last, new_id="second", store=store)
    assert go(program, run_id=second)[2] == ["fact of the large model", "my first fact"]


def test_a_fork_of_a_run_that_was_deleted_still_sees_its_pin(go, tmp_path):
    put(go, "an old fact", "before")
    whole = go(program)
    fork = fork_at(tmp_path, ".ask")
    with hw.SqliteStore(tmp_path / "store") as store:
        store.delete_run("run", 0.0)
    assert go(program, run_id=fork) == whole


def test_what_anybody_forgets_is_gone_from_a_pinned_memory_too(go):
    put(go, "an old fact", "before")
    stop = [True]

    @hw.task
    async def forgetting() -> None:
        await memory.forget("#0")

    @hw.task
    async def pinned() -> Any:
        of = await memory.pin()
        before = texts(await of.search("fact"))
        if stop:
            raise RuntimeError("stop here")
        return before, texts(await of.search("fact")), texts(await of.cases())

    with pytest.raises(RuntimeError):
        go(pinned)
    go(forgetting, run_id="forgets")
    stop.clear()
    assert go(pinned) == (["an old fact"], [], [])  # the first search is recorded, and a new one finds nothing


def test_expecting_a_number_is_for_a_memory_that_is_not_pinned(go):
    @hw.task
    async def wrong() -> None:
        await (await memory.pin()).update("home", text="a", expects=0)

    with pytest.raises(hw.UsageError, match="not pinned"):
        go(wrong)


def test_a_search_reads_only_what_is_new(go, monkeypatch):
    read: list[int] = []
    whole = following.Entry

    def count(number: int, *rest: Any) -> following.Entry:
        read.append(number)
        return whole(number, *rest)

    monkeypatch.setattr(following, "Entry", count)

    @hw.task
    async def many() -> None:
        for number in range(20):
            await memory.put(Case(f"fact {number}"))
            await memory.search(f"fact {number}")

    go(many)
    assert read == list(range(20))


def test_a_run_with_many_pins_keeps_a_few_of_them_at_hand(go, monkeypatch):
    monkeypatch.setattr(following, "KNOWN_FOLLOWERS", 2)

    @hw.task
    async def many() -> list[int]:
        pins = []
        for number in range(5):
            pins.append(await memory.pin())
            put_by_another = Case(f"fact {number}")
            await memory.put(put_by_another)
        return [len(await pin.search("fact")) for pin in pins]

    assert go(many) == [5] * 5  # all are the run's own
