"""What became of a commit whose answer was lost: the rule of every store that is reached through a connection.

A commit moves a run's row count under its fence and appends its rows, or changes nothing. So it can be sent again, but what it did
the first time can't be told from its answer. Whoever sent it looks: under the lock of the run, which waits for a first try that is
still under way, and then at the checksums of its rows. `judge` says what follows from that, and `commit_surely` is the whole course
of things. A store brings how to send and how to look; a simulated one brings lies.

Nothing here may call rows durable that were not seen in the store, or that were sent under a fence it has no more.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import NamedTuple

from headway.errors import StoreDamaged, StoreError
from headway.journal.owner import make_gap_error
from headway.journal.records import Lease, RunInfo


class ConnectionLost(StoreError):
    """The connection broke: what was under way has happened, or not."""


class Standing(enum.Enum):
    """What there is of a group of rows."""

    DURABLE = "durable"
    ABSENT = "absent"  # and the run is as it was: it may be sent
    LOST = "lost"  # and the run is another driver's, or nobody's


class Sent(NamedTuple):
    """What was sent to be committed together."""

    lease: Lease
    first_seq: int
    sums: Sequence[tuple[int, int]]  # (seq, checksum) of each row
    ends: bool = False  # whether it gives the run back


class Found(NamedTuple):
    """What a look finds: the run, and `(seq, checksum)` of what it has in the place of the rows that were sent."""

    run: RunInfo | None
    sums: Sequence[tuple[int, int]]


def commit_surely(
    sent: Sent,
    reported: int,
    where: str,
    *,
    send: Callable[[], bool],
    look: Callable[[], Found],
    may_pass: Callable[[StoreError], bool],
    wait: Callable[[StoreError], None],
) -> Standing:
    """Send a group until it is known what became of it.

    Args:
        sent: what `send` sends.
        reported: how many rows of this run and fence were reported as durable before.
        where: the store, for messages.
        send: sends once. Returns whether the group was committed now; where not, nothing was changed.
        look: finds what there is, under the lock of the run. Insists as long as it is worth it.
        may_pass: whether the same again may do where `send` raised this.
        wait: waits before the next try; raises the error where it has been long enough.

    Returns:
        DURABLE or LOST.

    Raises:
        StoreDamaged: the store went back behind rows that were reported.
        StoreError: the group can never follow what is there, or the store can't be reached.
    """
    is_unknown = False
    while True:
        broke: StoreError | None = None
        try:
            if send():
                return Standing.DURABLE
        except StoreError as error:
            if not may_pass(error):
                raise
            broke = error
            is_unknown |= isinstance(error, ConnectionLost)
        standing = judge(sent, look(), is_unknown=is_unknown, reported=reported, where=where)
        if standing is not Standing.ABSENT:
            return standing
        if broke is not None:
            wait(broke)


def judge(sent: Sent, found: Found, *, is_unknown: bool, reported: int, where: str) -> Standing:
    """What there is of a group. `is_unknown`: a try of it may have come there. Raises as `commit_surely` does."""
    lease, run = sent.lease, found.run
    if run is None:
        return Standing.LOST
    held = (run.fence, run.owner) == (lease.fence, lease.owner)
    if is_unknown and sent.sums:
        if list(found.sums) == list(sent.sums):
            return Standing.DURABLE
    elif is_unknown and sent.ends and run.fence == lease.fence and not run.owner:
        return Standing.DURABLE  # it was given back by the ending that was sent
    if reported and ((held and run.nrows < reported) or run.fence < lease.fence):
        raise went_back(f"run {lease.run_id!r}", f"{run.nrows} rows", f"{reported} rows", where)
    if not held:
        return Standing.LOST
    if run.nrows != sent.first_seq - 1:
        raise make_gap_error(run, sent.first_seq)
    return Standing.ABSENT


def went_back(what: str, has: str, had: str, where: str) -> StoreDamaged:
    """The error for a server that lacks what was durable."""
    return StoreDamaged(
        f"{what} in {where} has {has} and had {had} that were durable before: the server went back to an earlier state, as after "
        "a failover to a standby that lacked the last commits. Nothing more is reported as durable; resume the run, and what is "
        "missing is done again"
    )
