"""One run that a worker has taken: read from the store, driven, and what became of it.

A run that was taken has its lease and its job already. What can't even begin (arguments that this version of the task does not
take, a value that it can't read) has failed as any run fails, with the error in its journal; else every worker would take it up
again and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from headway.engine.drive import Driver, Plan
from headway.engine.identity.keys import call_key
from headway.engine.replay.claim import Claim
from headway.engine.tasks.spec import TaskSpec
from headway.engine.waiting.parking import RunParked
from headway.engine.world import World, this_world
from headway.errors import Interrupted, LeaseLost, RunCancelled, RunMismatch, StoreError
from headway.journal.codec.codec import decode, encode_error
from headway.journal.off_loop import watch_thread
from headway.journal.records import NO_PARENT, Ending, Kind, Outcome, Row, RunStatus, Status
from headway.journal.recovery.recovered import RecoveredState, encode_body, load
from headway.journal.shared.queues import Taken
from headway.journal.store import Store
from headway.pools.registry import Given

DONE, FAILED, CANCELLED, PARKED, HANDED_OVER, LOST = "done", "failed", "cancelled", "parked", "handed over", "lost"


class Ended(NamedTuple):
    """How a worker's work for a run ended: it is `done`, `failed` or `cancelled`; it was `parked` or `handed over` for others to go
    on with; or it was `lost`, to somebody else or with the store."""

    run_id: str
    task: str
    how: str
    error: BaseException | None = None
    until: float | None = None  # of one that is parked


@dataclass(frozen=True, slots=True)
class DriveOptions:
    """What all runs of a worker are driven with."""

    pools: Mapping[str, Given] = field(default_factory=dict)
    max_active: int = 1024
    parks: bool = True


class TakenRun:
    def __init__(self, store: Store, taken: Taken, spec: TaskSpec, options: DriveOptions) -> None:
        self._store, self._taken, self._spec, self._options = store, taken, spec, options
        self._driver: Driver | None = None
        self._leaves: float | None = None  # it was told to leave before it had begun

    @property
    def run_id(self) -> str:
        return self._taken.run.spec.run_id

    def interrupt(self, stop_s: float) -> None:
        """Start no more calls, stop what runs after so many seconds, and hand the run over; a second time, stop now. From any
        thread."""
        self._leaves = stop_s
        if self._driver is not None:
            self._driver.interrupt(stop_s)

    def leave(self) -> None:
        """Write what is finished and hand the run over, whatever its code does. From any thread; may block."""
        if self._driver is not None:
            self._driver.last_words()

    async def drive(self) -> Ended:
        """Drive it as far as it goes. Raises nothing of the run's own."""
        world = this_world(asyncio.get_running_loop())
        with watch_thread(world.debugs):
            try:
                return await self._drive(world)
            except RunParked as parked:
                return self._ended(PARKED, until=parked.until)
            except Interrupted:
                return self._ended(HANDED_OVER)
            except RunCancelled as error:
                return self._ended(CANCELLED, error)
            except StoreError as error:
                return self._ended(LOST, error)
            except Exception as error:
                broke = self._driver is not None and self._driver.status != RunStatus.FAILED
                return self._ended(HANDED_OVER if broke else FAILED, error)

    async def _drive(self, world: World) -> Ended:
        try:
            claim, args, kwargs = await world.aside(self._read)
        except StoreError:
            await world.aside(self._hand_back, world)
            raise
        except Exception as error:
            await world.aside(self._fail, error, world)
            raise
        info, options = self._taken.run, self._options
        plan = Plan(
            run_id=info.spec.run_id,
            spec=self._spec,
            args=args,
            kwargs=kwargs,
            salt=info.spec.salt,
            nonce=info.uid.to_bytes(8, "big") + info.spec.salt,
            store=self._store,
            claim=claim,
            pools=options.pools,
            max_active=options.max_active,
            parks=options.parks,
            budget=dict(info.spec.budget),
            world=world,
        )
        driver = self._driver = Driver(plan)
        if self._leaves is not None:
            await world.aside(self._hand_back, world)
            raise Interrupted(f"run {info.spec.run_id!r} was handed over before it began here")
        await driver.drive()
        return self._ended(DONE)

    def _read(self) -> tuple[Claim, tuple[Any, ...], dict[str, Any]]:
        """What the store knows of the run, and its arguments. Blocks."""
        store, info, lease, spec = self._store, self._taken.run, self._taken.lease, self._spec
        known = load(store, lease.uid) if info.nrows else RecoveredState()
        known.given.signals.update((sent.number, sent) for sent in store.signals(lease.uid))
        args, kwargs = decode(info.spec.args or b"", [store.get_blob(name) for name in info.spec.blobs])
        args, bound = spec.signature.bind(args, kwargs)
        if info.spec.root != call_key(info.spec.salt, 0, spec.identity, spec.canonical(args, bound)):
            raise RunMismatch(
                f"run {info.spec.run_id!r} was enqueued for another {spec.name}: it takes other arguments here. Enqueue it with "
                "version= and give workers of the old code that --version, or enqueue it anew"
            )
        return Claim(info, known, lease), args, dict(bound)

    def _fail(self, error: Exception, world: World) -> None:
        """Record that the run can't begin. Blocks."""
        info, now = self._taken.run, world.wall()
        failed = Outcome(
            task=info.spec.task,
            label="",
            status=int(Status.ERROR),
            started=now,
            ended=now,
            error=encode_error(error),
        )
        row = Row(int(Kind.OUTCOME), info.spec.root, NO_PARENT, encode_body(failed))
        seq = info.nrows + 1
        self._store.commit(self._taken.lease, seq, [row], now, ending=Ending(RunStatus.FAILED, seq))

    def _hand_back(self, world: World) -> None:
        """Give the run back as it was taken. Blocks."""
        self._store.release(self._taken.lease, RunStatus.INTERRUPTED, world.wall())

    def _ended(self, how: str, error: BaseException | None = None, until: float | None = None) -> Ended:
        return Ended(self.run_id, self._spec.name, LOST if isinstance(error, LeaseLost) else how, error, until)
