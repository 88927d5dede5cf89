"""What must be true of the signals that were sent to a run, read from its rows independently of the engine's own rules.

A delivery (a signal handed to a wait) is over when a row says that the wait gave the signal back, or when the waiting call failed
an attempt or did not end well. One of a call inside is over too where the call around it failed, if that asks it afresh.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from headway.journal.decisions import Event, EventsGivenBack, decode_decision
from headway.journal.log import Log
from headway.journal.records import COSTED, Kind, Row, Status
from headway.journal.recovery.recovered import decode_outcome

if TYPE_CHECKING:
    from headway.sim.history import History


class _Deliveries:
    def __init__(self, rows: list[Row]) -> None:
        self.of: dict[int, list[tuple[int, bytes, bytes]]] = {}  # signal: (seq, wait, call), as they were told
        self._back: dict[bytes, list[int]] = {}  # wait: where rows say that it gave its signal back
        self._failed: dict[bytes, list[int]] = {}  # call: where rows say that an attempt failed, or that it ended not well
        self._above: dict[bytes, bytes] = {}
        for seq, row in enumerate(rows, 1):
            kind = row.kind & ~COSTED
            if kind == Kind.DECISION:
                self._read_decision(seq, row)
                continue
            self._above[row.key] = row.parent
            if kind == Kind.ATTEMPT or (kind == Kind.OUTCOME and decode_outcome(row.body).status != Status.OK):
                self._failed.setdefault(row.key, []).append(seq)

    def _read_decision(self, seq: int, row: Row) -> None:
        told = decode_decision(row.body).told
        if isinstance(told, EventsGivenBack):
            for wait in told.waits:
                self._back.setdefault(wait, []).append(seq)
        elif isinstance(told, Event) and told.signal is not None:
            self.of.setdefault(told.signal.number, []).append((seq, row.key, row.parent))

    def is_over(self, delivery: tuple[int, bytes, bytes], before: float, *, surely: bool) -> bool:
        """Whether a delivery was over before a row; `surely`: whoever else failed around it."""
        seq, wait, call = delivery
        ends = list(self._back.get(wait, ()))
        while call in self._above:
            ends += self._failed.get(call, ())
            if surely:
                break
            call = self._above[call]
        return any(seq < end < before for end in ends)


def check_told_once(history: History) -> Iterator[str]:
    """A signal is told to one wait, and to another one only when the first had no use for it."""
    is_fork = bool(history.rows() and history.store.run(history.run_id).spec.forked_from)
    forked = len(history.lives[0].before) if is_fork and history.lives else 0
    deliveries = _Deliveries(history.rows())
    for number, told in deliveries.of.items():
        for first, second in pairwise(told):
            if first[0] > forked and not deliveries.is_over(first, second[0], surely=False):
                yield f"signal {number} was handed out twice, in row {first[0]} and in row {second[0]}"


def check_no_signal_lost(history: History) -> Iterator[str]:
    """Every signal that a driver has heard of was used by one wait, or is still in the queue when the run has ended."""
    life = history.lives[-1] if history.lives else None
    if life is None or life.engine is None or not life.ended or not isinstance(life.engine.journal, Log):
        return
    if life.engine.closing and life.how != "returned":
        return
    if life.engine.journal.failure is not None or len(life.after) != life.engine.journal.last_seq:
        return
    waiting = {signal.number for line in life.engine.signals.queue.values() for signal in line}
    waiting |= life.engine.signals.given.kept.keys()  # owed to a call that an edited program did not ask again: it may yet
    deliveries = _Deliveries(life.after)
    for sent in history.store.signals(history.uid):
        told = deliveries.of.get(sent.number, [])
        if sent.number in waiting:
            if told and not deliveries.is_over(told[-1], float("inf"), surely=False):
                yield f"signal {sent.number} was used in row {told[-1][0]} and is handed out again"
        elif sent.number <= life.engine.signals.heard and (not told or deliveries.is_over(told[-1], float("inf"), surely=True)):
            yield f"signal {sent.number} was sent, nobody used it, and it is not in the queue"
