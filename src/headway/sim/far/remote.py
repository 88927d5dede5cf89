"""A simulated process's connection to a store on another machine: it takes time, breaks, and lies (`lies`).

It does what `PostgresStore` does, with the same rules: a commit is sent until it is known what became of it (`shared.outcome`),
what gives the same when it is done twice is asked again, and times are taken to the server's clock. The server itself is a
`SimStore`, in which each request is one moment.

What is called in a simulated thread waits there while everything else goes on. Nobody else waits: what looks at the simulation from
outside is answered at once, and truly.
"""

from __future__ import annotations

import concurrent.futures
import functools
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from headway.errors import StoreDamaged, StoreError
from headway.journal.clocks import measure_ahead
from headway.journal.owner import make_lease_lost
from headway.journal.records import After, Ending, Lease, Row, RunInfo, RunSpec, RunStatus, Signal
from headway.journal.shared.claims import Claim, Reply, Waits, Wish
from headway.journal.shared.items import CollectionInfo, Item
from headway.journal.shared.limits import Ask, Grant, Want
from headway.journal.shared.outcome import ConnectionLost, Found, Sent, Standing, commit_surely
from headway.journal.store import Buffer
from headway.sim.far import lies as told
from headway.sim.far.lies import Lies
from headway.sim.far.queues import RemoteQueues

if TYPE_CHECKING:
    from headway.sim.loop import SimLoop
    from headway.sim.store import SimStore

T = TypeVar("T")
PATIENCE_S = 20.0  # how long a server that is away is asked again: less than a lease lasts
LONGEST_PAUSE_S = 1.0
SURE_S = 5.0  # how often everything is called new although nothing was heard


@dataclass(eq=False)
class Group:
    """Rows that were sent to be committed together, and what their driver was told of it."""

    lease: Lease
    first_seq: int
    rows: list[Row]
    timeline: int  # how often the store had gone back when it was answered
    accepted: int = 0  # how often the server took it
    told: str = "unknown"  # "durable" or "lost", once that is known


class RemoteStore(RemoteQueues):
    """What one process has of `server`. `struck` counts the lies."""

    def __init__(self, server: SimStore, process: SimLoop, lies: Lies, struck: Counter[str]) -> None:
        self.on_change: list[Callable[[], None]] = []
        self.groups: list[Group] = []
        self.was_away = False  # for so long that its driver may have given up
        self.found = 0  # rows that the run had when this process took it up
        self._server, self._process, self._lies, self._struck = server, process, lies, struck
        self._universe = process.universe
        self._away_until = 0.0
        self._heard = 0
        self._reported: dict[tuple[int, int], int] = {}  # by run and fence: rows that were reported as durable
        self._ahead_s = 0.0
        self._note_clock(process.world.wall())
        server.on_change.append(self._hear)

    @property
    def url(self) -> str:
        return self._server.url

    def checkpoint_root(self, run_id: str) -> str | None:
        return self._server.checkpoint_root(run_id)

    @property
    def blob_place(self) -> str:
        return self._server.blob_place

    def close(self) -> None:
        if self._hear in self._server.on_change:
            self._server.on_change.remove(self._hear)

    def rows_until_crash(self, uid: int) -> int:
        return self._server.rows_until_crash(uid)

    def cut_off(self, seconds: float) -> None:
        """From now on nothing arrives, for so long."""
        self.was_away = True
        self._away_until = self._universe.now + seconds

    # --- the connection ----------------------------------------------------------------------------------------------

    @property
    def _waits(self) -> bool:
        thread = self._process.world.sim_thread
        return thread is not None and thread.is_here

    def _pass(self, seconds: float) -> None:
        """Wait in this thread, while others go on."""
        if self._waits:
            over: concurrent.futures.Future[None] = concurrent.futures.Future()
            self._universe.at(self._universe.now + seconds, lambda: over.set_result(None))
            self._process.world.wait(over)

    def _ask(self, do: Callable[[], T], *, late: Callable[[], object] | None = None, group: Group | None = None) -> T:
        """One request: `do` at the server. `late`: the same for one that nobody waits for any more. Raises ConnectionLost."""
        if not self._waits:
            return do()
        universe, lies, draw = self._universe, self._lies, self._universe.draw
        timeline = self._server.timeline
        self._pass(universe.lasts(lies.delay_s))
        if draw() < lies.away:
            self._struck[told.AWAY] += 1
            self.cut_off(universe.lasts(lies.away_s))
        if universe.now < self._away_until or draw() < lies.cut or timeline != self._server.timeline:
            self._break_off(told.CUT if group is not None else told.BROKEN)
        if late is not None and draw() < lies.late:
            self._send_later(late)
            self._break_off(told.LATE if group is not None else told.BROKEN)
        swallowed = draw() < lies.swallowed
        try:
            answer = do()
        except StoreError:
            if swallowed:
                self._break_off(told.BROKEN)
            raise
        if swallowed:
            self._break_off(told.BROKEN if group is None else told.AFTER_ALL if group.accepted else told.CUT)
        if group is not None and late is not None and draw() < lies.twice:
            self._struck[told.TWICE] += 1
            self._send_later(late)
        self._pass(universe.lasts(lies.delay_s))
        return answer

    def _break_off(self, kind: str) -> None:
        self._struck[kind] += 1
        raise ConnectionLost(f"{self.url} does not answer: {kind}")

    def _send_later(self, late: Callable[[], object]) -> None:
        timeline = self._server.timeline

        def arrive() -> None:
            if timeline == self._server.timeline:  # another server never hears of it
                late()

        self._universe.at(self._universe.now + self._universe.lasts(self._lies.late_s), arrive, waking=False)

    def _insist(self, do: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
        """Do it, again where the connection broke, for so long."""
        until, pause_s = self._universe.now + patience_s, 0.01
        while True:
            try:
                return do()
            except ConnectionLost:
                if self._universe.now >= until:
                    raise
            self._pass(pause_s * (0.5 + self._universe.draw() / 2))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _again(self, do: Callable[[], T], *, late: Callable[[], object] | None = None) -> T:
        """What gives the same when it is done twice."""
        return self._insist(lambda: self._ask(do, late=late))

    def _note_clock(self, began: float) -> None:
        self._ahead_s = measure_ahead(self._server.clock(), began, self._process.world.wall())

    # --- word from outside -------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        """Something was written: heard in a moment, or found by a look that would have come anyway."""
        if self._process.dead:
            self.close()
            return
        universe = self._universe
        if universe.draw() < self._lies.deaf:
            self._struck[told.DEAF] += 1
            universe.at(universe.now + SURE_S, self._tell)
        else:
            universe.at(universe.now + universe.lasts(self._lies.delay_s), self._note_word)

    def _note_word(self) -> None:
        self._heard += 1
        self._tell()

    def _tell(self) -> None:
        for tell in tuple(self.on_change):
            tell()

    def data_version(self, uid: int) -> int:
        return self._heard * 1_000_000_000 + int(self._universe.now / SURE_S)

    # --- runs --------------------------------------------------------------------------------------------------------

    def create_run(self, spec: RunSpec) -> RunInfo:
        return self._again(lambda: self._server.create_run(spec))

    def begin_run(self, spec: RunSpec, owner: str, ttl_s: float, now: float) -> tuple[RunInfo, Lease | None]:
        def once() -> tuple[RunInfo, Lease | None]:
            run, lease = self._server.begin_run(spec, owner, ttl_s, now + self._ahead_s)
            if lease is None and (run.fence, run.owner, run.nrows) == (1, owner, 0):  # made by a first try whose answer was lost
                lease = Lease(uid=run.uid, run_id=spec.run_id, owner=owner, fence=1, ttl_s=ttl_s)
            self.found = run.nrows
            return run, lease

        return self._again(once)

    def run(self, run_id: str) -> RunInfo:
        return self._again(lambda: self._server.run(run_id))

    def runs(self) -> list[RunInfo]:
        return self._again(self._server.runs)

    def fork_run(self, spec: RunSpec, source_uid: int, keep: Callable[[int, Row], bool | Row]) -> RunInfo:
        return self._ask(lambda: self._server.fork_run(spec, source_uid, keep))

    def delete_run(self, run_id: str, now: float) -> int:
        return self._ask(lambda: self._server.delete_run(run_id, now + self._ahead_s))

    # --- leases ------------------------------------------------------------------------------------------------------

    def acquire(self, run_id: str, owner: str, ttl_s: float, now: float, *, take_over: bool = False) -> Lease:
        at = now + self._ahead_s

        def once() -> Lease:
            run = self._server.run(run_id)
            self.found = run.nrows
            if (run.owner, run.owned_since) == (owner, at):  # by a first try whose answer was lost
                return Lease(uid=run.uid, run_id=run_id, owner=owner, fence=run.fence, ttl_s=ttl_s)
            return self._server.acquire(run_id, owner, ttl_s, at, take_over=take_over)

        return self._again(once)

    def renew(self, lease: Lease, now: float) -> None:
        began, at = self._process.world.wall(), now + self._ahead_s
        self._again(lambda: self._server.renew(lease, at), late=lambda: self._server.hear_renewal(lease, at))
        self._note_clock(began)

    def release(
        self, lease: Lease, status: RunStatus, now: float, *, error_floor: int | None = None, after: After | None = None
    ) -> None:
        at = now + self._ahead_s
        self._again(lambda: self._server.release(lease, status, at, error_floor=error_floor, after=after))

    # --- rows --------------------------------------------------------------------------------------------------------

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
        group = Group(lease, first_seq, list(rows), self._server.timeline)
        self.groups.append(group)
        ours, at, until = (lease.uid, lease.fence), now + self._ahead_s, self._universe.now + lease.ttl_s

        def accept(*, late: bool = False) -> bool:
            taken = self._server.append(lease, first_seq, rows, at, cache=cache, ending=ending, late=late)
            group.accepted += taken
            group.timeline = self._server.timeline
            return taken

        def send() -> bool:
            taken = self._ask(accept, late=functools.partial(accept, late=True), group=group)
            self._struck[told.RACED] += not taken and group.accepted > 0
            return taken

        def look() -> Found:
            return self._insist(lambda: self._ask(lambda: self._find(group)), until - self._universe.now)

        pause_s = 0.01

        def wait(broke: StoreError) -> None:
            nonlocal pause_s
            if self._universe.now >= until:
                raise broke
            self._pass(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

        sent = Sent(lease, first_seq, _sums(rows, first_seq), ending is not None)
        reported = self._reported.get(ours, 0)
        try:
            standing = commit_surely(sent, reported, self.url, send=send, look=look, may_pass=_is_lost, wait=wait)
        except StoreDamaged:
            self._struck[told.NOTICED] += self._server.timeline > 0
            raise
        if standing is Standing.LOST:
            group.told = "lost"
            self._struck[told.OVERTAKEN] += 1
            raise make_lease_lost(self._again(lambda: self._server.by_uid(lease.uid)), lease.fence)
        group.told = "durable"
        self._reported[ours] = first_seq - 1 + len(rows)

    def _find(self, group: Group) -> Found:
        uid, first = group.lease.uid, group.first_seq
        group.timeline = self._server.timeline
        try:
            run = self._server.by_uid(uid)
        except StoreError:
            return Found(None, ())
        return Found(run, _sums(self._server.history(uid)[first - 1 : first - 1 + len(group.rows)], first))

    def rows(self, uid: int, *, after: int = 0) -> Iterator[tuple[int, Row]]:
        yield from self._again(lambda: list(self._server.rows(uid, after=after)))

    def cached(self, key: bytes) -> Row | None:
        return self._again(lambda: self._server.cached(key))

    # --- blobs -------------------------------------------------------------------------------------------------------

    def put_blob(self, digest: bytes, data: Buffer) -> None:
        self._again(lambda: self._server.put_blob(digest, data))

    def get_blob(self, digest: bytes) -> memoryview:
        return self._again(lambda: self._server.get_blob(digest))

    # --- control from outside ----------------------------------------------------------------------------------------

    def request_cancel(self, run_id: str, now: float) -> None:
        self._again(lambda: self._server.request_cancel(run_id, now))

    def send_signal(self, run_id: str, name: str, value: bytes, now: float) -> int:
        return self._ask(lambda: self._server.send_signal(run_id, name, value, now))

    def signals(self, uid: int, *, after: int = 0) -> list[Signal]:
        return self._again(lambda: self._server.signals(uid, after=after))

    # --- what runs share ---------------------------------------------------------------------------------------------

    def append_items(self, name: str, items: Sequence[Item]) -> list[int]:
        return self._again(lambda: self._server.append_items(name, items))

    def count_items(self, name: str) -> int:
        return self._again(lambda: self._server.count_items(name))

    def items(self, name: str, *, after: int = 0, until: int | None = None) -> list[Item]:
        return self._again(lambda: self._server.items(name, after=after, until=until))

    def erase_items(self, name: str, until: int, *, after: int = 0) -> None:
        self._again(lambda: self._server.erase_items(name, until, after=after))

    def collections(self) -> list[CollectionInfo]:
        return self._again(self._server.collections)

    def share(self, holder: str, asks: Sequence[Ask], wants: Sequence[Want], now: float, ttl_s: float) -> dict[str, Grant]:
        return self._again(lambda: self._server.share(holder, asks, wants, now + self._ahead_s, ttl_s))

    def is_wanted(self, holder: str, names: Sequence[str], now: float) -> bool:
        return self._again(lambda: self._server.is_wanted(holder, names, now + self._ahead_s))

    def claim(
        self, lease: Lease, wishes: Sequence[Wish], now: float, *, waits: Waits | None = None, done: Sequence[bytes] = ()
    ) -> list[Reply]:
        return self._again(lambda: self._server.claim(lease, wishes, now + self._ahead_s, waits=waits, done=done))

    def claims(self) -> dict[bytes, Claim]:
        return self._again(self._server.claims)


def _is_lost(error: StoreError) -> bool:
    return isinstance(error, ConnectionLost)


def _sums(rows: Sequence[Row], first_seq: int) -> list[tuple[int, int]]:
    return [
        (seq, zlib.crc32(b"".join((b"%d " % kind, key, parent, body))))
        for seq, (kind, key, parent, body) in enumerate(rows, first_seq)
    ]
