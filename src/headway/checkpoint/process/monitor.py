"""Sends the events of saves and loads to the run's event stream and to a listener of the caller.

Saves end in threads, long after the call of `save` has returned. So the run's stream is looked up when `save` is called, and used
from whatever thread the save ends in. Phases are kept too: the segment of each writer carries them, so that `headway ckpt show
--timeline` can name the slowest rank and what it was busy with long after the training has ended.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from headway import events
from headway.checkpoint.files.manifest import Phase
from headway.engine.call import current
from headway.pools.current import worker_call

Listener = Callable[[events.AnyEvent], None]


def teller() -> tuple[str, Listener]:
    """Return the current call's key ("" outside of a run), and a function that sends an event to its run's stream, from any
    thread."""
    if (worker := worker_call()) is not None:
        return worker.facts.key, worker.tell
    frame = current.get()
    if frame is None:
        return "", lambda event: None
    engine = frame.call.engine

    def tell(event: events.AnyEvent) -> None:
        if engine.emit is not None:
            with contextlib.suppress(RuntimeError):  # the run's loop is closed: nobody listens any more
                engine.loop.call_soon_threadsafe(engine.emit, event)

    return frame.call.key.hex(), tell


@dataclass
class Monitor:
    """Reports what happens to one step's checkpoint, and keeps its phases."""

    root: str
    step: int
    rank: int
    listener: Listener | None = None
    phases: list[Phase] = field(default_factory=list)

    def __post_init__(self) -> None:
        key, self._tell = teller()
        self._about: dict[str, Any] = {"root": self.root, "step": self.step, "rank": self.rank, "key": key}

    @contextlib.contextmanager
    def phase(self, name: str, nbytes: int = 0) -> Iterator[None]:
        """Time the block."""
        began, start = time.time(), time.perf_counter()
        try:
            yield
        finally:
            self.note(Phase(name, began, time.perf_counter() - start, nbytes))

    def note(self, phase: Phase) -> None:
        """Record a phase that has ended."""
        self.phases.append(phase)
        self.tell(events.CheckpointPhase, phase=phase.name, began=phase.begin, seconds=phase.seconds, nbytes=phase.nbytes)

    def seconds(self, name: str) -> float:
        """Sum the seconds of all phases of a name."""
        return sum(phase.seconds for phase in self.phases if phase.name == name)

    def tell(self, kind: type[events.CheckpointEvent], **what: Any) -> None:
        """Send an event. `what` holds the fields that belong to this kind of event alone."""
        event: Any = kind(at=time.time(), **self._about, **what)
        self._tell(event)
        if self.listener is not None:
            self.listener(event)
