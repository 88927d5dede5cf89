"""The driver's end: takes what the code of one job asks, and answers it in the name of the job's call.

A place of the code (a block, a coroutine of a join) is a context here, with the frame that code of the call would have there. What
is answered at once is answered in that context. What waits runs as a task in a copy of it, and parks the call as any wait of it
does. A coroutine that a join begins is a coroutine here too, which has the real one begun and stopped in the worker.

A host lives as long as its job. Whatever still waits then is stopped, and blocks that nobody left are left.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from headway.engine.call import Call, Frame, current
from headway.engine.handle import Handle
from headway.errors import UsageError
from headway.journal.codec import codec
from headway.journal.records import Error
from headway.journal.store import Buffer
from headway.pools.base import Word
from headway.relay import values, wire

if TYPE_CHECKING:
    from headway.engine.engine import Engine

Answering = Callable[["Host", wire.Question, Sequence[Buffer]], Any]
"""What answers a question: the answer, or a coroutine that gives it."""


class WorkerFrame(Frame):
    """Where a plain function in a worker stands. Such code does work itself, as a thread's does, and plans no calls by what it is
    told."""

    __slots__ = ()

    @property
    def plans(self) -> bool:
        return False


class Host:
    """Answers the code of one job.

    Attributes:
        call: whose code it is.
        allow: says by its name whether the code may ask for a task; None where it may ask for all.
        place: the place of the question that is being answered.
        scopes: the open blocks of the code, by place.
        series: calls that are handed out as they end, by number.
    """

    def __init__(
        self, call: Call, context: contextvars.Context, reply: Word, allow: Callable[[str], bool] | None, answering: Answering
    ) -> None:
        self.call = call
        self.allow = allow
        self.place = 0
        self.scopes: dict[int, Any] = {}
        self.series: dict[int, Any] = {}
        self._engine: Engine = call.engine
        self._loop = self._engine.loop
        self._reply = reply
        self._answering = answering
        self._numbers = 0
        self._places: dict[int, contextvars.Context] = {0: _own_place(call, context)}
        self._handles: dict[int, Handle[Any]] = {}
        self._introduced: dict[Call, int] = {}
        self._told: Counter[int] = Counter()  # how often the code was told of a call
        self._errors: dict[int, BaseException] = {}
        self._error_numbers: dict[int, int] = {}  # by identity
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._coroutines: dict[int, RemoteCoroutine] = {}
        self._closed = False

    # --- taking questions --------------------------------------------------------------------------------------------

    def hear(self, head: bytes, buffers: Sequence[Buffer]) -> None:
        """Take a message of the code."""
        if self._closed:
            return
        try:
            message = wire.decode_from_code(head)
        except msgspec.DecodeError as fault:  # only code that is no worker of ours sends such
            wrong = UsageError(f"the worker of {self.call.describe()} sent what is no question: {fault}")
            self._engine.cancel(self.call, "its worker sent what is no question", wrong)
            return
        match message:
            case wire.Ask(number, place, question):
                self._answer(number, place, question, buffers)
            case wire.Drop(number):
                if (task := self._tasks.get(number)) is not None:
                    task.cancel()
            case wire.Forget(calls):
                self._forget(calls)
            case wire.CoroutineEnded(number, error, origins, stopped):
                if (coroutine := self._coroutines.pop(number, None)) is not None:
                    coroutine.note_end(None if error is None else self.rebuild(error, origins), stopped)

    def _answer(self, number: int, place: int, question: wire.Question, buffers: Sequence[Buffer]) -> None:
        try:
            context = self._places.get(place)
            if context is None:
                raise UsageError(f"{self.call.describe()} asks from a block that it has left: make its calls inside of the block")
            self.place = place
            found = context.run(self._answering, self, question, buffers)
            if inspect.iscoroutine(found):
                task = self._tasks[number] = self._loop.create_task(found, context=context.copy())
                task.add_done_callback(functools.partial(self._tell_end, number))
            else:
                self._tell(number, found)
        except asyncio.CancelledError as stop:  # code that has to stop hears of it here
            self._tell_stop(number, stop)
        except Exception as error:
            self._tell_error(number, error)

    def _tell_stop(self, number: int, stop: asyncio.CancelledError) -> None:
        if number:
            self._say(wire.Stopped(number, str(stop)))

    def _tell_end(self, number: int, task: asyncio.Task[Any]) -> None:
        """What answered has ended, or was stopped."""
        self._tasks.pop(number, None)
        if task.cancelled():
            x = self.call.x
            self._say(wire.Stopped(number, x.stop_reason if x is not None else ""))
        elif (error := task.exception()) is not None:
            self._tell_error(number, error)
        else:
            self._tell(number, task.result())

    def _tell(self, number: int, value: Any) -> None:
        if not number or self._closed:
            return
        try:
            data, buffers = values.dump(value, self)
        except Exception as error:
            self._tell_error(number, error)
        else:
            self._say(wire.Answer(number, data), buffers)

    def _tell_error(self, number: int, error: BaseException) -> None:
        if number and not self._closed:
            self._say(wire.Failure(number, codec.encode_error(error), self.number_error(error)))

    def _say(self, message: wire.FromRun, buffers: Sequence[Buffer] = ()) -> None:
        if not self._closed:
            self._reply(wire.encode(message), buffers)

    # --- what the code knows by number -------------------------------------------------------------------------------

    def next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def handle(self, number: int) -> Handle[Any]:
        """The handle of this number."""
        return self._handles[number]

    def introduce(self, handle: Handle[Any], /) -> tuple[int, str, str, str]:
        call = handle._call
        number = self._introduced.get(call)
        if number is None:
            number = self._introduced[call] = self.next_number()
            self._handles[number] = handle
        self._told[number] += 1
        return number, call.key.hex(), call.task, handle.label

    def number_error(self, error: BaseException, /) -> int:
        number = self._error_numbers.get(id(error))
        if number is None:
            number = self._error_numbers[id(error)] = self.next_number()
            self._errors[number] = error
        return number

    def _forget(self, calls: Sequence[tuple[int, int]]) -> None:
        """Let go of calls that the code holds no more, unless it is about to hear of them again."""
        for number, told in calls:
            if self._told[number] == told:
                del self._told[number]
                del self._introduced[self._handles.pop(number)._call]
            else:
                self._told[number] -= told

    def rebuild(self, record: Error, origins: Sequence[int]) -> BaseException:
        """An error of the code's."""
        return self.trace(codec.decode_error(record, remote=True), origins)

    def trace(self, error: BaseException, origins: Sequence[int]) -> BaseException:
        """The error that the code was told, in the place of what was made again of it; else the error with what it was raised
        because of behind it."""
        if origins and (own := self._errors.get(origins[0])) is not None:
            return own
        for origin in origins[1:]:
            if (behind := self._errors.get(origin)) is not None and behind is not error:
                last = error
                while (after := last.__context__) is not None and after is not behind:
                    last = after
                if last is not behind:
                    last.__context__ = behind
        return error

    # --- places and coroutines ---------------------------------------------------------------------------------------

    def open_place(self, context: contextvars.Context) -> int:
        """Number a place of the code."""
        number = self.next_number()
        self._places[number] = context
        return number

    def close_place(self, place: int) -> None:
        del self._places[place]

    def coroutine(self, number: int) -> RemoteCoroutine:
        """A coroutine of the code, for a join to begin."""
        return RemoteCoroutine(self, number)

    def begin_coroutine(self, coroutine: RemoteCoroutine) -> None:
        """Have a coroutine begun in the worker, at a place of its own: that of the join's branch."""
        self._coroutines[coroutine.number] = coroutine
        self._say(wire.BeginCoroutine(coroutine.number, self.open_place(contextvars.copy_context())))

    def stop_coroutine(self, coroutine: RemoteCoroutine) -> None:
        self._say(wire.StopCoroutine(coroutine.number))

    # --- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """The job has ended: the code asks nothing more, and hears nothing."""
        self._closed = True
        for task in list(self._tasks.values()):
            task.cancel()
        for coroutine in list(self._coroutines.values()):
            coroutine.note_end(None, stopped=True)
        for place, scope in reversed(self.scopes.items()):
            self._places[place].run(_leave, scope)


class RemoteCoroutine:
    """A coroutine in the worker, as a join on the driver awaits it."""

    def __init__(self, host: Host, number: int) -> None:
        self.number = number
        self._host = host
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._error: BaseException | None = None
        self._stopped = False

    def __await__(self) -> Generator[Any, Any, values.CoroutineValue]:
        return self._run().__await__()

    async def _run(self) -> values.CoroutineValue:
        """Have it begun, and wait until it has ended, however often that is cancelled: a coroutine ends when its code has."""
        self._host.begin_coroutine(self)
        while not self._ended.done():
            try:
                await asyncio.wait([self._ended])
            except asyncio.CancelledError:
                self._host.stop_coroutine(self)
        if self._stopped:
            raise asyncio.CancelledError
        if self._error is not None:
            raise self._error
        return values.CoroutineValue(self.number)

    def note_end(self, error: BaseException | None, stopped: bool) -> None:
        self._error, self._stopped = error, stopped
        if not self._ended.done():
            self._ended.set_result(None)


def make_host(answering: Answering) -> Callable[..., Host]:
    """How an engine makes hosts (`Launcher.hosts`)."""
    return functools.partial(Host, answering=answering)


def _own_place(call: Call, context: contextvars.Context) -> contextvars.Context:
    """The context of the body itself."""
    context = context.copy()
    if not call.spec.is_async:
        context.run(_stand_in_worker)
    return context


def _stand_in_worker() -> None:
    frame = current.get()
    assert frame is not None
    current.set(WorkerFrame(*frame))


def _leave(scope: Any) -> None:
    """Leave a block whose code has ended without leaving it."""
    error = asyncio.CancelledError()
    leave = getattr(scope, "leave", None)
    if leave is not None:
        leave(error)
    else:
        scope.__exit__(type(error), error, None)
