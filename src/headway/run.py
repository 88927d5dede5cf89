"""How a program starts and goes on: run and arun.

    hw.run(answer, "why is the sky blue?", store=".headway", run_id="sky")

The same id again goes on where the run stopped; a run that has ended answers from the journal. A run is driven by one process at a
time, which holds its lease; any other may look at it, cancel it or signal it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict, TypeVar, Unpack

from headway import events
from headway.engine.call import current
from headway.engine.dispatch.order import Order
from headway.engine.drive import Driver, Plan
from headway.engine.replay.claim import Claim, claim_run
from headway.engine.scopes.accounting import check_bounds
from headway.engine.stopping.own_loop import run_to_end
from headway.engine.tasks.callables import check_function
from headway.engine.tasks.carried import own_name
from headway.engine.tasks.spec import TaskSpec
from headway.engine.world import World, this_world
from headway.errors import NoCanonicalForm, NotEncodable, RunError, StoreError, UsageError
from headway.ipc.beside import threads_can_start
from headway.journal.codec.codec import digest, encode
from headway.journal.off_loop import watch_thread
from headway.journal.open import DEFAULT_STORE, open_store
from headway.journal.records import RunSpec
from headway.journal.store import Buffer, Store
from headway.near import near_sentence
from headway.observe.progress import Progress
from headway.observe.sinks import JsonlSink
from headway.pools.current import importing_main, worker_call
from headway.pools.registry import Given, check_given
from headway.relay.answering import answer
from headway.relay.host import make_host
from headway.task import Task, task

R = TypeVar("R")
StoreLike = str | Path | Store | None
EventsLike = str | Path | events.Sink | Sequence[str | Path | events.Sink] | None

Policy = Literal["reuse", "rerun"]


ACTIVE = 1024


class RunOptions(TypedDict, total=False):
    """What `run`, `arun` and `resume` take besides the program and its arguments.

    Attributes:
        kwargs: keyword arguments of the program.
        store: a folder (made when missing), a `Store`, or None to keep nothing. Default ".headway".
        run_id: a name for the run; the same name again goes on with it. Without one, a new name is made.
        progress: whether to show what happens on stderr; by default when that is a terminal.
        events: a file for one JSON object per event, or a callable that takes `headway.events.Event`, or several.
        pools: how many `{"process": …, "thread": …}` may work at a time (default: one process per core, 32 threads, one gang), and
            by any other name a pool of your own (`headway.pools.Pool`), or a class or function that makes one. `hw.Hired(…)` has
            the processes of "process" and "gang" on other machines.
        resources: how many of each named resource the run has, such as `{"gpu": 2}`.
        budget: bounds what the whole run spends, as `hw.budget`.
        deadline_s: bounds how long the whole run takes, in seconds, as `hw.deadline`. `run` keeps the deadline that it first had;
            `resume` sets it anew, from now.
        max_active: how many calls may run on the event loop at a time (default 1024); more wait in line.
        order: which of the calls that wait for room starts first (`headway.Order`). Without one, the longest path still ahead of
            them where durations are known, and first come first served otherwise.
        take_over: whether to drive the run although another live process does; that one's later writes are rejected.
        on_change: what to do with results of tasks whose source changed, per task name: "reuse" or "rerun".
    """

    kwargs: Mapping[str, Any] | None
    store: StoreLike
    run_id: str | None
    progress: bool | None
    events: EventsLike
    pools: Mapping[str, Given] | None
    resources: Mapping[str, int] | None
    budget: Mapping[str, float] | None
    deadline_s: float | None
    max_active: int
    order: Order | None
    take_over: bool
    on_change: Mapping[str, Policy] | None


def run(program: Callable[..., Awaitable[R]], /, *args: Any, **options: Unpack[RunOptions]) -> R:
    """Run a task to its end and return its result.

    Args:
        program: the task, a partial of one, or a plain function.
        *args: its arguments.
        **options: see `RunOptions`; keyword arguments of the program go into `kwargs`.

    Returns:
        The program's result; that of the journal where the run has ended before.

    Raises:
        Exception: what the program raises.
        UsageError: the options make no sense, or a run can't start here.
        RunMismatch: the run id was used for another task or other arguments.
        RunOwned: another live process drives the run.
        RunCancelled: the run was cancelled.
        Interrupted: the process got Ctrl-C or SIGTERM.
        StoreError: the store can't be read or written.

    Example:
        >>> @hw.task
        ... async def double(x: int) -> int:
        ...     return 2 * x
        >>> hw.run(double, 21, store=None)
        42
    """
    result: R = drive_run(program, args, options)
    return result


def drive_run(
    program: Any, args: tuple[Any, ...], options: RunOptions, new_deadline: bool = False, retry_failed: bool = False
) -> Any:
    if importing_main():
        raise UsageError(
            "hw.run was reached while the program was being imported (by a worker or the command line): "
            'put it under `if __name__ == "__main__":`'
        )
    _refuse_inside()
    if asyncio._get_running_loop() is not None:
        raise UsageError("hw.run starts an event loop, but one is running here already: use `await hw.arun(…)`")
    try:
        return run_to_end(drive(program, args, options, new_deadline, retry_failed))
    except (RunError, StoreError) as error:  # one sentence; the runtime's own frames would only hide it
        raise error.with_traceback(None) from error.__cause__


async def arun(program: Callable[..., Awaitable[R]], /, *args: Any, **options: Unpack[RunOptions]) -> R:
    """Run a task as `run` does, inside an event loop that is already running.

    Args:
        program: the task, a partial of one, or a plain function.
        *args: its arguments.
        **options: see `RunOptions`.

    Returns:
        The program's result.

    Example:
        >>> import asyncio
        >>> @hw.task
        ... async def double(x: int) -> int:
        ...     return 2 * x
        >>> asyncio.run(hw.arun(double, 21, store=None))
        42
    """
    result: R = await drive(program, args, options)
    return result


async def drive(
    program: Any, args: tuple[Any, ...], options: RunOptions, new_deadline: bool = False, retry_failed: bool = False
) -> Any:
    _refuse_inside()
    if not threads_can_start():
        raise UsageError(
            "a run can't start while Python shuts down: no thread can be started any more. Start it earlier, and have the main "
            "thread wait for it"
        )
    checked = check_run_options(options)
    bounds = check_bounds(dict(options.get("budget") or {}), "budget")
    spec, args, named = _root(program, args, dict(options.get("kwargs") or {}))
    args, bound = spec.signature.bind(args, named)
    given = options.get("store", DEFAULT_STORE)
    world = this_world(asyncio.get_running_loop())
    shown, close_sinks = _sinks(options.get("progress"), options.get("events"))
    opened: Store | None = None
    driver: Driver | None = None
    try:
        with watch_thread(world.debugs):
            opened, claim = await _claim(given, spec, args, bound, options, world, retry_failed)
            plan = Plan(
                run_id=claim.info.spec.run_id if claim else options.get("run_id") or "memory",
                spec=spec,
                args=args,
                kwargs=dict(bound),
                salt=claim.info.spec.salt if claim else world.token(),
                nonce=claim.info.uid.to_bytes(8, "big") + claim.info.spec.salt if claim else world.token(),
                store=opened,
                claim=claim,
                sinks=shown,
                pools=checked.pools,
                resources=dict(options.get("resources") or {}),
                max_active=checked.max_active,
                order=options.get("order"),
                decided=dict(options.get("on_change") or {}),
                budget=bounds,
                deadline_s=options.get("deadline_s"),
                new_deadline=new_deadline,
                retry_failed=retry_failed,
                owns_store=opened is not given,
                world=world,
                hosts=make_host(answer),
            )
            driver = Driver(plan)
            return await driver.drive()
    finally:
        close_sinks()
        if opened is not None and opened is not given and not (driver is not None and driver.has_closed):
            await world.aside(opened.close)


# --- parts -----------------------------------------------------------------------------------------------------------


def _refuse_inside() -> None:
    if current.get() is not None or worker_call() is not None:
        raise UsageError("a run can't start inside a call of another run: call the task instead, it becomes a child")


def _root(program: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[TaskSpec, tuple[Any, ...], dict[str, Any]]:
    """The task to start, from a task, a partial of one or a plain function."""
    while isinstance(program, functools.partial):
        args, kwargs, program = (*program.args, *args), {**program.keywords, **kwargs}, program.func
    if not isinstance(program, Task):
        if not callable(program):
            if inspect.iscoroutine(program):
                program.close()  # or Python warns on top that nobody awaited it
                raise UsageError(
                    f"hw.run starts a task; got a call. Write hw.run({program.__name__}, …) with its arguments behind it"
                )
            raise UsageError(f"hw.run starts a task; got {program!r}. Give it a function decorated with @hw.task")
        program = task(program)
    return program.spec, args, kwargs


class CheckedOptions(NamedTuple):
    """What options of a run come to."""

    pools: dict[str, Given]
    max_active: int


def check_run_options(options: Mapping[str, Any]) -> CheckedOptions:
    """The pools and the size of the active set. Raises UsageError for what makes no sense, before anything is begun."""
    if unknown := options.keys() - RunOptions.__annotations__.keys():
        raise UsageError(
            f"hw.run has no option {', '.join(sorted(unknown))}: {near_sentence(min(unknown), RunOptions.__annotations__)} "
            "Keyword arguments of the program go into kwargs={…}"
        )
    for name in ("pools", "resources", "budget", "kwargs", "on_change"):
        if not isinstance(options.get(name) or {}, Mapping):
            raise UsageError(f"{name} = {options[name]!r:.100}: expected a dictionary")
    pools = check_given(options.get("pools") or {})
    max_active = options.get("max_active", ACTIVE)
    if not isinstance(max_active, int) or isinstance(max_active, bool) or max_active < 1:
        raise UsageError(f"max_active = {max_active!r}: a whole number, at least 1")
    if not callable(options.get("order") or len):
        raise UsageError(f"order = {options['order']!r:.100}: a function of the calls that wait, which gives each a number")
    for name, total in (options.get("resources") or {}).items():
        if not isinstance(total, int) or isinstance(total, bool) or total < 0:
            raise UsageError(f"resources[{name!r}] = {total!r}: a whole number, zero or more")
    seconds = options.get("deadline_s")
    if seconds is not None and not (isinstance(seconds, int | float) and seconds >= 0):
        raise UsageError(f"deadline_s = {seconds!r}: a number of seconds, zero or more")
    run_id = options.get("run_id")
    if run_id is not None and not (isinstance(run_id, str) and run_id and run_id.isprintable()):
        raise UsageError(f"run_id = {run_id!r}: a name of printable characters")
    for name, policy in (options.get("on_change") or {}).items():
        if policy not in ("reuse", "rerun"):
            raise UsageError(f"on_change[{name!r}] = {policy!r}: 'reuse' or 'rerun'")
    return CheckedOptions(pools, max_active)


async def _claim(
    store: StoreLike,
    spec: TaskSpec,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    options: RunOptions,
    world: World,
    retry_failed: bool,
) -> tuple[Store | None, Claim | None]:
    """Open the store and take the run up in it, off the loop; nothing of either without a store. Whoever loses interest
    meanwhile leaves a run that nobody drives."""
    if store is None:
        return None, None
    asked, (head, buffers) = spec.canonical(args, kwargs), _encode_arguments(spec, args, kwargs)
    blobs = [(digest(buffer), buffer) for buffer in buffers]
    path, module = source_of(spec)
    wanted = RunSpec(
        run_id=options.get("run_id") or new_run_id(spec.name),
        task=spec.name,
        module=module,
        qualname=own_name(spec.fn),
        path=path,
        args=head,
        blobs=tuple(name for name, _ in blobs),
        created=world.wall(),
    )
    decided, take_over = dict(options.get("on_change") or {}), options.get("take_over", False)

    def claim() -> tuple[Store, Claim]:
        opened = open_store(store)
        try:
            for name, buffer in blobs:
                opened.put_blob(name, buffer)
            return opened, claim_run(opened, wanted, spec, asked, decided, world, take_over=take_over, retry_failed=retry_failed)
        except BaseException:
            if opened is not store:
                opened.close()
            raise

    def leave() -> None:
        opened, claimed = claiming.result()
        try:
            claimed.give_up(opened, world.wall())
        finally:
            if opened is not store:
                opened.close()

    claiming = asyncio.ensure_future(world.aside(claim))
    try:
        return await asyncio.shield(claiming)
    except asyncio.CancelledError:
        await asyncio.wait([claiming])
        if not claiming.cancelled() and claiming.exception() is None:
            await world.aside(leave)
        raise


def _encode_arguments(spec: TaskSpec, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[bytes | None, tuple[Buffer, ...]]:
    """The arguments as `resume` will need them; None where they have no encoding."""
    try:
        return encode((args, kwargs), where=f"the arguments of {spec.name}")
    except (NotEncodable, NoCanonicalForm):
        return None, ()


def source_of(spec: TaskSpec) -> tuple[str, str]:
    """The file and module in which the task can be found again."""
    name = getattr(spec.fn, "__module__", None) or ""
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    found = getattr(module, "__spec__", None)
    if name == "__main__" and found is not None:
        name = found.name
    return (str(Path(file).resolve()) if file else ""), name


def new_run_id(task_name: str) -> str:
    """A name for a run that was given none: the task's, the time and two random bytes."""
    short = task_name.rpartition(".")[2].replace("<locals>", "").strip(".") or "run"
    return f"{short}-{time.strftime('%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def _sinks(progress: bool | None, wanted: EventsLike) -> tuple[list[events.Sink], Callable[[], None]]:
    """The event sinks of a run, and how to close those that were opened here."""
    given = [] if wanted is None else list(wanted) if isinstance(wanted, (list, tuple)) else [wanted]
    sinks: list[events.Sink] = []
    opened: list[Any] = []
    item: Any
    for item in given:
        if isinstance(item, (str, Path)):
            opened.append(JsonlSink(item))
            sinks.append(opened[-1])
        else:
            check_function(item, "events", "put the event into a queue there, and await that")
            sinks.append(item)
    if sys.stderr.isatty() if progress is None else progress:
        opened.append(Progress())
        sinks.append(opened[-1])

    def close() -> None:
        for sink in opened:
            sink.close()

    return sinks, close
