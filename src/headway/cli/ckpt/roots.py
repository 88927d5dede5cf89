"""The root of a command, and how people name one of its checkpoints: by its step, its id (or the beginning of one), or "latest".

A command that reads takes a lease like any other reader, so `gc` on another machine can't remove what it is reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headway.checkpoint.catalog.leases import open_leased
from headway.checkpoint.files.manifest import HEAD, STEPS
from headway.checkpoint.files.roots import root_of
from headway.checkpoint.files.stored import read_segments
from headway.checkpoint.load.lazy import OpenCheckpoint, open_checkpoint
from headway.cli import console
from headway.errors import NoCheckpoint, UsageError
from headway.storage.backend import Backend
from headway.storage.opening import open_backend


def open_existing(root: str) -> Backend:
    """The backend of a root that is there. Raises NoCheckpoint for a folder that is not, instead of finding it empty."""
    folder = None if "://" in root else Path(root).expanduser()
    if folder is not None and folder.exists() and not folder.is_dir():
        raise NoCheckpoint(f"{root} is a file: give the folder it is in")
    backend = open_backend(root_of(root, strict=True))
    if (folder := backend.path("")) is not None and not folder.is_dir():
        raise NoCheckpoint(f"there is no folder {root}")
    return backend


def refuse_no_root(root: str, backend: Backend) -> None:
    """Raise NoCheckpoint for a folder that has other things in it and no checkpoints: it is not the one that was meant."""
    folder = backend.path("")
    if folder is not None and not (folder / HEAD).exists() and not (folder / STEPS).exists() and any(folder.iterdir()):
        raise NoCheckpoint(f"{root} has neither HEAD nor {STEPS}/, so it is no root of checkpoints. Nothing was removed")


@contextmanager
def open_one(backend: Backend, step: str) -> Iterator[OpenCheckpoint]:
    """One checkpoint, open for reading."""
    with (
        open_leased(backend, step, warn_passed_over) as (manifest, _),
        open_checkpoint(backend, manifest, read_segments(backend, manifest)) as checkpoint,
    ):
        yield checkpoint


def warn_passed_over(why: str) -> None:
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
