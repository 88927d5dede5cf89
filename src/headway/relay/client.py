"""The worker's end: asks the run in the name of the code of a call, and hands on what the run says.

Any thread of the code may ask. A plain function waits for its answer; a coroutine awaits it, and tells the run when it stops
waiting. Where the code stands (in which block, in which coroutine of a join) is a context variable, so that it follows the code
wherever asyncio takes it.

Nothing here decides: what a question means is settled on the driver (`answering`).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import inspect
import itertools
import weakref
from collections import Counter
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from headway.engine.tasks.callables import call_user_function
from headway.engine.tasks.spec import TaskSpec
from headway.errors import UsageError
from headway.journal.codec import codec
from headway.journal.records import Error
from headway.journal.store import Buffer
from headway.pools.base import FunctionRef
from headway.pools.carrying import encode_carried
from headway.pools.current import Line, WorkerCall, is_forked, worker_call
from headway.pools.program import function_ref
from headway.relay import values, wire
from headway.relay.handles import RemoteHandle

T = TypeVar("T")
_place: contextvars.ContextVar[int] = contextvars.ContextVar("headway_place", default=0)


def asking() -> Client | None:
    """What asks the run in the name of this code; None where the code is in no worker, or in one that can't ask."""
    call = worker_call()
    if call is None:
        return None
    found: Any = call.asker
    if found is None and call.line is not None and not is_forked():
        found = call.asker = Client(call, call.line)
    return None if is_forked() else found


class Client:
    """Asks for one call. Made by `asking`."""

    def __init__(self, call: WorkerCall, line: Line) -> None:
        self._call = call
        self._line = line
        self._numbers = itertools.count(1)
        self._pending: dict[int, concurrent.futures.Future[tuple[Any, Sequence[Buffer]]]] = {}
        self._handles: weakref.WeakValueDictionary[int, RemoteHandle[Any]] = weakref.WeakValueDictionary()
        self._told: Counter[int] = Counter()  # how often the run has told of a call
        self._dropped: list[int] = []  # calls that the code holds no more
        self._coroutines: dict[int, _Coroutine] = {}
        self._errors: dict[int, BaseException] = {}
        line.on_word = self._hear

    # --- asking ------------------------------------------------------------------------------------------------------

    def ask(self, question: wire.Question, buffers: Sequence[Buffer] = ()) -> Any:
        """Ask, and block until there is an answer. Raises what the run answers with."""
        number, future = self._begin(question, buffers)
        try:
            return self._open(*self._line.wait(future))
        finally:
            self._pending.pop(number, None)

    async def later(self, question: wire.Question) -> Any:
        """Ask, and await the answer. A wait that is cancelled stops what answers, and waits until that has stopped."""
        number, future = self._begin(question, ())
        told = asyncio.wrap_future(future)
        try:
            try:
                await asyncio.wait([told])
            except asyncio.CancelledError:
                self._say(wire.Drop(number))
                await asyncio.wait([told])
                raise
            return self._open(*told.result())
        finally:
            self._pending.pop(number, None)

    def post(self, question: wire.Question, place: int | None = None) -> None:
        """Say something that has no answer."""
        self._say(wire.Ask(0, _place.get() if place is None else place, question))

    def wait(self, awaitable: Any) -> Any:
        """Block a plain function until something has ended."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            _close(awaitable)
            raise UsageError(f"{self._call.facts.task} runs on an event loop here: await it; hw.wait is for plain def tasks")
        if isinstance(awaitable, RemoteHandle):
            return self.ask(wire.AwaitCall(awaitable._number))
        return self._call.run_async(_await(awaitable)) if inspect.isawaitable(awaitable) else awaitable

    def _begin(
        self, question: wire.Question, buffers: Sequence[Buffer]
    ) -> tuple[int, concurrent.futures.Future[tuple[Any, Sequence[Buffer]]]]:
        number = next(self._numbers)
        future = self._pending[number] = concurrent.futures.Future()
        self._say(wire.Ask(number, _place.get(), question), buffers)
        return number, future

    def _say(self, message: wire.FromCode, buffers: Sequence[Buffer] = ()) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, []
            gone = [(number, self._told.pop(number)) for number in dict.fromkeys(dropped) if number not in self._handles]
            if gone:
                self._line.send(wire.encode(wire.Forget(gone)), ())
        self._line.send(wire.encode(message), buffers)

    # --- hearing -----------------------------------------------------------------------------------------------------

    def _hear(self, head: bytes, buffers: Sequence[Buffer]) -> None:
        """Take what the run says, on whatever thread. It is looked at by the code that it is for."""
        word = wire.decode_from_run(head)
        if isinstance(word, wire.BeginCoroutine | wire.StopCoroutine):
            if (coroutine := self._coroutines.get(word.coroutine)) is not None:
                coroutine.hear(word)
        elif (future := self._pending.get(word.number)) is not None and not future.done():
            future.set_result((word, buffers))

    def _open(self, word: Any, buffers: Sequence[Buffer]) -> Any:
        match word:
            case wire.Answer():
                return values.load(word.value, buffers)
            case wire.Failure():
                raise self.error(word.error, word.origin)
            case _:
                raise asyncio.CancelledError(word.reason)

    def error(self, error: Error, origin: int) -> BaseException:
        """An error that the run has told: the same object each time, and that of the coroutine whose error it is."""
        if origin < 0 and (coroutine := self._coroutines.get(-origin)) is not None and coroutine.error is not None:
            return coroutine.error
        if origin not in self._errors:
            self._errors[origin] = codec.decode_error(error)
        return self._errors[origin]

    def find_origins(self, error: BaseException) -> list[int]:
        """The number of an error that the run has told, 0 of one that it has not; then those of the errors behind it."""
        numbers = {id(told): number for number, told in self._errors.items()}
        if not numbers:
            return []
        behind = [numbers[id(each)] for each in itertools.islice(_behind(error), 1, None) if id(each) in numbers]
        own = numbers.get(id(error), 0)
        return [own, *behind] if own or behind else []

    def meet(self, number: int, key: str, task: str, label: str) -> RemoteHandle[Any]:
        """The handle of this number."""
        self._told[number] += 1
        handle = self._handles.get(number)
        if handle is None:
            handle = self._handles[number] = RemoteHandle(self, number, key, task, label)
            weakref.finalize(handle, self._drop, number).atexit = False
        return handle

    def _drop(self, number: int) -> None:
        """The code has let go of a handle. This may come at any moment, so it only makes a note."""
        self._dropped.append(number)

    def value_of(self, coroutine: int) -> Any:
        """What a coroutine returned."""
        return self._coroutines[coroutine].value

    # --- calls -------------------------------------------------------------------------------------------------------

    def call_task(self, spec: TaskSpec, changes: Mapping[str, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Make a call: its handle. Raises what making the call raises, before anything is recorded."""
        if spec.streams:
            raise UsageError(
                f"{spec.name} is a stream, which can't be read in the worker process of {self._call.facts.task}: read it in an "
                "async task on the driver and pass its items on, or make it a task that returns a list"
            )
        if callable(key := changes.get("key")):
            changes = {**changes, "key": call_user_function(key, f"task {spec.name}: key", *args, **kwargs)}
        encoded = values.encode_arguments(spec.name, args, kwargs, self._mark, pickled=spec.pickled)
        question = wire.CallTask(
            task=spec.name,
            ref=spec.ref or _ref_of(spec),
            arguments=bytes(encoded.head),
            changes=values.encode_changes(changes),
            carried=encode_carried(contextvars.copy_context(), spec.name),
        )
        return self.ask(question, encoded.buffers)

    def _mark(self, value: Any) -> Any:
        return values.HandleMark(value._number) if isinstance(value, RemoteHandle) else value

    async def stop_calls(self, calls: Sequence[Any], reason: str) -> None:
        """Cancel and drain calls."""
        await self.later(wire.StopCalls([call._number for call in calls], reason))

    # --- blocks ------------------------------------------------------------------------------------------------------

    def open(self, question: wire.Question) -> Block:
        """Open a block on the driver's side; the code is in it from now on."""
        place, due = self.ask(question)
        return Block(self, place, due)

    # --- joins -------------------------------------------------------------------------------------------------------

    async def join(self, join: str, given: Sequence[Awaitable[Any]], *, may_lose: bool = False) -> Any:
        """Join calls and coroutines: the driver waits, and says which coroutine begins and which stops."""
        parts: list[int] = []
        adopted: list[_Coroutine] = []
        for each in given:
            if isinstance(each, RemoteHandle):
                parts.append(each._number)
            else:
                adopted.append(coroutine := self._adopt(each))
                parts.append(-coroutine.number)
        try:
            return await self.later(wire.JoinParts(join, parts, may_lose))
        finally:
            for coroutine in adopted:
                coroutine.forget()
                del self._coroutines[coroutine.number]

    def _adopt(self, awaitable: Awaitable[Any]) -> _Coroutine:
        number = next(self._numbers)
        coroutine = self._coroutines[number] = _Coroutine(self, number, awaitable)
        return coroutine

    def tell_end(self, coroutine: _Coroutine) -> None:
        """Tell the run that a coroutine has ended."""
        error = coroutine.error
        record = None if error is None else codec.encode_error(error)
        origins = [] if error is None else self.find_origins(error)
        self._say(wire.CoroutineEnded(coroutine.number, record, origins, coroutine.stopped))


class Block:
    """A block that code in a worker has opened on the driver's side.

    Attributes:
        due: when the innermost deadline passes, in seconds since 1970; None without one.
    """

    def __init__(self, client: Client, place: int, due: float | None) -> None:
        self.due = due
        self._client = client
        self._place = place
        self._token: contextvars.Token[int] | None = _place.set(place)

    def leave(self, error: BaseException | None, *, waits: bool) -> Any:
        """Leave the block, with an error or without one. `waits`: there is an answer, which may be an error to raise."""
        if self._token is not None:
            with contextlib.suppress(ValueError):  # in another context, as code that was left behind is
                _place.reset(self._token)
            self._token = None
        record = None if error is None else codec.encode_error(error)
        origins = [] if error is None else self._client.find_origins(error)
        question = wire.CloseScope(record, origins, error is not None and not isinstance(error, Exception))
        if not waits:
            self._client.post(question, self._place)
            return None
        token = _place.set(self._place)
        try:
            return self._client.ask(question)
        finally:
            _place.reset(token)

    def look(self) -> Any:
        """What a budget has spent, what it has left, and whether it is closed."""
        return self._client.ask(wire.LookAtBudget(self._place))


class _Coroutine:
    """A coroutine, or something else to await, that a join on the driver's side begins and stops."""

    def __init__(self, client: Client, number: int, awaitable: Awaitable[Any]) -> None:
        self.number = number
        self.value: Any = None
        self.error: BaseException | None = None
        self.stopped = False
        self._client = client
        self._awaitable = awaitable
        self._context = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    def hear(self, word: wire.BeginCoroutine | wire.StopCoroutine) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the code over
            if isinstance(word, wire.BeginCoroutine):
                self._loop.call_soon_threadsafe(self._begin, word.place)
            else:
                self._loop.call_soon_threadsafe(self._stop)

    def _begin(self, place: int) -> None:
        self._context.run(_place.set, place)
        self._task = self._loop.create_task(self._run(), context=self._context)
        self._task.add_done_callback(self._ended)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            self.value = await self._awaitable
        except (SystemExit, KeyboardInterrupt) as error:  # asyncio would end the loop
            self.error = error

    def _ended(self, task: asyncio.Task[None]) -> None:
        _close(self._awaitable)  # it may have been stopped before it began
        self.stopped = task.cancelled()
        if not self.stopped:
            self.error = task.exception() or self.error
        self._client.tell_end(self)

    def forget(self) -> None:
        """Nobody waits for it any more. Python would complain of a coroutine that never began."""
        if self._task is None:
            _close(self._awaitable)


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and all that it was raised because of or consists of."""
    seen: set[int] = set()
    left = [error]
    while left:
        found = left.pop(0)
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        left += [found.__cause__, found.__context__]
        if isinstance(found, BaseExceptionGroup):
            left += found.exceptions


def _ref_of(spec: TaskSpec) -> FunctionRef:
    try:
        return function_ref(spec.fn)
    except UsageError:  # it may be known by its name
        return FunctionRef(str(spec.fn.__module__), str(getattr(spec.fn, "__qualname__", "")))


def _close(awaitable: object) -> None:
    if inspect.iscoroutine(awaitable):
        awaitable.close()


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable
