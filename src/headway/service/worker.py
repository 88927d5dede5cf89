"""A worker: takes runs from queues, drives several at a time, and lets go of them so that nothing is lost, however it ends.

At each poll it does everything that keeps the service going, for all and not only for itself: it takes back the runs of workers
that died (`sweep_jobs`), starts what schedules have due, says that it is there, and takes as many runs as it has free slots.
Nothing is done only when it starts, and no worker is special.

Told to leave (SIGTERM, Ctrl-C) it drains: it takes nothing more, and its runs go on as before, lease, signals and cancels included.
After the grace it interrupts them and hands them over: others go on at once, with everything that is journaled. Told a second time
it does that now. It must never hold a run that it does not drive.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from headway.engine.tasks.spec import TaskSpec
from headway.engine.world import World
from headway.errors import StoreError, StoreVersion
from headway.journal.owner import LEASE_S
from headway.journal.records import RunStatus
from headway.journal.shared.queues import QUEUES, Swept, Taken, WorkerInfo
from headway.journal.shared.schedules import Fired
from headway.journal.store import Store
from headway.service.schedules import make_run
from headway.service.taken import DriveOptions, Ended, TakenRun
from headway.service.threads import Begin, Running, begin_in_thread

POLL_S = 2.0  # how long at most until it looks at the queues again
WATCH_S = 0.2  # how often it asks whether something was enqueued
SEEN_S = 5.0  # how often it says that it is there
FIRED_S = 1.0  # how often it looks whether a schedule is due
SWEPT = 100  # dead workers' runs that one poll takes back
AGAIN_S, LONGEST_S = 0.5, 10.0  # until a store that failed is asked again
STOP_S = 5.0  # after the grace: how long calls may take to end before their run is handed over without them
HURRY_S = 1.0  # the same, where it was told twice


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a worker takes, and how it leaves.

    Attributes:
        queues: the names of the queues that it serves, the first before the next.
        slots: how many runs it drives at a time.
        versions: pinned runs of these versions are taken, too.
        grace_s: how many seconds its runs may go on when it is told to leave.
        drain: whether it leaves when nothing is left to do: no run waits, is delayed, or is driven by anybody.
        poll_s: how long at most until it looks at the queues again, in seconds.
        program: what it has loaded, for people.
        drive: what its runs are driven with.
    """

    queues: tuple[str, ...] = ("default",)
    slots: int = 4
    versions: tuple[str, ...] = ()
    grace_s: float = 20.0
    drain: bool = False
    poll_s: float = POLL_S
    program: str = ""
    drive: DriveOptions = field(default_factory=DriveOptions)


class Looked(NamedTuple):
    """What a poll found."""

    taken: Sequence[Taken]
    swept: Sequence[Swept]
    fired: Sequence[Fired]
    rest: bool  # nothing is left to do for anybody


class Said(NamedTuple):
    """Something that a worker tells whoever watches it. `what` is one of: ready, took, ended, swept, fired, trouble, again,
    draining, handing over, left."""

    what: str
    run_id: str = ""
    task: str = ""
    ended: Ended | None = None
    swept: Swept | None = None
    text: str = ""


class Worker:
    def __init__(
        self,
        store: Store,
        tasks: Mapping[str, TaskSpec],
        options: WorkerOptions,
        world: World,
        say: Callable[[Said], None],
        begin: Begin = begin_in_thread,
    ) -> None:
        self._store, self._tasks, self._options, self._world, self._say = store, tasks, options, world, say
        self._begin = begin
        self.running: dict[str, Running] = {}
        self._told = 0  # how often it was told to leave
        self._since = world.wall()
        self._seen_at = self._fired_at = 0.0
        self._version = -1
        self._delay_s = 0.0  # until the next poll
        self._failed_s = 0.0  # for how long the store is left alone
        self._at_rest = False
        self._woken = False
        self._loop = asyncio.get_running_loop()
        self._bell: asyncio.Future[None] = self._loop.create_future()

    def leave(self) -> None:
        """Take no more runs, and end when those that go on have ended or the grace is over; a second time, hand them over now."""
        self._told += 1
        self._wake()

    async def work(self) -> None:
        """Work until told to leave."""
        self._say(Said("ready"))
        try:
            while not self._told and not self._at_rest:
                await self._poll()
                await self._rest()
            await self._drain()
        finally:
            with contextlib.suppress(StoreError):
                await self._world.aside(self._store.forget_worker, self._world.owner())
            self._say(Said("left"))

    # --- taking ------------------------------------------------------------------------------------------------------

    async def _poll(self) -> None:
        try:
            looked = await self._world.aside(self._look, self._options.slots - len(self.running))
        except StoreVersion:
            raise
        except StoreError as error:
            if not self._failed_s:
                self._say(Said("trouble", text=str(error)))
            self._failed_s = min(max(2 * self._failed_s, AGAIN_S), LONGEST_S)
            return
        if self._failed_s:
            self._failed_s = 0.0
            self._say(Said("again"))
        for fired in looked.fired:
            self._say(Said("fired", fired.run_id, text=f"{fired.schedule}: {fired.why}" if fired.why else fired.schedule))
        for swept in looked.swept:
            self._say(Said("swept", swept.run_id, swept=swept))
        if self._told:  # while it looked: what it took meanwhile is nobody's otherwise
            await self._world.aside(self._hand_back, looked.taken)
            return
        for taken in looked.taken:
            self._start(taken)
        self._at_rest = self._options.drain and looked.rest and not self.running
        self._delay_s = 0.0 if looked.taken else min(max(2 * self._delay_s, WATCH_S), self._options.poll_s)

    def _look(self, room: int) -> Looked:
        """Everything that is due. Blocks."""
        store, options, now = self._store, self._options, self._world.wall()
        self._version = store.data_version(QUEUES)
        if now - self._seen_at >= SEEN_S:
            self._seen_at = now
            store.see_worker(self._info(), now)
        swept = store.sweep_jobs(now, SWEPT)
        fired: Sequence[Fired] = ()
        if now - self._fired_at >= FIRED_S:
            self._fired_at = now
            fired = store.fire_schedules(now, make_run)
        taken: list[Taken] = []
        if room > 0 and not self._told:
            tasks, owner = sorted(self._tasks), self._world.owner()
            taken = store.take_jobs(owner, options.queues, tasks, room, LEASE_S, now, versions=options.versions)
        rest = options.drain and not taken and not swept and not fired and self._is_at_rest()
        return Looked(taken, swept, fired, rest)

    def _is_at_rest(self) -> bool:
        """Whether nothing of its queues waits for a worker or is with one."""
        found = [queue for queue in self._store.queues(self._world.wall()) if queue.settings.name in self._options.queues]
        return not any(queue.waiting + queue.delayed + queue.taken for queue in found if not queue.paused)

    def _info(self) -> WorkerInfo:
        options = self._options
        return WorkerInfo(
            owner=self._world.owner(),
            queues=options.queues,
            tasks=tuple(sorted(self._tasks)),
            versions=options.versions,
            slots=options.slots,
            busy=len(self.running),
            draining=self._told > 0,
            program=options.program,
            since=self._since,
            seen=self._world.wall(),
        )

    def _start(self, taken: Taken) -> None:
        spec = self._tasks[taken.run.spec.task]
        run = TakenRun(self._store, taken, spec, self._options.drive)
        self._say(Said("took", run.run_id, spec.name))
        self.running[run.run_id] = self._begin(run, self._on_end)

    def _on_end(self, ended: Ended) -> None:
        """On whatever thread."""
        with contextlib.suppress(RuntimeError):  # the worker has left
            self._loop.call_soon_threadsafe(self._note_end, ended)

    def _note_end(self, ended: Ended) -> None:
        self.running.pop(ended.run_id, None)
        self._say(Said("ended", ended.run_id, ended.task, ended))
        self._delay_s = 0.0
        self._wake()

    async def _rest(self) -> None:
        """Wait until there may be something to do: a slot is free, something was enqueued, or it is time to look again."""
        ends = self._loop.time() + (self._failed_s or self._delay_s)
        while not self._woken and (left_s := ends - self._loop.time()) > 0:
            await self._sleep(min(left_s, WATCH_S))
            if not self._failed_s and len(self.running) < self._options.slots and await self._was_told():
                break
        self._woken = False

    async def _sleep(self, seconds: float) -> None:
        """Sleep until the seconds have passed or something has happened."""
        future = self._bell = self._loop.create_future()
        timer = self._loop.call_later(seconds, self._ring)
        try:
            if not self._woken:
                await future
        finally:
            timer.cancel()

    def _wake(self) -> None:
        self._woken = True
        self._ring()

    def _ring(self) -> None:
        if not self._bell.done():
            self._bell.set_result(None)

    async def _was_told(self) -> bool:
        """Whether something was put into a queue since the last look."""
        with contextlib.suppress(StoreError):
            return await self._world.aside(self._store.data_version, QUEUES) != self._version
        return False

    def _hand_back(self, taken: Sequence[Taken]) -> None:
        for each in taken:
            with contextlib.suppress(StoreError):  # its lease ends by itself
                self._store.release(each.lease, RunStatus.INTERRUPTED, self._world.wall())

    # --- leaving -----------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Let what runs go on for the grace, then hand it over."""
        if not self.running:
            return
        self._say(Said("draining", text=f"{len(self.running)}"))
        await self._until_empty(self._options.grace_s, patient=True)
        if not self.running:
            return
        hurries = self._told > 1
        self._say(Said("handing over", text=f"{len(self.running)}"))
        stop_s = HURRY_S if hurries else STOP_S
        for running in list(self.running.values()):
            running.interrupt(stop_s)
        await self._until_empty(2 * stop_s, patient=not hurries)
        for running in list(self.running.values()):
            running.interrupt(0.0)
        await self._until_empty(HURRY_S if hurries else STOP_S, patient=False)
        await asyncio.gather(*(self._world.aside(running.leave) for running in self.running.values()))

    async def _until_empty(self, seconds: float, *, patient: bool) -> None:
        """Wait until nothing runs, for so long; not where it is told again meanwhile. It goes on saying that it is there."""
        ends = self._loop.time() + seconds
        while self.running and (left_s := ends - self._loop.time()) > 0 and not (patient and self._told > 1):
            self._woken = False
            await self._sleep(min(left_s, SEEN_S))
            with contextlib.suppress(StoreError):
                await self._world.aside(lambda: self._store.see_worker(self._info(), self._world.wall()))
