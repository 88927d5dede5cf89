"""Writes events to a file, one JSON object per line.

Each event is one `write` to an append-only descriptor. So the file has every event up to the moment the process was killed, and two
runs may share a file. After a torn last line (a crash, a full disk) writing goes on on a new line; `read_events` skips torn lines
and nothing else.

A sink must never end a run: when the disk refuses a line, `JsonlSink` raises once, closes itself and writes nothing more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from headway.errors import StoreDamaged, StoreError, StoreFull, UsageError
from headway.events import AnyEvent, Event

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AnyEvent).decode


class JsonlSink:
    """Appends events to `path`, one JSON object per line.

    >>> import tempfile; from headway.events import Warned
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with JsonlSink(f"{folder}/events.jsonl") as sink:
    ...         sink(Warned(at=1.0, message="the disk is slow"))
    ...     list(read_events(f"{folder}/events.jsonl"))
    [Warned(message='the disk is slow', at=1.0)]

    Raises StoreError when the file cannot be opened, UsageError when it is there and holds something else; StoreFull at the first
    event that cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._fd: int | None = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._refuse_another_file(self._fd)
            self._start_on_a_new_line(self._fd)
        except OSError as error:
            raise StoreError(f"cannot write events to {self.path}: {error.strerror or error}") from error

    def __call__(self, event: Event) -> None:
        if self._fd is None:
            return
        line = _encode(event) + b"\n"
        try:
            written = os.write(self._fd, line)
            while written < len(line):
                written += os.write(self._fd, line[written:])
        except OSError as error:
            self.close()
            raise StoreFull(
                error.errno, f"no more events are written to {self.path} ({error.strerror}); the run itself goes on"
            ) from error

    def flush(self) -> None:
        """Make what was written survive a power cut. A line survives the end of the process without it."""
        if self._fd is not None:
            os.fsync(self._fd)

    def close(self) -> None:
        """Write no more. May be called twice."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> JsonlSink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refuse_another_file(self, fd: int) -> None:
        """A typo must not append events to a program or a model. Devices and pipes hold nothing."""
        if os.fstat(fd).st_size and (first := os.pread(fd, 1, 0)) != b"{":
            os.close(fd)
            raise UsageError(f"{self.path} is no file of events (it begins with {first!r}): nothing is appended; name another")

    @staticmethod
    def _start_on_a_new_line(fd: int) -> None:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            os.write(fd, b"\n")


def read_events(path: str | os.PathLike[str]) -> Iterator[AnyEvent]:
    """The events of a file, oldest first; lines torn by a crash are passed over.

    Raises StoreDamaged for a line that is whole JSON but no event (another file, or one of a newer version).
    """
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield _decode(line)
            except msgspec.ValidationError as error:
                raise StoreDamaged(f"{path}, line {number}: not an event of this version of headway: {error}") from error
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
