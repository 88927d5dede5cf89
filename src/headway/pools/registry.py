"""Which pools exist: those of this package, and those that a run is given.

A task names a pool, and a run says what stands behind the name: a size for a pool of ours, a pool (or what makes one) for any other
name. Nothing is known of other pools when a task is made, so what they ask of tasks is checked when a run first uses them: an
unknown name, an option that the pool does not have, a function that it can't find.

This is the one place that knows the pools by their names. Nothing here may start anything.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, get_args

from headway.errors import PoolFailed, UsageError
from headway.near import near_misses, near_sentence
from headway.pools.agents.hired import Hired
from headway.pools.base import Cancel, Demand, FullPool, FunctionRef, Pool, Traits
from headway.pools.gang import GANG, GangPool
from headway.pools.guard import Guarded
from headway.pools.process import PROCESS, ProcessPool
from headway.pools.program import check_importable, function_ref
from headway.pools.thread import THREAD, ThreadPool

if TYPE_CHECKING:
    from headway.pools.agents.staff import Staff

MOST_FITTED = 1024  # tasks that are remembered as their pools need them
LOOP = "inline"
"""Where `async def` runs: no pool, but the event loop itself. Its slots are `max_active` of the run."""

Given = int | Hired | Pool | Callable[[], Pool]
"""What a run says of a pool: how many slots one of ours has, where its processes are hired, somebody's own, or what makes one."""

HIRED = ("process", "gang")
"""The pools whose processes may be on other machines."""


class BuiltIn(NamedTuple):
    """A pool of this package."""

    traits: Traits
    make: Callable[[int], FullPool]
    size: Callable[[], int]


@functools.cache
def _count_cores() -> int:
    """How many cores there are. The system reads a file to say so, for each run that starts."""
    return os.cpu_count() or 1


BUILT_IN: dict[str, BuiltIn] = {
    "thread": BuiltIn(THREAD, ThreadPool, lambda: 32),
    "process": BuiltIn(PROCESS, ProcessPool, _count_cores),
    "gang": BuiltIn(GANG, GangPool, lambda: 1),
}
TRAITS: dict[str, Traits] = {
    LOOP: Traits(asks=True, lends=True, cancel="cooperative", takes_async=True),
    **{name: built.traits for name, built in BUILT_IN.items()},
}
"""The traits of every name that a task may give without its run bringing a pool."""


class TaskLike(Protocol):
    """What the pools ask of a task (`TaskSpec`)."""

    @property
    def name(self) -> str: ...
    @property
    def fn(self) -> Callable[..., Any]: ...
    @property
    def pool(self) -> str: ...
    @property
    def is_async(self) -> bool: ...
    @property
    def batch(self) -> int: ...
    @property
    def need(self) -> Demand: ...
    @property
    def ref(self) -> FunctionRef | None: ...
    @property
    def may_wait(self) -> bool: ...


Spec = TypeVar("Spec", bound=TaskLike)


# --- what a run is given ---------------------------------------------------------------------------------------------------


def check_given(given: Mapping[Any, Any]) -> dict[str, Given]:
    """Check the pools of a run: those it names, and ours with their usual size.

    Raises UsageError for a value that is neither a pool nor a size.
    """
    made: dict[str, Given] = {name: built.size() for name, built in BUILT_IN.items()}
    for name, value in given.items():
        if not isinstance(name, str) or not name:
            raise UsageError(f"pools= names a pool {name!r:.100}: a name is a text")
        if name == LOOP:
            raise UsageError(f"pools= has no {LOOP!r}: that is the event loop, and max_active= says how many calls run on it")
        is_number = isinstance(value, int | float)
        if isinstance(value, Hired):
            if name not in HIRED:
                raise UsageError(f"pools[{name!r}] = {value!r}: can be hired only for {' and '.join(map(repr, HIRED))}")
        elif name in BUILT_IN:
            if not is_number:
                raise UsageError(f"pools[{name!r}] = {value!r:.100}: that is a pool of Headway's own; give a size, or another name")
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UsageError(f"{name} = {value!r}: a whole number, at least 1")
        elif value is None or is_number or isinstance(value, str):
            raise UsageError(
                f"pools= has no {name!r}; {near_sentence(name, BUILT_IN)} Of your own, give the pool: pools={{{name!r}: MyPool(…)}}"
            )
        elif not _makes_one(value):
            _check_is_pool(name, value)
        made[name] = value
    return made


def make_pools(given: Mapping[str, Given]) -> dict[str, FullPool]:
    """Make the pools of a run, without starting them. Raises UsageError for a value that turns out not to be a pool, or that works
    already."""
    checked = check_given(given)
    staffs = {id(value): value.make_staff() for value in checked.values() if isinstance(value, Hired)}
    return {name: make_pool(name, value, staffs.get(id(value))) for name, value in checked.items()}


def make_pool(name: str, given: Given, staff: Staff | None = None) -> FullPool:
    """The pool behind a name, as the engine works with it. Pools that were given the same `Hired` share its agents."""
    pool = real_pool(name, given, staff)
    return pool if isinstance(pool, ThreadPool | ProcessPool | GangPool) else Guarded(name, pool)


def real_pool(name: str, given: Given, staff: Staff | None = None) -> Pool:
    """The pool behind a name as it was given, made where it is not there yet."""
    if isinstance(given, Hired):
        from headway.pools.agents.gang import FarGangPool
        from headway.pools.agents.process import FarProcessPool

        staff = staff or given.make_staff()
        return FarProcessPool(staff) if name == "process" else FarGangPool(staff)
    if isinstance(given, int):
        return BUILT_IN[name].make(given)
    made: Any = given
    pool = made() if _makes_one(given) else made
    _check_is_pool(name, pool)
    return pool  # type: ignore[no-any-return]  # checked above


def _makes_one(given: object) -> bool:
    """Whether it is not itself a pool, but a class or a function that makes one."""
    return callable(given) and (isinstance(given, type) or not hasattr(given, "submit"))


def _check_is_pool(name: str, pool: object) -> None:
    lacks = [method for method in ("free", "submit", "cancel", "start", "close") if not callable(getattr(pool, method, None))]
    if lacks:
        raise UsageError(
            f"pools[{name!r}] = {pool!r:.100} is no pool: it has no {' and no '.join(lacks)}. headway.pools.Pool says what one has"
        )
    if not isinstance(traits := getattr(pool, "traits", None), Traits):
        raise UsageError(f"pools[{name!r}].traits is {traits!r:.100}: give a headway.pools.Traits(…)")
    asks = traits.asks or traits.relays
    if (traits.asks and traits.copies) or (traits.lends and not asks):
        wrong = "asks and copies" if traits.copies and traits.asks else "lends and does not ask"
        raise UsageError(f"pools[{name!r}].traits {wrong}: code with copies is elsewhere, and only what can ask waits for calls")
    if traits.cancel not in get_args(Cancel):
        raise UsageError(f"pools[{name!r}].traits.cancel is {traits.cancel!r}: {', '.join(map(repr, get_args(Cancel)))}")


# --- tasks and pools -------------------------------------------------------------------------------------------------------


class Pools(dict[str, FullPool]):
    """The pools of one run, by name."""

    def __init__(self, pools: Mapping[str, FullPool]) -> None:
        super().__init__(pools)
        self.were_wanted = False  # by a task
        self._fitted: dict[int, tuple[Any, Any]] = {}  # by the identity of a task, which is kept with it

    def fit(self, task: Spec) -> Spec:
        """The task as its pool needs it. Raises UsageError where there is no such pool, or where it can't take the task."""
        found = self._fitted.get(id(task))
        if found is None:
            if len(self._fitted) >= MOST_FITTED:  # `Task.options` makes a task for each of its calls
                self._fitted.clear()
            self._fitted[id(task)] = found = task, self._fit(task)
        return found[1]

    def _fit(self, task: Spec) -> Spec:
        if task.pool == LOOP:
            return task
        self.were_wanted = True
        if task.pool not in self:
            names = (LOOP, *self)
            raise UsageError(
                f"task {task.name} wants pool={task.pool!r}, which this run does not have; {near_sentence(task.pool, names)} "
                f"Bring it with hw.run(…, pools={{{task.pool!r}: …}})"
            )
        traits = self[task.pool].traits
        if wrong := misfit(task, traits):
            raise UsageError(f"task {task.name}: {wrong}")
        if traits.imports and task.ref is None:
            check_importable(task.fn)
            return dataclasses.replace(task, ref=function_ref(task.fn))  # type: ignore[type-var]  # a task's spec here
        return task

    def start(
        self,
        on_free: Callable[[], None],
        emit: Callable[[Any], None] | None,
        on_fault: Callable[[PoolFailed], None],
        blobs: str = "",
    ) -> None:
        """Start them all. `on_fault` hears of a pool that did not do what a pool does; `blobs` is where large values may be put."""
        for pool in self.values():
            if blobs and (use_blobs := getattr(pool, "use_blobs", None)) is not None:
                use_blobs(blobs)
            if isinstance(pool, Guarded):
                pool.on_fault = on_fault
            pool.start(on_free, emit)

    async def close(self) -> None:
        """Close them all, also where one can't be closed. Raises what the first of those raised."""
        failed: list[Exception] = []
        for pool in self.values():
            try:
                await pool.close()
            except Exception as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def places(self, task: Spec, *, alone: bool) -> int:
        """How many calls of a task its pool can take now: in a slot, or, where they need not begin at once, behind another call."""
        pool = self[task.pool]
        free = pool.free(task.need)
        if free > 0 or alone or not task.may_wait:
            return free
        ahead: Callable[[], bool] | None = getattr(pool, "takes_ahead", None)
        return int(ahead is not None and ahead())

    def copies(self, name: str) -> bool:
        """Whether the code in a pool has copies of the program's objects."""
        return name != LOOP and self[name].traits.copies


def misfit(task: TaskLike, traits: Traits) -> str:
    """Why a pool with these traits can't take the task; empty if it can."""
    for name, value in task.need.options:
        check = traits.needs.get(name)
        if check is None:
            owners = [pool for pool, other in TRAITS.items() if name in other.needs]
            if owners:
                return f'{name}= is for pool="{owners[0]}": add that, or leave {name}= out of a task of pool={task.pool!r}'
            return f"pool={task.pool!r} has no option {name!r} in needs=; {near_misses(name, traits.needs)}"
        if wrong := check(value):
            return f"{name}={value!r:.100}: {wrong}"
    if task.batch and not traits.batches:
        return f"a task of pool={task.pool!r} can't be a batch task: leave out batch="
    if task.is_async and not traits.takes_async:
        return f"an async function runs on the event loop, not in pool={task.pool!r}: make it a plain def"
    return ""
