"""The journal writer of a simulated process: the real log, written in groups of drawn size at drawn times.

A commit takes time: rows are taken from the queue, then the transaction happens at one moment, then the engine hears of it. In
between everything else goes on, and the process may die at each of these moments.
"""

from __future__ import annotations

import concurrent.futures
import functools
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from headway.engine.world import OnWord
from headway.journal.log import Log
from headway.journal.off_loop import as_beside
from headway.journal.records import Row
from headway.journal.writer import LINGER_S, Upkeep
from headway.sim.loop import Killed

if TYPE_CHECKING:
    from headway.sim.loop import SimLoop


class Bell:
    """Stands where the log has an event for its thread: rings the writer instead."""

    def __init__(self, ring: object) -> None:
        self._ring = ring

    def set(self) -> None:
        self._ring()  # type: ignore[operator]  # a bell is put in the place of the event

    def clear(self) -> None:
        pass


class SimWriter:
    def __init__(self, process: SimLoop, log: Log, on_word: OnWord, on_jump: Callable[[], None]) -> None:
        self._process = process
        self._universe = process.universe
        self._log = log
        self._upkeep = Upkeep(log, on_word, on_jump, process.universe.now)
        self._durable = log.durable
        self._soon = False  # a group is about to be taken
        self._flying: list[Row] = []  # the group that is being written
        self._closed = False
        self._failed = False
        self._is_far = process.world.is_far
        self._line: deque[tuple[Callable[[], None], Callable[[], None]]] = deque()  # what its thread is to do, far from the store
        self._busy = False

    def start(self) -> None:
        self._log.work = Bell(self._work)  # type: ignore[assignment]  # a bell is put in the place of the event
        self._log.urgent = Bell(self._hurry)  # type: ignore[assignment]  # a bell is put in the place of the event
        self._log.rest()
        self._universe.at(self._universe.now, self._keep_up, waking=False)
        store = self._log.store
        if (listen := getattr(store, "on_change", None)) is not None:
            listen.append(self._word)

    def look(self, then: Callable[[], None]) -> None:
        """As the real one does, in its time."""

        self._process.call_later(self._universe.draw() * LINGER_S, self._look, lambda: self._log.post(then))

    def close(self) -> None:
        """Write what is queued, at once."""
        self._closed = True
        self._log.release()
        self._wait_for_thread()
        if (listen := getattr(self._log.store, "on_change", None)) is not None and self._word in listen:
            listen.remove(self._word)
        try:
            while not self._failed and (group := self._flying or self._log.take_group(self._room())):
                self._write(group)
        except Killed:
            raise
        except BaseException as error:
            self._failed = True
            self._log.fail(error)

    # --- writing -----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        self._take_in(self._universe.random.random() * self._universe.config.linger_s)

    def _hurry(self) -> None:
        self._take_in(0.0)

    def _take_in(self, seconds: float) -> None:
        if not (self._soon and seconds) and not self._flying and not self._closed and not self._failed:
            self._soon = True
            self._process.call_later(seconds, self._take)

    def _room(self) -> int:
        """How many rows the next group may have."""
        most = self._universe.config.group_rows
        drawn = 1 + int(self._universe.draw() * most) if most < 100 else most
        limit = getattr(self._log.store, "rows_until_crash", None)
        return drawn if limit is None else min(drawn, limit(self._log.lease.uid))

    def _take(self) -> None:
        """Take a group from the queue; its commit happens when the disk has done its work."""
        self._soon = False
        if self._flying or self._closed or self._failed:
            return
        self._log.rest()
        self._flying = self._log.take_group(self._room())
        if self._flying:
            self._process.call_later(self._universe.lasts(self._universe.config.commit_s), self._commit)

    def _commit(self) -> None:
        if not self._flying or self._failed or self._closed:  # whoever closes it writes
            return
        self._do(functools.partial(self._write, self._flying), self._go_on)

    def _go_on(self) -> None:
        if self._log.pending:
            self._take()

    def _do(self, work: Callable[[], None], then: Callable[[], None]) -> None:
        """Do what talks to the store, and then the other: here and now, or far from the store in the one thread of the writer."""
        if self._is_far:
            self._line.append((work, then))
            self._let_thread_go_on()
        elif self._tried(work):
            then()

    def _tried(self, work: Callable[[], None]) -> bool:
        """Whether it could be done."""
        try:
            with as_beside():
                work()
        except Killed:
            return False
        except BaseException as error:
            self._failed = True
            self._log.fail(error)
            return False
        return True

    def _let_thread_go_on(self) -> None:
        if self._busy or not self._line or self._process.dead:
            return
        self._busy = True
        work, then = self._line.popleft()
        done: list[bool] = []

        def ended() -> None:
            self._busy = False
            if done == [True]:
                then()
            self._let_thread_go_on()

        self._process.world.beside.begin(lambda: done.append(self._tried(work)), ended)

    def _wait_for_thread(self) -> None:
        """In another thread, until the writer's own has done what it is at."""
        while self._busy and self._process.world.sim_thread is not None:
            over: concurrent.futures.Future[None] = concurrent.futures.Future()
            self._universe.at(self._universe.now + 0.01, functools.partial(over.set_result, None))
            self._process.world.wait(over)

    def _write(self, group: list[Row]) -> None:
        with as_beside():
            self._log.write_group(group, self._durable + 1)
        self._durable += len(group)
        self._flying = []

    # --- upkeep ------------------------------------------------------------------------------------------------------

    def _keep_up(self) -> None:
        """Renew the lease and look for word, again and again; a frozen process does neither."""
        process = self._process
        if self._closed or self._failed or process.dead:
            return
        if process.frozen:
            process.call_soon(self._keep_up)
            return
        process.call_soon(self._renew)
        every = self._upkeep.renew_every_s * (0.5 + self._universe.draw() / 2)
        self._universe.at(self._universe.now + every, self._keep_up, waking=False)

    def _renew(self) -> None:
        def renew() -> None:
            if not (self._closed or self._failed):
                self._upkeep.renew()
                self._upkeep.look()
                self._upkeep.compare_clocks(self._universe.now)

        if not (self._closed or self._failed):
            self._do(renew, _nothing)

    def _word(self) -> None:
        """Something changed in the store from outside: found within a tenth of a second."""
        if not self._process.dead:
            self._process.call_later(self._universe.draw() * LINGER_S * 2, self._look)

    def _look(self, then: Callable[[], None] | None = None) -> None:
        def look() -> None:
            if not (self._closed or self._failed):
                self._upkeep.look()

        if not (self._closed or self._failed):
            self._do(look, then or _nothing)
        elif then is not None:
            then()


def _nothing() -> None:
    pass
