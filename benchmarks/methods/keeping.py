"""What several rows and seeds need and takes minutes is made once, by whichever of their processes comes first."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable
from typing import TypeVar

import msgspec

from benchmarks.sides import ROOT

FOLDER = ROOT / "build" / "methods-made"

T = TypeVar("T")


def make_once(asked: tuple[object, ...], kind: type[T], make: Callable[[], T]) -> T:
    """Make something, or read what was made for the same thing before.

    Args:
        asked: all that it depends on, names of models included, as values with a `repr`; code is not seen, so delete `build/`
            after a change.
        kind: the type of what is made.
        make: makes it. Processes that ask for the same wait for the first of them.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{hashlib.blake2b(repr(asked).encode(), digest_size=8).hexdigest()}.json"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            draft = path.with_suffix(".draft")
            draft.write_bytes(msgspec.json.encode(make()))
            draft.replace(path)
    return msgspec.json.decode(path.read_bytes(), type=kind)
