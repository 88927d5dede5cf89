"""What the driver does for each question of a worker's code: what the same code would do on the driver's loop.

Each function runs in the context of the place where the code stands, and returns an answer, or a coroutine that gives one.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from headway import context as asked
from headway.engine.call import Frame, current
from headway.engine.handle import Handle
from headway.engine.tasks.declaration import change_spec
from headway.engine.tasks.spec import RIVALS, TASKS, TaskSpec
from headway.errors import UsageError
from headway.joins.completed import Completions, as_completed, stop_calls
from headway.joins.gather import gather, gather_affordable, settle
from headway.joins.race import race
from headway.journal.store import Buffer
from headway.pools.base import FunctionRef
from headway.pools.carrying import put_into
from headway.pools.program import find
from headway.relay import values, wire
from headway.relay.host import Host
from headway.scopes.budget import Budget, remaining
from headway.scopes.deadline import DeadlineScope, time_left
from headway.scopes.limit import LimitScope
from headway.task import Task

_NOBODY: Any = object()


def answer(host: Host, question: wire.Question, buffers: Sequence[Buffer]) -> Any:
    """Answer a question, in the context of its place."""
    return _ANSWERS[type(question)](host, question, buffers)


# --- calls ---------------------------------------------------------------------------------------------------------------------


def _call_task(host: Host, question: wire.CallTask, buffers: Sequence[Buffer]) -> Handle[Any]:
    spec = _find_spec(host, question)
    changes = values.decode_changes(question.changes, lambda ref: _find_for_retry(host, ref))
    if changes:
        options = dict.fromkeys(("key", "retry", "timeout", "cost", "resources", "processes", "needs"))
        spec = change_spec(spec, **{**options, **changes})
    args, kwargs = values.decode_arguments(
        question.arguments, buffers, lambda value: _unmark(host, value), pickled=spec.pickled and host.allow is None
    )
    frame = current.get()
    assert frame is not None
    context = contextvars.copy_context()
    put_into(context, question.carried)
    return Handle(frame.call.engine.spawn(spec, args, kwargs, frame, context))


def _find_spec(host: Host, question: wire.CallTask) -> TaskSpec:
    """The task that the code means. Raises UsageError where it may not ask for it, or the driver does not know it."""
    if host.allow is not None and not host.allow(question.task):
        raise UsageError(f"{host.call.describe()} may not call {question.task}: its pool does not let it")
    try:
        found = _find(host, question.ref)
    except UsageError:  # it is not where its function is, but may be known by its name
        found = None
    if isinstance(found, Task) and found.name == question.task:
        return found.spec
    if question.task in TASKS and question.task not in RIVALS:
        return TASKS[question.task]
    raise UsageError(
        f"{host.call.describe()} calls {question.task} in a worker, and the driver can't tell which task that is: define it "
        "once, at the top level of a module"
    )


def _find_for_retry(host: Host, ref: FunctionRef) -> Any:
    """What a retry names: code that the driver will run."""
    if host.allow is not None:
        raise UsageError(f"{host.call.describe()} may not say what is tried again: its pool does not let it")
    return _find(host, ref)


def _find(host: Host, ref: FunctionRef) -> Any:
    """What the code names. A module that only the worker has loaded is imported where the code is trusted."""
    if host.allow is not None and ref.module not in sys.modules:
        raise UsageError(f"{ref.qualname!r} is in the module {ref.module}, which the driver has not loaded")
    try:
        return find(ref)
    except ImportError as error:
        raise UsageError(f"{ref.qualname!r} can't be found: {error}") from error


def _unmark(host: Host, value: Any) -> Any:
    return host.handle(value.number) if type(value) is values.HandleMark else value


def _await_call(host: Host, question: wire.AwaitCall, _: Sequence[Buffer]) -> Any:
    return _result(host.handle(question.call))


async def _result(handle: Handle[Any]) -> Any:
    return await handle


def _look_at_call(host: Host, question: wire.LookAtCall, _: Sequence[Buffer]) -> Any:
    handle = host.handle(question.call)
    return handle.state, handle.cost


def _end_of_call(host: Host, question: wire.EndOfCall, _: Sequence[Buffer]) -> Any:
    handle = host.handle(question.call)
    return handle.exception() if question.error else handle.result()


def _cancel_call(host: Host, question: wire.CancelCall, _: Sequence[Buffer]) -> None:
    host.handle(question.call).cancel(question.reason)


def _stop_calls(host: Host, question: wire.StopCalls, _: Sequence[Buffer]) -> Any:
    return stop_calls([host.handle(number) for number in question.calls], question.reason)


# --- time, signals, what is left -----------------------------------------------------------------------------------------------


def _rest(_: Host, question: wire.Rest, __: Sequence[Buffer]) -> Any:
    return asked.sleep(question.seconds)


def _wait_event(_: Host, question: wire.WaitEvent, __: Sequence[Buffer]) -> Any:
    return asked.wait_event(question.name, timeout=question.timeout_s)


def _now(_: Host, __: wire.Now, ___: Sequence[Buffer]) -> float:
    return asked.now()


def _seed(_: Host, __: wire.Seed, ___: Sequence[Buffer]) -> bytes:
    return asked.draw_seed(_frame())


def _remaining(_: Host, question: wire.Remaining, __: Sequence[Buffer]) -> Any:
    return {question.unit: remaining(question.unit)} if question.unit else remaining()


def _time_left(_: Host, __: wire.TimeLeft, ___: Sequence[Buffer]) -> float:
    return time_left()


# --- blocks --------------------------------------------------------------------------------------------------------------------


def _open_budget(host: Host, question: wire.OpenBudget, _: Sequence[Buffer]) -> Any:
    return _open(host, Budget(question.limits, question.wait))


def _open_deadline(host: Host, question: wire.OpenDeadline, _: Sequence[Buffer]) -> Any:
    return _open(host, DeadlineScope(question.seconds, question.at, question.raises))


def _open_limit(host: Host, question: wire.OpenLimit, _: Sequence[Buffer]) -> Any:
    return _open(host, LimitScope(question.concurrency, question.rate, question.per_s, question.name))


def _open(host: Host, scope: Any) -> tuple[int, float | None]:
    """Open a block in a context of its own, which is the place of what the code asks inside."""
    inside = contextvars.copy_context()
    due = inside.run(_enter, scope)
    place = host.open_place(inside)
    host.scopes[place] = scope
    return place, due


def _enter(scope: Any) -> float | None:
    scope.__enter__()
    deadline = _frame().scope.deadline
    return None if deadline is None else deadline.due


def _close_scope(host: Host, question: wire.CloseScope, _: Sequence[Buffer]) -> Any:
    scope = host.scopes.pop(host.place, None)
    if scope is None:
        raise UsageError(f"{host.call.describe()} leaves a block that it has left")
    error = None if question.error is None else host.rebuild(question.error, question.origins)
    if question.stopped:
        error = asyncio.CancelledError()
    host.close_place(host.place)
    if isinstance(scope, DeadlineScope):
        return _close_deadline(scope, error) if scope.leave(error) else (False, False)
    scope.__exit__(None if error is None else type(error), error, None)
    return None


async def _close_deadline(scope: DeadlineScope, error: BaseException | None) -> tuple[bool, bool]:
    """Wait until all that the deadline stops has ended: whether it has passed, and whether the block ends without the error."""
    await scope.wait_until_stopped()
    swallows = scope.swallows(error)
    return scope.expired, swallows


def _look_at_budget(host: Host, question: wire.LookAtBudget, _: Sequence[Buffer]) -> Any:
    budget = host.scopes[question.place]
    return budget.spent, budget.remaining, budget.closed


# --- joins ---------------------------------------------------------------------------------------------------------------------


def _join_parts(host: Host, question: wire.JoinParts, _: Sequence[Buffer]) -> Any:
    parts = [host.handle(number) if number > 0 else host.coroutine(-number) for number in question.parts]
    return _JOINS[question.join](parts, question.may_lose)


async def _join_all(parts: Sequence[Any], _: bool) -> Any:
    return await gather(*parts)


async def _join_affordable(parts: Sequence[Any], _: bool) -> Any:
    return await gather_affordable(*parts)


async def _join_settled(parts: Sequence[Any], _: bool) -> Any:
    return await settle(*parts)


async def _join_race(parts: Sequence[Any], may_lose: bool) -> Any:
    options: dict[str, Any] = {"with_index": True, **({"default": _NOBODY} if may_lose else {})}
    found: Any = await race(*parts, **options)
    return None if found is _NOBODY else found


_JOINS: dict[str, Callable[[Sequence[Any], bool], Any]] = {
    "gather": _join_all,
    "gather_affordable": _join_affordable,
    "settle": _join_settled,
    "race": _join_race,
}


def _open_series(host: Host, question: wire.OpenSeries, _: Sequence[Buffer]) -> int:
    number = host.next_number()
    if question.what == "as_completed":
        host.series[number] = as_completed(*map(host.handle, question.calls))
    else:
        host.series[number] = Completions(question.what)
    return number


def _add_to_series(host: Host, question: wire.AddToSeries, _: Sequence[Buffer]) -> None:
    host.series[question.series].add(host.handle(question.call))


def _next_of_series(host: Host, question: wire.NextOfSeries, _: Sequence[Buffer]) -> Any:
    series = host.series[question.series]
    return series.next() if isinstance(series, Completions) else _next(series)


async def _next(series: AsyncIterator[Any]) -> Any:
    return await anext(series)


def _stop_series(host: Host, question: wire.StopSeries, _: Sequence[Buffer]) -> Any:
    return host.series.pop(question.series).stop(question.reason)


def _frame() -> Frame:
    frame = current.get()
    assert frame is not None
    return frame


_ANSWERS: dict[type, Callable[[Host, Any, Sequence[Buffer]], Any]] = {
    wire.CallTask: _call_task,
    wire.AwaitCall: _await_call,
    wire.LookAtCall: _look_at_call,
    wire.EndOfCall: _end_of_call,
    wire.CancelCall: _cancel_call,
    wire.StopCalls: _stop_calls,
    wire.Rest: _rest,
    wire.WaitEvent: _wait_event,
    wire.Now: _now,
    wire.Seed: _seed,
    wire.Remaining: _remaining,
    wire.TimeLeft: _time_left,
    wire.OpenBudget: _open_budget,
    wire.OpenDeadline: _open_deadline,
    wire.OpenLimit: _open_limit,
    wire.CloseScope: _close_scope,
    wire.LookAtBudget: _look_at_budget,
    wire.JoinParts: _join_parts,
    wire.OpenSeries: _open_series,
    wire.AddToSeries: _add_to_series,
    wire.NextOfSeries: _next_of_series,
    wire.StopSeries: _stop_series,
}
