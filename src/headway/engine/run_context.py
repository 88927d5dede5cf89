"""What every part of the engine may know about its run: names, clocks, the journal, the loop. It holds no part of the engine.

Each part gets this and just the collaborators it needs, never the whole engine. The driver sets the journal and the listeners for
events once it has them.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from headway import events
from headway.engine.replay.reader import StoreReader
from headway.errors import HeadwayError, StoreError
from headway.journal.log import Blob, Journal
from headway.journal.records import Row
from headway.journal.recovery.recovered import RecoveredState
from headway.journal.store import Store
from headway.pools.registry import Pools

T = TypeVar("T")


class Surroundings(Protocol):
    """What a running engine needs of the world around it (`world`)."""

    def wall(self) -> float:
        """Seconds since 1970."""

    async def aside(self, function: Callable[..., T], /, *args: Any) -> T:
        """Run a function that blocks without blocking the loop."""

    def wait(self, future: concurrent.futures.Future[T]) -> T:
        """In a pool's thread: block until the loop has answered."""

    def at_turns_end(self, function: Callable[[], None]) -> None:
        """On the loop: call a function that no program can notice when the loop has done what it does now."""

    def after_ready(self, function: Callable[[], None]) -> None:
        """On the loop: call a function when everything that is ready now has had its turn."""


class RunContext:
    """One run in this process, as its parts see it."""

    def __init__(
        self,
        *,
        run_id: str,
        salt: bytes,
        nonce: bytes,
        loop: asyncio.AbstractEventLoop,
        journal: Journal,
        known: RecoveredState,
        pools: Pools,
        world: Surroundings,
        store: Store | None = None,
    ) -> None:
        self.run_id = run_id
        self.salt = salt
        self.nonce = nonce  # makes idempotency keys of this run its own
        self.loop = loop
        self.journal = journal
        self.known = known
        self.resumed = bool(known)
        self.pools = pools
        self.store = store
        self.files = (store.checkpoint_root(run_id) if store is not None else None) or ""
        self.world = world
        self.wall = world.wall
        self.thread = threading.get_ident()
        self.reader = StoreReader(store, loop, world.aside, self.broken)
        self.emit: Callable[[events.Event], None] | None = None
        self.closing = False  # ends are no longer recorded: the run stops here and goes on another time
        self.parked = False  # and what its calls have reserved is not spent: they begin again when it does
        self.on_failure: Callable[[HeadwayError], None] | None = None

    def append(self, row: Row, blobs: tuple[Blob, ...] = (), cache_key: bytes | None = None) -> int:
        """Queue a row, unless the run is being stopped to go on later; its seq."""
        if self.closing:
            return 0
        return self.journal.append(row, blobs, cache_key)

    def fail(self, error: HeadwayError) -> None:
        """The journal, or a pool, can't go on: nothing starts and nothing is recorded any more."""
        self.closing = True
        if self.on_failure is not None:
            self.on_failure(error)

    def broken(self, error: BaseException) -> None:
        """End the run because of a fault in the engine itself; it would hang otherwise."""
        fault = StoreError(f"run {self.run_id!r}: the runtime failed ({type(error).__name__}: {error}); please report this")
        fault.__cause__ = error
        self.fail(fault)
