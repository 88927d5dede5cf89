"""A store that lives as long as its object: for programs that need no memory, for simulations and for tests.

It keeps the whole contract of a store but durability; drivers that share the object see each other as drivers of a
folder do. It must never hand out an object that a caller could change under another one's feet.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence

import msgspec

from headway.errors import RunMismatch, StoreDamaged
from headway.journal.memory_arrivals import ArrivalsInMemory
from headway.journal.memory_queues import MemoryQueues
from headway.journal.owner import check_takeover, is_alive, make_gap_error, make_lease_lost, unknown_run
from headway.journal.records import ENDED, After, Ending, Lease, Row, RunInfo, RunSpec, RunStatus, Signal
from headway.journal.shared.claims import Board as ClaimBoard
from headway.journal.shared.claims import Claim, Holder, Reply, Waits, Wish, gather_claims, settle
from headway.journal.shared.items import CollectionInfo, Item, Shelves, too_short
from headway.journal.shared.limits import Ask, Board, Grant, Want, any_wants, is_changed, share_out
from headway.journal.store import RUNS_PAGE, Buffer, keep_row
from headway.storage.blobs import hash_blob


class MemoryStore(MemoryQueues, ArrivalsInMemory):
    """A store in memory. Closing it changes nothing: another driver may go on with it."""

    def __init__(self) -> None:
        super().__init__()
        self.rejected: list[tuple[int, int, int, Row]] = []  # (uid, fence, seq, row) of late writers
        self._lock = threading.RLock()
        self._runs: dict[str, RunInfo] = {}
        self._rows: dict[int, list[Row]] = {}
        self._cache: dict[bytes, Row] = {}
        self._blobs: dict[bytes, bytes] = {}
        self._signals: list[tuple[int, Signal]] = []
        self._boards: dict[str, Board] = {}  # of shared limits
        self._claims: dict[bytes, Claim] = {}  # of shared results
        self._shelves = Shelves()
        self._changes = 0
        self._last_uid = 0
        self._last_signal = 0

    @property
    def url(self) -> str:
        return ":memory:"

    @property
    def blob_place(self) -> str:
        return ""

    def checkpoint_root(self, run_id: str) -> str | None:
        return None

    def close(self) -> None:
        pass

    # runs

    def create_run(self, spec: RunSpec) -> RunInfo:
        with self._lock:
            found = self._runs.get(spec.run_id)
            return found or self._insert(spec, [])

    def begin_run(self, spec: RunSpec, owner: str, ttl_s: float, now: float) -> tuple[RunInfo, Lease | None]:
        with self._lock:
            if (found := self._runs.get(spec.run_id)) is not None:
                return found, None
            run = self._insert(spec, [])
            run = self._change(run, fence=1, owner=owner, owned_since=now, lease_until=now + ttl_s)
            return run, Lease(uid=run.uid, run_id=spec.run_id, owner=owner, fence=1, ttl_s=ttl_s)

    def run(self, run_id: str) -> RunInfo:
        with self._lock:
            if run_id not in self._runs:
                raise unknown_run(run_id, self._runs, self.url)
            return self._runs[run_id]

    def runs(
        self, *, after: int = 0, most: int = RUNS_PAGE, newest_first: bool = False, statuses: Sequence[RunStatus] = ()
    ) -> list[RunInfo]:
        with self._lock:
            found = sorted(self._runs.values(), key=lambda run: run.uid, reverse=newest_first)
        behind = [run for run in found if not after or (run.uid < after if newest_first else run.uid > after)]
        return [run for run in behind if not statuses or run.status in statuses][:most]

    def fork_run(self, spec: RunSpec, source_uid: int, keep: Callable[[int, Row], bool | Row]) -> RunInfo:
        with self._lock:
            if spec.run_id in self._runs:
                raise RunMismatch(f"the run id {spec.run_id!r} is taken in {self.url}: choose another id for the fork")
            self._by_uid(source_uid)
            rows = enumerate(self._rows[source_uid], 1)
            return self._insert(spec, [taken for seq, row in rows for taken in keep_row(keep, seq, row)])

    def delete_run(self, run_id: str, now: float) -> int:
        """Forget a run and its rows. Returns how many rows it had. Raises RunOwned while a live owner drives it."""
        with self._lock:
            run = self.run(run_id)
            check_takeover(run, now)
            self._end_job(run, now)
            del self._runs[run_id], self._rows[run.uid]
            self._signals = [(uid, signal) for uid, signal in self._signals if uid != run.uid]
            self.rejected = [late for late in self.rejected if late[0] != run.uid]
            self._end_claims(run.uid)
            self._changes += 1
            return run.nrows

    def _insert(self, spec: RunSpec, rows: list[Row]) -> RunInfo:
        self._last_uid += 1
        run = RunInfo(
            uid=self._last_uid,
            spec=spec,
            status=RunStatus.RUNNING,
            fence=0,
            owner="",
            owned_since=0.0,
            lease_until=0.0,
            cancel_requested=False,
            error_floor=0,
            ended=0.0,
            nrows=len(rows),
        )
        self._rows[run.uid] = rows
        return self._change(run)

    def _change(self, run: RunInfo, **changes: object) -> RunInfo:
        self._changes += 1
        changed = msgspec.structs.replace(run, **changes)
        self._runs[run.spec.run_id] = changed
        return changed

    def _by_uid(self, uid: int) -> RunInfo:
        for run in self._runs.values():
            if run.uid == uid:
                return run
        raise unknown_run(f"number {uid}", [], self.url)

    def _find_held(self, lease: Lease) -> RunInfo | None:
        run = self._runs.get(lease.run_id)
        held = run is not None and (run.uid, run.fence, run.owner) == (lease.uid, lease.fence, lease.owner)
        return run if held else None

    # leases

    def acquire(self, run_id: str, owner: str, ttl_s: float, now: float, *, take_over: bool = False) -> Lease:
        with self._lock:
            run = self.run(run_id)
            if not take_over:
                if run.lease_until > now + ttl_s:
                    run = self._change(run, lease_until=now + ttl_s)
                check_takeover(run, now)
            run = self._change(
                run,
                fence=run.fence + 1,
                owner=owner,
                owned_since=now,
                lease_until=now + ttl_s,
                status=RunStatus.RUNNING,
                ended=0.0,
            )
            self._end_claims(run.uid)
            self._note_taken(run)
            return Lease(uid=run.uid, run_id=run_id, owner=owner, fence=run.fence, ttl_s=ttl_s)

    def renew(self, lease: Lease, now: float) -> None:
        with self._lock:
            run = self._find_held(lease)
            if run is None:
                raise make_lease_lost(self._by_uid(lease.uid), lease.fence)
            self._change(run, lease_until=now + lease.ttl_s)

    def release(
        self, lease: Lease, status: RunStatus, now: float, *, error_floor: int | None = None, after: After | None = None
    ) -> None:
        with self._lock:
            run = self._find_held(lease)
            if run is not None:
                self._give_back(run, Ending(status, error_floor, after), now)

    def _give_back(self, run: RunInfo, ending: Ending, now: float) -> None:
        over, floor = ending.status in ENDED, ending.error_floor
        run = self._change(
            run,
            owner="",
            lease_until=0.0,
            status=ending.status,
            ended=now if over else 0.0,
            cancel_requested=run.cancel_requested and not over,
            error_floor=run.error_floor if floor is None else floor,
        )
        self._end_claims(run.uid)
        if over:
            self._end_job(run, now)
        else:
            self._give_job_back(run, ending.after, now)

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
        with self._lock:
            run = self._find_held(lease)
            if run is None:
                self.rejected += [(lease.uid, lease.fence, seq, row) for seq, row in enumerate(rows, first_seq)]
                raise make_lease_lost(self._by_uid(lease.uid), lease.fence)
            if run.nrows != first_seq - 1:
                raise make_gap_error(run, first_seq)
            whole, entries = [_check_row(row) for row in rows], [(key, _check_row(row)) for key, row in cache]
            self._rows[run.uid] += whole
            self._cache.update(entries)
            for name, _ in entries:
                if (claim := self._claims.get(name)) is not None and (claim.run, claim.fence) == (lease.uid, lease.fence):
                    del self._claims[name]
            run = self._change(run, nrows=run.nrows + len(rows))
            if ending is not None:
                self._give_back(run, ending, now)

    def rows(self, uid: int, *, after: int = 0) -> Iterator[tuple[int, Row]]:
        with self._lock:
            self._by_uid(uid)
            part = self._rows[uid][after:]
        yield from enumerate(part, after + 1)

    def cached(self, key: bytes) -> Row | None:
        with self._lock:
            return self._cache.get(key)

    # blobs

    def put_blob(self, digest: bytes, data: Buffer) -> None:
        with self._lock:
            if digest not in self._blobs:
                self._blobs[digest] = bytes(data)

    def get_blob(self, digest: bytes) -> memoryview:
        with self._lock:
            data = self._blobs.get(digest)
        if data is None:
            raise StoreDamaged(f"blob {digest.hex()} is missing in {self.url}: the call that made it has to run again")
        if hash_blob(data) != digest:
            raise StoreDamaged(f"blob {digest.hex()} in {self.url} is damaged: the call that made it has to run again")
        return memoryview(bytearray(data))

    # control from outside

    def request_cancel(self, run_id: str, now: float) -> None:
        with self._lock:
            run = self.run(run_id)
            if run.owner or run.status not in ENDED:
                self._cancel_job(self._change(run, cancel_requested=True), now)

    def send_signal(self, run_id: str, name: str, value: bytes, now: float) -> int:
        with self._lock:
            run = self.run(run_id)
            self._last_signal = number = self._last_signal + 1
            self._signals.append((run.uid, Signal(number=number, name=name, value=value, at=now)))
            self._changes += 1
            self._wake_job(run.uid, now)
            return number

    def signals(self, uid: int, *, after: int = 0) -> list[Signal]:
        with self._lock:
            return [signal for to, signal in self._signals if to == uid and signal.number > after]

    def data_version(self, uid: int) -> int:
        return self._changes

    # collections

    def append_items(self, name: str, items: Sequence[Item]) -> list[int]:
        with self._lock:
            return self._shelves.append(name, items)

    def count_items(self, name: str) -> int:
        with self._lock:
            return len(self._shelves.items.get(name, ()))

    def items(self, name: str, *, after: int = 0, until: int | None = None) -> list[Item]:
        with self._lock:
            shelf = self._shelves.items.get(name, [])
            if until is not None and until > len(shelf):
                raise too_short(name, len(shelf), until, self.url)
            return shelf[after:until]

    def erase_items(self, name: str, until: int, *, after: int = 0) -> None:
        with self._lock:
            shelf = self._shelves.items.get(name, [])
            shelf[after:until] = [item.without_value() for item in shelf[after:until]]

    def collections(self) -> list[CollectionInfo]:
        with self._lock:
            return [CollectionInfo(name, len(items)) for name, items in sorted(self._shelves.items.items())]

    # limits shared between runs

    def share(self, holder: str, asks: Sequence[Ask], wants: Sequence[Want], now: float, ttl_s: float) -> dict[str, Grant]:
        with self._lock:
            grants, after = share_out(self._boards, holder, asks, wants, now, ttl_s, self._lives)
            for ask in asks:
                if is_changed(self._boards.get(ask.name), after[ask.name], ask):
                    self._boards[ask.name] = after[ask.name]
                    self._changes += 1
                if after[ask.name].ends() == -math.inf:
                    self._boards.pop(ask.name, None)
            return grants

    def is_wanted(self, holder: str, names: Sequence[str], now: float) -> bool:
        with self._lock:
            return any_wants((self._boards[name] for name in names if name in self._boards), holder, now, self._lives)

    # claims on shared results

    def claim(
        self, lease: Lease, wishes: Sequence[Wish], now: float, *, waits: Waits | None = None, done: Sequence[bytes] = ()
    ) -> list[Reply]:
        with self._lock:
            if self._find_held(lease) is None:
                raise make_lease_lost(self._by_uid(lease.uid), lease.fence)
            claims = gather_claims([*(wish.name for wish in wishes), *(waits or ()), *done], self._find_claims)
            runs = {run.uid: run for run in self._runs.values()} if claims else {}
            holders = {uid: Holder(run.fence, run.owner, run.lease_until) for uid, run in runs.items()}
            settled = settle(ClaimBoard(self._cache, claims, holders), lease, wishes, waits or {}, done, now, self._lives)
            self._claims.update(settled.put)
            for name in settled.drop:
                del self._claims[name]
            for uid in settled.shorten:
                self._change(runs[uid], lease_until=now + lease.ttl_s)
            self._changes += bool(settled.put or settled.drop)
            return settled.replies

    def claims(self) -> dict[bytes, Claim]:
        with self._lock:
            return dict(sorted(self._claims.items()))

    def _find_claims(self, names: set[bytes]) -> dict[bytes, Claim]:
        return {name: self._claims[name] for name in names if name in self._claims}

    def _end_claims(self, uid: int) -> None:
        self._claims = {name: claim for name, claim in self._claims.items() if claim.run != uid}

    def _lives(self, holder: str) -> bool | None:
        """Whether the process of a holder still runs; None if unknown."""
        return is_alive(holder)


def _check_row(row: Row) -> Row:
    """Check a row as a store on disk would: its parts must be bytes."""
    kind, key, parent, body = row
    if not isinstance(kind, int) or not (isinstance(key, bytes) and isinstance(parent, bytes) and isinstance(body, bytes)):
        raise TypeError(f"a row is a kind and three pieces of bytes, not {row!r}")
    return Row(kind, key, parent, body)
