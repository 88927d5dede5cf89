"""Queues and workers as a program sees them: what a queue allows, what waits in it, who works.

hw.set_queue("mail", limit=20, key_limit=2, depth=10_000, store=STORE)
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headway.errors import UsageError
from headway.journal.open import DEFAULT_STORE, open_existing, open_store, open_to_read
from headway.journal.owner import describe_owner, is_alive
from headway.journal.shared.queues import COUNTED, QueueInfo, QueueSettings, WorkerInfo, check_settings
from headway.journal.store import Store
from headway.near import near_misses

StoreLike = str | Path | Store

SILENT_S = 20.0  # a worker that said nothing for so long may be gone


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue as it is now.

    Attributes:
        name: its name.
        paused: whether no run of it is taken.
        waiting: how many runs could be taken now; no number counts beyond 10,000.
        delayed: how many may be taken later.
        running: how many a worker drives.
        parked: how many only wait: for a time, a signal, or other runs.
        stuck: how many are not taken any more, as their drivers died too often.
        oldest_s: for how many seconds the one has waited that has waited longest; None where none waits. Start more workers where
            this grows.
        limit: how many may run at a time, on all machines; None where nothing bounds it.
        key_limit: how many of each key may run at a time.
        depth: how many may wait before `hw.enqueue` refuses more.
        deaths: how often drivers of a run may die before it is stuck.
    """

    name: str
    paused: bool
    waiting: int
    delayed: int
    running: int
    parked: int
    stuck: int
    oldest_s: float | None
    limit: int | None
    key_limit: int | None
    depth: int | None
    deaths: int


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker as it has last said of itself.

    Attributes:
        name: its process and machine.
        program: what it has loaded.
        queues: those that it serves.
        versions: the versions that it was started with.
        slots: how many runs it drives at a time.
        busy: how many it drives now.
        state: `working`, `draining`, `silent` (not heard of for a while) or `dead` (its process is gone).
        since: when it began, in seconds since 1970.
        seen_s: how many seconds ago it was heard of.
        tasks: the tasks that it has loaded.
    """

    name: str
    program: str
    queues: tuple[str, ...]
    versions: tuple[str, ...]
    slots: int
    busy: int
    state: str
    since: float
    seen_s: float
    tasks: tuple[str, ...]


_SETTINGS = ("limit", "key_limit", "depth", "deaths", "backoff_s")


def set_queue(name: str, /, *, store: StoreLike = DEFAULT_STORE, **settings: Any) -> QueueView:
    """Set what a queue allows. What is not named stays as it is.

    Args:
        name: the queue. It need not have been used before.
        store: where it is. A folder is made where there is none.
        **settings: `limit` (how many of its runs go on at a time, on all machines), `key_limit` (the same for each key), `depth`
            (how many may wait before `hw.enqueue` refuses more), each a number or None for no bound; `deaths` (how often drivers of
            a run may die before it is stuck, default 3); `backoff_s` (seconds until a run is taken again whose driver died, twice
            as many after each further death).

    Returns:
        The queue as it is now.

    Raises:
        UsageError: a setting is unknown or makes no sense.

    Example:
        >>> store = hw.MemoryStore()
        >>> hw.set_queue("mail", limit=20, key_limit=2, store=store).limit
        20
        >>> hw.set_queue("mail", limit=None, store=store).key_limit
        2
    """
    for setting, value in settings.items():
        if setting not in _SETTINGS:
            raise UsageError(f"hw.set_queue has no setting {setting!r}; {near_misses(setting, _SETTINGS)}")
        kinds = (int, float) if setting == "backoff_s" else int
        if isinstance(value, bool) or not (isinstance(value, kinds) or (value is None and setting in _SETTINGS[:3])):
            raise UsageError(f"hw.set_queue({setting}={value!r:.100}): expected a number, or None for no bound")
    opened = open_store(store)
    try:
        before = next(
            (each.settings for each in opened.queues(time.time()) if each.settings.name == name), QueueSettings(name=name)
        )
        kept = {field: getattr(before, field) for field in QueueSettings.__struct_fields__}
        opened.put_queue(check_settings(QueueSettings(**{**kept, **settings})))
        return _find(opened, name)
    finally:
        if opened is not store:
            opened.close()


def pause_queue(name: str, /, *, store: StoreLike = DEFAULT_STORE) -> None:
    """Have no run of a queue taken from now on. Those that go on are not stopped, and new ones may be enqueued.

    Args:
        name: the queue.
        store: where it is.

    Raises:
        UsageError: there is no such queue.

    Example:
        >>> store = hw.MemoryStore()
        >>> _ = hw.set_queue("mail", store=store)
        >>> hw.pause_queue("mail", store=store)
        >>> [queue.paused for queue in hw.queues(store=store)]
        [True]
    """
    _pause(name, store, paused=True)


def resume_queue(name: str, /, *, store: StoreLike = DEFAULT_STORE) -> None:
    """Have runs of a queue taken again.

    Args:
        name: the queue.
        store: where it is.

    Raises:
        UsageError: there is no such queue.

    Example:
        >>> store = hw.MemoryStore()
        >>> _ = hw.set_queue("mail", store=store)
        >>> hw.resume_queue("mail", store=store)
    """
    _pause(name, store, paused=False)


def queues(*, store: StoreLike = DEFAULT_STORE) -> list[QueueView]:
    """The queues that have runs or settings, by name.

    Args:
        store: where they are.

    Returns:
        A view of each.

    Example:
        >>> hw.queues(store=hw.MemoryStore())
        []
    """
    opened = open_to_read(store)
    try:
        now = time.time()
        return [_view(each, now) for each in opened.queues(now)]
    finally:
        if opened is not store:
            opened.close()


def retry_stuck(run_id: str, /, *, store: StoreLike = DEFAULT_STORE) -> bool:
    """Have a run that is stuck taken again, as if none of its drivers had died.

    Args:
        run_id: the run.
        store: where it is.

    Returns:
        Whether it was stuck.

    Raises:
        UnknownRun: the store has no such run.

    Example:
        >>> @hw.task
        ... async def double(x: int) -> int:
        ...     return 2 * x
        >>> store = hw.MemoryStore()
        >>> hw.run(double, 21, store=store, run_id="answer")
        42
        >>> hw.retry_stuck("answer", store=store)
        False
    """
    opened = open_existing(store)
    try:
        return opened.retry_job(run_id, time.time())
    finally:
        if opened is not store:
            opened.close()


def workers(*, store: StoreLike = DEFAULT_STORE) -> list[WorkerView]:
    """The workers that were heard of lately.

    Args:
        store: where they work.

    Returns:
        A view of each, by name.

    Example:
        >>> hw.workers(store=hw.MemoryStore())
        []
    """
    opened = open_to_read(store)
    try:
        now = time.time()
        return [_view_worker(each, now) for each in opened.workers(now)]
    finally:
        if opened is not store:
            opened.close()


def _pause(name: str, store: StoreLike, *, paused: bool) -> None:
    opened = open_existing(store)
    try:
        _find(opened, name)
        opened.pause_queue(name, paused)
    finally:
        if opened is not store:
            opened.close()


def _find(store: Store, name: str) -> QueueView:
    now = time.time()
    found = store.queues(now)
    for each in found:
        if each.settings.name == name:
            return _view(each, now)
    raise UsageError(f"{store.url} has no queue {name!r}; {near_misses(name, [each.settings.name for each in found])}")


def _view(info: QueueInfo, now: float) -> QueueView:
    settings = info.settings
    return QueueView(
        name=settings.name,
        paused=info.paused,
        waiting=info.waiting,
        delayed=info.delayed,
        running=info.taken,
        parked=info.parked,
        stuck=info.stuck,
        oldest_s=None if info.oldest is None else max(0.0, now - info.oldest),
        limit=settings.limit,
        key_limit=settings.key_limit,
        depth=settings.depth,
        deaths=settings.deaths,
    )


def _view_worker(info: WorkerInfo, now: float) -> WorkerView:
    state = "draining" if info.draining else "working"
    if is_alive(info.owner) is False:
        state = "dead"
    elif now - info.seen > SILENT_S:
        state = "silent"
    return WorkerView(
        name=describe_owner(info.owner),
        program=info.program,
        queues=info.queues,
        versions=info.versions,
        slots=info.slots,
        busy=info.busy,
        state=state,
        since=info.since,
        seen_s=max(0.0, now - info.seen),
        tasks=info.tasks,
    )


def count(number: int) -> str:
    """A number of jobs for people; none is counted beyond `COUNTED`."""
    return f"{COUNTED:,}+" if number >= COUNTED else f"{number:,}"
