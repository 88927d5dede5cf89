"""The driver's end of a run's journal: an append queue, a watermark of what is durable, and the thread that writes.

The engine appends and goes on; nothing waits for the disk but an effect, the end of the run, and a queue that is full. The
queue is first in, first out and committed in groups, so whatever survives a crash is a prefix of what was appended: a survivor
never lacks what it was computed from. The blobs of a group are durable before the group is.

A run is given back in the commit of its last rows, where there are any: a commit of its own would take as long as all the rest of a
short run does.

`Log` is the whole logic and does no waiting: `write_group` moves one group from the queue to the store. The thread that calls it
is in `writer`; a simulator calls it at times that it draws.

The log must never lose or reorder a row, and never report a row durable that is not. When the store fails, the log keeps the
rows it could not write, says so once through `on_failure`, and accepts nothing more.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from headway.errors import StoreError
from headway.journal.records import Ending, Lease, Row, RunStatus
from headway.journal.store import Buffer, Store

GROUP_ROWS = 4096
GROUP_BYTES = 32 << 20
QUEUE_ROWS = 32_768
QUEUE_BYTES = 256 << 20


class Blob(NamedTuple):
    digest: bytes
    data: Buffer


class Carried(NamedTuple):
    """What only few rows carry: blobs to be written first, and a key in the cross-run cache."""

    blobs: Sequence[Blob]
    cache_key: bytes | None


class Fresh(NamedTuple):
    """An outcome to be shared that may not be in the store yet, with its blobs."""

    row: Row
    blobs: Sequence[Blob]


class Journal(Protocol):
    """What the engine needs of a journal; `Log` remembers, `NullJournal` does not."""

    durable: int
    failure: StoreError | None
    forgets: bool  # whether rows are only counted, so that nobody ever reads one

    @property
    def awaited(self) -> bool: ...
    @property
    def last_seq(self) -> int: ...
    def append(self, row: Row, blobs: Sequence[Blob] = (), cache_key: bytes | None = None) -> int: ...
    def hold(self) -> None: ...
    def release(self) -> None: ...
    def has_room(self) -> bool: ...
    def when_durable(self, seq: int, callback: Callable[[], None]) -> None: ...
    def fresh(self, key: bytes) -> Fresh | None: ...


class NullJournal:
    """The journal of a run with `store=None`: counts, and forgets."""

    failure: StoreError | None = None
    forgets = True
    awaited = False

    def __init__(self) -> None:
        self.durable = 0

    @property
    def last_seq(self) -> int:
        return self.durable

    def append(self, row: Row, blobs: Sequence[Blob] = (), cache_key: bytes | None = None) -> int:
        self.durable += 1
        return self.durable

    def hold(self) -> None:
        pass

    def release(self) -> None:
        pass

    def has_room(self) -> bool:
        return True

    def when_durable(self, seq: int, callback: Callable[[], None]) -> None:
        callback()

    def fresh(self, key: bytes) -> Fresh | None:
        return None


class Log:
    """The append queue of one owned run.

    `post` runs a callback on the engine's thread; `wall` gives wall-clock seconds.
    """

    forgets = False

    def __init__(
        self,
        store: Store,
        lease: Lease,
        last_seq: int,
        *,
        post: Callable[[Callable[[], None]], None],
        on_room: Callable[[], None],
        on_failure: Callable[[StoreError], None],
        on_commit: Callable[[int, int, float], None] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.lease = lease
        self.durable = last_seq
        self.failure: StoreError | None = None
        self._seq = last_seq
        self._taken = last_seq  # the newest row that was taken to be written
        self._held: int | None = None  # the first row that is held
        self._tied: set[int] = set()  # rows that are in one group with the next
        self._queue: deque[Row] = deque()
        self._carried: dict[int, Carried] = {}
        self._fresh: dict[bytes, tuple[int, Fresh]] = {}  # to be shared, and not in the store yet
        self._bytes_in = 0
        self._bytes_out = 0
        self._waiters: deque[tuple[int, Callable[[], None]]] = deque()
        self._full = False
        self._ending: Ending | None = None  # how the run is given back, once it is to be
        self.is_given_back = False
        self._broken_by: StoreError | None = None  # whether or not the engine has heard of it
        self.post = post
        self._on_room = on_room
        self._on_failure = on_failure
        self._on_commit = on_commit
        self.wall = wall
        self._idle = True
        self.work = threading.Event()
        self.urgent = threading.Event()
        self.holder = f"{lease.owner}#{lease.uid}.{lease.fence}"  # how limits name this driver
        self.leased: tuple[str, ...] = ()  # limits in which it has places
        self.on_wanted: Callable[[], None] | None = None  # called where another process waits for one of them
        self.on_change: Callable[[], None] | None = None  # called where somebody wrote to the store

    # --- the engine's side -------------------------------------------------------------------------------------------

    def append(self, row: Row, blobs: Sequence[Blob] = (), cache_key: bytes | None = None) -> int:
        """Queue a row; the seq it will have. Never blocks."""
        self._seq = seq = self._seq + 1
        if blobs or cache_key is not None:
            self._carried[seq] = Carried(blobs, cache_key)
            if cache_key is not None:
                self._fresh[cache_key] = (seq, Fresh(row, blobs))
            self._bytes_in += sum(len(blob.data) for blob in blobs)
        self._queue.append(row)
        if self._idle:
            self._idle = False
            self.work.set()
        return seq

    def hold(self) -> None:
        """Keep rows appended from now on from being written until `release`. They are committed together or not at all."""
        if self._held is None:
            self._held = self._seq + 1

    def release(self) -> None:
        if (held := self._held) is not None:
            self._tied.update(range(held, self._seq))
            self._held = None
            self.work.set()

    def has_room(self) -> bool:
        """Whether new work may start. Asks to be called back (`on_room`) when it says no."""
        if self._seq - self.durable < QUEUE_ROWS and self._bytes_in - self._bytes_out < QUEUE_BYTES:
            return True
        self._full = True
        self.urgent.set()
        return False

    def when_durable(self, seq: int, callback: Callable[[], None]) -> None:
        """Call back on the engine's thread once row `seq` is durable; at once if it is."""
        if seq <= self.durable:
            callback()
            return
        self._waiters.append((seq, callback))
        self.urgent.set()
        self.work.set()

    def fresh(self, key: bytes) -> Fresh | None:
        """What this run has just recorded to be shared under this key, where the store may not have it yet."""
        found = self._fresh.get(key)
        return found[1] if found is not None else None

    def _note_commit(self, seq: int) -> None:
        self.durable = seq
        if self._fresh:
            self._fresh = {key: fresh for key, fresh in self._fresh.items() if fresh[0] > seq}
        while self._waiters and self._waiters[0][0] <= seq:
            self._waiters.popleft()[1]()
        if self._waiters:
            self.urgent.set()
        if self._full and self._seq - seq < QUEUE_ROWS // 2 and self._bytes_in - self._bytes_out < QUEUE_BYTES // 2:
            self._full = False
            self._on_room()

    def _note_failure(self, error: StoreError) -> None:
        if self.failure is None:
            self.failure = error
            self._on_failure(error)

    def hear(self) -> None:
        """Let the engine know of a failure now, whatever else is posted before it."""
        if self._broken_by is not None:
            self._note_failure(self._broken_by)

    # --- its end: off the loop, when nothing appends any more -------------------------------------------------------

    def end(self, ending: Ending) -> None:
        """Have the run given back with the last of the rows that are queued. The first word counts."""
        if self._ending is None:
            self._ending = ending

    def give_back(self) -> None:
        """Give the run back, unless its last rows have done so. Call when the writer has ended."""
        if self._ending is None or self.is_given_back:
            return
        self.is_given_back = True
        ending = self._ending if self._broken_by is None else Ending(RunStatus.INTERRUPTED)
        with contextlib.suppress(StoreError):  # it ends with this process, or was lost before
            self.store.release(self.lease, ending.status, self.wall(), error_floor=ending.error_floor, after=ending.after)

    # --- the writer's side -------------------------------------------------------------------------------------------

    @property
    def awaited(self) -> bool:
        """Whether anything waits for the disk."""
        return bool(self._waiters) or self._full

    @property
    def last_seq(self) -> int:
        """The seq of the newest row, durable or not."""
        return self._seq

    @property
    def pending(self) -> int:
        return len(self._queue)

    def rest(self) -> None:
        """Ask to be woken by the next append. Call before looking at the queue for the last time."""
        self.work.clear()
        self._idle = True

    def take_group(self, most: int = GROUP_ROWS) -> list[Row]:
        """The next rows to commit together, oldest first."""
        queue, tied, nbytes = self._queue, self._tied, 0
        group: list[Row] = []
        while queue and self._taken + 1 != self._held and (self._taken in tied or (len(group) < most and nbytes < GROUP_BYTES)):
            row = queue.popleft()
            group.append(row)
            nbytes += len(row.body)
            tied.discard(self._taken)
            self._taken += 1
        return group

    def write_group(self, group: list[Row], first_seq: int) -> None:
        """Blobs first, then all rows in one transaction."""
        began = time.perf_counter()
        last = first_seq + len(group) - 1
        cache = []
        if self._carried:
            for seq, row in enumerate(group, first_seq):
                carried = self._carried.pop(seq, None)
                if carried is None:
                    continue
                for blob in carried.blobs:
                    self.store.put_blob(blob.digest, blob.data)
                    self._bytes_out += len(blob.data)
                if carried.cache_key is not None:
                    cache.append((carried.cache_key, row))
        ending = self._ending if not self._queue else None
        self.store.commit(self.lease, first_seq, group, self.wall(), cache=cache, ending=ending)
        self.is_given_back = ending is not None
        self.post(lambda: self._note_commit(last))
        if (on_commit := self._on_commit) is not None:
            seconds = time.perf_counter() - began
            self.post(lambda: on_commit(len(group), last, seconds))

    def fail(self, error: BaseException) -> None:
        """Tell the engine that nothing more will be written."""
        if not isinstance(error, StoreError):
            wrapped = StoreError(f"run {self.lease.run_id}: the journal writer failed: {error!r}")
            wrapped.__cause__ = error
            error = wrapped
        self._broken_by = failure = error
        self.post(lambda: self._note_failure(failure))
