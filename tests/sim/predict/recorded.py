"""Runs recorded on a virtual clock, with pools of a simulated process whose jobs take the seconds that they are given."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from headway.journal.memory import MemoryStore
from headway.observe.reading import build_run
from headway.pools.base import Answer, Demand, FullPool, Job, Traits
from headway.run import arun
from headway.sim.predict.infer import Reading, find_made_times
from headway.sim.predict.workload import Sample, Workload
from headway.sim.universe import Universe
from headway.sim.world import SimWorld

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "observe"))
from written import T0, Journal, key_of

__all__ = ["T0", "Journal", "Recorded", "key_of", "record"]


class TimedPool:
    """Slots in which a call of `f(…, seconds)` takes its last argument, and runs for its value at the end."""

    def __init__(self, process: Any, size: int) -> None:
        self.name, self.size = "process", size
        self._process, self._busy = process, 0
        self._on_free: Callable[[], None] = lambda: None

    traits = Traits(takes_async=True, cancel="killed")

    def free(self, need: Demand) -> int:
        return self.size - self._busy

    def start(self, on_free: Callable[[], None], emit: object) -> None:
        self._on_free = on_free

    def announce_end(self) -> None:
        """Nothing: no code here saves what it has."""

    def lend(self, slots: int) -> None:
        pass

    def submit(self, job: Job) -> None:
        self._busy += 1
        self._process.call_later(job.args[-1], self._end, job)

    def _end(self, job: Job) -> None:
        self._busy -= 1
        job.on_done(Answer(value=job.fn(*job.args)))
        self._on_free()

    def cancel(self, job: Job) -> bool:
        return True

    async def close(self) -> None:
        pass


class TimedWorld(SimWorld):
    def __init__(self, process: Any, workers: int) -> None:
        super().__init__(process)
        self._workers = workers

    def make_pools(self, given: Mapping[str, Any]) -> dict[str, FullPool]:
        return {**super().make_pools(given), "process": TimedPool(self._process, self._workers)}


class Recorded(NamedTuple):
    workload: Workload
    took: float
    drawn: list[Sample]  # what each call took, by its number


def record(program: Any, *args: Any, workers: int) -> Recorded:
    """Run a program with so many simulated workers; its workload, and how long it took."""
    universe, store = Universe(1), MemoryStore()
    process = universe.process("recorder")
    process.world = TimedWorld(process, workers)
    main = process.start(arun(program, *args, store=store, run_id="recorded", progress=False))
    universe.run(universe.end_of(process))
    main.result()
    universe.remove(process)
    info = store.run("recorded")
    rows = list(store.rows(info.uid))
    recorded = build_run(info, rows)
    root = recorded.calls[recorded.root]
    reading = Reading(recorded, find_made_times(rows))
    workload = reading.workload()
    drawn = [Sample(recorded.calls[key].ended - recorded.calls[key].started, recorded.calls[key].cost) for key in reading.numbers]
    return Recorded(workload, root.ended - root.started, drawn)
