"""Loading: every rank verifies everything before the first byte of any rank's state changes.

A load makes two passes. In the first, each needed block is read from the medium once per host, by the rank that the plan names, and
hashed; then all ranks agree that all is well. In the second, each rank fills its own memory. What was just read is in the page
cache, so this costs a memory copy, straight into the destination where that is contiguous. Each block is hashed again on the way:
the second read may return other bytes than the first, and nobody must train on bytes that were not verified. The second pass goes
backwards, because a page cache that was too small still holds the end.

An object store has no page cache. There the first pass writes what it fetches to an unnamed file, and the second pass reads that.

A load needs memory for its plan and one buffer of 4 MiB for each reading thread, whatever the size of the state. `memory_bytes`
bounds the threads of an object store's reads, and what may be spooled in memory instead of on disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import msgspec

from headway.checkpoint.files.manifest import Manifest, Phase, Segment
from headway.checkpoint.load.blocks import Contents
from headway.checkpoint.load.diff import compare
from headway.checkpoint.load.lazy import OpenCheckpoint
from headway.checkpoint.load.overlap import agree, overlaps
from headway.checkpoint.load.plan import READ_BYTES, RankPlan, Read, Select, Want, plan_load, wants_of
from headway.checkpoint.load.reading import Ranges, Spool, Spooled, check, each, in_a_row, open_source, split
from headway.checkpoint.load.scatter import Scatter
from headway.checkpoint.process.collective import all_or_none
from headway.checkpoint.process.failpoints import reach
from headway.checkpoint.process.ranks import Alone, Ranks
from headway.checkpoint.state.fit import Stored, find_misfits, refuse
from headway.checkpoint.state.inventory import Inventory
from headway.errors import CheckpointMismatch
from headway.storage.backend import Backend

LOCAL_THREADS = 4  # as many as the machine has cores, up to this: two keep a fast disk busy
REMOTE_THREADS = 16
AHEAD = 8  # reads announced to the disk in advance, so that it is busy while bytes are hashed
CHANGED = (
    "These bytes were right when they were verified a moment ago and are not now: the medium or the memory is failing. Part of the "
    "state is filled already, so it must not be used: load another checkpoint"
)

OnPhase = Callable[[Phase], None]  # "plan", "read" and "scatter", as each ends


class Loaded(msgspec.Struct, frozen=True):
    """What a load did, on this rank. `bytes_read` came from the medium, each block once per host; `bytes_filled` went into the
    state."""

    bytes_read: int
    bytes_filled: int
    plan_s: float
    read_s: float
    scatter_s: float


class _Hello(msgspec.Struct, frozen=True):
    checkpoint: str
    wants: tuple[Want, ...]
    spool: str


_decode_hello = msgspec.msgpack.Decoder(_Hello).decode


def load(
    backend: Backend,
    manifest: Manifest,
    segments: Sequence[Segment],
    inventory: Inventory,
    *,
    ranks: Ranks | None = None,
    memory_bytes: int = 256 << 20,
    select: Select | None = None,
    strict: bool = True,
    on_phase: OnPhase | None = None,
) -> Loaded:
    """Fill what the inventory holds from a checkpoint, then give it the plain values. All ranks must call it.

    Args:
        ranks: the processes that load together; None: this one alone.
        memory_bytes: how much memory above the state it may use.
        select: which names to load, of the state and of the checkpoint; the rest is left as it is.
        strict: False: ignore what the checkpoint has and no rank wants, instead of raising.
        on_phase: called with each phase as it ends.

    Raises:
        CheckpointMismatch: state and checkpoint don't fit; nothing was changed.
        CheckpointDamaged: bytes are missing or not those that were written; nothing was changed unless the message says so.
    """
    job = _Job(backend, Contents(manifest, segments), inventory, ranks or Alone(), memory_bytes, select, strict)
    timed = _Phases(on_phase)
    try:
        plan = job.plan()
        plan_s = timed.end("plan", 0)
        job.verify(plan)
        read_s = timed.end("read", job.bytes_read)
        job.fill(plan)
        return Loaded(job.bytes_read, plan.fill_nbytes, plan_s, read_s, timed.end("scatter", plan.fill_nbytes))
    finally:
        job.close()


class _Job:
    """One load on one rank. What can fail is done in `all_or_none`, so that no rank is left waiting."""

    def __init__(
        self,
        backend: Backend,
        contents: Contents,
        inventory: Inventory,
        ranks: Ranks,
        memory_bytes: int,
        select: Select | None,
        strict: bool,
    ) -> None:
        self._backend = backend
        self._contents = contents
        self._inventory = inventory if select is None else inventory.part(select)
        self._ranks = ranks
        self._select = select or (lambda name: True)
        self._strict = strict
        self._source = open_source(backend, contents)
        self._in_memory = contents.manifest.nbytes <= memory_bytes // 2
        remote = isinstance(self._source, Ranges)
        threads = min(REMOTE_THREADS, memory_bytes // (8 * READ_BYTES)) if remote else min(LOCAL_THREADS, os.cpu_count() or 1)
        self._buffers = [memoryview(bytearray(READ_BYTES)) for _ in range(max(threads, 1))]
        self._spool: Spool | None = None
        self._shares: list[tuple[Path, Sequence[Read]]] = []
        self._read_sizes: list[int] = []

    @property
    def bytes_read(self) -> int:
        """How much this rank read from the medium."""
        return sum(self._read_sizes)

    def plan(self) -> RankPlan:
        """Agree on who reads what. Every rank plans its own host."""
        hosts = self._ranks.hosts()
        hellos = [_decode_hello(each) for each in all_or_none(self._ranks, self._hello)]
        if any(hello.spool for hello in hellos):
            hosts = self._reachable(hosts, hellos)
        mine = self._ranks.rank
        mates = [rank for rank in range(self._ranks.size) if hosts[rank] == hosts[mine]]
        plans: dict[int, RankPlan] = {}

        def plan() -> bytes:
            self._check(hellos)
            elsewhere = {name for hello in hellos for want in hello.wants for name in (want.name, want.tied_to)}
            wants = {rank: hellos[rank].wants for rank in mates}
            plans.update(plan_load(self._contents, wants, dict(enumerate(hosts)), self._select, elsewhere, self._strict).ranks)
            if self._spool is not None:
                self._spool.allocate(plans[mine].verify_nbytes)
            return b""

        all_or_none(self._ranks, plan)
        self._shares = [(Path(hellos[rank].spool), plans[rank].verify) for rank in mates]
        return plans[mine]

    def verify(self, plan: RankPlan) -> None:
        """Read this rank's share and check it; return when all ranks have."""
        starts = dict(in_a_row(plan.verify))
        ahead = iter(plan.verify)

        def one(read: Read) -> None:
            if (soon := next(ahead, None)) is not None:
                self._source.announce(soon)
            with self._buffer() as buffer:
                view = buffer[: read.nbytes]
                self._source.fetch(read, [view])
                self._read_sizes.append(read.nbytes)
                check(self._contents, read.blocks, split(view, read.blocks))
                if self._spool is not None:
                    self._spool.write(starts[read], view)

        def act() -> bytes:
            reach("load:planned")
            for soon in islice(ahead, AHEAD):
                self._source.announce(soon)
            each(plan.verify, one, len(self._buffers))
            self._compare_ties(plan)
            reach("load:half-verified")  # the other ranks' results are not known yet
            return b""

        all_or_none(self._ranks, act)
        reach("load:verified")

    def fill(self, plan: RankPlan) -> None:
        """Fill this rank's memory and give it the values; return when all ranks have."""
        scatter = Scatter(self._contents, self._inventory.holdings, plan.fills)

        def one(read: Read) -> None:
            with self._buffer() as buffer:
                targets = scatter.targets(read, buffer)
                self._source.fetch(read, targets)
                check(self._contents, read.blocks, targets, CHANGED)
                scatter.put(read, targets)

        def act() -> bytes:
            if self._spool is not None:
                self._source = Spooled(self._contents, self._shares)
            each(reversed(plan.reads), one, len(self._buffers))
            reach("load:half-filled")
            self._accept()
            reach("load:filled")
            return b""

        all_or_none(self._ranks, act)

    def close(self) -> None:
        self._source.close()
        if self._spool is not None:
            self._spool.close()

    def _hello(self) -> bytes:
        if isinstance(self._source, Ranges):
            self._spool = Spool(in_memory=self._in_memory)
        path = "" if self._spool is None else str(self._spool.path)
        return msgspec.msgpack.encode(_Hello(self._contents.manifest.id, wants_of(self._inventory), path))

    def _reachable(self, hosts: Sequence[str], hellos: Sequence[_Hello]) -> list[str]:
        """Return the hosts, if all ranks of each can open each other's spools. In separate containers they can't; then each rank
        counts as a host of its own and fetches what it needs by itself."""

        def look() -> bytes:
            mine = hosts[self._ranks.rank]
            paths = [hello.spool for host, hello in zip(hosts, hellos, strict=True) if host == mine]
            return b"1" if all(os.access(path, os.R_OK) for path in paths) else b"0"

        shared = all(said == b"1" for said in all_or_none(self._ranks, look))
        return [host if shared else f"{host} #{rank}" for rank, host in enumerate(hosts)]

    def _check(self, hellos: Sequence[_Hello]) -> None:
        """Check what must hold before there can be a plan."""
        manifest = self._contents.manifest
        ids = sorted({hello.checkpoint for hello in hellos})
        if len(ids) > 1:
            raise CheckpointMismatch(f"the ranks load different checkpoints: {', '.join(ids)}. Give all of them the same step")
        stored = Stored.of(manifest)
        refuse(stored, find_misfits(stored, (), filter(self._select, self._inventory.values)))

    def _compare_ties(self, plan: RankPlan) -> None:
        """Raise if the state ties two arrays that differ in the checkpoint, because one of them would be dropped silently."""
        shared = list(overlaps(self._inventory.holdings))
        if not plan.ties and not shared:
            return
        with OpenCheckpoint(self._backend, self._contents) as opened:
            for name, other in plan.ties:
                if compare(opened[name], opened[other]).changed:
                    raise CheckpointMismatch(
                        f"{name} is tied to {other} in the state, but {self._contents.label} has two different arrays for them. "
                        "Untie them, or load the rest by name. Nothing was changed"
                    )
            for one, each in shared:
                if not agree(one, each, opened):
                    raise CheckpointMismatch(
                        f"{each.name} and {one.name} share memory in the state, but {self._contents.label} has two arrays for them "
                        "that differ in it. Untie them, or load the rest by name. Nothing was changed"
                    )
            self._read_sizes.append(opened.bytes_read)

    def _accept(self) -> None:
        try:
            self._inventory.accept({name: value for name, value in self._contents.manifest.values.items() if self._select(name)})
        except Exception as error:
            error.add_note(f"The arrays of the state are those of {self._contents.label} already")
            raise

    @contextmanager
    def _buffer(self) -> Iterator[memoryview]:
        """Lend a buffer. There are as many as reading threads."""
        buffer = self._buffers.pop()
        try:
            yield buffer
        finally:
            self._buffers.append(buffer)


class _Phases:
    """Times phases that follow each other."""

    def __init__(self, listener: OnPhase | None) -> None:
        self._listener = listener
        self._began, self._since = time.time(), time.perf_counter()

    def end(self, name: str, nbytes: int) -> float:
        """Record the phase that has just ended, and return its seconds."""
        now = time.perf_counter()
        phase = Phase(name, self._began, now - self._since, nbytes)
        self._began, self._since = time.time(), now
        if self._listener is not None:
            self._listener(phase)
        return phase.seconds
