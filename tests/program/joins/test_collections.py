"""Durable collections: appended once per call, read as they were, whatever happens to the runs that share them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from notes import RAN, SWITCH
from steps import wait_until_set

import headway as hw
from headway.engine.collecting import lasting_name
from headway.engine.handle import current


@dataclass(frozen=True)
class Candidate:
    text: str
    score: float


archive = hw.collection("archive", Candidate)
words = hw.collection("words", str)


@hw.task
async def add(word: str) -> int:
    return await words.append(word)


@hw.task
async def read_words() -> list[str]:
    return list(await words.snapshot())


def test_items_come_back_in_order_with_their_types_in_another_run_and_outside(go, tmp_path):
    @hw.task
    async def program() -> list[int]:
        return [await archive.append(Candidate(text, len(text))) for text in ("a", "bb")]

    @hw.task
    async def later() -> list[Candidate]:
        snapshot = await archive.snapshot()
        assert (snapshot.version, len(snapshot), snapshot.name) == (2, 2, "archive")
        assert snapshot[-1] == Candidate("bb", 2)
        assert snapshot[:1] == [Candidate("a", 1)]
        return list(snapshot)

    assert go(program, run_id="first") == [0, 1]
    assert go(later, run_id="second") == [Candidate("a", 1), Candidate("bb", 2)]
    assert list(hw.collection("archive", Candidate, store=tmp_path / "store").read()) == [Candidate("a", 1), Candidate("bb", 2)]


@pytest.mark.on_postgres
def test_a_resumed_run_sees_the_very_same_items_although_others_appended_since(go):
    @hw.task
    async def program() -> tuple[list[str], int]:
        await words.append("mine")
        before = await words.snapshot()
        if not SWITCH:
            raise RuntimeError("stop here")
        return list(before), (await words.snapshot()).version

    with pytest.raises(RuntimeError):
        go(program)
    go(add, "another's", run_id="other")
    SWITCH["on"] = True
    assert go(program) == (["mine"], 2)


def test_a_resumed_run_does_not_append_what_is_recorded_and_a_done_one_nothing(go, tmp_path):
    @hw.task
    async def program() -> int:
        for word in ("one", "two", "one"):
            await words.append(word)
        if not SWITCH:
            raise RuntimeError("stop here")
        return await words.append("three")

    with pytest.raises(RuntimeError):
        go(program)
    SWITCH["on"] = True
    assert go(program) == go(program) == 3
    assert list(hw.collection("words", store=tmp_path / "store").read()) == ["one", "two", "one", "three"]


def test_a_call_that_is_tried_again_finds_the_item_of_its_first_attempt(go, tmp_path):
    @hw.task(retry=hw.Retry(attempts=3, delay_s=0))
    async def inner() -> int:
        first = await words.append("same")
        await words.append("same")
        await words.append(f"attempt {hw.call().attempt}")
        if hw.call().attempt < 3:
            raise ValueError("not good enough by itself: its children are asked afresh")
        return first

    @hw.task(retry=hw.Retry(attempts=2, delay_s=0))
    async def program() -> int:
        number = await inner()
        if hw.call().attempt < 2:
            raise ValueError("and neither is this")
        return number

    assert go(program) == 0
    found = list(hw.collection("words", store=tmp_path / "store").read())
    assert found == ["same", "same", "attempt 1", "attempt 2", "attempt 3"]


def test_a_fork_keeps_the_appends_that_it_copied_and_makes_the_others_itself(go, tmp_path):
    @hw.task
    async def program() -> int:
        await add("kept")
        return await add("again")

    go(program, run_id="source")
    store = tmp_path / "store"
    calls = {call.label: call.key for call in hw.view("source", store=store).calls if call.task.endswith(".add")}
    fork = hw.fork("source", at=next(key for label, key in calls.items() if "again" in label), store=store)
    go(program, run_id=fork)
    assert list(hw.collection("words", store=store).read()) == ["kept", "again", "again"]


@pytest.mark.on_postgres
def test_an_item_may_be_the_result_of_a_call_that_still_runs(go):
    @hw.task
    async def make() -> Candidate:
        await hw.sleep(5)
        return Candidate("made", 1.0)

    @hw.task
    async def program() -> Candidate:
        await archive.append(make())
        return (await archive.snapshot())[0]

    assert go(program) == Candidate("made", 1.0)


def test_large_items_are_kept_as_blobs_and_come_back_equal(go, tmp_path):
    arrays = hw.collection("arrays", store=None)

    @hw.task
    async def program() -> list[float]:
        await hw.gather(*(arrays.append(np.full(50_000, value)) for value in (1.0, 2.0)), arrays.append("x" * 100_000))
        found = await arrays.snapshot()
        return sorted(float(each[0]) if isinstance(each, np.ndarray) else float(len(each)) for each in found)

    assert go(program) == [1.0, 2.0, 100_000.0]
    read = hw.collection("arrays", store=tmp_path / "store").read()
    assert {type(each) for each in read} == {np.ndarray, str}
    assert any((tmp_path / "store" / "blobs").glob("??/*"))


@pytest.mark.on_postgres
def test_many_appends_at_once_each_get_a_number_of_their_own(go):
    @hw.task
    async def program() -> list[int]:
        return await hw.gather(*(words.append(f"word {n}") for n in range(300)))

    assert sorted(go(program)) == list(range(300))
    assert sorted(go(read_words, run_id="reader")) == sorted(f"word {n}" for n in range(300))


def test_runs_that_append_side_by_side_share_one_order(tmp_path):
    async def both() -> list[list[int]]:
        @hw.task
        async def program(who: str) -> list[int]:
            return [await words.append(f"{who} {n}") for n in range(20)]

        store = hw.SqliteStore(tmp_path / "store")
        with store:
            return await asyncio.gather(*(hw.arun(program, who, store=store, run_id=who) for who in "ab"))

    numbers = asyncio.run(both())
    assert sorted(numbers[0] + numbers[1]) == list(range(40))
    read = list(hw.collection("words", store=tmp_path / "store").read())
    assert [read[number] for number in numbers[0]] == [f"a {n}" for n in range(20)]


class Interrupted(hw.MemoryStore):
    """A store whose first write waits until others wait behind it. The next, for all of these, is stopped and writes nothing."""

    def __init__(self, stop: Callable[[], None]) -> None:
        super().__init__()
        self.stop = stop
        self.go_on = threading.Event()
        self.writes: list[int] = []  # how many items each write was for

    def append_items(self, name: str, items: Any) -> list[int]:
        self.writes.append(len(items))
        if len(self.writes) == 1:
            wait_until_set(self.go_on)
        if len(self.writes) == 2:
            self.stop()
            raise OSError("this write did not happen")
        return super().append_items(name, items)


@pytest.mark.parametrize("stopped", [1, 2], ids=["the one that writes", "one it writes for"])
def test_an_append_that_is_stopped_while_it_writes_for_others_leaves_them_be(stopped):
    handles: list[hw.Handle[int]] = []
    store = Interrupted(lambda: handles[stopped].cancel("not wanted"))

    @hw.task
    async def program() -> list[Any]:
        handles.extend(words.append(f"word {n}") for n in range(4))
        for _ in range(100):
            await asyncio.sleep(0)  # the others come to wait behind the first: that takes turns of the loop and no time
        store.go_on.set()
        settled = await hw.settle(*handles)
        assert settled[stopped].cancelled
        return [each.value if each.ok else type(each.error).__name__ for each in settled]

    ends = hw.run(program, store=store)
    assert store.writes[:2] == [1, 3]
    if stopped == 1:
        assert ends == [0, "CallCancelled", 1, 2]
    else:
        assert ends == [0, "OSError", "CallCancelled", 1]
    written = list(hw.collection("words", store=store).read())
    assert written == [f"word {n}" for n, end in enumerate(ends) if isinstance(end, int)], "what was stopped is not written"


@pytest.mark.on_postgres
def test_a_snapshot_as_an_argument_is_named_by_its_version(go):
    @hw.task
    async def count(seen: Any) -> int:
        RAN.append(len(seen))
        return len(seen)

    @hw.task
    async def program() -> list[int]:
        await words.append("one")
        first = await words.snapshot()
        again = await words.snapshot()
        await words.append("two")
        return [await count(first), await count(again), await count(await words.snapshot())]

    assert go(program) == [1, 1, 2]
    assert go(program) == [1, 1, 2]
    assert RAN == [1, 1, 2]


@hw.task(pool="process")
def measure(seen: Any) -> tuple[int, list[str]]:
    return seen.version, list(seen)


def test_a_snapshot_travels_to_another_process(go):
    @hw.task
    async def program() -> tuple[int, list[str]]:
        await words.append("one")
        return await measure(await words.snapshot())

    assert go(program) == (1, ["one"])


def test_a_memory_store_shares_collections_between_its_runs():
    store = hw.MemoryStore()
    hw.run(add, "one", store=store)
    hw.run(add, "two", store=store)
    assert hw.run(read_words, store=store) == ["one", "two"]
    assert list(hw.collection("words", store=store).read()) == ["one", "two"]


def test_a_collection_that_nobody_has_appended_to_is_empty(go):
    assert go(read_words) == []


@pytest.mark.parametrize(
    ("use", "error", "says"),
    [
        (lambda: hw.collection(""), hw.UsageError, "a name of printable"),
        (lambda: hw.collection(3), hw.UsageError, "a name of printable"),  # type: ignore[call-overload]
        (lambda: words.append("x"), hw.NotInRun, "belongs to a run"),
        (lambda: asyncio.run(words.snapshot()), hw.NotInRun, "belongs to a run"),
        (lambda: hw.collection("words", store="nowhere").read(), hw.StoreError, "nowhere"),
    ],
)
def test_what_makes_no_sense_is_refused(use: Callable[[], Any], error: type[Exception], says: str, monkeypatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=says):
        use()


def test_what_makes_no_sense_in_a_run_is_refused_before_anything_is_appended(go, tmp_path):
    @hw.task
    async def read() -> None:
        words.read()

    @hw.task
    async def elsewhere() -> None:
        await hw.collection("words", store="other").append("x")

    for program, says in ((read, "snapshot"), (elsewhere, "leave out store=")):
        with pytest.raises(hw.UsageError, match=says):
            go(program, run_id=program.name)
    with pytest.raises(hw.UsageError, match="store=None"):
        hw.run(add, "x", store=None)
    assert hw.collection("words", store=tmp_path / "store").read().version == 0


def test_an_item_that_has_no_encoding_fails_its_call_and_appends_nothing(go, tmp_path):
    @hw.task
    async def program() -> None:
        await words.append(open)  # type: ignore[arg-type]

    with pytest.raises((hw.NotEncodable, hw.NoCanonicalForm)):
        go(program)
    assert not hw.SqliteStore(tmp_path / "store").collections()


def test_the_lasting_name_of_a_call_is_its_key_until_a_call_above_is_tried_again(go):
    @hw.task
    async def leaf(x: int) -> tuple[bytes, bytes]:
        call = current.get().call  # type: ignore[union-attr]
        return lasting_name(call), call.key

    @hw.task(retry=hw.Retry(attempts=2, delay_s=0))
    async def program() -> list[tuple[bytes, bytes]]:
        RAN.append([await leaf(1), await leaf(1), *await hw.gather(leaf(1), leaf(2))])
        if len(RAN) < 2:
            raise ValueError("by itself")
        return RAN[-1]

    go(program)
    first, second = RAN
    assert [name for name, _ in first] == [key for _, key in first]
    assert [name for name, _ in second] == [name for name, _ in first]
    assert not {key for _, key in second} & {key for _, key in first}
