"""Memory that the trainer and its helper share: one anonymous file for each buffer, mapped by both.

Touching fresh memory for the first time is several times slower than copying, and may be slower than the disk. So both sides let
the kernel make their pages ahead of time (`populate`), in threads of their own and without the interpreter lock. A save that comes
meanwhile makes the pages it needs itself. A buffer that is too small grows in place: there is never an old one beside a new one.
"""

from __future__ import annotations

import mmap
import os
import threading

from headway.errors import SaveFailed
from headway.ipc import shm

ROUND_BYTES = 2 << 20
_KEEP_FREE_BYTES = 64 << 20


class SharedBuffer:
    """An anonymous file and this process's mapping of it."""

    def __init__(self, number: int, fd: int) -> None:
        self.number = number
        self.fd = fd
        self.nbytes = 0
        self._mapping: mmap.mmap | None = None

    @classmethod
    def fresh(cls, number: int) -> SharedBuffer:
        """Make an empty buffer."""
        return cls(number, shm.anonymous_file(f"headway-checkpoint-{number}"))

    def grow(self, nbytes: int) -> None:
        """Make the file larger. Raises SaveFailed if the machine does not have that much memory left."""
        size = -(-nbytes // ROUND_BYTES) * ROUND_BYTES
        if size <= self.nbytes:
            return
        left = shm.memory_left()
        if left is not None and size - self.nbytes > left - _KEEP_FREE_BYTES:
            raise SaveFailed(
                f"a copy of {nbytes:,} bytes of state needs {size - self.nbytes:,} more bytes of memory, and {left:,} are left: "
                "spread the state over more hosts, or leave more memory free"
            )
        try:
            os.ftruncate(self.fd, size)
            self.map()
        except OSError as error:
            raise SaveFailed(
                f"a copy of {nbytes:,} bytes of state found no memory ({error}): see the limits of the process (`ulimit -a`)"
            ) from error

    def map(self) -> None:
        """Map the file at its present size. Views of earlier mappings stay valid."""
        self.nbytes = os.fstat(self.fd).st_size
        self._mapping = mmap.mmap(self.fd, self.nbytes)

    def view(self, nbytes: int) -> memoryview:
        """Return its first bytes."""
        assert self._mapping is not None
        return memoryview(self._mapping)[:nbytes]

    def populate(self) -> None:
        """Have the kernel make this process's pages of it, in a thread."""
        assert self._mapping is not None
        threading.Thread(target=shm.populate, args=(self._mapping,), daemon=True, name="headway-populate").start()

    def close(self) -> None:
        """Let go of the file. Views stay valid; the memory is free when there are none left and both sides have let go."""
        os.close(self.fd)
