"""The call that a worker process runs now, as its code sees it: what `hw.call()`, `hw.charge()` and `hw.remaining()` ask there."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from headway.events import AnyEvent
from headway.journal.records import Amounts
from headway.pools.base import CallFacts
from headway.pools.current import Asker
from headway.pools.logs import Counted, Entry
from headway.pools.workers.line import WorkerLine

if TYPE_CHECKING:
    from headway.pools.workers.worker import Worker

T = TypeVar("T")
CHARGE_INTERVAL_S = 0.05


class RunningCall:
    """The call that runs now, as the program sees it."""

    def __init__(self, worker: Worker, number: int, facts: CallFacts, items: int | None, *, asks: bool) -> None:
        self.facts, self.items = facts, items
        self.line = WorkerLine(worker, number, self.flush) if asks else None
        self.asker: Asker | None = None
        self._ends = math.inf if facts.deadline is None else time.monotonic() + facts.deadline - time.time()
        self._worker = worker
        self._number = number
        self._lock = threading.Lock()
        self._held_back: dict[int | None, Amounts] = {}  # by item of a batch
        self._total: Amounts = {}
        self._sent_at = 0.0
        self._asked: Counter[str] = Counter()
        self.log = Counted(facts.task, self._send_entry)

    @property
    def left_s(self) -> float:
        deadline, by_clock = self.facts.deadline, self._ends - time.monotonic()
        return math.inf if deadline is None else min(deadline - time.time(), by_clock)

    def count(self, what: str) -> int:
        with self._lock:
            self._asked[what] += 1
            return self._asked[what] - 1

    def charge(self, amounts: Amounts, item: int | None) -> None:
        self._worker.hold_interrupt(True)
        try:
            with self._lock:
                first = not self._held_back
                _add(self._held_back.setdefault(item, {}), amounts)
                _add(self._total, amounts)
            if time.monotonic() - self._sent_at >= CHARGE_INTERVAL_S:
                self.flush()
            elif first:
                self._worker.wake()
        finally:
            self._worker.hold_interrupt(False)

    def tell(self, event: AnyEvent) -> None:
        self._worker.hold_interrupt(True)
        try:
            self._worker.tell(event)
        finally:
            self._worker.hold_interrupt(False)

    def run_async(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._worker.loops.run(coroutine)

    def open_meeting(self, address: str) -> None:
        self._worker.hold_interrupt(True)
        try:
            self._worker.open_meeting(self._number, address)
        finally:
            self._worker.hold_interrupt(False)

    def _send_entry(self, entry: Entry) -> None:
        self._worker.hold_interrupt(True)
        try:
            self._worker.send_entry(self.facts, entry)
        finally:
            self._worker.hold_interrupt(False)

    def remaining(self) -> Amounts:
        return {unit: max(0.0, amount - self._total.get(unit, 0.0)) for unit, amount in self.facts.allowance.items()}

    def flush(self) -> None:
        """Send the charges that were held back."""
        with self._lock:
            held_back, self._held_back = self._held_back, {}
            for item, amounts in held_back.items():
                self._sent_at = time.monotonic()
                self._worker.send_charge(self._number, amounts, item)


def _add(total: Amounts, amounts: Amounts) -> None:
    for unit, amount in amounts.items():
        total[unit] = total.get(unit, 0.0) + float(amount)
