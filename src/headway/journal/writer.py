"""Writes a run's journal: one thread, which also renews the lease and brings messages from outside.

`Upkeep` does what has to be done besides writing, without a thread or a clock of its own; `Writer` is the thread that does both on
a real machine. A simulator does the same at times that it draws.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from headway.journal.log import GROUP_ROWS, Log
from headway.journal.records import RunInfo, Signal

LINGER_S = 0.05  # how long a group gathers while nobody waits for it; shorter ones fight the program for the interpreter
WATCH_S = 0.1  # how often an idle writer looks for word from outside


JUMP_S = 1.0  # a difference between the wall clock and the monotonic one that nobody need hear of


class Upkeep:
    """Renewing the lease; telling the engine about a cancel or signals that another process left in the store (`on_word`) and
    about a wall clock that was set (`on_jump`)."""

    def __init__(
        self, log: Log, on_word: Callable[[RunInfo, list[Signal]], None], on_jump: Callable[[], None], monotonic: float
    ) -> None:
        self._log = log
        self._on_word = on_word
        self._on_jump = on_jump
        self._drift = log.wall() - monotonic
        self._last_signal = 0
        self._version = -1
        self._cancelled = False
        self.renew_every_s = log.lease.ttl_s / 3

    def renew(self) -> None:
        """Renew the lease. Raises LeaseLost if somebody else took the run."""
        self._log.store.renew(self._log.lease, self._log.wall())

    def compare_clocks(self, monotonic: float) -> None:
        """Notice that the wall clock was set since the last look: the lease is renewed by it at once, before anybody takes it for
        one that is over."""
        drift = self._log.wall() - monotonic
        if abs(drift - self._drift) > JUMP_S:
            self._drift = drift
            self.renew()
            self._log.post(self._on_jump)

    def look(self) -> None:
        store, lease, log = self._log.store, self._log.lease, self._log
        version = store.data_version(lease.uid)
        if version == self._version:
            return
        self._version = version
        if (on_change := log.on_change) is not None:
            log.post(on_change)
        if (names := log.leased) and (on_wanted := log.on_wanted) and store.is_wanted(log.holder, names, log.wall()):
            log.post(on_wanted)
        info = store.run(lease.run_id)
        signals = store.signals(lease.uid, after=self._last_signal)
        if signals:
            self._last_signal = signals[-1].number
        if signals or (info.cancel_requested and not self._cancelled):
            self._cancelled = info.cancel_requested
            self._log.post(lambda: self._on_word(info, signals))


class Writer(threading.Thread):
    """The one thread that writes a run's journal, renews its lease and brings word from outside."""

    def __init__(self, log: Log, on_word: Callable[[RunInfo, list[Signal]], None], on_jump: Callable[[], None]) -> None:
        super().__init__(name=f"headway-journal-{log.lease.run_id}", daemon=True)
        self._renewed = self._looked = 0.0
        self._log = log
        self._upkeep = Upkeep(log, on_word, on_jump, time.monotonic())
        self._closing = False
        self._asked: list[Callable[[], None]] = []  # who waits for a look

    def look(self, then: Callable[[], None]) -> None:
        """Look for word from outside now, whatever the time; `then` is called on the loop when what was found is there."""
        self._asked.append(then)
        self._log.urgent.set()
        self._log.work.set()

    def close(self) -> None:
        """Write what is queued, then end. Blocks until it is so."""
        self._log.release()
        self._closing = True
        self._log.urgent.set()
        self._log.work.set()
        self.join()

    def run(self) -> None:
        try:
            self._loop()
        except BaseException as error:
            self._log.fail(error)

    def _loop(self) -> None:
        log = self._log
        durable = log.durable
        self._renewed = self._looked = time.monotonic()
        while True:
            if log.work.wait(WATCH_S) or log.pending:
                if not self._closing:
                    log.urgent.wait(LINGER_S)
                log.urgent.clear()
                log.rest()
                durable = self._write(durable)
            if log.is_given_back:
                return
            self._keep_up()
            if self._closing and not log.pending:
                return

    def _write(self, durable: int) -> int:
        """Write what is queued, and what is queued meanwhile where somebody waits for it; the last durable seq. What nobody waits
        for gathers again: a busy program would get a commit for every few rows."""
        log = self._log
        while group := log.take_group():
            log.write_group(group, durable + 1)
            durable += len(group)
            if log.is_given_back:  # there is no lease to be renewed, and nothing to be written
                break
            self._keep_up()
            if log.pending < GROUP_ROWS and not (log.awaited or self._closing):
                if log.pending:
                    log.work.set()
                break
        return durable

    def _keep_up(self) -> None:
        """What is due besides writing."""
        now, upkeep = time.monotonic(), self._upkeep
        if now - self._renewed >= upkeep.renew_every_s:
            upkeep.renew()
            self._renewed = now
        if self._asked or now - self._looked >= WATCH_S:
            asked, self._asked = self._asked, []
            upkeep.look()
            for then in asked:
                self._log.post(then)
            upkeep.compare_clocks(now)
            self._looked = now
