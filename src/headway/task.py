"""Tasks: functions whose calls are recorded.

    @hw.task
    async def search(query: str) -> list[str]: ...

Inside a run a call returns a `Handle` at once and runs; outside of one a task is just its function. Types survive: a task of
`(query: str) -> list[str]` is called with a `str` and awaited as a `list[str]`, whether its function is `async` or not.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, Protocol, Self, TypeVar, overload

from headway.engine.call import current
from headway.engine.handle import Handle
from headway.engine.identity.labels import LabelLike
from headway.engine.outcomes.retry import Retry
from headway.engine.stopping.outside import refuse_outside
from headway.engine.streaming.stream import Stream
from headway.engine.tasks.declaration import OnChange, change_spec, make_spec
from headway.engine.tasks.options import check_options
from headway.engine.tasks.spec import TaskSpec
from headway.engine.tasks.watched import Watch
from headway.errors import UsageError
from headway.near import near_misses
from headway.pools.base import FunctionRef
from headway.pools.program import find, function_ref
from headway.relay.client import asking
from headway.scopes.limit import LimitScope

if TYPE_CHECKING:
    from headway.engine.engine import Engine

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
T = TypeVar("T")


class Task(Generic[P, R]):
    """A function whose calls are recorded; made by `task`."""

    __headway_task__ = True

    def __init__(self, spec: TaskSpec) -> None:
        functools.update_wrapper(self, spec.fn)
        self.spec = spec
        self.changes: Mapping[str, Any] = {}

    @property
    def fn(self) -> Callable[..., Any]:
        """The plain function."""
        return self.spec.fn

    @property
    def name(self) -> str:
        """The task's name in keys, records and tables: the module's last name and the function's qualified name."""
        return self.spec.name

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        frame = current.get()
        spec = self.spec
        if frame is None:
            return _call_outside(self, args, kwargs)  # type: ignore[no-any-return]  # a call knows no types
        engine: Engine = frame.call.engine
        if threading.get_ident() == engine.thread:
            return Handle(engine.spawn(spec, args, kwargs, frame))
        return Handle(engine.on_loop(engine.spawn, spec, args, kwargs, frame, copy_context()))

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self.__call__, instance)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"<task {self.spec.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _find_again, (function_ref(self.spec.fn),)

    def __headway_key__(self) -> object:
        return ("task", self.spec.identity)

    def options(
        self,
        *,
        key: object = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        cost: Mapping[str, float] | None = None,
        resources: Mapping[str, int] | None = None,
        processes: int | None = None,
        needs: Mapping[str, Any] | None = None,
    ) -> Self:
        """This task with other options, for some of its calls.

        Args:
            key: names the call instead of its arguments.
            retry: how often and how fast a failed call is tried again.
            timeout: seconds for one attempt.
            cost: what a call reserves in its budgets, by unit.
            resources: what a call holds while it runs, by name.
            processes: how many processes a gang has.
            needs: options that only the task's pool has, by name.

        Returns:
            The changed task. What is left out, or None, stays as it is.

        Raises:
            UsageError: an option is none of its kind, or can't go with those that the task has.

        Example:
            >>> @hw.task
            ... async def ask(question: str) -> str:
            ...     return question.upper()
            >>> @hw.task
            ... async def program() -> str:
            ...     return await ask.options(key="greeting", timeout=5)("hello")
            >>> hw.run(program, store=None)
            'HELLO'
        """
        given = {
            "key": key,
            "retry": retry,
            "timeout": timeout,
            "cost": cost,
            "resources": resources,
            "processes": processes,
            "needs": needs,
        }
        changed = type(self)(change_spec(self.spec, **given))  # type: ignore[arg-type]  # each has its type above
        changed.changes = {**self.changes, **{name: value for name, value in given.items() if value is not None}}
        return changed


class StreamTask(Task[P, int], Generic[P, T]):
    """An async generator whose calls are recorded, item by item; made by `task`."""

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Stream[T]:
        called: Any = super().__call__(*args, **kwargs)
        return Stream(called._call) if isinstance(called, Handle) else called


def _find_again(ref: FunctionRef) -> Any:
    """The task in another process: the object that its module has under its name."""
    return find(ref)


def _call_outside(task: Task[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """A call outside of a run: the function itself. A batch function gets a list of one. In a worker it is a call of the run.

    Raises UsageError in a process that can't reach the run for which it works: there the call would be neither recorded nor tried
    again nor counted.
    """
    spec = task.spec
    if (client := asking()) is not None:
        return client.call_task(spec, task.changes, args, kwargs)
    refuse_outside("task {} was called", "call its plain function (`.fn`), or call the task in the parent task", spec.name)
    if not spec.batch:
        return spec.fn(*args, **kwargs)
    (item,), _ = spec.signature.bind(args, dict(kwargs))
    values = spec.fn([item])
    if not spec.is_async:
        return values[0]

    async def first() -> Any:
        return (await values)[0]

    return first()


class _Decorator(Protocol):
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, AsyncIterator[R]], /) -> StreamTask[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Task[P, R]: ...


class _BatchDecorator(Protocol):
    @overload
    def __call__(self, fn: Callable[[list[A]], Coroutine[Any, Any, list[R]]], /) -> Task[[A], R]: ...
    @overload
    def __call__(self, fn: Callable[[list[A]], list[R]], /) -> Task[[A], R]: ...


@overload
def task(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
@overload
def task(fn: Callable[P, AsyncIterator[R]], /) -> StreamTask[P, R]: ...
@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    batch: int,
    linger_s: float = 0.0,
    batches: int | None = None,
    name: str | None = None,
    pool: str | None = None,
    retry: Retry | None = None,
    timeout: float | None = None,
    key: object = None,
    cache: Literal["run", "forever"] = "run",
    on_change: OnChange = "reuse",
    version: str = "",
    watch: Watch | None = None,
    label: LabelLike | None = None,
    cost: Mapping[str, float] | None = None,
    limit: int | LimitScope | None = None,
    codec: Literal["typed", "pickle"] = "typed",
) -> _BatchDecorator: ...
@overload
def task(
    *,
    name: str | None = None,
    pool: str | None = None,
    retry: Retry | None = None,
    timeout: float | None = None,
    key: object = None,
    cache: Literal["run", "forever"] = "run",
    effect: bool = False,
    verify: Callable[..., Any] | None = None,
    on_change: OnChange = "reuse",
    version: str = "",
    watch: Watch | None = None,
    label: LabelLike | None = None,
    cost: Mapping[str, float] | None = None,
    resources: Mapping[str, int] | None = None,
    limit: int | LimitScope | None = None,
    processes: int | None = None,
    needs: Mapping[str, Any] | None = None,
    window: int | None = None,
    codec: Literal["typed", "pickle"] = "typed",
) -> _Decorator: ...


def task(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a task: calls of it in a run are recorded. Use it bare, `@hw.task`, or with options, `@hw.task(timeout=30)`.

    A task must not change its arguments, for a replay can't repeat that: a call whose argument has changed when it ends fails with
    `ArgumentChanged`. A parameter that does not change the result (a client, a cache) is marked `Annotated[T, hw.unkeyed]`: it is
    no part of the call's name and may change.

    An async generator makes a task whose calls hand their items out as they come: `async for item in search(query)`. Each item is
    recorded before it is handed out (`Stream`).

    Args:
        fn: the function. Its calls run on the event loop where it is async, else in a thread.

    Keyword Args:
        name (str): its name in keys and records. Default: module and function name. Renaming a task renames its calls. What has no
            name of its own needs one: a partial, an object that is called. What such a function carries (the arguments of a
            partial, the object of a method) is part of what names its calls.
        pool (str): where it runs: "inline" (on the event loop, the default for `async def`), "thread" (the default for `def`),
            "process", or "gang": on `processes` processes at once that torch.distributed joins. The result of a gang is that of
            rank 0. Where one of its processes fails all are ended and the call has failed; a gang that lost a process begins again
            (`retry`), from its own `hw.checkpoints()`. Any other name is that of a pool which the run brings
            (`hw.run(…, pools=…)`).
        processes (int): how many processes a gang has. It is no part of the call's name: a resumed gang may have another number.
        needs (Mapping[str, object]): options that only the task's pool has, by name. No part of the call's name either.
        retry (Retry): how often and how fast a failed call is tried again.
        timeout (float): seconds for one attempt. In a batch it counts from when a call is ready, gathering included.
        batch (int): micro-batching: how many calls the function takes at once. It then takes a list and returns a list, while calls
            are single. Calls at the same time are handed over together; each is recorded by itself.
        linger_s (float): how long a batch gathers calls at most, in seconds.
        batches (int): how many batches of the task may run at a time. While so many do, the next one gathers: a backend that gains
            from large batches is given large ones exactly when it is busy.
        key (object): names a call instead of its arguments: a value, or a function of the arguments.
        cache (str): "run", or "forever" to share results between equal calls, in this run and in others of the store: task and
            arguments name the result, whoever asks. Of equal calls one runs at a time, also where several runs and processes ask at
            the same time, and the others get its result, at no cost. A failure belongs to the call that got it: the next one runs,
            and keeps what succeeded below in the same run, unless the one before failed by itself. When the process of the one that
            runs is killed, the next one runs at once.
        effect (bool): whether it changes the outside world. It then starts only when all it depends on is durable, and so is its
            start.
        verify (Callable): a function of the same arguments, asked before an effect that may have happened is run again. It returns
            `hw.Happened(result)` if it has, None or False if not. True, which has no result, fails the call.
        on_change (str): what happens to recorded results when the task's source has changed: "reuse" (the default), "rerun" or
            "ask".
        version (str): a text that stands for the source: with it, results count as changed when the text does, whatever the source.
        watch (Sequence | str): what counts in the version besides the task's own source: a list of functions, classes and values,
            such as `[clean, PROMPT]`, or "deep" for all functions, classes and constants (in capital letters) of this program that
            the code names, and those that they name.
        label (str | Callable): tells its calls apart in tables and pictures: a text with arguments in braces, such as "{item.id}",
            or a function of the arguments. It is no part of the call's name. Default: what is simple among the arguments.
        cost (Mapping[str, float]): amounts reserved in the budgets before an attempt starts, such as `{"tokens": 500}`. A unit that
            the call charges is settled at what it charged, one that it does not at the reservation. 0 of a unit promises to spend
            none, so that the call may start when that unit is used up.
        resources (Mapping[str, int]): what a call holds while it runs, by name, such as `{"gpu": 1}`. `hw.run(…, resources=…)` says
            how many there are.
        limit (int | LimitScope): how many of its calls run at a time, or a `hw.limit(…)` with a rate or a name: as if its block
            stood around every call of the task, so that the calls which it makes count too. Without a name it is one limit for all
            its calls in a run.
        window (int): of an async generator: by how many items it may be ahead of whoever reads it, then it waits. Default: 16.
        codec (str): "typed", or "pickle" to store results with pickle, for types that the typed codec can't encode. Only for stores
            you trust.

    Returns:
        The task, or with options what makes one of a function.

    Raises:
        UsageError: there is no such option, one is none of its kind, or some can't go together.

    Example:
        >>> @hw.task(retry=hw.Retry(attempts=3), timeout=30)
        ... async def double(x: int) -> int:
        ...     return 2 * x
        >>> hw.run(double, 21, store=None)
        42
    """
    if unknown := options.keys() - inspect.signature(make_spec).parameters.keys():
        known = list(inspect.signature(make_spec).parameters)[1:]
        raise UsageError(f"@hw.task has no option {', '.join(sorted(unknown))}; {near_misses(min(unknown), known)}")
    check_options(options)
    if isinstance(limit := options.get("limit"), LimitScope):
        options["limit"] = limit.numbers
    if fn is not None:
        return _task_of(make_spec(fn, **options))
    return lambda function: _task_of(make_spec(function, **options))


def _task_of(spec: TaskSpec) -> Task[Any, Any]:
    return StreamTask(spec) if spec.streams else Task(spec)


@overload
def ref(value: Handle[T], /) -> T: ...
@overload
def ref(value: T, /) -> T: ...
def ref(value: Any, /) -> Any:
    """A handle as an argument, typed as the result that it stands for.

    `embed(hw.ref(pages))` makes an edge of the graph: `embed` starts when `pages` has ended and gets its result. It is named by the
    call, not by the value.

    Args:
        value: the handle. What is no handle is a value already.

    Returns:
        The very same object.

    Example:
        >>> @hw.task
        ... async def double(x: int) -> int:
        ...     return 2 * x
        >>> @hw.task
        ... async def program() -> int:
        ...     return await double(hw.ref(double(1)))
        >>> hw.run(program, store=None)
        4
    """
    return value
