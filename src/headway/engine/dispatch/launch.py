"""Hands a call to the place where its code runs, interrupts it there, and takes its result back.

Inline code runs in an asyncio task of its own, so any asyncio library works in it. Everything else is a job for a pool. An effect
waits here until the journal is durable up to its own start; one that may have happened before is first shown to its `verify`.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headway import events
from headway.engine.call import Call, Frame, current
from headway.engine.dispatch.ready import Ready
from headway.engine.handle import Handle
from headway.engine.identity.argument_changes import UNCHANGING, note_input
from headway.engine.identity.inputs import replace_handles
from headway.engine.ports import Batching, Ends, Host, Hosts, Streaming
from headway.engine.replay.shared import EFFECT, Shared
from headway.engine.run_context import RunContext
from headway.engine.scopes.accounting import Accounting, check_item
from headway.engine.stopping.stops import Stops
from headway.engine.tasks.callables import is_async, name_of
from headway.engine.transitions import OK, RUNNING, STARTING
from headway.errors import UsageError
from headway.journal.store import Buffer
from headway.pools.base import Answer, CallFacts, Job, Word

_new_frame = functools.partial(tuple.__new__, Frame)  # as `Frame(…)`, in half the time


def _from(factory: Any) -> Callable[..., asyncio.Task[None]]:
    """The loop's own way to make tasks, with a name that costs nothing to make."""

    def make(coroutine: Any, *, loop: asyncio.AbstractEventLoop, name: str, context: Any) -> asyncio.Task[None]:
        made: asyncio.Task[None] = factory(loop, coroutine, context=context)
        return made

    return make


def own_context(call: Call) -> contextvars.Context:
    """A context for one attempt: an abandoned thread may still be inside the one of an earlier attempt."""
    context = call.context.copy() if call.context is not None else contextvars.copy_context()
    context.run(current.set, Frame(call, call.scope, call.attempt, call.x.batch if call.x is not None else None))
    return context


def _answer(verify: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    try:
        return verify(*args, **kwargs)
    except StopIteration as error:  # no future can hold it
        raise RuntimeError(f"{name_of(verify)} raised StopIteration") from error


def _check_answer(answer: object, verify: Callable[..., Any]) -> None:
    """Raise UsageError for an answer that says the effect has happened but not with what result. The effect must not be repeated
    because of it."""
    if answer is True or (isinstance(answer, type) and issubclass(answer, Happened)):
        said = "True" if answer is True else "the class hw.Happened"
        raise UsageError(
            f"verify={name_of(verify)} returned {said}, which says that the effect has happened but not with what result: return "
            "hw.Happened(result), or False or None where it has not happened"
        )


class Happened:
    """What a `verify=` function returns when the effect has happened.

    Args:
        value: the result of the effect.

    Example:
        >>> hw.Happened("receipt 7").value
        'receipt 7'
    """

    __slots__ = ("value",)

    def __init__(self, value: Any = None) -> None:
        self.value = value


class Launcher:
    def __init__(
        self,
        run: RunContext,
        ends: Ends,
        ready: Ready,
        accounting: Accounting,
        shared: Shared,
        stops: Stops,
        value_of: Callable[[Call], Any],
    ) -> None:
        self._run = run
        self._ends = ends
        self._ready = ready
        self._accounting = accounting
        self._shared = shared
        self._stops = stops
        self._value_of = value_of
        self.batches: Batching  # set by the engine, which makes both
        self.streams: Streaming  # and this
        self.hosts: Hosts | None = None  # set by the driver: what answers code in workers is above the engine
        factory = run.loop.get_task_factory()
        self._make_task: Callable[..., asyncio.Task[None]] = asyncio.Task if factory is None else _from(factory)

    # --- before the code runs ----------------------------------------------------------------------------------------

    def when_durable(self, call: Call, seq: int) -> None:
        """Launch an effect once its start, and with it all it depends on, is durable. It keeps its slot meanwhile."""
        run, pool = self._run, call.spec.pool
        attempt = call.attempt
        starting = self._ready.starting
        if pool in starting:
            starting[pool] += 1

        def durable() -> None:
            if pool in starting:
                starting[pool] -= 1
            if call.state != STARTING or call.attempt != attempt:
                return
            self.launch(call)

        run.journal.when_durable(seq, durable)

    def launch(self, call: Call) -> None:
        """Run the call's code."""
        run, spec, x = self._run, call.spec, call.x
        if call.state != STARTING:
            return
        if not call.started:
            call.started = run.wall()
        if x is not None:
            x.timer = None
            x.started_attempt = run.loop.time() if not spec.batch else None  # it does not run before its batch does
        if spec.retry is not None and call.memo is None:
            call.memo = {}
        if spec.verify is not None and (call.attempt > 1 or self._may_have_happened(call)):
            self._spawn(call, self._verify(call))
        else:
            self._begin(call)

    def _may_have_happened(self, call: Call) -> bool:
        """Whether an effect was started before: by an earlier process, or in an earlier attempt of a call above it."""
        effects, share, memo = self._run.known.effects, call.share, call.memo
        if call.key in effects or (share is not None and share.key in effects):
            return True
        again = memo is not None and memo.setdefault(b"V" + call.key, call) is not call
        return (share is not None and share.found.setdefault(EFFECT + share.key, call) is not call) or again

    def run_plain(self, call: Call) -> None:
        """Run the code of a call that needs nothing but the loop."""
        run = self._run
        call.started = run.wall()
        if run.emit:
            self._emit_started(call)
        call.asyncio_task = self._make_task(self._code(call), loop=run.loop, name="headway", context=call.context)

    def _emit_started(self, call: Call) -> None:
        run, spec = self._run, call.spec
        event = events.CallStarted(at=run.wall(), key=call.key.hex(), task=spec.name, attempt=call.attempt, pool=spec.pool)
        if run.emit:
            run.emit(event)

    def _begin(self, call: Call) -> None:
        run, spec = self._run, call.spec
        if run.emit:
            self._emit_started(call)
        if spec.timeout_s is not None:
            call.extra().timer = run.loop.call_later(spec.timeout_s, self._ends.timed_out, call)
        if spec.batch:
            self.batches.add(call)
        elif spec.pool == "inline":
            self._spawn(call, self._code(call))
        else:
            try:
                self._submit(call)
            except Exception as error:  # an argument whose blob is damaged, a pool that can't take it
                self._ends.body_ended(call, None, error)

    def _spawn(self, call: Call, coroutine: Any) -> None:
        call.asyncio_task = self._make_task(coroutine, loop=self._run.loop, name="headway", context=call.context)

    async def _verify(self, call: Call) -> None:
        """Ask whether the effect happened; run it if not."""
        spec, attempt = call.spec, call.attempt
        current.set(Frame(call, call.scope))
        try:
            assert spec.verify is not None
            args, kwargs = self.arguments(call)
            if is_async(spec.verify):
                answer = await spec.verify(*args, **kwargs)
            else:
                answer = await self._run.world.aside(_answer, spec.verify, args, kwargs)
                if inspect.isawaitable(answer):
                    answer = await answer
            _check_answer(answer, spec.verify)
        except BaseException as error:
            if call.state == STARTING and call.attempt == attempt:
                self._ends.body_ended(call, None, error)
            return
        if call.state != STARTING or call.attempt != attempt:
            return
        if isinstance(answer, Happened):
            self._ends.body_ended(call, answer.value, None)
        else:
            self._begin(call)

    async def _code(self, call: Call) -> None:
        """The call's code, and what the engine makes of its end. A fault of the engine ends the run, loudly."""
        try:
            if call.state != STARTING:
                return
            self._ends.body_begun(call)
            attempt = call.attempt
            current.set(_new_frame((call, call.scope, attempt, None, b"", b"")))
            spec, x = call.spec, call.x
            if x is not None and x.held:
                self._ready.begins(call)
            try:
                if call.inputs:
                    args, kwargs = self.arguments(call)
                    value = spec.fn(*args, **kwargs)
                else:
                    value = spec.fn(*call.args, **call.kwargs)
                if spec.streams:
                    value = self.streams.hand_out(call, value)
                if spec.is_async:
                    value = await value
            except BaseException as error:
                if call.state == RUNNING and call.attempt == attempt:  # and was not left behind
                    self._ends.body_ended(call, None, error)
            else:
                if call.state == RUNNING and call.attempt == attempt:
                    self._ends.body_ended(call, value, None)
        except Exception as error:
            self._run.broken(error)

    def _submit(self, call: Call) -> None:
        run, spec = self._run, call.spec
        self._ends.body_begun(call)
        if call.x is not None and call.x.held:
            self._ready.begins(call)
        args, kwargs = self.arguments(call)
        attempt = call.attempt

        context = own_context(call)
        hosts: list[Host] = []  # one, where the code asks something

        def ask(head: bytes, buffers: Sequence[Buffer], reply: Word, allow: Callable[[str], bool] | None = None, /) -> None:
            if not hosts and self.hosts is not None:
                hosts.append(self.hosts(call, context, reply, allow))
            hosts[0].hear(head, buffers)

        def begun() -> None:
            if call.attempt == attempt and call.state == RUNNING:
                call.extra().started_attempt = run.loop.time()
                if attempt <= 1:
                    call.started = run.wall()

        def done(answer: Answer) -> None:
            self._ready.in_pools -= 1
            error = asyncio.CancelledError() if answer.cancelled else answer.error
            for host in hosts:
                if error is not None:
                    error = host.trace(error, answer.origins)
                host.close()
            if call.attempt == attempt and call.state == RUNNING:
                try:
                    self._ends.body_ended(call, answer.value, error, answer.encoded)
                except Exception as fault:  # a pool could do nothing about it, and the run would wait for ever
                    run.broken(fault)

        pool = run.pools[spec.pool]
        job = Job(
            fn=spec.fn,
            args=args,
            kwargs=kwargs,
            facts=self.facts(call),
            on_done=done,
            on_charge=lambda amounts, _: self.book_charge(call, attempt, amounts),
            ref=spec.ref,
            context=context,
            pickled=spec.pickled,
            need=spec.need,
            on_ask=ask if pool.traits.relays and self.hosts is not None else None,
            on_begun=begun,
        )
        call.extra().job = job
        pool.submit(job)
        self._ready.in_pools += 1

    def book_charge(self, call: Call, attempt: int, amounts: dict[str, float]) -> None:
        """Book what a worker has spent for this call."""
        if call.state < OK and call.attempt == attempt:
            self._accounting.charge(Frame(call, call.scope), amounts)

    def charge(self, frame: Frame, amounts: dict[str, float], item: int | None) -> None:
        """Book what the code of a call spent. In a batch the code may name the call; else all calls share the charge."""
        if frame.batch is not None:
            check_item(item, len(frame.batch.calls), frame.batch.spec.name)
            self.batches.charge(frame.batch, amounts, item)
        else:
            check_item(item, None, frame.call.describe())
            self._accounting.charge(frame, amounts)

    def arguments(self, call: Call) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """The call's arguments with results in the place of handles."""
        if not call.inputs:
            return call.args, call.kwargs
        value_of = self._value_of
        for handle in call.inputs:
            value = value_of(handle)
            if type(value) not in UNCHANGING:
                note_input(handle, value)
        args = tuple([value_of(value._call) if type(value) is Handle else replace_handles(value, value_of) for value in call.args])
        return args, {name: replace_handles(value, value_of) for name, value in call.kwargs.items()}

    def facts(self, call: Call) -> CallFacts:
        run, deadline = self._run, call.scope.deadline
        name = call.key if call.share is None else call.share.key
        return CallFacts(
            key=call.key.hex(),
            task=call.spec.name,
            attempt=max(1, call.attempt),
            idempotency_key=hashlib.blake2b(self._shared.effect_name(call), key=run.nonce, digest_size=16).hexdigest(),
            run_id=run.run_id,
            deadline=deadline.due if deadline is not None else None,
            allowance=self._accounting.allowance(call),
            files=f"{run.files}/{name.hex()}" if run.files else "",
        )

    # --- while and after it runs -------------------------------------------------------------------------------------

    def interrupt(self, call: Call) -> None:
        """Ask running code to stop, as its pool can."""
        x = call.extra()
        if x.batch is not None:
            self.batches.drop(call)
        elif x.job is not None:
            if not self._run.pools[call.spec.pool].cancel(x.job) and x.job.on_left is None:
                self._abandon(call, x.job)
            for future in x.parked_on:  # a thread that waits for something else than its children must hear of it too
                future.cancel()
        elif call.asyncio_task is not None:
            call.asyncio_task.cancel(x.stop_reason)
            self._stops.grant(call)

    def _abandon(self, call: Call, job: Job) -> None:
        """Give up on code that a thread still runs. Until the code ends, the thread keeps what it holds."""
        x = call.extra()
        kept = self._ready.keep(call) if x.held else None
        told_of = self._stops.tell_of_thread(call)

        def left() -> None:
            told_of.cancel()
            if kept is not None:
                self._ready.give(kept)

        job.on_left = left

    def leave(self, call: Call) -> None:
        """The call's code has ended, or will never run: give back what it occupied."""
        spec, x = call.spec, call.x
        if STARTING <= call.state <= RUNNING and spec.pool == "inline" and not spec.batch and (x is None or not x.parks):
            self._ready.free_slot()
        task = call.asyncio_task
        call.asyncio_task = None
        if x is None:
            return
        if call.state == STARTING and task is not None and task is not asyncio.current_task():
            self._stops.leave_behind(task, call.describe())
        if x.timer is not None and not call.children:  # a timeout holds until the children have ended, too
            x.timer.cancel()
            x.timer = None
        x.job = None
        if x.held:
            self._ready.release(call)

    def seconds(self, call: Call) -> float:
        """How long the attempt ran, less the time in which it waited for other calls."""
        x = call.x
        if x is None or x.started_attempt is None:
            return 0.0
        ran = self._run.loop.time() - x.started_attempt - x.parked_s
        x.started_attempt = None
        return max(0.0, ran)
