"""Checks that a pool keeps the promises of `headway.pools.Pool` and of its own traits.

    def test_my_pool_is_a_pool():
        hw.testing.check_pool(lambda: MyPool(size=2))

The pool is used as a run uses it, for one run after another: with code that returns, raises, waits, is cancelled or dies. The code
really runs and reports its progress in files of a temporary folder, and every wait has a limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from headway.errors import PoolFailed, WorkerDied
from headway.journal.records import Amounts
from headway.pools.base import A_SLOT, Answer, CallFacts, Demand, FullPool, Job, Pool
from headway.pools.program import function_ref
from headway.pools.registry import make_pool
from headway.testing.pool_jobs import append, ask, caller, die, double, fail, hold, kind_of, tag

NAME = "checked"


def check_pool(
    pool: Callable[[], Pool],
    *,
    within_s: float = 60.0,
    folder: str | Path | None = None,
    only: Collection[str] | None = None,
) -> list[str]:
    """Use a pool in all the ways that a run does, and see that it does what it says.

    Args:
        pool: Makes the pool. It should have two slots or more, so that jobs beside each other are looked at.
        within_s: How long any single answer may take, in seconds.
        only: Names of promises to look at, where a pool is too slow for all of them in each test.
        folder: Where the code says how far it is; a place that the pool's code can write to. Default: a temporary folder.

    Returns:
        The names of the promises that were looked at; which ones there are hangs on the pool's traits.

    Raises:
        AssertionError: with every promise that was not kept, and how.

    Example:
        >>> from headway.pools.thread import ThreadPool
        >>> "answers with the value" in check_pool(lambda: ThreadPool(2))
        True
    """
    broken, looked = [], []
    with tempfile.TemporaryDirectory(prefix="headway-pool-", dir=folder) as place:
        for number, (promise, look) in enumerate(_PROMISES.items()):
            if only is not None and promise not in only:
                continue
            bench = _Bench(pool, Path(place, str(number)), within_s)
            bench.place.mkdir()
            try:
                if asyncio.run(bench.run(look)):
                    looked.append(promise)
            except _Broken as error:
                broken.append(f"{promise}: {error}")
            except Exception as error:
                broken.append(f"{promise}: {type(error).__name__}: {error}")
    if broken:
        raise AssertionError("the pool does not keep its promises:\n" + "\n".join(f"- {each}" for each in broken))
    return looked


class _Broken(Exception):
    """A promise that was not kept."""


class _Skip(Exception):
    """A promise that this pool does not give."""


class _Bench:
    """A pool as a run has it, and the jobs that it was given."""

    def __init__(self, make: Callable[[], Pool], place: Path, within_s: float) -> None:
        self.place, self._make, self._within_s = place, make, within_s
        self.pool: FullPool
        self.freed = 0
        self._faults: list[PoolFailed] = []
        self._made = 0

    async def run(self, look: Callable[[_Bench], Awaitable[None]]) -> bool:
        """Look at one promise; False where the pool does not give it."""
        self.pool = make_pool(NAME, self._make)
        try:
            await look(self)
        except _Skip:
            return False
        finally:
            for held in self.place.glob("*.hold"):
                held.unlink()
            await asyncio.wait_for(self.pool.close(), self._within_s)
        if self._faults:
            raise _Broken(str(self._faults[0]))
        return True

    def start(self) -> None:
        if hasattr(self.pool, "on_fault"):
            self.pool.on_fault = self._faults.append
        self.pool.start(self._on_free, lambda event: None)

    def _on_free(self) -> None:
        self.freed += 1

    def job(self, fn: Callable[..., Any], *args: Any, need: Demand = A_SLOT) -> _Given:
        """A job that is not submitted yet."""
        self._made += 1
        given = _Given()
        facts = CallFacts(f"{self._made:032x}", f"check_pool.{fn.__name__}", 1, "once", "check_pool", allowance={"tokens": 10.0})
        imports = self.pool.traits.imports
        given.job = Job(
            fn=fn,
            args=args,
            kwargs={},
            facts=facts,
            on_done=given.done,
            on_charge=given.charged,
            ref=function_ref(fn) if imports else None,
            context=contextvars.copy_context(),
            need=need,
            on_left=None,
        )
        return given

    def submit(self, fn: Callable[..., Any], *args: Any) -> _Given:
        given = self.job(fn, *args)
        self.pool.submit(given.job)
        return given

    async def answer(self, given: _Given) -> Answer:
        await self.until(lambda: given.answers, f"{given.job.facts.task} was not answered")
        return given.answers[0]

    async def until(self, condition: Callable[[], object], otherwise: str) -> None:
        """Wait until the condition holds, and no longer than the check allows."""
        ends = time.monotonic() + self._within_s
        while not condition():
            if time.monotonic() > ends:
                raise _Broken(f"{otherwise} within {self._within_s:g} s")
            await asyncio.sleep(0.005)

    def mark(self, name: str) -> str:
        """A file by which code says where it is; code that holds goes on when `name.hold` is gone."""
        path = self.place / name
        path.with_suffix(".hold").touch()
        return str(path)

    async def begun(self, mark: str) -> None:
        await self.until(Path(mark).exists, f"the code of {Path(mark).name} did not begin")


class _Given:
    """A job that the pool was given, and what came of it."""

    job: Job

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.charges: list[tuple[Amounts, int | None]] = []

    def done(self, answer: Answer) -> None:
        if self.answers:
            raise _Broken("a job was answered twice")
        self.answers.append(answer)

    def charged(self, amounts: Amounts, item: int | None) -> None:
        self.charges.append((amounts, item))


# --- the promises ----------------------------------------------------------------------------------------------------------------


def _see(condition: object, otherwise: str) -> None:
    if not condition:
        raise _Broken(otherwise)


async def _has_room(bench: _Bench) -> None:
    _see(bench.pool.free(A_SLOT) >= 1, f"free() is {bench.pool.free(A_SLOT)} before anything runs")
    bench.start()
    _see(bench.pool.free(A_SLOT) >= 1, f"free() is {bench.pool.free(A_SLOT)} after the start, when nothing runs")


async def _answers(bench: _Bench) -> None:
    room = bench.pool.free(A_SLOT)
    bench.start()
    for x in range(3):
        answer = await bench.answer(bench.submit(double, x))
        _see(answer == Answer(value=2 * x, encoded=answer.encoded), f"double({x}) was answered with {answer!r:.200}")
    await bench.until(lambda: bench.pool.free(A_SLOT) == room, f"free() did not come back to {room} after the last answer")


async def _raises(bench: _Bench) -> None:
    bench.start()
    answer = await bench.answer(bench.submit(fail, "on purpose"))
    _see(
        isinstance(answer.error, ValueError) and "on purpose" in str(answer.error),
        f"a ValueError was answered with {answer!r:.200}",
    )
    _see((await bench.answer(bench.submit(double, 4))).value == 8, "the next job was not answered with its value")


async def _side_by_side(bench: _Bench) -> None:
    bench.start()
    room = min(3, bench.pool.free(A_SLOT))
    marks = [bench.mark(f"side-{place}") for place in range(room)]
    jobs: list[_Given] = []
    for mark in marks:
        _see(bench.pool.free(A_SLOT) > 0, f"free() came to 0 after {len(jobs)} of {room} jobs")
        jobs.append(bench.submit(hold, mark))
    for mark in marks:
        await bench.begun(mark)
    _see(not any(job.answers for job in jobs), "a job was answered while its code ran")
    for mark in marks:
        Path(mark).with_suffix(".hold").unlink()
    for job, mark in zip(jobs, marks, strict=True):
        _see((await bench.answer(job)).value == Path(mark).name, "a job got another one's answer")


async def _cancels(bench: _Bench) -> None:
    bench.start()
    room, mark, how = bench.pool.free(A_SLOT), bench.mark("cancelled"), bench.pool.traits.cancel
    given = bench.submit(hold, mark)
    await bench.begun(mark)
    left: list[bool] = []
    stops = bench.pool.cancel(given.job)
    given.job.on_left = lambda: left.append(True)
    _see(stops == (how != "abandoned"), f"cancel() returned {stops}, and the traits say that code is {how}")
    if how == "cooperative":
        Path(mark).with_suffix(".hold").unlink()
    answer = await bench.answer(given)
    _see(answer.cancelled, f"a cancelled job was answered with {answer!r:.200}")
    if how == "abandoned":
        _see(bench.pool.free(A_SLOT) < room, "the slot of code that goes on was given back")
        Path(mark).with_suffix(".hold").unlink()
        await bench.until(lambda: left, "the end of abandoned code was not told")
    await bench.until(lambda: bench.pool.free(A_SLOT) == room, "the slot of a cancelled job was not given back")
    if how == "killed":
        Path(mark).with_suffix(".hold").unlink()
        await _did_not_go_on(mark)
    bench.pool.cancel(given.job)
    _see((await bench.answer(bench.submit(double, 4))).value == 8, "after a cancel, the next job was not answered with its value")


async def _did_not_go_on(mark: str) -> None:
    for _ in range(20):
        await asyncio.sleep(0.01)
        _see(not Path(mark).with_suffix(".over").exists(), "the code went on although it was killed")


async def _cancels_early(bench: _Bench) -> None:
    bench.start()
    given = bench.submit(double, 1)
    bench.pool.cancel(given.job)
    _see((await bench.answer(given)).cancelled, "a job that was cancelled at once was answered with something else")
    room = bench.pool.free
    await bench.until(lambda: room(A_SLOT) >= 1, "the slot of a job that was cancelled at once was not given back")


async def _copies(bench: _Bench) -> None:
    bench.start()
    items = [1, 2]
    await bench.answer(bench.submit(append, items))
    copies = bench.pool.traits.copies
    said = "copies" if copies else "the program's own objects"
    _see((items == [1, 2]) == copies, f"the code has not {said}, as the traits say")


async def _refuses_what_cannot_travel(bench: _Bench) -> None:
    if not bench.pool.traits.copies:
        raise _Skip
    bench.start()
    room, given = bench.pool.free(A_SLOT), bench.job(kind_of, threading.Lock())
    try:
        bench.pool.submit(given.job)
    except Exception:  # refused at once
        pass
    else:
        _see((await bench.answer(given)).error is not None, "code got a lock, which can't be copied")
    await bench.until(lambda: bench.pool.free(A_SLOT) == room, "the slot of a job that was refused was not given back")
    _see((await bench.answer(bench.submit(double, 4))).value == 8, "after a refusal, the next job was not answered with its value")


async def _is_told(bench: _Bench) -> None:
    if not bench.pool.traits.copies:
        raise _Skip
    bench.start()
    given = bench.submit(ask)
    answer = await bench.answer(given)
    _see(answer.value == ["check_pool.ask", 1, {"tokens": 7.0}], f"the code was told {answer!r:.200} of its call")
    spent = sum(amounts.get("tokens", 0.0) for amounts, _ in given.charges)
    _see(spent == 3.0, f"the code charged 3 tokens, and {spent:g} were booked before the answer")


async def _carries(bench: _Bench) -> None:
    traits = bench.pool.traits
    if not (traits.copies or traits.asks):
        raise _Skip
    bench.start()
    with _tag_caller("somebody"):
        given = bench.submit(tag)
    _see((await bench.answer(given)).value == "somebody", "the caller's context variables were not there")
    _see((await bench.answer(bench.submit(tag))).value == "nobody", "the variables of an earlier job were still there")


@contextlib.contextmanager
def _tag_caller(value: str) -> Iterator[None]:
    token = caller.set(value)
    try:
        yield
    finally:
        caller.reset(token)


async def _survives_death(bench: _Bench) -> None:
    if not bench.pool.traits.copies:
        raise _Skip
    bench.start()
    answer = await bench.answer(bench.submit(die, os.getpid()))
    if answer.value == "in the driver":
        raise _Skip
    _see(isinstance(answer.error, WorkerDied), f"code whose process died was answered with {answer!r:.150}, not WorkerDied")
    _see((await bench.answer(bench.submit(double, 4))).value == 8, "after a death, the next job was not answered with its value")


async def _closes(bench: _Bench) -> None:
    bench.start()
    mark = bench.mark("closed")
    given = bench.submit(hold, mark)
    await bench.begun(mark)
    if bench.pool.traits.cancel == "cooperative":
        Path(mark).with_suffix(".hold").unlink()
    await asyncio.wait_for(bench.pool.close(), bench._within_s)
    _see(given.answers, "a job that ran when the pool was closed was not answered")
    _see(given.answers[0].cancelled or bench.pool.traits.cancel == "cooperative", "it was not answered as cancelled")
    if bench.pool.traits.cancel == "killed":
        Path(mark).with_suffix(".hold").unlink()
        await _did_not_go_on(mark)


async def _starts_again(bench: _Bench) -> None:
    bench.start()
    _see((await bench.answer(bench.submit(double, 1))).value == 2, "a job was not answered with its value")
    await asyncio.wait_for(bench.pool.close(), bench._within_s)
    bench.start()
    _see((await bench.answer(bench.submit(double, 2))).value == 4, "started again, a job was not answered with its value")


async def _closes_unused(bench: _Bench) -> None:
    """Closing what was never started is done by the bench."""


_PROMISES: dict[str, Callable[[_Bench], Awaitable[None]]] = {
    "has room": _has_room,
    "answers with the value": _answers,
    "answers with the error": _raises,
    "runs as many as it says": _side_by_side,
    "cancels as its traits say": _cancels,
    "cancels what has not begun": _cancels_early,
    "copies as its traits say": _copies,
    "refuses what can't travel": _refuses_what_cannot_travel,
    "tells code of its call": _is_told,
    "has the caller's context variables": _carries,
    "survives a worker's death": _survives_death,
    "closes": _closes,
    "starts again": _starts_again,
    "closes unused": _closes_unused,
}
