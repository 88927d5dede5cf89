"""Leases protect a checkpoint while somebody uses it, pins for good. Garbage collection respects both.

A lease is a file in `readers/` (`<id>-<token>`) or `saving/` (`<id>-<writer>`). In a folder the holder keeps the file locked, so
the kernel ends the lease when the process dies. In an object store the lease says for how many seconds after its last write it is
valid, and a thread keeps rewriting it. Its age is measured by the store's own clock, so clocks that differ do no harm.

A reader takes its lease first and reads the manifest after. A collector removes a manifest first and looks for leases after. So
either the reader finds no manifest, or the collector finds the lease and leaves the data alone.

A pin is a file in `pins/` and stays until it is taken out.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from headway.checkpoint.catalog.listing import Note, find
from headway.checkpoint.files.manifest import Manifest
from headway.checkpoint.files.stored import read_manifest
from headway.errors import CheckpointConflict, CheckpointError, NoCheckpoint, StoreError
from headway.storage.backend import Backend, Stat
from headway.storage.files import hold, remove_unheld

READERS = "readers"
SAVING = "saving"
PINS = "pins"
TTL_S = 120.0


class Holder(msgspec.Struct, frozen=True):
    """Who holds a lease, and for how long after it was last written (0: as long as its lock is held)."""

    host: str
    pid: int
    ttl_s: float = 0.0
    written: int = 1


_decode_holder = msgspec.json.Decoder(Holder).decode


class Live(msgspec.Struct, frozen=True):
    """A lease that holds."""

    file: str
    id: str
    who: str


class Lease:
    """A lease that this process holds. If the root can't be written there is none, `why_not` says why, and reading goes on."""

    def __init__(self, backend: Backend, file: str, *, ttl_s: float = TTL_S, why_not: str = "") -> None:
        self.file = file
        self.why_not = why_not
        self._backend = backend
        self._lost = ""
        self._stop = threading.Event()
        self._fd = -1
        path = backend.path(file)
        self._holder = Holder(socket.gethostname(), os.getpid(), 0.0 if path is not None else ttl_s)
        if why_not:
            return
        if path is not None:
            self._fd = hold(path, msgspec.json.encode(self._holder))
            return
        backend.put(file, msgspec.json.encode(self._holder))
        self._thread = threading.Thread(target=self._keep, args=(ttl_s / 3,), name=f"lease {file}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise CheckpointError if the lease was lost, because what it protected may be gone."""
        if self._lost:
            raise CheckpointError(f"{self._backend.url}/{self.file}: the lease was lost ({self._lost}); begin again")

    def renew(self) -> None:
        """Renew an expiring lease for its full time. Raises CheckpointError if a collector has ended it."""
        before = self._holder
        after = msgspec.structs.replace(before, written=before.written + 1)
        if not self._backend.swap(self.file, msgspec.json.encode(after), msgspec.json.encode(before)):
            self._lost = "it was not renewed in time, and a collector ended it"
            self.check()
        self._holder = after

    def release(self) -> None:
        self._stop.set()
        if self.why_not:
            return
        if self._fd < 0:
            self._thread.join(5)
        with contextlib.suppress(StoreError):  # a lease that stays expires by itself
            self._backend.delete([self.file])
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _keep(self, pause_s: float) -> None:
        give_up = time.monotonic() + 3 * pause_s
        while not self._stop.wait(pause_s):
            try:
                self.renew()
            except StoreError as error:
                if self._lost:
                    return
                if time.monotonic() > give_up:
                    self._lost = str(error)  # it may be valid again later, but it was not in between
                    return
            else:
                give_up = time.monotonic() + 3 * pause_s


@contextlib.contextmanager
def lease_for_reading(backend: Backend, id: str, *, ttl_s: float = TTL_S) -> Iterator[Lease]:
    """Protect a checkpoint from collection while it is read. Enter this before reading the manifest."""
    file = f"{READERS}/{id}-{secrets.token_hex(6)}"
    try:
        lease = Lease(backend, file, ttl_s=ttl_s)
    except (StoreError, OSError) as error:
        # A full disk, or a root that may only be read, must not keep anybody from loading.
        lease = Lease(backend, file, why_not=str(error))
    try:
        yield lease
    finally:
        lease.release()


@contextlib.contextmanager
def open_leased(backend: Backend, step: int | str = "latest", note: Note = lambda why: None) -> Iterator[tuple[Manifest, Lease]]:
    """Find a checkpoint and protect it from collection. Raises what `catalog.find` raises."""
    while True:
        found = find(backend, step, note)
        with lease_for_reading(backend, found.id) as lease:
            try:
                manifest = read_manifest(backend, found.folder)
            except NoCheckpoint:
                continue  # collected between finding it and taking the lease: another one may be meant now
            yield manifest, lease
            return


@contextlib.contextmanager
def lease_for_saving(backend: Backend, id: str, writer: str, *, ttl_s: float = TTL_S) -> Iterator[Lease]:
    """Protect the files of a checkpoint that is not committed yet. Raises StoreError if the root can't be written."""
    lease = Lease(backend, f"{SAVING}/{id}-{writer}", ttl_s=ttl_s)
    try:
        yield lease
    finally:
        lease.release()


def find_live(backend: Backend, folder: str, now: float, *, sweep: bool = False) -> tuple[Live, ...]:
    """List the leases that hold, in `readers` or `saving`. `now`: the store's clock. `sweep`: remove those that have ended."""
    found: list[Live] = []
    for file, stat in backend.files(folder):
        path = backend.path(file)
        dead = _is_unheld(path, sweep=sweep) if path is not None else _is_expired(backend, file, stat, now, sweep=sweep)
        if not dead:
            found.append(Live(file, file.rpartition("/")[2].rpartition("-")[0], _who(backend, file)))
    return tuple(found)


def pin(backend: Backend, id: str) -> None:
    """Never collect this checkpoint."""
    with contextlib.suppress(CheckpointConflict):
        backend.put(f"{PINS}/{id}", b"\n")


def unpin(backend: Backend, id: str) -> None:
    backend.delete([f"{PINS}/{id}"])


def pins(backend: Backend) -> frozenset[str]:
    return frozenset(file.rpartition("/")[2] for file, _ in backend.files(PINS))


def _is_unheld(path: Path, *, sweep: bool) -> bool:
    return remove_unheld(path, dry_run=not sweep) is not False


def _is_expired(backend: Backend, file: str, stat: Stat, now: float, *, sweep: bool) -> bool:
    try:
        holder = _decode_holder(backend.get(file))
    except NoCheckpoint:
        return True  # released meanwhile
    except msgspec.DecodeError:
        holder = Holder("?", 0, TTL_S)
    if now - stat.modified <= holder.ttl_s:
        return False
    if sweep:
        backend.delete([file])
    return True


def _who(backend: Backend, file: str) -> str:
    try:
        holder = _decode_holder(backend.get(file))
    except (NoCheckpoint, msgspec.DecodeError):
        return "another process"
    return f"process {holder.pid} on {holder.host}"
