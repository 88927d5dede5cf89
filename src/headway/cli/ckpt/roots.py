"""The root of a command, and how people name one of its checkpoints: by its step, its id (or the beginning of one), or "latest".

A command that looks takes a lease like any other reader, so `gc` on another machine can't take away what it is reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headway.checkpoint.backend.base import Backend, open_backend
from headway.checkpoint.lazy import OpenCheckpoint, open_checkpoint
from headway.checkpoint.leases import opened
from headway.checkpoint.stored import read_segments
from headway.cli import console
from headway.errors import NoCheckpoint, UsageError


def existing(root: str) -> Backend:
    """The backend of a root that is there. Raises NoCheckpoint for a folder that is not, instead of finding it empty."""
    backend = open_backend(root)
    folder = backend.path("")
    if folder is not None and not folder.is_dir():
        raise NoCheckpoint(f"there is no folder {root}" if not folder.exists() else f"{root} is a file: give the folder it is in")
    return backend


@contextmanager
def open_one(backend: Backend, step: str) -> Iterator[OpenCheckpoint]:
    """One checkpoint, open for reading."""
    with (
        opened(backend, step, passed_over) as (manifest, _),
        open_checkpoint(backend, manifest, read_segments(backend, manifest)) as checkpoint,
    ):
        yield checkpoint


def passed_over(why: str) -> None:
    """Say what is not looked at because it does not verify."""
    console.note(f"passed over: {why}", "yellow")


_UNITS = {"": 1, "B": 1} | {
    unit: base**power for power, letter in enumerate("KMGT", 1) for unit, base in ((f"{letter}B", 1000), (f"{letter}IB", 1024))
}


def read_size(option: str, text: str) -> int:
    """Bytes from `5GB`, `256MiB` or a plain number. Raises UsageError, naming the option.

    >>> read_size("--size", "256MiB"), read_size("--shard-size", "5GB"), read_size("--size", "1.5 kB")
    (268435456, 5000000000, 1500)
    """
    number = text.strip().rstrip("BIKMGTbikmgt ")
    unit = text.strip()[len(number) :].strip().upper()
    try:
        size = int(float(number) * _UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        size = 0
    if size < 1:
        raise UsageError(f"{option} {text!r} is no size: write 5GB, 256MiB or a number of bytes")
    return size


def write_picture(path: str, svg: str) -> None:
    """Raises UsageError where it can't be written."""
    try:
        Path(path).write_text(svg, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the picture cannot be written to {path} ({error.strerror}): say where with --timeline FILE") from error
