"""Asking again for what failed: `hw.resume(…, retry_failed=True)`, `headway resume --retry-failed`.

A run that has failed asks for its failures again anyway. But a failure may also have been kept: by `settle`, by an `except`, by a
call that returned without what failed. Then the calls around it succeeded, and their results would answer for it. Those results
are dropped here, so that their code runs once more, finds what succeeded and asks for the rest.

A failure counts where it was final. A call that failed in an attempt which a call above it gave up is not asked for any more: it is
no reason to run anything.
"""

from __future__ import annotations

from headway.journal.records import COSTED, NO_PARENT, Kind, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.journal.store import Store

_KIND = COSTED - 1


class _Seen:
    """The last that the journal says of every call."""

    def __init__(self, store: Store, uid: int) -> None:
        self.parents: dict[bytes, bytes] = {}
        self.failed: dict[bytes, tuple[int, str]] = {}  # seq and task
        self.finished: set[bytes] = set()
        self.tried: dict[bytes, int] = {}  # the seq of the last failed attempt that was followed by another
        self.names: dict[bytes, bytes] = {}
        self.equals: dict[bytes, list[bytes]] = {}
        for seq, (kind, key, parent, body) in store.rows(uid):
            what = kind & _KIND
            if what == Kind.DECISION:
                continue
            self.parents[key] = parent
            if what == Kind.ATTEMPT:
                self.tried[key] = seq
            elif what == Kind.OUTCOME:
                self._note(seq, key, body)

    def _note(self, seq: int, key: bytes, body: bytes) -> None:
        outcome = decode_outcome(body)
        self.failed.pop(key, None)
        self.finished.discard(key)
        if outcome.status == Status.ERROR:
            self.failed[key] = seq, outcome.task
        elif outcome.status == Status.OK:
            self.finished.add(key)
            if outcome.shared:
                self.names[key] = outcome.shared
                self.equals.setdefault(outcome.shared, []).append(key)

    def is_final(self, key: bytes, seq: int) -> bool:
        """Whether no call above has made another attempt since, which would have asked again."""
        while (key := self.parents.get(key, NO_PARENT)) != NO_PARENT:
            if self.tried.get(key, 0) > seq:
                return False
        return True


def around_failures(store: Store, uid: int) -> dict[bytes, str]:
    """The calls that succeeded although one below them failed for good, and those that were answered with their results, each with
    why it is asked again."""
    seen = _Seen(store, uid)
    again: dict[bytes, str] = {}
    for key, (seq, task) in seen.failed.items():
        if not seen.is_final(key, seq):
            continue
        above = [seen.parents.get(key, NO_PARENT)]
        while above:
            call = above.pop()
            if call == NO_PARENT or call in again:
                continue
            if call in seen.finished:
                again[call] = f"{task} failed below"
            above += [seen.parents.get(call, NO_PARENT), *seen.equals.get(seen.names.get(call, b""), ())]
    return again
