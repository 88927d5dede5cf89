"""Names: those that may be written inside a root, those of files outside of it (an import leaves foreign files where they are), and
what all backends say about a name that is taken or a size that is wrong."""

from __future__ import annotations

from functools import lru_cache

from headway.errors import CheckpointConflict, CheckpointError, UsageError
from headway.storage.backend import Backend, open_backend


def inside(file: str) -> str:
    """The name, if it is one that may be written. Raises UsageError where it would leave the root or hide itself."""
    if not file or file.startswith("/") or "://" in file or any(part in ("", "..") or part[0] == "." for part in file.split("/")):
        raise UsageError(f"{file!r} is no name of a file in a checkpoint root: it must be relative, without empty or hidden parts")
    return file


def already_there(where: object) -> CheckpointConflict:
    return CheckpointConflict(f"{where} exists already: it was written by another save, and it is left as it is")


def wrong_size(where: object, given: int, declared: int) -> CheckpointError:
    return CheckpointError(f"{where}: {given:,} bytes were given to a file declared with {declared:,}; it is discarded")


def elsewhere(file: str) -> tuple[Backend, str] | None:
    """The backend of an absolute path or URL and its name there; None for a name inside the root."""
    if "://" in file and not file.startswith("file://"):
        folder, _, name = file.rpartition("/")
        return _opened(folder), name
    if file.startswith(("/", "file://")):
        return _opened("/"), file.removeprefix("file://").lstrip("/")
    return None


@lru_cache(64)
def _opened(folder: str) -> Backend:
    return open_backend(folder)
