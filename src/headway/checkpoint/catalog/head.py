"""HEAD names the newest checkpoint. A save may move it only from the checkpoint the save is based on.

Every commit comes here, whichever process writes. HEAD is read before the manifest is written, and replaced afterwards only if
nobody touched it since. If HEAD has moved, another program saves here as well: the commit reports a conflict, and its checkpoint
stays but is not the newest.
"""

from __future__ import annotations

from typing import NamedTuple

from headway.checkpoint.catalog.listing import newest
from headway.checkpoint.files.manifest import HEAD, Head, seal, unseal
from headway.errors import CheckpointConflict, CheckpointDamaged, NoCheckpoint
from headway.storage.backend import Backend


class Seen(NamedTuple):
    """HEAD at one moment: its raw content (None: there is none), and the decoded HEAD if it verifies."""

    content: bytes | None
    head: Head | None


def see_head(backend: Backend) -> Seen:
    """Read HEAD as it is now."""
    try:
        content = backend.get(HEAD)
    except NoCheckpoint:
        return Seen(None, None)
    try:
        return Seen(content, unseal(content, Head, HEAD))
    except CheckpointDamaged:
        return Seen(content, None)


def find_basis(backend: Backend, seen: Seen) -> Head | None:
    """Find the checkpoint that the next save is based on: what HEAD names, or, if HEAD does not verify, the newest by its
    manifest."""
    if seen.head is not None:
        return seen.head
    last = newest(backend).manifest
    return Head(last.id, last.step, last.serial) if last is not None else None


def move_head(backend: Backend, seen: Seen, basis: Head | None, following: Head) -> None:
    """Make a checkpoint with a written manifest the newest. `seen` is HEAD before that manifest was written, `basis` the checkpoint
    that the save is based on. Raises CheckpointConflict where HEAD names another one, or has changed since it was seen.

    If HEAD does not verify, only a checkpoint that this one can't have known of is a conflict."""
    found = find_basis(backend, seen)
    known = found == basis if seen.head is not None else found is None or found.serial <= following.serial
    if known and backend.swap(HEAD, seal(following), seen.content):
        return
    is_now = found if not known else see_head(backend).head
    raise CheckpointConflict(
        f"{backend.url}: the newest checkpoint is {_words(is_now, 'unknown')}, where step {following.step} expected "
        f"{_words(basis, 'none')}: another program saves to this root. Step {following.step} is kept as {following.id}, but is not "
        "the newest. Give each program a root of its own, or load the newest checkpoint and go on from there"
    )


def _words(head: Head | None, no_head: str) -> str:
    return f"step {head.step} ({head.id})" if head is not None else no_head
