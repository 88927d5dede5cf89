"""`hw.enqueue`: a run that a worker takes up, made in one transaction with its job, and in that of the caller if it likes.

    run_id = hw.enqueue(send_invoice, order.id, run_id=f"invoice-{order.id}", queue="mail", key=order.customer, store=STORE)

The run id is what makes it safe to say twice: a run that is there is not made again. Nothing runs here.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

from headway.engine.call import current
from headway.engine.tasks.options import is_number
from headway.errors import UsageError
from headway.journal.open import DEFAULT_STORE, open_store
from headway.journal.records import RunInfo
from headway.journal.shared.queues import Job, check_job
from headway.journal.store import Store
from headway.pools.current import worker_call
from headway.service.asking import Asked, ask_for


class EnqueueOptions(TypedDict, total=False):
    """What `enqueue` takes besides the task and its arguments.

    Attributes:
        kwargs: keyword arguments of the task.
        run_id: a name for the run. A run that has this name already is not made again, so that enqueuing may be repeated. Without
            one, a new name is made.
        queue: which queue it waits in.
        key: of whom it is, such as a customer. Keys of a queue take turns, and may have a limit each.
        priority: higher first.
        at: not before then: seconds since 1970, or a datetime with a time zone.
        weight: how much of its key's turns it gets: with 2.0 a key gets two turns where others get one.
        version: only a worker started with this `--version` takes it.
        store: a folder, a Postgres URL, or a store that is open (which saves opening it each time). Default ".headway".
        conn: a psycopg connection to the database of the store: run and job are written in the transaction that it is in, and are
            there when that commits. Postgres only.
    """

    kwargs: Mapping[str, Any] | None
    run_id: str | None
    queue: str
    key: str
    priority: int
    at: float | datetime.datetime | None
    weight: float
    version: str
    store: str | Path | Store | None
    conn: Any


def enqueue(task: Any, /, *args: Any, **options: Unpack[EnqueueOptions]) -> str:
    """Have a run made that a worker takes up (`headway worker`).

    Args:
        task: the task, at the top level of a module that the workers load.
        *args: its arguments.
        **options: see `EnqueueOptions`.

    Returns:
        The id of the run.

    Raises:
        UsageError: the task can't be found again by a worker, or an option makes no sense.
        NotEncodable: an argument can't be stored.
        RunMismatch: the run of this id has another task or other arguments.
        QueueFull: as many runs wait in the queue as it may hold.
        StoreError: the store can't be written.

    Example:
        >>> @hw.task
        ... async def greet(name: str) -> str:
        ...     return f"hello {name}"
        >>> store = hw.MemoryStore()
        >>> hw.enqueue(greet, "sky", run_id="greet-sky", store=store)
        'greet-sky'
        >>> hw.enqueue(greet, "sky", run_id="greet-sky", store=store)  # said twice, done once
        'greet-sky'
    """
    prepared = _prepare(task, args, options)
    conn = options.get("conn")
    if type(conn).__name__.startswith("Async"):
        raise UsageError("hw.enqueue(conn=…) got an asynchronous connection: write `await hw.aenqueue(…)`, which uses it")
    with _opened(options) as store:
        _put_blobs(store, prepared.asked)
        if conn is None:
            found = store.enqueue(prepared.asked.spec, prepared.job, time.time())
        else:
            found = _in_postgres(store).enqueue_in(conn, prepared.asked.spec, prepared.job, time.time())
        return prepared.check(found, store)


async def aenqueue(task: Any, /, *args: Any, **options: Unpack[EnqueueOptions]) -> str:
    """Have a run made as `enqueue` does, without blocking the event loop.

    Args:
        task: the task.
        *args: its arguments.
        **options: see `EnqueueOptions`. `conn` may be a psycopg.AsyncConnection as well. Nothing else may use it meanwhile.

    Returns:
        The id of the run.

    Example:
        >>> import asyncio
        >>> @hw.task
        ... async def greet(name: str) -> str:
        ...     return f"hello {name}"
        >>> asyncio.run(hw.aenqueue(greet, "sky", run_id="greet-sky", store=hw.MemoryStore()))
        'greet-sky'
    """
    conn = options.get("conn")
    if not type(conn).__name__.startswith("Async"):
        return await asyncio.to_thread(functools.partial(enqueue, task, *args, **options))
    prepared = _prepare(task, args, options)
    opened = contextlib.ExitStack()
    try:
        store = await asyncio.to_thread(opened.enter_context, _opened(options))
        await asyncio.to_thread(_put_blobs, store, prepared.asked)
        found = await _in_postgres(store).aenqueue_in(conn, prepared.asked.spec, prepared.job, time.time())
        return prepared.check(found, store)
    finally:
        await asyncio.to_thread(opened.close)


class _Prepared(NamedTuple):
    """A run and its job, checked before anything is written."""

    asked: Asked
    job: Job

    def check(self, found: RunInfo, store: Store) -> str:
        """The run's id. Raises RunMismatch where the run that has it is another."""
        self.asked.check(found, store.url)
        return self.asked.spec.run_id


def _prepare(task: Any, args: tuple[Any, ...], options: EnqueueOptions) -> _Prepared:
    what, run_id = "hw.enqueue", options.get("run_id")
    job = _job_of(options, what)
    _check_place(options.get("store"), run_id)
    return _Prepared(ask_for(task, args, options.get("kwargs"), run_id, what), job)


@contextlib.contextmanager
def _opened(options: EnqueueOptions) -> Iterator[Store]:
    """The store that the options name; one that was given open stays open."""
    given = options.get("store")
    store = open_store(DEFAULT_STORE if given is None else given)
    try:
        yield store
    finally:
        if store is not given:
            store.close()


def _put_blobs(store: Store, asked: Asked) -> None:
    for name, buffer in asked.blobs:
        store.put_blob(name, buffer)


def _in_postgres(store: Any) -> Any:
    """The store, if a connection can write to it. Raises UsageError."""
    if not hasattr(store, "enqueue_in"):
        raise UsageError(
            f"hw.enqueue(conn=…): the store {store.url} is not in Postgres, so no connection can write to it: leave conn= out"
        )
    return store


def _job_of(options: EnqueueOptions, what: str) -> Job:
    """The options that say how the run is taken."""
    if unknown := options.keys() - EnqueueOptions.__annotations__.keys():
        raise UsageError(f"{what} has no option {', '.join(sorted(unknown))}: keyword arguments of the task go into kwargs={{…}}")
    for name in ("queue", "key", "version"):
        if not isinstance(options.get(name, ""), str):
            raise UsageError(f"{what}({name}={options[name]!r:.100}): expected a text")
    priority = options.get("priority", 0)
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise UsageError(f"{what}(priority={priority!r:.100}): a whole number, the higher the sooner")
    weight = options.get("weight", 1.0)
    if not is_number(weight):
        raise UsageError(f"{what}(weight={weight!r:.100}): a number above 0")
    return check_job(
        Job(
            queue=options.get("queue", "default"),
            key=options.get("key", ""),
            priority=priority,
            at=when(options.get("at"), what),
            weight=float(weight),
            version=options.get("version", ""),
        )
    )


def when(at: object, what: str) -> float:
    """A time as seconds since 1970; 0 for now. Raises UsageError."""
    if at is None:
        return 0.0
    if isinstance(at, datetime.datetime):
        if at.tzinfo is None or at.utcoffset() is None:
            raise UsageError(
                f"{what}(at={at!r}): a datetime without a time zone means another time on each machine. Give it one, such as "
                "datetime.now(timezone.utc) + timedelta(hours=1)"
            )
        return at.timestamp()
    if isinstance(at, int | float) and is_number(at):
        return float(at)
    raise UsageError(f"{what}(at={at!r:.100}): seconds since 1970, or a datetime with a time zone")


def _check_place(store: object, run_id: object) -> None:
    """Raises UsageError where a run can't be enqueued from here, or not there."""
    if isinstance(store, str) and store == ":memory:":
        raise UsageError("hw.enqueue(store=':memory:'): no worker could see it; name a folder or a Postgres URL")
    if run_id is None and (current.get() is not None or worker_call() is not None):
        raise UsageError(
            "hw.enqueue was called inside a run without run_id: a call that runs again after a crash would enqueue another. Give a "
            'name that stays the same, such as run_id=f"mail-{hw.call().idempotency_key}"'
        )
