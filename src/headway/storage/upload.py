"""A large file on its way to an object store, in parts of bounded number.

obstore pulls parts from an iterator in a thread of its own; the writer pushes. Between them is a queue of one part. If the writer
gives up, the iterator raises, and obstore aborts the upload, so that the store keeps nothing. (Its file-like writer has no abort:
dropping it leaves the parts behind, invisible and paid for.)
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import Protocol

from headway.errors import CheckpointError, StoreError
from headway.storage.backend import Stat
from headway.storage.names import wrong_size

PART = 8 << 20
PARTS = 9_000  # S3 takes 10,000
CONCURRENT = 4
MIB = 1 << 20
ABORT_S = 10.0


class Target(Protocol):
    url: str

    def put(self, file: str, data: bytes) -> None: ...

    def stat(self, file: str) -> Stat | None: ...

    def put_stream(self, file: str, parts: Iterator[bytearray], part_nbytes: int, concurrent: int) -> None: ...


class _GivenUp(Exception):
    """Raised inside obstore, to make it abort."""


class Upload:
    """A `DataWriter` for an object store. `stall_s`: after so long without any progress it raises."""

    def __init__(self, target: Target, file: str, nbytes: int, *, stall_s: float) -> None:
        self._target = target
        self._file = file
        self._nbytes = nbytes
        self._stall_s = stall_s
        self._part_nbytes = max(PART, -(-nbytes // PARTS // MIB) * MIB)
        self._given = 0
        self._pending = bytearray()
        self._parts: queue.Queue[bytearray | None] = queue.Queue(1)
        self._given_up = threading.Event()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def write(self, chunk: memoryview) -> None:
        view = chunk.cast("B") if chunk.format != "B" or chunk.ndim != 1 else chunk
        self._given += len(view)
        if self._given > self._nbytes:
            raise wrong_size(self._name, self._given, self._nbytes)
        while view:
            room = self._part_nbytes - len(self._pending)
            self._pending += view[:room]
            view = view[room:]
            if len(self._pending) == self._part_nbytes:
                self._push(self._pending)
                self._pending = bytearray()

    def finish(self) -> None:
        if self._given != self._nbytes:
            self.abort()
            raise wrong_size(self._name, self._given, self._nbytes)

        if self._thread is None:
            self._target.put(self._file, bytes(self._pending))
            return
        try:
            if self._pending:
                self._push(self._pending)
            self._push(None)
            self._join()
        except BaseException:
            self.abort()
            if not self._is_there():
                raise

    def abort(self) -> None:
        self._given_up.set()
        self._pending = bytearray()
        if self._thread is not None:
            self._thread.join(min(ABORT_S, self._stall_s))  # it goes on by itself where the store is slow

    def _push(self, part: bytearray | None) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"upload {self._file}", daemon=True)
            self._thread.start()
        give_up = time.monotonic() + self._stall_s
        while True:
            self._raise_error()
            try:
                self._parts.put(part, timeout=0.2)
                return
            except queue.Full:
                if time.monotonic() > give_up:
                    self._given_up.set()
                    waited = f"the store took no data for {self._stall_s:g} s"
                    raise CheckpointError(f"{self._name}: {waited}; the upload is given up") from None

    def _join(self) -> None:
        assert self._thread is not None
        self._thread.join((CONCURRENT + 2) * self._stall_s)
        self._raise_error()
        if self._thread.is_alive():
            raise CheckpointError(f"{self._name}: the store did not complete the upload in {(CONCURRENT + 2) * self._stall_s:g} s")

    def _is_there(self) -> bool:
        """Whether only the answer was lost: the repeated request to complete the upload fails because there is none any more."""
        try:
            found = self._target.stat(self._file)
        except StoreError:
            return False
        return found is not None and found.nbytes == self._nbytes

    def _run(self) -> None:
        try:
            self._target.put_stream(self._file, self._stream(), self._part_nbytes, CONCURRENT)
        except _GivenUp:
            pass
        except BaseException as error:
            self._error = error

    def _stream(self) -> Iterator[bytearray]:
        while True:
            if self._given_up.is_set():
                raise _GivenUp
            try:
                part = self._parts.get(timeout=0.05)
            except queue.Empty:
                continue
            if part is None:
                return
            yield part

    def _raise_error(self) -> None:
        if self._error is None:
            return
        if isinstance(self._error, StoreError):
            raise self._error
        raise CheckpointError(f"{self._name}: the upload failed: {self._error}") from self._error

    @property
    def _name(self) -> str:
        return f"{self._target.url}/{self._file}"
