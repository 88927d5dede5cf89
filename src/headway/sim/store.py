"""A store in memory that survives simulated deaths, kills drivers at a chosen record, and remembers what was done to it.

What it holds is what a disk would hold: whatever was committed. A dead process reaches it no more. A torn commit leaves the blobs
of its group and none of its rows, as a transaction does. Checkpoints are real: files in a folder of the store, written by a real
helper process. A call in a simulated process runs in one step, so it is killed before it begins or when it has ended.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote

from headway.errors import LeaseLost, StoreDamaged, StoreError, StoreFull, UnknownRun
from headway.journal.memory import MemoryStore
from headway.journal.off_loop import check_thread
from headway.journal.records import After, Ending, Lease, Row, RunInfo, RunSpec, RunStatus, Signal
from headway.journal.shared.claims import Claim, Reply, Waits, Wish
from headway.journal.shared.items import Item, Shelves
from headway.journal.shared.limits import Ask, Board, Grant, Want
from headway.journal.shared.queues import Job, Swept, Taken, WorkerInfo
from headway.journal.shared.schedules import Fired, Make
from headway.journal.store import Buffer
from headway.journal.upkeep import named
from headway.sim.loop import Killed

if TYPE_CHECKING:
    from headway.sim.universe import Universe

How = Literal["before", "torn", "after", "full"]


@dataclass(frozen=True, slots=True)
class Crash:
    """When the driver of a run dies: as soon as the run has `after` rows.

    before: as the next commit begins; torn: inside it, its blobs written and its rows not; after: in the moment in which row
    `after` is durable and nobody has heard of it. full: the disk is full from there on, and the driver ends by itself.
    """

    after: int
    how: How = "before"


class Commit(NamedTuple):
    """One accepted transaction."""

    uid: int
    fence: int
    newest_fence: int  # the run's, when it was accepted
    first_seq: int
    rows: int


class _State(NamedTuple):
    """All that a store holds at one moment, blobs aside."""

    runs: dict[str, RunInfo]
    rows: dict[int, list[Row]]
    signals: list[tuple[int, Signal]]
    cache: dict[bytes, Row]
    boards: dict[str, Board]
    claims: dict[bytes, Claim]
    shelves: Shelves
    last_uid: int
    commits: list[Commit]
    lines: tuple[Any, Any, Any]  # of the queues: jobs, queues, schedules


class _Files:
    """Where calls keep their checkpoints: a real folder, that is removed when nobody knows it any more. Made by whoever saves."""

    def __init__(self) -> None:
        self.path = os.path.join(tempfile.gettempdir(), f"tmp-headway-sim-{secrets.token_hex(8)}")  # noqa: PTH118 - for every run of a simulation
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class SimStore(MemoryStore):
    """`crash` is read at each commit; `commits` grows with each."""

    def __init__(self, universe: Universe | None = None) -> None:
        super().__init__()
        self.universe = universe
        self.crash: Crash | None = None
        self.commits: list[Commit] = []
        self._files = _Files()
        self.on_change: list[Callable[[], None]] = []
        self.without_blob: list[tuple[int, int, bytes]] = []  # (uid, seq, digest) of rows that named a blob before it was there
        self.is_remote = False  # nobody sees whether the process of a holder lives
        self.timeline = 0  # how often it went back to an earlier state

    @property
    def url(self) -> str:
        return "simulated"

    def checkpoint_root(self, run_id: str) -> str:
        return os.path.join(self._files.path, quote(run_id, safe=""))  # noqa: PTH118 - for every run of a simulation

    def rows_until_crash(self, uid: int) -> int:
        """How many rows may be committed together, so that a group ends where the driver is to die."""
        left = self.crash.after - len(self._rows[uid]) if self.crash is not None else 0
        return left if left > 0 else 1 << 30

    def history(self, uid: int) -> list[Row]:
        """The rows of a run, as they are."""
        return self._rows[uid]

    def slots_held(self) -> list[tuple[str, str]]:
        """(limit, holder) of the shared slots that somebody holds."""
        places = [(name, holder, place) for name, board in self._boards.items() for holder, place in board.places.items()]
        return [(name, holder) for name, holder, place in places if place.amount and self._lives(holder) is not False]

    def has_blob(self, digest: bytes) -> bool:
        return digest in self._blobs

    def cut(self, run_id: str, rows: int) -> SimStore:
        """A copy of what a crash would have left of the run that had happened after its first `rows` rows."""
        run = self.run(run_id)
        copy = SimStore.holding(run, self._rows[run.uid][:rows], self._blobs)
        copy.universe = self.universe
        copy._files = self._files
        lost = set(self._rows[run.uid][rows:])
        copy._cache = {name: row for name, row in self._cache.items() if row not in lost}
        copy._signals = list(self._signals)
        begun = {row.key for row in self._rows[run.uid][:rows]}
        copy._shelves = self._shelves.keep(lambda item: item.run != run_id or item.call in begun)
        return copy

    @classmethod
    def holding(cls, run: RunInfo, rows: Sequence[Row], blobs: Mapping[bytes, bytes]) -> SimStore:
        """A store in which a run has these rows and nobody drives it."""
        store = cls()
        store._last_uid = run.uid
        store._rows[run.uid] = list(rows)
        store._blobs = dict(blobs)
        store.commits = [Commit(run.uid, run.fence, run.fence, 1, len(rows))] if rows else []
        store._change(run, nrows=len(rows), owner="", lease_until=0.0, ended=0.0, status=RunStatus.RUNNING)
        return store

    @property
    def blobs(self) -> Mapping[bytes, bytes]:
        return self._blobs

    # --- what a driver does ------------------------------------------------------------------------------------------

    def begin_run(self, spec: RunSpec, owner: str, ttl_s: float, now: float) -> tuple[RunInfo, Lease | None]:
        self._check_alive()
        return super().begin_run(spec, owner, ttl_s, now)

    def rows(self, uid: int, *, after: int = 0) -> Iterator[tuple[int, Row]]:
        self._check_thread()
        return super().rows(uid, after=after)

    def cached(self, key: bytes) -> Row | None:
        self._check_thread()
        return super().cached(key)

    def get_blob(self, digest: bytes) -> memoryview:
        self._check_thread()
        return super().get_blob(digest)

    def signals(self, uid: int, *, after: int = 0) -> list[Signal]:
        self._check_thread()
        return super().signals(uid, after=after)

    def items(self, name: str, *, after: int = 0, until: int | None = None) -> list[Item]:
        self._check_thread()
        return super().items(name, after=after, until=until)

    def count_items(self, name: str) -> int:
        self._check_thread()
        return super().count_items(name)

    def acquire(self, run_id: str, owner: str, ttl_s: float, now: float, *, take_over: bool = False) -> Lease:
        self._check_alive()
        with self._lock:
            held = self.run(run_id)
            if held.owner and self._lives(held.owner) is False:
                self._change(held, owner="", lease_until=0.0)  # its process is gone, and this machine knows
            return super().acquire(run_id, owner, ttl_s, now, take_over=take_over)

    def renew(self, lease: Lease, now: float) -> None:
        self._check_alive()
        super().renew(lease, now)

    def release(
        self, lease: Lease, status: RunStatus, now: float, *, error_floor: int | None = None, after: After | None = None
    ) -> None:
        self._check_alive()
        super().release(lease, status, now, error_floor=error_floor, after=after)

    def put_blob(self, digest: bytes, data: Buffer) -> None:
        self._check_alive()
        if self.crash is not None and self.crash.how == "before" and self._has_reached(self.crash.after):
            self._kill()
        super().put_blob(digest, data)

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
        self._check_alive()
        crash, have = self.crash, len(self._rows.get(lease.uid, ()))
        if crash is not None and have >= crash.after:
            if crash.how in ("before", "torn"):
                self._kill()
            if crash.how == "full":
                raise StoreFull(28, "the simulated disk is full")
        self._accept(lease, first_seq, rows, now, cache, ending)
        if crash is not None and crash.how == "after" and have + len(rows) >= crash.after:
            self._kill()

    def _accept(
        self,
        lease: Lease,
        first_seq: int,
        rows: Sequence[Row],
        now: float,
        cache: Sequence[tuple[bytes, Row]],
        ending: Ending | None,
    ) -> None:
        super().commit(lease, first_seq, rows, now, cache=cache, ending=ending)
        self.commits.append(Commit(lease.uid, lease.fence, self.run(lease.run_id).fence, first_seq, len(rows)))
        self._note_missing_blobs(lease.uid, first_seq, rows)

    def share(self, holder: str, asks: Sequence[Ask], wants: Sequence[Want], now: float, ttl_s: float) -> dict[str, Grant]:
        self._check_alive()
        before = self._changes
        grants = super().share(holder, asks, wants, now, ttl_s)
        if self._changes != before:
            self._tell()
        return grants

    def claim(
        self, lease: Lease, wishes: Sequence[Wish], now: float, *, waits: Waits | None = None, done: Sequence[bytes] = ()
    ) -> list[Reply]:
        self._check_alive()
        return super().claim(lease, wishes, now, waits=waits, done=done)

    def append_items(self, name: str, items: Sequence[Item]) -> list[int]:
        self._check_alive()
        return super().append_items(name, items)

    def erase_items(self, name: str, until: int, *, after: int = 0) -> None:
        self._check_alive()
        super().erase_items(name, until, after=after)

    def enqueue(self, spec: RunSpec, job: Job, now: float) -> RunInfo:
        self._check_alive()
        run = super().enqueue(spec, job, now)
        self._tell()
        return run

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
        self._check_alive()
        return super().take_jobs(owner, queues, tasks, most, ttl_s, now, versions=versions)

    def sweep_jobs(self, now: float, most: int = 100) -> list[Swept]:
        self._check_alive()
        return super().sweep_jobs(now, most)

    def fire_schedules(self, now: float, make: Make) -> list[Fired]:
        self._check_alive()
        return super().fire_schedules(now, make)

    def see_worker(self, worker: WorkerInfo, now: float) -> None:
        self._check_alive()
        super().see_worker(worker, now)

    # --- what comes through a connection -----------------------------------------------------------------------------

    def clock(self) -> float:
        """What the server's clock says."""
        assert self.universe is not None
        return self.universe.start + self.universe.now

    def by_uid(self, uid: int) -> RunInfo:
        return self._by_uid(uid)

    def append(
        self,
        lease: Lease,
        first_seq: int,
        rows: Sequence[Row],
        now: float,
        *,
        cache: Sequence[tuple[bytes, Row]],
        ending: Ending | None,
        late: bool = False,
    ) -> bool:
        """A commit as one statement: it is done, or nothing is changed and nobody learns why. `late`: its driver is not there."""
        try:
            if late:
                self._accept(lease, first_seq, rows, now, cache, ending)
            else:
                self.commit(lease, first_seq, rows, now, cache=cache, ending=ending)
        except StoreError as error:
            if type(error) in (StoreError, LeaseLost, UnknownRun):  # a gap, another fence, no such run
                return False
            raise
        return True

    def hear_renewal(self, lease: Lease, now: float) -> None:
        """A renewal arrives whose driver does not wait for it any more."""
        with contextlib.suppress(StoreError):
            super().renew(lease, now)

    def remember(self) -> _State:
        """What a standby has that lags behind from here on."""
        rows = {uid: list(rows) for uid, rows in self._rows.items()}
        shared = (dict(self._cache), dict(self._boards), dict(self._claims), self._shelves.keep(lambda item: True))
        lines = deepcopy((self._jobs, self._queues, self._schedules))
        return _State(dict(self._runs), rows, list(self._signals), *shared, self._last_uid, list(self.commits), lines)

    def go_back(self, state: _State) -> None:
        """A standby that lacked the last commits takes over. What was put into blobs is there: they are kept elsewhere."""
        self._runs, self._rows = dict(state.runs), {uid: list(rows) for uid, rows in state.rows.items()}
        self._signals, self._cache, self._boards = list(state.signals), dict(state.cache), dict(state.boards)
        self._claims, self._shelves, self._last_uid = dict(state.claims), state.shelves.keep(lambda item: True), state.last_uid
        self._last_signal = max((signal.number for _, signal in self._signals), default=0)
        self._jobs, self._queues, self._schedules = deepcopy(state.lines)
        self.commits = list(state.commits)
        self.timeline += 1
        self._changes += 1
        for tell in tuple(self.on_change):
            tell()

    # --- what others do ----------------------------------------------------------------------------------------------

    def request_cancel(self, run_id: str, now: float) -> None:
        super().request_cancel(run_id, now)
        self._tell()

    def send_signal(self, run_id: str, name: str, value: bytes, now: float) -> int:
        number = super().send_signal(run_id, name, value, now)
        self._tell()
        return number

    def _tell(self) -> None:
        for tell in tuple(self.on_change):
            tell()

    # --- death -------------------------------------------------------------------------------------------------------

    def _has_reached(self, rows: int) -> bool:
        return any(len(history) >= rows for history in self._rows.values())

    def _check_alive(self) -> None:
        """What a dead process still tries reaches nobody."""
        if self.universe is not None and self.universe.running is not None and self.universe.running.dead:
            raise Killed
        self._check_thread()

    def _check_thread(self) -> None:
        """As a store on disk does, while a process runs. What looks at the simulation from outside is no process."""
        if self.universe is not None and self.universe.running is not None:
            check_thread(self)

    def _lives(self, holder: str) -> bool | None:
        """Whether the process that an owner or a holder begins with still runs, where that can be known."""
        if self.is_remote:
            return None
        if self.universe is None or not holder.startswith("driver "):
            return super()._lives(holder)
        return any(holder.startswith(process.world.owner()) and not process.dead for process in self.universe.processes)

    def _kill(self) -> None:
        if self.universe is not None and self.universe.running is not None:
            self.universe.running.kill()
            raise Killed

    def _note_missing_blobs(self, uid: int, first_seq: int, rows: Sequence[Row]) -> None:
        for seq, row in enumerate(rows, first_seq):
            for name in blobs_of(row):
                if name not in self._blobs:
                    self.without_blob.append((uid, seq, name))


def blobs_of(row: Row) -> tuple[bytes, ...]:
    """The blobs that a row names; none where it can't be read, for a store takes any bytes."""
    try:
        return named.blobs_of(row)
    except StoreDamaged:
        return ()
