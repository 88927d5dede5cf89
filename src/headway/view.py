"""Reads runs back: `hw.runs` lists those of a store, `hw.view` opens one and shows every call with all that is recorded of it.

    for call in hw.view("sky").calls:
        print(call.task, call.arguments, call.value if call.ok else call.error)

A view is what the journal said when it was opened, of a run that goes on, was killed or is done. It writes nothing and needs no
permission to write. Values are read when they are asked for, so that a view of 100,000 calls opens in about a second.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from headway.errors import CallCancelled, NotDecodable, UsageError
from headway.journal.codec.codec import decode, decode_error
from headway.journal.open import DEFAULT_STORE, find_store, open_to_read
from headway.journal.records import Amounts, Attempt, Error, RunInfo
from headway.journal.shared.queues import JobInfo
from headway.journal.store import RUNS_PAGE, Store
from headway.near import near_misses
from headway.observe.arguments import Arguments, read_arguments
from headway.observe.reading import read_run
from headway.observe.recorded import Call, RecordedRun, State
from headway.observe.status import check_statuses, find_jobs, find_runs, status_of, until_of

StoreLike = str | Path | Store


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run, as a list of runs has it.

    Attributes:
        run_id: its id.
        task: the name of its task.
        status: `new`, `running`, `cancelling`, `crashed`, `done`, `failed`, `cancelled` or `interrupted`; of a run that waits in a
            queue also `queued`, `delayed`, `parked` or `stuck`.
        created: seconds since 1970.
        ended: seconds since 1970; None while it has not.
        forked_from: the id of the run that it is a fork of.
        records: how many records its journal has.
        queue: the queue whose workers drive it; None where that is nobody's, and after its end.
        until: of one that is delayed or parked: until when, in seconds since 1970, unless something wakes it before.
    """

    run_id: str
    task: str
    status: str
    created: float
    ended: float | None
    forked_from: str | None
    records: int
    queue: str | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt that failed and was followed by another.

    Attributes:
        number: from 1.
        error: what it ended with.
        traceback: of the error, as text.
        started: seconds since 1970.
        ended: seconds since 1970.
        recorded: the error, as the journal has it.
    """

    number: int
    error: BaseException
    traceback: str
    started: float
    ended: float
    recorded: Error = field(repr=False)


@dataclass(frozen=True)
class CallView:
    """A call with all that is recorded of it.

    Attributes:
        key: its key, hexadecimal.
        parent: the key of the call that made it; None for the root.
        task: the name of its task.
        label: what tells it from others of its task.
        state: `ok`, `failed`, `cancelled`, `retrying` (an attempt failed, the next has not ended) or `open` (not ended).
        attempts: how many there were.
        started: seconds since 1970; None where it is not known.
        ended: seconds since 1970; None where it has not, or it is not known.
        pool: where it ran.
        cost: what it has cost, by unit.
        reason: why it was cancelled, who gave its result by hand (`hw.set_result`), or that a model was told its failure;
            empty otherwise.
        inputs: the keys of the calls whose handles were among its arguments.
        recorded: what the journal has of it.
    """

    key: str
    parent: str | None
    task: str
    label: str
    state: str
    attempts: int
    started: float | None
    ended: float | None
    pool: str
    cost: Amounts
    reason: str
    inputs: tuple[str, ...]
    recorded: Call = field(repr=False)
    _failures: Sequence[Attempt] = field(repr=False)
    _place: Store | str | Path = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether it has a result."""
        return self.state == "ok"

    @cached_property
    def arguments(self) -> Arguments:
        """Its arguments by name, without unkeyed ones; of a call with `key=` the key.

        Plain data is as it was given; an object shows its fields, an array its shape, a handle its call. Empty where the call is
        known only by its children.
        """
        asked = self.recorded.asked
        if self.recorded.asked_blob:
            asked = bytes(_read_blobs(self._place, [self.recorded.asked_blob])[0])
        return read_arguments(asked, self.recorded.params)

    @cached_property
    def value(self) -> Any:
        """Its result. Parts of types that this program does not declare show as stand-ins with their fields.

        Raises:
            Exception: its error, where it failed.
            CallCancelled: it was cancelled.
            UsageError: it has not ended.
        """
        if self.recorded.state is State.FAILED and self.error is not None:
            raise self.error
        if self.recorded.state is State.CANCELLED:
            raise CallCancelled(f"{self.recorded.name} was cancelled: {self.reason}")
        if self.recorded.state is not State.OK:
            raise UsageError(f"{self.recorded.name} has not ended, so it has no value yet")
        buffers = _read_blobs(self._place, self.recorded.blobs)
        head = self.recorded.value or bytes(buffers[0])
        rest = buffers if self.recorded.value else buffers[1:]
        try:
            return decode(head, rest)
        except NotDecodable:
            return decode(head, rest, lenient=True)

    @cached_property
    def error(self) -> BaseException | None:
        """The error it failed with, or that of its newest attempt; None where there was none."""
        return decode_error(self.recorded.error) if self.recorded.error is not None else None

    @property
    def traceback(self) -> str:
        """The traceback of `error`, as text."""
        return self.recorded.error.trace if self.recorded.error is not None else ""

    @property
    def failures(self) -> list[FailedAttempt]:
        """The attempts that failed and were followed by another, in order."""
        return [
            FailedAttempt(each.attempt, decode_error(each.error), each.error.trace, each.started, each.ended, each.error)
            for each in self._failures
        ]


@dataclass(frozen=True, slots=True)
class WaitingView:
    """A call (its key) that waits for a signal of this name (`hw.wait_event`) since then, until then (None: for ever)."""

    call: str
    who: str
    """`task(arguments)` of the call."""
    name: str
    since: float
    until: float | None


class RunView:
    """A run as its journal has it; made by `view`."""

    def __init__(self, recorded: RecordedRun, place: Store | str | Path, now: float, job: JobInfo | None = None) -> None:
        self._recorded, self._place = recorded, place
        self.run_id = recorded.info.spec.run_id
        self.summary = _summary(recorded.info, now, job)

    def __repr__(self) -> str:
        return f"<run {self.run_id!r}, {self.status}, {len(self._recorded.calls):,} calls>"

    @property
    def recorded(self) -> RecordedRun:
        """What the journal has of it."""
        return self._recorded

    @property
    def status(self) -> str:
        """As `RunSummary.status`."""
        return self.summary.status

    @property
    def task(self) -> str:
        """The name of the run's task."""
        return self.summary.task

    @cached_property
    def calls(self) -> list[CallView]:
        """Every call that is known of, in the order of their newest records."""
        return [self.call(call) for call in self._recorded.calls.values()]

    def __iter__(self) -> Iterator[CallView]:
        return iter(self.calls)

    @property
    def root(self) -> CallView:
        """The call that the run is."""
        return self.call(self._recorded.calls[self._recorded.root])

    @property
    def value(self) -> Any:
        """The result of the run; raises as `CallView.value` does."""
        return self.root.value

    @property
    def waiting(self) -> list[WaitingView]:
        """What calls of the run wait for outside, the longest first: answer with `hw.signal(run_id, name, value)`."""
        return [WaitingView(wait.call.hex(), wait.who, wait.name, wait.since, wait.until) for wait in self._recorded.waiting]

    @property
    def spent(self) -> Amounts:
        """What all its calls cost together."""
        return self._recorded.spent()

    def find(self, wanted: str) -> list[CallView]:
        """The calls of a task, or the one whose key begins with a text.

        Args:
            wanted: the task, by its whole name or the last part of it, or the beginning of a key (4 characters or more).

        Returns:
            The calls, at least one.

        Raises:
            UsageError: there is none. The message names the tasks that look like it.
        """
        found = [
            call
            for call in self.calls
            if wanted in (call.task, call.task.rpartition(".")[2]) or (len(wanted) >= 4 and call.key.startswith(wanted.lower()))
        ]
        if not found:
            tasks = {call.task.rpartition(".")[2] for call in self.calls if call.task}
            raise UsageError(f"run {self.run_id!r} has no call {wanted!r}; {near_misses(wanted, tasks)}")
        return found

    def children(self, call: CallView) -> list[CallView]:
        """The calls that a call made.

        Args:
            call: the call.

        Returns:
            Its children, by their start.
        """
        return [self.call(child) for child in self._recorded.calls_under(bytes.fromhex(call.key))]

    def call(self, call: Call) -> CallView:
        """The view of a recorded call.

        Args:
            call: the call, as the journal has it.

        Returns:
            The view.
        """
        return CallView(
            key=call.key.hex(),
            parent=None if call.key == self._recorded.root else self._recorded.parent_of(call.key).hex(),
            task=call.task,
            label=call.label,
            state=str(call.state),
            attempts=call.attempts,
            started=call.started or None,
            ended=call.ended or None,
            pool=call.pool,
            cost=call.cost,
            reason=call.reason,
            inputs=tuple(edge.hex() for edge in call.edges),
            recorded=call,
            _failures=self._recorded.failures.get(call.key, ()),
            _place=self._place,
        )


def runs(
    *,
    store: StoreLike = DEFAULT_STORE,
    status: str | Sequence[str] | None = None,
    task: str | None = None,
    most: int | None = None,
    after: str | None = None,
    newest_first: bool = False,
) -> list[RunSummary]:
    """The runs of a store, oldest first.

    Args:
        store: the store. One that is not there yet has no runs.
        status: only runs of this status, or of one of these.
        task: only runs of this task, by its whole name or the last part of it.
        most: how many at most. By default all of them, which may be many.
        after: the id of a run: only those that come behind it. With `most` this reads page after page.
        newest_first: the other way round.

    Returns:
        A summary of each.

    Raises:
        UsageError: no run can have such a status, or `most` is no number of runs.
        UnknownRun: there is no run of the id `after`.

    Example:
        >>> [run.run_id for run in hw.runs(store="no-such-folder", status="crashed", most=10)]
        []
    """
    statuses = () if status is None else (status,) if isinstance(status, str) else tuple(status)
    check_statuses(statuses, "status")
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        raise UsageError(f"most={most!r}: a whole number of runs, at least 1, or None for all")
    opened, now = find_store(store), time.time()
    if opened is None:
        return []
    page = min(most or RUNS_PAGE, RUNS_PAGE)
    try:
        behind = opened.run(after).uid if after is not None else 0
        found = find_runs(opened, now, statuses=statuses, task=task, after=behind, page=page, newest_first=newest_first)
        return [_summary(info, now, job) for info, job in islice(found, most)]
    finally:
        if opened is not store:
            opened.close()


def view(run_id: str, *, store: StoreLike = DEFAULT_STORE) -> RunView:
    """Open a run, with every call's arguments, value, error and traceback.

    Args:
        run_id: the run.
        store: where it is.

    Returns:
        What the journal says now, of a run that goes on, was killed or is done.

    Raises:
        UnknownRun: the store has no such run.
        StoreDamaged: a record can't be read.

    Example:
        >>> @hw.task
        ... async def double(x: int) -> int:
        ...     return 2 * x
        >>> store = hw.MemoryStore()
        >>> hw.run(double, 21, store=store, run_id="answer")
        42
        >>> call = hw.view("answer", store=store).root
        >>> call.arguments, call.value, call.error
        ({'x': 21}, 42, None)
    """
    opened = open_to_read(store)
    try:
        recorded, now = read_run(opened, run_id), time.time()
        return RunView(recorded, store, now, find_jobs(opened, [recorded.info], now).get(recorded.info.uid))
    finally:
        if opened is not store:
            opened.close()


def _read_blobs(place: Store | str | Path, names: Sequence[bytes]) -> list[Any]:
    if not names:
        return []
    opened = open_to_read(place)
    try:
        return [opened.get_blob(name) for name in names]
    finally:
        if opened is not place:
            opened.close()


def _summary(info: RunInfo, now: float, job: JobInfo | None) -> RunSummary:
    return RunSummary(
        run_id=info.spec.run_id,
        task=info.spec.task,
        status=status_of(info, now, job),
        created=info.spec.created,
        ended=info.ended or None,
        forked_from=info.spec.forked_from or None,
        records=info.nrows,
        queue=job.job.queue if job is not None else None,
        until=until_of(job),
    )
