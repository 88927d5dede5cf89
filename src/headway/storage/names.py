"""Names of files in a root, and the errors all backends raise for a taken name or a wrong size.

A backend is confined: a name leads to a file of its root or is refused, whatever a damaged or hostile file says. A file of another
program, which a checkpoint may refer to, has a backend of its own; whoever reads the reference decides that, not a backend.
"""

from __future__ import annotations

from headway.errors import CheckpointConflict, CheckpointDamaged, CheckpointError, UsageError


def check_name(file: str) -> str:
    """The name, if a file in the root can have it. Raises CheckpointDamaged where it would leave the root."""
    if not _is_inside(file):
        raise CheckpointDamaged(f"{file!r} is no name of a file in a root: it must be relative, without empty parts and `..`")
    return file


def check_new_name(file: str) -> str:
    """The name, if a file may be written under it. Raises UsageError where it would leave the root or hide itself."""
    if not _is_inside(file) or any(part[0] == "." for part in file.split("/")):
        raise UsageError(f"{file!r} is no name of a file in a root: it must be relative, without empty or hidden parts")
    return file


def _is_inside(file: str) -> bool:
    return "://" not in file and "\0" not in file and all(part not in ("", ".", "..") for part in file.split("/"))


def already_there(where: object) -> CheckpointConflict:
    """The error for a file that would be overwritten."""
    return CheckpointConflict(f"{where} exists already: it was written by another save, and it is left as it is")


def wrong_size(where: object, given: int, declared: int) -> CheckpointError:
    """The error for a file that got more or less than was said."""
    return CheckpointError(f"{where}: {given:,} bytes were given to a file declared with {declared:,}; it is discarded")
