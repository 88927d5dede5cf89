"""Claims of one run on shared names: which of its calls may run, and which wait for a call of another run.

Calls that are about to run ask here. All that ask in one turn of the loop are one access to the store, off the loop. A call
whose name another run has claimed keeps waiting: it is not queued, so it holds no slot, no place in a limit and no budget, and its
deadline or a cancel ends it at once. All waiting names are looked at together: when the store's writer finds that somebody wrote,
and every `LOOK_S`, for a process that is killed writes nothing.

With each look goes which of this run's claims can't end before which of the waiting names, so that no two runs wait for each other
(`journal.shared.claims`). A claim ends with its result, in the same transaction, or here when its call ends otherwise.

This file must never touch the store on the loop, and never keep a claim whose call has ended.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.engine.call import Call
from headway.engine.run_context import RunContext
from headway.engine.transitions import OK, WAITING
from headway.engine.waiting.waits import Waits
from headway.errors import StoreDamaged, StoreError
from headway.journal.records import Row
from headway.journal.shared.claims import Reply, Wish

if TYPE_CHECKING:
    from headway.journal.log import Log
    from headway.journal.store import Store

LOOK_S = 0.2  # how often is looked whether those that compute what is waited for still live
AT_ONCE = 256  # calls that are answered together, so that the first of many need not wait for all
Then = Callable[[Reply | StoreDamaged], None]


@dataclass(eq=False, slots=True)
class _Ask:
    """A call that is about to run, and who wants to hear whether it may."""

    call: Call
    name: bytes
    seen: Row | None
    then: Then
    waited: bool = False  # another run was computing it


class Claims:
    """The claims of one run in its store."""

    def __init__(self, run: RunContext, waits: Waits, store: Store, log: Log) -> None:
        self._run = run
        self._waits = waits
        self._store = store
        self._log = log
        self._asked: list[_Ask] = []
        self._waiting: dict[bytes, _Ask] = {}  # by name: those that another run computes
        self._held: dict[bytes, Call] = {}  # by name: the call that runs under this run's claim
        self._done: list[bytes] = []  # claims whose calls ended without a result
        self._told: dict[bytes, tuple[bytes, ...]] = {}  # by claim: what the store knows that it waits for
        self._due = False
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def ask(self, call: Call, seen: Row | None, then: Then) -> None:
        """Call `then` on the loop when there is a result other than `seen`, or when the call is to run. The call may end before."""
        assert call.share is not None
        self._asked.append(_Ask(call, call.share.key, seen, then))
        self._start()

    def ended(self, call: Call) -> None:
        """A call that has asked has ended. Without a result, so does its claim; with one, its claim ends when that is durable."""
        assert call.share is not None
        name = call.share.key
        if (ask := self._waiting.get(name)) is not None and ask.call is call:
            del self._waiting[name]
        if self._held.get(name) is call:
            del self._held[name]
            if call.state != OK and not self._run.closing:  # a run that stops gives all of its claims back
                self._done.append(name)
                self._start()

    def close(self) -> None:
        """Hear no more answers. What is claimed ends with the run's lease."""
        self._closed = True
        self._log.on_change = None
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    # --- asking ------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._task is None and not self._closed:
            self._task = self._run.loop.create_task(self._talk(), context=contextvars.Context())

    def _look(self) -> None:
        """Somebody wrote to the store, or it is time to see who still lives."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = bool(self._waiting)
        if self._due:
            self._start()

    async def _talk(self) -> None:
        try:
            while self._asked or self._done or self._due:
                await self._exchange()
        except StoreError as error:
            self._run.fail(error)
        except Exception as error:
            self._run.broken(error)
        finally:
            self._task = None
        self._log.on_change = self._look if self._waiting and not self._closed else None
        if self._waiting and self._timer is None and not self._closed:
            self._timer = self._run.loop.call_later(LOOK_S, self._look)

    async def _exchange(self) -> None:
        """One access to the store: what has ended, what is asked and, if it is time, what is waited for."""
        asks = [ask for ask in self._asked[:AT_ONCE] if ask.call.state == WAITING]
        del self._asked[:AT_ONCE]
        done, self._done = self._done, []
        if self._due:
            asks += self._waiting.values()
        self._due = False
        now_waits = self._waits_of_claims()
        waits = {**dict.fromkeys(self._told, ()), **now_waits}
        self._told = now_waits
        replies = await self._run.world.aside(self._claim, [Wish(ask.name, ask.seen) for ask in asks], waits, done)
        for ask, reply in zip(asks, replies, strict=True):
            if not self._closed:
                self._hear(ask, reply)

    def _claim(
        self, wishes: Sequence[Wish], waits: dict[bytes, tuple[bytes, ...]], done: Sequence[bytes]
    ) -> Sequence[Reply | StoreDamaged]:
        """Talk to the store, off the loop. A damaged result is the error of who wants it; a damaged database ends the run."""
        lease, now = self._log.lease, self._log.wall()
        try:
            return self._store.claim(lease, wishes, now, waits=waits, done=done)
        except StoreDamaged as error:
            if error.__cause__ is not None:  # not one record: the store could not be read at all
                raise
            if len(wishes) < 2:
                return [error] * len(wishes)
            return [reply for wish in wishes for reply in self._claim([wish], waits, done)]

    def _hear(self, ask: _Ask, reply: Reply | StoreDamaged) -> None:
        call, name = ask.call, ask.name
        ended = call.state != WAITING
        if isinstance(reply, Reply):
            if reply.by and not ended:
                first = not ask.waited
                ask.waited = True
                self._waiting[name] = ask
                self._due = self._due or (first and bool(self._held))  # notify its waiters at once
                return
            if reply.mine and ended:
                self._done.append(name)
            elif reply.mine:
                self._held[name] = call
            reply = reply._replace(left=reply.left or ask.waited)
        if self._waiting.get(name) is ask:
            del self._waiting[name]
        if not ended:
            ask.then(reply)

    def _waits_of_claims(self) -> dict[bytes, tuple[bytes, ...]]:
        """By claim of this run, the names computed by others that it can't end without."""
        if not self._waiting:
            return {}
        wanted = {ask.call: name for name, ask in self._waiting.items()}
        found = {}
        for name, call in self._held.items():
            if needed := tuple(sorted(wanted[other] for other in self._waits.needed_by(call) if other in wanted)):
                found[name] = needed
        return found
