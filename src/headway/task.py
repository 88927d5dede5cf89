"""Tasks: functions whose calls are recorded.

    @hw.task
    async def search(query: str) -> list[str]: ...

Inside a run a call returns a `Handle` at once and runs; outside of one a task is just its function. Types survive: a task of
`(query: str) -> list[str]` is called with a `str` and awaited as a `list[str]`, whether its function is `async` or not.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, Protocol, Self, TypeVar, overload

from headway.engine.call import current
from headway.engine.handle import Handle
from headway.engine.identity.keys import task_part
from headway.engine.identity.labels import LabelLike, check_label
from headway.engine.identity.signature import Signature
from headway.engine.outcomes.retry import Retry
from headway.engine.scopes.bounds import LimitNumbers
from headway.engine.stopping.outside import refuse_outside
from headway.engine.streaming.stream import Stream
from headway.engine.streaming.streams import WINDOW
from headway.engine.tasks.callables import is_async, is_stream, name_of
from headway.engine.tasks.callables import is_async as gives_awaitable
from headway.engine.tasks.carried import check_task_function, own_name, what_it_carries
from headway.engine.tasks.options import check_options, is_number
from headway.engine.tasks.spec import RIVALS, TASKS, TaskSpec
from headway.engine.tasks.watched import Watch, check_watch
from headway.errors import UsageError, WorkerDied
from headway.journal.codec.declared import declare, stable_module
from headway.near import near_misses
from headway.pools.base import Demand, FunctionRef, Traits
from headway.pools.program import check_importable, find, function_ref
from headway.pools.registry import TRAITS, misfit
from headway.scopes.limit import LimitScope

if TYPE_CHECKING:
    from headway.engine.engine import Engine

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
T = TypeVar("T")

OnChange = Literal["reuse", "rerun", "ask"]


class Task(Generic[P, R]):
    """A function whose calls are recorded; made by `task`."""

    __headway_task__ = True

    def __init__(self, spec: TaskSpec) -> None:
        functools.update_wrapper(self, spec.fn)
        self.spec = spec

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
            return _call_outside(spec, args, kwargs)  # type: ignore[no-any-return]
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
        check_options({"cost": cost, "resources": resources, "needs": needs}, f"{self.spec.name}.options({{}})")
        needed = _needs(processes, needs)
        changes: dict[str, Any] = {
            "key": key,
            "retry": retry,
            "timeout_s": timeout,
            "cost": dict(cost) if cost is not None else None,
            "resources": dict(resources) if resources is not None else None,
            "need": Demand.of({**dict(self.spec.need.options), **needed}) if needed else None,
        }
        changed = {name: value for name, value in changes.items() if value is not None}
        spec = _check_spec(dataclasses.replace(self.spec, **changed))
        return type(self)(dataclasses.replace(spec, plain=_is_plain(spec)))


class StreamTask(Task[P, int], Generic[P, T]):
    """An async generator whose calls are recorded, item by item; made by `task`."""

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Stream[T]:
        called: Any = super().__call__(*args, **kwargs)
        return Stream(called._call) if isinstance(called, Handle) else called


def _find_again(ref: FunctionRef) -> Any:
    """The task in another process: the object that its module has under its name."""
    return find(ref)


def _call_outside(spec: TaskSpec, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """A call outside of a run: the function itself. A batch function gets a list of one.

    Raises UsageError in a process that works for a call: there it would be neither recorded nor tried again nor counted.
    """
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
    if fn is not None:
        return _task_of(make_spec(fn, **options))
    return lambda function: _task_of(make_spec(function, **options))


def _task_of(spec: TaskSpec) -> Task[Any, Any]:
    return StreamTask(spec) if spec.streams else Task(spec)


def make_spec(
    fn: Callable[..., Any],
    *,
    name: str | None = None,
    pool: str | None = None,
    retry: Retry | None = None,
    timeout: float | None = None,
    batch: int | None = None,
    linger_s: float = 0.0,
    batches: int | None = None,
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
) -> TaskSpec:
    """The engine's view of a task. Declares the types in its signature to the codec."""
    fn = check_task_function(fn)
    known_as = name or _name_of(fn)
    is_async = gives_awaitable(fn)
    where = pool or ("inline" if is_async else "thread")
    traits = TRAITS.get(where)  # None of a pool that runs bring: what it asks of the task is checked there
    if traits is not None and traits.imports:
        check_importable(fn)
    spec = TaskSpec(
        name=known_as,
        fn=fn,
        signature=Signature(fn, name or own_name(fn), batch=bool(batch)),
        is_async=is_async,
        pool=where,
        retry=retry or _retry_of(traits),
        timeout_s=timeout,
        batch=batch or 0,
        linger_s=linger_s,
        batches=batches or 0,
        key=key,
        forever=cache == "forever",
        effect=effect,
        verify=verify,
        on_change=on_change,
        version_text=version,
        watch=check_watch(watch, known_as, version),
        label_as=label,
        cost={unit: float(amount) for unit, amount in (cost or {}).items()},
        resources=dict(resources or {}),
        limit=_limit_of(limit, known_as),
        pickled=codec == "pickle",
        ref=function_ref(fn) if traits is not None and traits.imports else None,
        need=Demand.of(_needs(processes, needs)),
        streams=is_stream(fn),
        window=WINDOW if window is None and is_stream(fn) else window or 0,
    )
    carried = "" if key is not None else what_it_carries(fn, known_as, named=bool(name), forever=spec.forever)
    identity = f"{known_as}\0{carried}" if carried else known_as
    spec = dataclasses.replace(spec, plain=_is_plain(spec), identity=identity, name_part=task_part(identity))
    for annotation in getattr(fn, "__annotations__", {}).values():
        declare(annotation, getattr(fn, "__globals__", {}))
    if label is not None:
        names = (*spec.signature.names, *spec.signature.keyword_names)
        check_label(label, spec.name, names, takes_any=spec.signature.takes_any)
    if (known := TASKS.get(spec.name)) is not None and known.fn is not fn:
        RIVALS.add(spec.name)
    TASKS[spec.name] = _check_spec(spec)
    return spec


def _name_of(fn: Callable[..., Any]) -> str:
    """The name that a task has by itself. Raises UsageError where it has none."""
    name = own_name(fn)
    if not name:
        raise UsageError(f"@hw.task got {fn!r:.100}, which has no name of its own: add name=, by which its calls are known")
    return f"{stable_module(fn.__module__)}.{name}"


def _needs(processes: int | None, needs: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a task needs of its pool. `processes=` is a need that has a name of its own among the options."""
    given = {} if processes is None else {"processes": processes}
    return {**given, **(needs or {})}


def _retry_of(traits: Traits | None) -> Retry | None:
    """What a task does about a worker that died, where it says nothing of that and its pool has members that die together."""
    if traits is None or traits.attempts <= 1:
        return None
    return Retry(attempts=traits.attempts, delay_s=1.0, on=(WorkerDied,))


def _limit_of(limit: int | LimitScope | None, name: str) -> LimitNumbers | None:
    """What a task's limit allows. Raises UsageError for what is none."""
    if limit is None or isinstance(limit, LimitScope):
        return None if limit is None else limit.numbers
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise UsageError(f"task {name}: limit={limit!r:.100}: expected a whole number, at least 1, or hw.limit(…)")
    return LimitNumbers(limit)


def _is_retry(value: object) -> bool:
    return value is None or isinstance(value, Retry)


def _is_plain(spec: TaskSpec) -> bool:
    """Whether calls of this task need nothing but a turn of the event loop."""
    needs = (spec.retry, spec.timeout_s, spec.batch, spec.effect, spec.cost, spec.resources, spec.pickled, spec.streams)
    return spec.pool == "inline" and not any(needs)


def _check_spec(spec: TaskSpec) -> TaskSpec:
    traits = TRAITS.get(spec.pool)
    wrong = ""
    if traits is not None and (unfit := misfit(spec, traits)):
        wrong = unfit
    elif wrong := _unfit_stream(spec):
        pass
    elif spec.verify is not None and not spec.effect:
        wrong = "verify= is for effects: add effect=True"
    elif spec.batch and (spec.effect or spec.resources):
        wrong = "a batch task can't be an effect or hold resources"
    elif spec.on_change not in ("reuse", "rerun", "ask"):
        wrong = f"on_change={spec.on_change!r} is none of 'reuse', 'rerun', 'ask'"
    elif not _is_retry(spec.retry):
        wrong = f"retry={spec.retry!r} is no Retry: write retry=hw.Retry(attempts=3)"
    elif not (spec.timeout_s is None or (is_number(spec.timeout_s) and spec.timeout_s > 0)):
        wrong = f"timeout={spec.timeout_s!r} is not a number of seconds above zero"
    elif not all(map(callable, (spec.verify or _check_spec,))):
        wrong = f"verify={spec.verify!r} is no function"
    elif callable(spec.key) and is_async(spec.key):
        wrong = f"key={name_of(spec.key)} is async: a call is named when it is made, so give a plain function of its arguments"
    elif any(amount < 0 or amount == math.inf or amount != int(amount) for amount in spec.resources.values()):
        wrong = f"resources={dict(spec.resources)!r}: whole numbers, zero or more"
    elif spec.batch < 0 or spec.linger_s < 0 or spec.batches < 0:
        wrong = "batch, batches and linger_s can't be negative"
    elif spec.batches and not spec.batch:
        wrong = "batches= is for batch tasks: add batch="
    elif any(not amount >= 0 for amount in spec.cost.values()):
        wrong = f"cost={spec.cost!r}: amounts can't be negative"
    if wrong:
        raise UsageError(f"task {spec.name}: {wrong}")
    return spec


def _unfit_stream(spec: TaskSpec) -> str:
    """What an async generator can't be, or only one can."""
    if not spec.streams:
        return "" if not spec.window else "window= is for async generators, whose calls hand out items: leave it out"
    if spec.window < 1:
        return f"window={spec.window}: a stream is ahead of who reads it by one item at least"
    if spec.pool != "inline":
        return f"an async generator runs on the event loop, not in pool={spec.pool!r}: leave out pool="
    options = {"batch=": spec.batch, 'cache="forever"': spec.forever, "effect=": spec.effect}
    given = next((name for name, value in options.items() if value), "")
    return given and f"an async generator hands out items and can't have {given}: leave it out, or give it to a task that it calls"


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
