"""Code of a run where the run can't be reached: worker processes, forks, bare threads. Nothing vanishes there without a word."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import multiprocessing
import warnings
from typing import Any

import pytest

import headway as hw
from headway.engine.stopping import outside


@hw.task
def inner(x: int) -> int:
    return x + 1


@hw.task
async def inner_async(x: int) -> int:
    return x + 1


async def both() -> tuple[int, int]:
    return await hw.gather(inner_async(1), inner_async(2))


def open_bound(bound: Any) -> str:
    with bound:
        return "bound to nothing"


REFUSED = {
    "a task": lambda: inner(1),
    "an async task": lambda: inner_async(1),
    "a gather of tasks": lambda: asyncio.run(both()),
    "a task in a thread": lambda: in_a_thread(inner, 1),
    "a budget": lambda: open_bound(hw.budget(calls=1)),
    "a deadline": lambda: open_bound(hw.deadline(seconds=9)),
    "a limit": lambda: open_bound(hw.limit(1)),
    "a sleep": lambda: asyncio.run(hw.sleep(0)),
    "a wait for a signal": lambda: asyncio.run(hw.wait_event("go")),
    "another run": lambda: hw.run(inner, 1, store=None, progress=False),
}


def in_a_thread(function: Any, *args: Any) -> Any:
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        return threads.submit(function, *args).result()


@hw.task(pool="process", batch=2)
def refused(items: list[int]) -> list[dict[str, str]]:
    """A batch works for several calls at once, so none of them could own what it calls."""
    said = {}
    for what, do in REFUSED.items():
        try:
            said[what] = f"went through: {do()!r}"
        except hw.UsageError as error:
            said[what] = str(error)
    return [said for _ in items]


@hw.task(pool="process")
def draw() -> list[float]:
    return [hw.random().random(), hw.random().random()]


@hw.task(pool="process")
def plain() -> int:
    return inner.fn(1)


@hw.task
async def in_processes() -> tuple[dict[str, str], list[float], list[float], int]:
    return await hw.gather(refused(1), draw(), draw(), plain())


def test_what_a_batch_in_a_process_asks_of_the_run_is_refused_in_a_sentence(go):
    said, one, other, value = go(in_processes)
    for what, sentence in said.items():
        assert "refused" in sentence or "can't start inside a call" in sentence, f"{what}: {sentence}"
    assert said["a task"] == (
        "task test_out_of_reach.inner was called in the worker process of test_out_of_reach.refused, which can't reach the run: "
        "call its plain function (`.fn`), or call the task in the parent task"
    )
    assert len({*one, *other}) == 4, "each use and each call draws its own numbers"
    assert value == 2


def test_a_worker_process_draws_the_numbers_of_its_call_again(tmp_path):
    drawn = [hw.run(draw, store=tmp_path / "store", run_id="r", on_change={}, progress=False)]
    forked = hw.fork("r", at=_root_key(tmp_path), store=tmp_path / "store")
    drawn.append(hw.resume(forked, store=tmp_path / "store", progress=False))
    assert drawn[0] == drawn[1]


def _root_key(tmp_path: Any) -> str:
    store = hw.SqliteStore(tmp_path / "store")
    try:
        return store.run("r").spec.root.hex()
    finally:
        store.close()


def _forked(answers: Any) -> None:
    try:
        answers.put(inner(1))
    except hw.UsageError as error:
        answers.put(str(error))


@hw.task
async def forks() -> Any:
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_forked, args=(answers,))
    child.start()
    said = await asyncio.to_thread(answers.get)
    child.join()
    return said


def test_a_process_that_a_call_forked_is_refused(tmp_path):
    assert "in a process that test_out_of_reach.forks forked" in hw.run(forks, store=None, progress=False)


def test_a_process_forked_beside_all_runs_has_plain_functions():
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_forked, args=(answers,))
    child.start()
    assert answers.get() == 2
    child.join()


@hw.task
def starts_a_thread() -> int:
    return in_a_thread(inner, 1)  # type: ignore[no-any-return]


@hw.task
async def uses_an_executor() -> int:
    return await asyncio.get_running_loop().run_in_executor(None, inner, 1)  # type: ignore[arg-type]


@hw.task
def takes_its_context_along() -> int:
    return in_a_thread(contextvars.copy_context().run, lambda: hw.wait(inner(1)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("program", [starts_a_thread, uses_an_executor], ids=lambda task: task.fn.__name__)
def test_a_task_in_a_bare_thread_warns_once(program):
    outside._warned.clear()
    with pytest.warns(
        RuntimeWarning, match=r"inner was called in thread .* while run 'memory' goes on: it is not recorded"
    ) as seen:
        assert hw.run(program, store=None, progress=False) == 2
    assert any(file in seen[0].filename for file in (__file__, "concurrent", "threading"))  # or the executor, which called it
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert hw.run(program, store=None, progress=False) == 2


def test_a_thread_that_takes_its_context_along_makes_calls(tmp_path):
    outside._warned.clear()
    told = []
    assert hw.run(takes_its_context_along, store=None, progress=False, events=told.append) == 2
    assert any(getattr(event, "task", "").endswith(".inner") for event in told)


def test_a_task_in_a_thread_without_any_run_is_its_function():
    outside._warned.clear()
    assert in_a_thread(inner, 1) == 2


ASKED = {"hw.charge": lambda: hw.charge(tokens=5), "hw.remaining": lambda: hw.remaining("tokens"), "hw.time_left": hw.time_left}


@hw.task
def asks_in_a_bare_thread(what: str) -> None:
    in_a_thread(ASKED[what])


@pytest.mark.parametrize("what", ASKED)
def test_what_is_charged_or_asked_in_a_bare_thread_is_told_of(what):
    """It would be booked nowhere, and told that nothing is bounded."""
    outside._warned.clear()
    with pytest.warns(RuntimeWarning, match=rf"{what} was called in thread .* which belongs to no call") as seen:
        hw.run(asks_in_a_bare_thread, what, store=None, progress=False, budget={"tokens": 9})
    assert "concurrent" in seen[0].filename or seen[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        in_a_thread(ASKED[what])  # beside all runs


@hw.task
def charges_in_a_thread_of_its_own() -> None:
    in_a_thread(contextvars.copy_context().run, lambda: hw.charge(tokens=5))


def test_what_is_charged_in_a_thread_that_takes_its_context_along_is_booked(tmp_path):
    @hw.task
    async def program() -> float:
        with hw.budget(tokens=9) as spent:
            await charges_in_a_thread_of_its_own()
        return spent.spent["tokens"]

    assert hw.run(program, store=None, progress=False) == 5
