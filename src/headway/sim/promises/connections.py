"""What must be true where the store is on another machine, whose connections lie: of what drivers were told, and of how they end.

A driver knows three things of rows that it sent: they are durable, they came too late, or it never heard. The store knows what it
took. These promises compare the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from headway.errors import LeaseLost, RunOwned, StoreDamaged, StoreError, StoreFull, UnknownRun
from headway.journal.log import Log
from headway.journal.records import COSTED, NO_PARENT, Kind, RunStatus, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.journal.shared.outcome import ConnectionLost

if TYPE_CHECKING:
    from headway.sim.far.remote import Group
    from headway.sim.history import History, Incarnation

GOES_BACK = frozenset(
    {
        *("nothing lost or changed", "no work twice", "reported means recorded", "all that was appended is there"),
        *("used means recorded", "attempts counted", "told once", "no signal is lost", "counted once"),
        *(
            "no survivor without its ancestors",
            "effects wait for the disk",
            "limits given back",
            "effects start under their own lease",
        ),
    }
)
"""Promises that a store which goes back to an earlier state breaks: drivers saw what is no longer there."""


def _groups(history: History) -> Iterator[tuple[Incarnation, Group]]:
    uid = history.uid
    for life in history.lives:
        if life.remote is not None:
            yield from ((life, group) for group in life.remote.groups if group.lease.uid == uid)


def check_acknowledged_is_kept(history: History) -> Iterator[str]:
    """What a driver was told is durable is there, where the store has not gone back since."""
    rows, timeline = history.rows(), history.store.timeline
    for life, group in _groups(history):
        first, last = group.first_seq, group.first_seq - 1 + len(group.rows)
        if group.told == "durable" and group.timeline == timeline and rows[first - 1 : last] != group.rows:
            yield f"{life.process.name} was told that its rows {first} to {last} are durable, and the store has other ones or none"


def check_taken_once(history: History) -> Iterator[str]:
    """The store takes a group once, however often it arrives, and never one that its driver was told is lost."""
    for life, group in _groups(history):
        if group.accepted > 1 and not history.store.timeline:
            yield f"rows from {group.first_seq} on of {life.process.name} were taken {group.accepted} times"
        if group.told == "lost" and group.accepted and not history.store.timeline:
            yield f"{life.process.name} was told that its rows from {group.first_seq} on came too late, and the store took them"


def check_lies_seen_through(history: History) -> Iterator[str]:
    """A driver ends because of its store only where it must."""
    for life in history.lives:
        if life.remote is not None and life.ended and (why := _needless(history, life)):
            yield f"{life.process.name} ended with {type(life.error).__name__}: {life.error}, and {why}"


def _needless(history: History, life: Incarnation) -> str:
    """Why an error of the store should not have been; "" where it is one that nobody could help, or none."""
    error, went_back, away = life.error, history.store.timeline > 0, life.remote is None or life.remote.was_away
    if not isinstance(error, StoreError) or isinstance(error, RunOwned | StoreFull):
        return ""
    if isinstance(error, LeaseLost) and not went_back:
        journal = life.engine.journal if life.engine is not None else None
        if isinstance(journal, Log) and journal.lease.fence == history.store.run(history.run_id).fence:
            return "nobody took the run over"
        return "" if away or history.taken_over else "it lived, and was heard of in time"
    if isinstance(error, ConnectionLost):
        return "" if away or went_back else "the store was never away for long"
    if went_back:
        gone = isinstance(error, StoreDamaged | LeaseLost | UnknownRun) or isinstance(error.__cause__, UnknownRun)
        return "" if gone else "it was the store that went back"
    return "the store never went back" if isinstance(error, StoreDamaged) else "the store was as it should be"


def check_done_is_recorded(history: History) -> Iterator[str]:
    """A run that is shown as done has its result."""
    if history.begun and history.store.run(history.run_id).status == RunStatus.DONE:
        ends = (row for row in history.rows() if row.kind & ~COSTED == Kind.OUTCOME and row.parent == NO_PARENT)
        if not any(decode_outcome(row.body).status == Status.OK for row in ends):
            yield "the run is shown as done, and its result is not recorded"
