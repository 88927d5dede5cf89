"""The store protocol: what the engine needs of a place that remembers. One conformance suite runs against every store.

A store keeps runs, their rows, content-addressed blobs, signals, collections, shared limits, the cross-run cache and claims on it,
and queues of runs with the jobs, workers and schedules that go with them.
All methods are plain blocking calls, and nothing calls one on an event loop's thread (`off_loop` sees to that while runs are
debugged): the journal's writer thread calls `commit` and `put_blob`, everything else is called off the loop. Methods are safe
to call from several threads. Time is always an argument (`now`, wall clock seconds), so that a simulator owns it.

Promises that every store keeps:

- `commit` is one transaction: all rows or none; after it returns they are durable. It checks the lease's fence first; a late
  writer gets `LeaseLost`, and its rows are kept aside as rejected, never mixed into the run.
- Rows of a run are read in the order in which they were committed, without gaps.
- `put_blob` is durable when it returns, and a blob that exists is never written again.
- A damaged row or blob is never returned as if it were whole: `StoreDamaged` says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from headway.errors import RunMismatch
from headway.journal.records import After, Ending, Lease, Row, RunInfo, RunSpec, RunStatus, Signal
from headway.journal.shared.claims import Claim, Reply, Waits, Wish
from headway.journal.shared.items import CollectionInfo, Item
from headway.journal.shared.limits import Ask, Grant, Want
from headway.journal.shared.queues import Job, JobInfo, JobState, QueueInfo, QueueSettings, Swept, Taken, WorkerInfo
from headway.journal.shared.schedules import Fired, Make, Schedule, ScheduleInfo

Buffer = bytes | bytearray | memoryview
RUNS_PAGE = 500
"""How many runs are read at once where nobody says how many."""


def keep_row(keep: Callable[[int, Row], bool | Row], seq: int, row: Row) -> Iterator[Row]:
    """Yield what a fork keeps of a row: the row, a changed row, or nothing."""
    taken = keep(seq, row)
    if taken is not False:
        yield row if taken is True else taken


def every_run(store: Store, *, page: int = RUNS_PAGE, newest_first: bool = False) -> Iterator[RunInfo]:
    """Yield the runs of a store, read by pages of so many."""
    for found in pages_of_runs(store, page=page, newest_first=newest_first):
        yield from found


def pages_of_runs(
    store: Store, *, after: int = 0, page: int = RUNS_PAGE, newest_first: bool = False, statuses: Sequence[RunStatus] = ()
) -> Iterator[list[RunInfo]]:
    """Yield the runs of a store that come behind the run of uid `after`, by pages of so many, each read when it is asked for."""
    is_more = True
    while is_more:
        found = store.runs(after=after, most=page, newest_first=newest_first, statuses=statuses)
        yield found
        is_more = len(found) == page
        after = found[-1].uid if found else after


def taken_id(run_id: str, where: str) -> RunMismatch:
    """The error for a run that comes from another store under the id of one that is there."""
    return RunMismatch(f"the run id {run_id!r} is taken in {where}")


class Store(Protocol):
    @property
    def url(self) -> str:
        """How a user names this store, for messages."""

    def checkpoint_root(self, run_id: str) -> str | None:
        """Where a run's calls keep their checkpoints, each under its key: an absolute folder, or the URL of a place that
        `headway.storage` opens. None where this store has no such place. Asks nobody and makes nothing."""

    @property
    def blob_place(self) -> str:
        """Where its large blobs are, for other machines that put some there: a folder, or the URL of an object store. Each lies
        under `blobs/` by its name. Empty where there is no such place."""

    # runs
    def create_run(self, spec: RunSpec) -> RunInfo:
        """Create the run, or return the one that already has this id (the caller compares the specs)."""

    def begin_run(self, spec: RunSpec, owner: str, ttl_s: float, now: float) -> tuple[RunInfo, Lease | None]:
        """Create the run and own it, in one transaction: `create_run` and `acquire` of a run that is new. One that already has
        this id is returned as it is, without a lease."""

    def run(self, run_id: str) -> RunInfo:
        """The run of this id. Raises UnknownRun, naming near misses."""

    def runs(
        self, *, after: int = 0, most: int = RUNS_PAGE, newest_first: bool = False, statuses: Sequence[RunStatus] = ()
    ) -> list[RunInfo]:
        """A page of runs, oldest or newest first: at most `most` of those that come behind the run of uid `after` (0: from the
        first one on). With `statuses` only runs that have one of them. A page that is not full is the last."""

    def fork_run(self, spec: RunSpec, source_uid: int, keep: Callable[[int, Row], bool | Row]) -> RunInfo:
        """Create `spec` with a copy of the source's rows, renumbered, in one transaction: those for which
        `keep(seq, row)` says so; a row that it gives is taken instead. Raises RunMismatch if the id is taken."""

    def free_run(self, run_id: str, now: float) -> RunInfo:
        """The run of this id, if nobody alive drives it. Raises RunOwned."""

    def put_run(
        self, info: RunInfo, parts: Callable[[], Iterable[Sequence[Row]]], signals: Sequence[Signal], heard: int
    ) -> RunInfo:
        """Create a run as another store has it, in one transaction: its state, its rows in order, part by part, and its signals
        under their numbers; later ones are numbered behind `heard`. Nobody owns it. Raises RunMismatch if the id is taken."""

    def put_job(self, job: JobInfo, now: float) -> bool:
        """Give a run that came from another store the job that it had there; one that was taken waits again, and so does one that
        is parked for a run that has ended. Return whether it was so: not where the run has a job, has ended or is driven. Raises
        UnknownRun."""

    def copy_schedule(self, info: ScheduleInfo) -> ScheduleInfo:
        """Add a schedule as another store has it, or return the one that already has its name."""

    def delete_run(self, run_id: str, now: float) -> int:
        """Forget a run and its rows; its uid is never used again. Returns how many rows it had.
        Raises RunOwned while a live owner drives it."""

    # leases
    def acquire(self, run_id: str, owner: str, ttl_s: float, now: float, *, take_over: bool = False) -> Lease:
        """Own the run under a new, higher fence. Raises RunOwned while another live owner holds it, unless `take_over`.
        An owner on this machine whose process is gone is not live, whatever its lease says. A lease that is refused lasts at most
        `ttl_s` from now on, unless its driver renews it."""

    def renew(self, lease: Lease, now: float) -> None:
        """Extend the lease. Raises LeaseLost if somebody else took the run."""

    def release(
        self, lease: Lease, status: RunStatus, now: float, *, error_floor: int | None = None, after: After | None = None
    ) -> None:
        """Give the run back in this status. Its job goes when it has ended, and else goes on `after` that, at once where None; who
        waits for a run that has ended is woken; all in one transaction. A lost lease is ignored."""

    # rows
    def commit(
        self,
        lease: Lease,
        first_seq: int,
        rows: Sequence[Row],
        now: float,
        *,
        cache: Sequence[tuple[bytes, Row]] = (),
        ending: Ending | None = None,
    ) -> None:
        """Append `rows` as first_seq, first_seq + 1, …, put `cache` entries and end the run's claims on them, in one durable
        transaction. With an `ending` it also gives the run back, as `release` does."""

    def rows(self, uid: int, *, after: int = 0) -> Iterator[tuple[int, Row]]:
        """`(seq, row)` of the run in order, verified. Raises StoreDamaged with run and seq."""

    def cached(self, key: bytes) -> Row | None:
        """The newest OUTCOME that any run recorded under `cache="forever"` for this key."""

    def cache_entries(self, *, after: bytes = b"", most: int = 500) -> list[tuple[bytes, Row]]:
        """A page of the cache, in the order of its keys: at most `most` entries behind the key `after`. Raises StoreDamaged."""

    def put_cache(self, entries: Sequence[tuple[bytes, Row]]) -> int:
        """Put entries that another store has into the cache, where there are none of their keys; how many."""

    # blobs
    def put_blob(self, digest: bytes, data: Buffer) -> None: ...

    def get_blob(self, digest: bytes) -> memoryview:
        """The blob, verified, as writable memory that is private to the caller (copy on write where it is a file)."""

    # control from outside
    def request_cancel(self, run_id: str, now: float) -> None:
        """Have the run cancelled. A job that is parked or delayed waits from now on, so that a worker ends its run; a run that is
        stuck, or that waits and never began, ends at once."""

    def send_signal(self, run_id: str, name: str, value: bytes, now: float) -> int:
        """Send a value to the run; its number. A parked job waits from now on, in the same transaction."""

    def signals(self, uid: int, *, after: int = 0) -> list[Signal]: ...

    def data_version(self, uid: int) -> int:
        """A number that differs when somebody may have written what a run is to hear of since the last call: a cancel, a signal, a
        limit or a result that is shared; for `queues.QUEUES` instead of a run, a job that may be taken. Cheap enough to ask
        often."""

    # collections
    def append_items(self, name: str, items: Sequence[Item]) -> list[int]:
        """Append those items whose token the collection does not have yet, in one durable transaction that every process sees.
        Returns the number of each, from 0 and without gaps. The blobs of an item are there already."""

    def count_items(self, name: str) -> int:
        """How many items a collection has: its newest version. 0 where nobody has appended any."""

    def items(self, name: str, *, after: int = 0, until: int | None = None) -> list[Item]:
        """The items of a collection from number `after` to the one before `until`, verified. Raises StoreDamaged where one is not
        what was written or is gone."""

    def erase_items(self, name: str, until: int, *, after: int = 0) -> None:
        """Forget the values of the items from number `after` to the one before `until`, in one durable transaction. Their places
        and tokens stay, so that no number is given twice: they read as lost."""

    def collections(self) -> list[CollectionInfo]:
        """All collections that have items, by name."""

    # limits shared between runs
    def share(self, holder: str, asks: Sequence[Ask], wants: Sequence[Want], now: float, ttl_s: float) -> dict[str, Grant]:
        """Say what a process has of each limit and what it wants, and hear what it gets (`limits.share_out`), in one transaction
        that every process sees. A limit that is not in `asks` stays as it is."""

    def is_wanted(self, holder: str, names: Sequence[str], now: float) -> bool:
        """Whether another process still waits for a place in one of these limits. Cheap enough to ask often."""

    # claims on shared results
    def claim(
        self, lease: Lease, wishes: Sequence[Wish], now: float, *, waits: Waits | None = None, done: Sequence[bytes] = ()
    ) -> list[Reply]:
        """Look for shared results and claim the names that have none (`claims.settle`), in one transaction that every process
        sees. The claims of a run end with its lease. Raises LeaseLost if somebody else took the run, StoreDamaged where one of the
        results is not what was written."""

    def claims(self) -> dict[bytes, Claim]:
        """All claims by name, those that do not count any more included. For people and tests."""

    # queues of runs (`queues` has the rules)
    def enqueue(self, spec: RunSpec, job: Job, now: float) -> RunInfo:
        """Create the run with its job, in one durable transaction, or return the run that already has this id (the caller compares
        the specs). Raises QueueFull where the queue has a depth and is as deep; those who enqueue at the same moment may pass it
        together."""

    def take_jobs(
        self,
        owner: str,
        queues: Sequence[str],
        tasks: Sequence[str] | None,
        most: int,
        ttl_s: float,
        now: float,
        *,
        versions: Sequence[str] = (),
    ) -> list[Taken]:
        """Own the runs of jobs that wait, each under a new fence, and take their jobs, in one durable transaction for each queue.
        The queues are asked in this order. Only jobs of these `tasks` are taken (None: of any), and those that are pinned to a
        version only by who has it among `versions`. A paused queue gives nothing."""

    def sweep_jobs(self, now: float, most: int = 100) -> list[Swept]:
        """Take jobs back from drivers whose lease is over, or whose process is seen to be dead, at most so many. Whoever polls
        calls this."""

    def jobs(
        self, now: float, *, queue: str | None = None, state: JobState | None = None, after: JobInfo | None = None, most: int = 100
    ) -> list[JobInfo]:
        """Jobs page by page, by queue, stored state and time: those that come after the last one of the page before."""

    def job(self, run_id: str, now: float) -> JobInfo | None:
        """The job of a run; None where it has none, as it has ended or was never enqueued. Raises UnknownRun."""

    def find_jobs(self, uids: Sequence[int], now: float) -> dict[int, JobInfo]:
        """The jobs of runs by the runs' numbers, those that have one, each with what it awaits."""

    def enqueue_again(self, run_id: str, job: Job, fence: int, now: float) -> bool:
        """Give a run that has ended without success a job again, so that it goes on as `hw.resume` would have it, if its newest
        fence is still this one. Return whether it was so."""

    def find_ended(self, run_ids: Sequence[str]) -> set[str]:
        """Which of these runs have ended, or are stuck; one that the store does not know has ended."""

    def retry_job(self, run_id: str, now: float) -> bool:
        """Have a job that is stuck tried again, as if it had never died. Return whether it was stuck. Raises UnknownRun."""

    def put_queue(self, settings: QueueSettings) -> None:
        """Set what a queue allows, from the next job on. Whether it is paused stays as it is."""

    def pause_queue(self, name: str, paused: bool) -> None:
        """Take no job from this queue from now on, or go on."""

    def queues(self, now: float) -> list[QueueInfo]:
        """All queues that have jobs or settings, by name."""

    def see_worker(self, worker: WorkerInfo, now: float) -> None:
        """Note what a worker says of itself, in place of what it said before. Those that were silent for long are forgotten."""

    def forget_worker(self, owner: str) -> None:
        """Forget a worker that ends."""

    def workers(self, now: float) -> list[WorkerInfo]:
        """The workers that were heard of lately, by owner."""

    # schedules (`schedules` has the rules)
    def put_schedule(self, schedule: Schedule, now: float) -> ScheduleInfo:
        """Add a schedule, or replace the one of its name, which keeps its pause, and its due time where the line and zone are the
        same. Raises UsageError."""

    def schedules(self) -> list[ScheduleInfo]:
        """All schedules, by name."""

    def pause_schedule(self, name: str, paused: bool, now: float) -> None:
        """Fire nothing of this schedule from now on, or go on; what was due during the pause is not made up for. Raises UsageError
        where there is none of this name."""

    def remove_schedule(self, name: str) -> None:
        """Forget a schedule; its runs stay. Raises UsageError where there is none of this name."""

    def fire_schedules(self, now: float, make: Make) -> list[Fired]:
        """Enqueue what is due, once whoever calls this; the due times of a schedule in one transaction."""

    def close(self) -> None: ...
