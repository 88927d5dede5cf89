"""What a store has to do, as plainly as it can be said: dictionaries and lists, no files, no locks, no codec.

The tests drive a store and this model alike and compare. Where the protocol leaves a number to the store (the uid of a run, a
fence, the number of a signal), the model is told which one the store chose and checks that it may. The model must never
be written by looking at a store's code: it says what the protocol's docstrings say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from headway.errors import LeaseLost, RunMismatch, RunOwned, StoreDamaged, StoreError, UnknownRun
from headway.journal.owner import this_process
from headway.journal.records import Ending, Lease, Row, RunInfo, RunSpec, RunStatus, Signal
from headway.journal.shared.limits import Ask, Board, Grant, Want, share_out

ALIVE = this_process()
DEAD = ALIVE.replace("(started ", "(started 1")  # this process id, of a process that started at another time


@dataclass
class ModelRun:
    uid: int
    spec: RunSpec
    rows: list[Row] = field(default_factory=list)
    rejected: list[tuple[int, int, Row]] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    status: RunStatus = RunStatus.RUNNING
    fence: int = 0
    owner: str = ""
    since: float = 0.0
    until: float = 0.0
    cancel: bool = False
    floor: int = 0
    ended: float = 0.0
    last_signal: int = 0

    def info(self) -> RunInfo:
        return RunInfo(
            uid=self.uid,
            spec=self.spec,
            status=self.status,
            fence=self.fence,
            owner=self.owner,
            owned_since=self.since,
            lease_until=self.until,
            cancel_requested=self.cancel,
            error_floor=self.floor,
            ended=self.ended,
            nrows=len(self.rows),
        )

    def is_held_by(self, lease: Lease) -> bool:
        return bool(self.owner) and (self.fence, self.owner) == (lease.fence, lease.owner)

    def check_free(self, now: float) -> None:
        if self.owner and self.owner != DEAD and self.until > now:
            raise RunOwned


@dataclass
class Model:
    named: dict[str, ModelRun] = field(default_factory=dict)
    last_uid: int = 0
    cache: dict[bytes, Row] = field(default_factory=dict)
    blobs: dict[bytes, bytes] = field(default_factory=dict)
    boards: dict[str, Board] = field(default_factory=dict)

    # runs

    def run(self, run_id: str) -> ModelRun:
        if run_id not in self.named:
            raise UnknownRun
        return self.named[run_id]

    def numbered(self, uid: int) -> ModelRun:
        for run in self.named.values():
            if run.uid == uid:
                return run
        raise UnknownRun

    def runs(self) -> list[RunInfo]:
        return [run.info() for run in sorted(self.named.values(), key=lambda run: run.uid)]

    def create_run(self, spec: RunSpec, *, uid: int) -> RunInfo:
        if spec.run_id not in self.named:
            assert uid > self.last_uid, "the number of a run is never used again"
            self.last_uid = uid
            self.named[spec.run_id] = ModelRun(uid, spec)
        return self.named[spec.run_id].info()

    def fork_run(self, spec: RunSpec, source_uid: int, keep: Callable[[int, Row], bool], *, uid: int) -> RunInfo:
        if spec.run_id in self.named:
            raise RunMismatch
        source = self.numbered(source_uid)
        self.create_run(spec, uid=uid)
        fork = self.named[spec.run_id]
        fork.rows = [row for seq, row in enumerate(source.rows, 1) if keep(seq, row)]
        fork.last_signal = source.last_signal
        return fork.info()

    def delete_run(self, run_id: str, now: float) -> int:
        run = self.run(run_id)
        run.check_free(now)
        del self.named[run_id]
        return len(run.rows)

    # leases

    def acquire(self, run_id: str, owner: str, ttl_s: float, now: float, *, take_over: bool, fence: int) -> Lease:
        run = self.run(run_id)
        if not take_over:
            run.until = min(run.until, now + ttl_s)
            run.check_free(now)
        assert fence > run.fence, "every owner gets a higher fence than all before"
        run.fence, run.owner, run.since, run.until = fence, owner, now, now + ttl_s
        run.status, run.ended = RunStatus.RUNNING, 0.0
        return Lease(uid=run.uid, run_id=run_id, owner=owner, fence=fence, ttl_s=ttl_s)

    def renew(self, lease: Lease, now: float) -> None:
        run = self.numbered(lease.uid)
        if not run.is_held_by(lease):
            raise LeaseLost
        run.until = now + lease.ttl_s

    def release(self, lease: Lease, status: RunStatus, now: float, *, error_floor: int | None) -> None:
        for run in self.named.values():
            if run.uid == lease.uid and run.is_held_by(lease):
                over = status in (RunStatus.DONE, RunStatus.FAILED, RunStatus.CANCELLED)
                run.owner, run.until, run.status, run.ended = "", 0.0, status, now if over else 0.0
                run.cancel = run.cancel and not over
                run.floor = run.floor if error_floor is None else error_floor

    # rows

    def commit(
        self,
        lease: Lease,
        first_seq: int,
        rows: Sequence[Row],
        cache: Sequence[tuple[bytes, Row]],
        now: float,
        ending: Ending | None,
    ) -> None:
        run = self.numbered(lease.uid)
        if not run.is_held_by(lease):
            run.rejected += [(lease.fence, seq, row) for seq, row in enumerate(rows, first_seq)]
            raise LeaseLost
        if first_seq != len(run.rows) + 1:
            raise StoreError
        run.rows += rows
        self.cache.update(cache)
        if ending is not None:
            self.release(lease, ending.status, now, error_floor=ending.error_floor)

    # blobs

    def put_blob(self, digest: bytes, data: bytes) -> None:
        self.blobs.setdefault(digest, data)

    def get_blob(self, digest: bytes) -> bytes:
        if digest not in self.blobs:
            raise StoreDamaged
        return self.blobs[digest]

    # control from outside

    def request_cancel(self, run_id: str) -> None:
        run = self.run(run_id)
        if run.owner or run.status in (RunStatus.RUNNING, RunStatus.INTERRUPTED):
            run.cancel = True

    def send_signal(self, run_id: str, name: str, value: bytes, now: float, *, number: int) -> int:
        run = self.run(run_id)
        assert number > run.last_signal, "a run, or a fork of it, never gives the number of a signal again"
        run.last_signal = number
        run.signals.append(Signal(number=number, name=name, value=value, at=now))
        return number

    # limits

    def share(self, holder: str, asks: Sequence[Ask], wants: Sequence[Want], now: float, ttl_s: float) -> dict[str, Grant]:
        """What the rule says: `tests/journal/shared/test_sharing_limits.py` is about the rule, this is about its being kept."""
        grants, after = share_out(self.boards, holder, asks, wants, now, ttl_s)
        self.boards.update(after)
        return grants

    def is_wanted(self, holder: str, now: float) -> bool:
        places = [each for board in self.boards.values() for each in board.places.items()]
        waits = [(who, place.until) for who, place in places if place.wants and who != holder and not who.startswith(DEAD)]
        return any(who.startswith(ALIVE) or until > now for who, until in waits)
