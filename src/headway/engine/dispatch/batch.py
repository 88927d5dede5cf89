"""Micro-batching: concurrent single calls of one task, handed to its function as one list.

A batch closes when it is full or when `linger_s` have passed since its first call; where `batches` of the task run already, it
goes on gathering until one of them has ended. Each call stays a call: its own key, budget, timeout, retry and record. A call that
is cancelled leaves the batch; when all have left, the batch itself is stopped. An element of the result that is an exception fails
only its own call.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from headway import events
from headway.engine.call import Batch, Call, Frame, current
from headway.engine.dispatch.launch import own_context
from headway.engine.dispatch.ready import Ready
from headway.engine.ports import Charges, Ends, Jobs
from headway.engine.run_context import RunContext
from headway.engine.stopping.stops import Stops
from headway.engine.tasks.spec import TaskSpec
from headway.engine.transitions import RUNNING, STARTING
from headway.errors import UsageError
from headway.pools.base import Answer, Job


def _one_each(batch: Batch, values: Any) -> tuple[list[Any], BaseException | None]:
    """What a batch function returned, as a list with a result for each item."""
    try:
        kept = list(values) if issubclass(type(values), (list, tuple)) else None
    except BaseException as error:  # a list of the program's own
        return [], error
    if kept is not None and len(kept) == len(batch.calls):
        return kept, None
    got = f"{len(kept)} results" if kept is not None else f"a {type(values).__name__}"
    return [], UsageError(
        f"batch task {batch.spec.name} got {len(batch.calls)} items and returned {got}: "
        "return a list with one result (or exception) per item, in order"
    )


class Batches:
    def __init__(self, run: RunContext, ends: Ends, ready: Ready, accounting: Charges, stops: Stops, jobs: Jobs) -> None:
        self._run = run
        self._ends = ends
        self._ready = ready
        self._accounting = accounting
        self._stops = stops
        self._jobs = jobs
        # by function: calls of a task with other options (`Task.options`) go together
        self._open: dict[Callable[..., Any], list[Call]] = {}
        self._timers: dict[Callable[..., Any], asyncio.TimerHandle] = {}
        self._running: Counter[Callable[..., Any]] = Counter()
        self._closed: deque[Batch] = deque()  # full batches that wait for a pool's slot

    def add(self, call: Call) -> None:
        """Put a call that may start into the open batch of its task."""
        spec = call.spec
        calls = self._open.setdefault(spec.fn, [])
        calls.append(call)
        if len(calls) >= spec.batch:
            self._close(spec)
        elif len(calls) == 1:
            self._timers[spec.fn] = self._run.loop.call_later(spec.linger_s, self._close, spec)

    def _close(self, spec: TaskSpec) -> None:
        if (timer := self._timers.pop(spec.fn, None)) is not None:
            timer.cancel()
        if spec.batches and self._running[spec.fn] >= spec.batches:
            return  # `_over` comes back to it
        calls = [call for call in self._open.pop(spec.fn, ()) if call.state == STARTING]
        if len(calls) > spec.batch:
            self._open[spec.fn] = calls[spec.batch :]
        if calls:
            self._running[spec.fn] += 1
            self._closed.append(Batch(spec, calls[: spec.batch]))
            self.serve()

    def _over(self, batch: Batch) -> None:
        """End a batch, and close the one that gathered meanwhile unless its timer still runs."""
        if batch.over:
            return
        batch.over = True
        if batch.task is not None:
            self._ready.free_slot()
        spec = batch.spec
        self._running[spec.fn] -= 1
        if self._open.get(spec.fn) and spec.fn not in self._timers:
            self._close(spec)

    def serve(self) -> None:
        """Start closed batches that have room."""
        for _ in range(len(self._closed)):
            batch = self._closed.popleft()
            if batch.spec.pool != "inline" and self._ready.places(batch.spec) <= 0:
                self._closed.append(batch)
                continue
            batch.calls = [call for call in batch.calls if call.state == STARTING]
            batch.left = len(batch.calls)
            if batch.calls:
                self._start(batch)
            else:
                self._over(batch)

    def _start(self, batch: Batch) -> None:
        for call in batch.calls:
            self._ends.body_begun(call)
            x = call.extra()
            x.batch, x.started_attempt = batch, self._run.loop.time()
            if x.held:
                self._ready.begins(call)
        try:
            self._hand_over(batch, [self._jobs.arguments(call)[0][0] for call in batch.calls])
        except Exception as error:  # an argument whose blob is damaged, a pool that can't take it
            self._end(batch, None, error)

    def _hand_over(self, batch: Batch, items: list[Any]) -> None:
        run, spec, first = self._run, batch.spec, batch.calls[0]
        if run.emit:
            run.emit(events.BatchStarted(at=run.wall(), task=spec.name, size=len(items)))
        if spec.pool == "inline":
            self._ready.active += 1
            batch.task = run.loop.create_task(self._work(batch, items), context=first.context)
            batch.task.add_done_callback(lambda _: self._over(batch))  # it may be cancelled before its code begins
            return
        batch.job = Job(
            fn=spec.fn,
            args=(items,),
            kwargs={},
            facts=self._jobs.facts(first),
            on_done=lambda answer: self._take_answer(batch, answer),
            on_charge=lambda amounts, item: self.charge(batch, amounts, item),
            ref=spec.ref,
            context=own_context(first),
            pickled=spec.pickled,
            need=spec.need,
            items=len(items),
        )
        run.pools[spec.pool].submit(batch.job)
        self._ready.in_pools += 1

    async def _work(self, batch: Batch, items: list[Any]) -> None:
        first = batch.calls[0]
        current.set(Frame(first, first.scope, first.attempt, batch))
        try:
            values = batch.spec.fn(items)
            if batch.spec.is_async:
                values = await values
        except BaseException as error:
            self._end(batch, None, error)
        else:
            self._end(batch, values, None)

    def _take_answer(self, batch: Batch, answer: Answer) -> None:
        self._ready.in_pools -= 1
        self._end(batch, answer.value, asyncio.CancelledError() if answer.cancelled else answer.error)

    def _end(self, batch: Batch, values: Any, error: BaseException | None) -> None:
        if error is None:
            values, error = _one_each(batch, values)
        self._over(batch)
        for place, call in enumerate(batch.calls):
            if call.state != RUNNING or not batch.wants(place):
                continue
            call.extra().batch = None
            value = None if error is not None else values[place]
            failed = issubclass(type(value), BaseException)
            try:
                self._ends.body_ended(call, None if failed else value, value if failed else error)
            except Exception as fault:  # a fault here would be lost otherwise
                self._run.broken(fault)

    def drop(self, call: Call) -> None:
        """Take a call that must stop out of its running batch; the last to leave stops the batch."""
        batch: Batch = call.extra().batch
        call.extra().batch = None
        batch.left -= 1
        if not batch.left:
            if batch.job is not None:
                self._run.pools[batch.spec.pool].cancel(batch.job)
            elif batch.task is not None:
                self._stops.leave_behind(batch.task, f"a batch of {batch.spec.name}")
        self._ends.body_ended(call, None, asyncio.CancelledError())

    def charge(self, batch: Batch, amounts: dict[str, float], item: int | None) -> None:
        """A charge for one item goes to the item's call; a charge for the batch is shared equally. A call that left has been
        settled at what it had reserved."""
        items = range(len(batch.calls)) if item is None else (item,)
        calls = [batch.calls[place] for place in items if batch.wants(place)]
        for call in calls:
            share = {unit: amount / len(calls) for unit, amount in amounts.items()}
            self._accounting.charge(Frame(call, call.scope), share)
