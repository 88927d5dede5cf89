"""`hw.start`: a run that starts a run, and has it as a call.

    parts = [hw.start(evaluate, shard, queue="eval") for shard in shards]
    return sum(await hw.gather(*parts))

One driver makes tens of thousands of calls a second; a program that needs more gives parts of itself to other drivers. A started
run is a run like any other: it has its own journal, waits in a queue and is driven by whoever takes it. To the run that started it,
it is a call: named by what it asks, recorded with its result, awaited, joined, cancelled.

The run's id is made from the call's key. So a starter that is killed and goes on finds the run that it has started, however far
that has come. Where the call is asked again because the run had failed, the same run goes on: what had succeeded in it stays.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import msgspec

from headway.engine.call import Frame, current
from headway.engine.handle import Handle
from headway.engine.scopes.accounting import check_bounds
from headway.engine.tasks.spec import TaskSpec
from headway.errors import StoreError, UsageError
from headway.journal.decisions import StartedEnded, decision_key
from headway.journal.records import ENDED, Amounts, RunInfo, RunStatus
from headway.journal.recovery.ledger import add
from headway.journal.recovery.recovered import load
from headway.journal.shared.queues import Job, check_job
from headway.journal.store import Store
from headway.pools.base import A_SLOT
from headway.scopes.budget import charge
from headway.service.asking import Asked, ask_for
from headway.service.results import end_of
from headway.task import Task

P = ParamSpec("P")
R = TypeVar("R")
WHAT = "hw.start"
CANCELLED_HERE = -1  # stands for the fence of a run that its starter had cancelled


def start(
    task: Callable[P, Awaitable[R]] | Task[P, R],
    /,
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    queue: str = "default",
    key: str = "",
    priority: int = 0,
    weight: float = 1.0,
    version: str = "",
    budget: Mapping[str, float] | None = None,
) -> Handle[R]:
    """Start a run of a task that any worker of the queue drives, as a call of this one.

    Args:
        task: the task, at the top level of a module that the workers load.
        *args: its arguments; handles among them are waited for first.
        kwargs: keyword arguments of the task.
        queue: which queue it waits in.
        key: of whom it is: keys of a queue take turns.
        priority: higher first.
        weight: how much of its key's turns it gets.
        version: only a worker started with this `--version` takes it.
        budget: what it may spend, by unit. So much is reserved in the budgets around the call until the run has ended, and then
            settled at what it spent. Needed where a budget is open: another driver can't draw from it call by call.

    Returns:
        The handle of the call. Awaited, it gives the run's result, or raises its error. A cancelled call has the run cancelled.

    Raises:
        UsageError: this is no run, or one without a store; the task can't be found again by a worker; an option makes no sense.
        NotEncodable: an argument can't be stored.

    Example:
        >>> @hw.task
        ... async def part(n: int) -> int:
        ...     return n
        >>> try:
        ...     hw.start(part, 1)
        ... except hw.UsageError:
        ...     print("outside of a run there is nothing to start it from")
        outside of a run there is nothing to start it from
    """
    frame = current.get()
    if frame is None:
        raise UsageError(f"{WHAT} was called outside of a run: use hw.enqueue, which gives the run's id")
    while isinstance(task, functools.partial):
        args, kwargs, task = (*task.args, *args), {**task.keywords, **(kwargs or {})}, task.func
    if not isinstance(task, Task):
        raise UsageError(
            f"{WHAT}: {task!r:.100} is not a task. Decorate the function with @hw.task, so that workers know it by name"
        )
    job = check_job(Job(queue=queue, key=key, priority=priority, weight=weight, version=version))
    bounds = check_bounds(dict(budget or {}), "budget")
    engine = frame.call.engine
    if engine.started is None:
        raise UsageError(f"{WHAT} needs a store that workers share: this run keeps nothing (store=None)")
    if task.spec.streams:
        raise UsageError(f"{WHAT}: {task.name} hands items out, which another run can't: collect them in a task, and start that")
    if frame.scope.account is not None and not bounds:
        raise UsageError(
            f"{WHAT}({task.name}) inside of a budget needs budget={{…}}: the run is driven elsewhere and can't draw from this one "
            "call by call"
        )
    spec = _as_call(task, job, bounds)
    return Handle(engine.on_loop(engine.spawn, spec, args, dict(kwargs or {}), frame))


def _as_call(task: Task[..., Any], job: Job, bounds: Amounts) -> TaskSpec:
    """The call that starts a run of the task: it asks the same, and its code starts the run and waits for it."""

    async def begin(*args: Any, **kwargs: Any) -> Any:
        frame = current.get()
        assert frame is not None
        return await _Started(task, job, bounds, frame).drive(args, kwargs)

    spec = task.spec
    name = f"start {spec.name}"
    return dataclasses.replace(
        spec,
        name=name,
        fn=begin,
        is_async=True,
        pool="inline",
        retry=None,
        timeout_s=None,
        batch=0,
        forever=False,
        effect=False,
        verify=None,
        cost=bounds,
        resources={},
        limit=None,
        need=A_SLOT,
        plain=not bounds,
        identity=f"start {spec.identity}",
        name_part=b"start " + spec.name_part,
        _version=[spec.version],
        _source=[spec.source],
    )


class _Started:
    """One run that was started by a call."""

    def __init__(self, task: Task[..., Any], job: Job, bounds: Amounts, frame: Frame) -> None:
        self._task, self._job, self._bounds, self._frame = task, job, bounds, frame
        self._call = frame.call
        self._engine = frame.call.engine
        self._store: Store = self._engine.store
        self._run_id = f"{self._engine.run_id}/{frame.call.key.hex()[:20]}"
        self._last, self._noted = 0, 0  # the newest note of an end without success, and how many there are
        while (told := self._engine.decisions.recall(self._call, self._name(self._noted), StartedEnded)) is not None:
            self._last, self._noted = told.fence, self._noted + 1

    async def drive(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Start it, wait for it, and return its result."""
        engine, aside = self._engine, self._ask
        asked = ask_for(self._task, args, kwargs, self._run_id, WHAT, engine.world)
        spec = msgspec.structs.replace(asked.spec, budget=self._bounds, started_by=engine.run_id)
        info = await aside(self._put, asked._replace(spec=spec))
        try:
            await self._go_on(info)
            await engine.started.wait(self._frame, self._run_id)
            info = await aside(self._store.run, self._run_id)
            if self._last == CANCELLED_HERE and info.status == RunStatus.CANCELLED:
                await self._go_on(info)
                await engine.started.wait(self._frame, self._run_id)
                info = await aside(self._store.run, self._run_id)
        except asyncio.CancelledError:
            if not engine.closing:  # a run that stops here goes on, and finds this one again
                await self._until_durable(self._note(CANCELLED_HERE))  # else who goes on here takes the cancel for another's
                await aside(self._store.request_cancel, self._run_id, engine.wall())
            raise
        if self._bounds:
            charge(**await aside(self._spent))
        if info.status != RunStatus.DONE:
            self._note(info.fence)
        return (await aside(self._end))()

    async def _ask(self, function: Callable[..., R], *args: Any) -> R:
        """Do it off the loop. A store that can't be used ends the work for this run, here; it is no failure of the call."""
        try:
            found: R = await self._engine.world.aside(function, *args)
            return found
        except StoreError as error:
            self._engine.run.fail(error)
            raise

    async def _go_on(self, info: RunInfo) -> None:
        """Have the run go on if it had ended without success before, and that was told: it is asked for again."""
        told = info.fence if info.status != RunStatus.CANCELLED or self._last != CANCELLED_HERE else CANCELLED_HERE
        if info.status in ENDED and info.status != RunStatus.DONE and self._last == told:
            self._note(info.fence)
            await self._ask(self._store.enqueue_again, self._run_id, self._job, info.fence, self._engine.wall())

    def _note(self, fence: int) -> int:
        """Record under which fence the run ended without success. Returns the seq of the newest row."""
        if fence != self._last:
            self._engine.decisions.record_decision(self._call, self._name(self._noted), StartedEnded(fence))
            self._last, self._noted = fence, self._noted + 1
        seq: int = self._engine.run.journal.last_seq
        return seq

    async def _until_durable(self, seq: int) -> None:
        durable = self._engine.run.loop.create_future()
        self._engine.run.journal.when_durable(seq, lambda: None if durable.done() else durable.set_result(None))
        await durable

    def _name(self, number: int) -> bytes:
        return decision_key(self._call.key, 0, "started-ended", str(number).encode())

    def _put(self, asked: Asked) -> RunInfo:
        for name, buffer in asked.blobs:
            self._store.put_blob(name, buffer)
        found = self._store.enqueue(asked.spec, self._job, self._engine.wall())
        asked.check(found, self._store.url)
        return found

    def _spent(self) -> Amounts:
        info = self._store.run(self._run_id)
        found: Amounts = dict.fromkeys(self._bounds, 0.0)
        for cost in load(self._store, info.uid).ledger.costs().values():
            found = add(found, cost)
        return found

    def _end(self) -> Callable[[], Any]:
        found = end_of(self._store, self._run_id)
        assert found is not None
        return found
