"""Places where runs of `programs/tills.py` are driven, one after the other, by whoever is not dead: kills.py kills there.

A run is driven by a process of its own (`Slot`), by workers of the service for a client that waits (`ServedSlot`), or by a driver
whose calls are computed on agents that it hires (`HiredSlot`). What is looked for between two lives is the same everywhere.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import tills
from tellers import OWNED_BY_ANOTHER, Till
from victims import successes

import headway as hw
from headway.journal.records import Row
from headway.pools.agents.hired import Hired

if TYPE_CHECKING:
    from kills import Arena

ENDS = {
    0: "done",
    1: "gave up",  # its store was away for too long, or it was fenced
    OWNED_BY_ANOTHER: "refused",
    -signal.SIGKILL: "killed",
}
AGENT = b"headway.pools.agents"


class Stored(NamedTuple):
    """The rows of a run as the tables have them."""

    marks: list[tuple[int, int]]  # number and checksum
    rows: list[Row]


class Slot:
    """A place where one run after the other is driven, by a process of its own."""

    prefix = "run"
    times = 1  # as long as runs of the arena

    def __init__(self, arena: Arena, number: int) -> None:
        self.arena = arena
        self.number = number
        self.pids: set[int] = set()  # its drivers
        self.seen: list[tuple[int, int]] = []  # what was read last
        self.known: Counter[str] = Counter()  # what was recorded then
        self.told = 0  # lines that drivers had said then
        self.is_over = False
        self.till = self.next_till()

    def next_till(self) -> Till:
        self.seen, self.known, self.told = [], Counter(), 0
        size = self.times * self.arena.size
        return Till(self.arena.server.url, self.arena.folder, size, f"{self.prefix}{self.number}-{self.arena.begun()}")

    def start(self) -> None:
        """Look at what is there, and start a driver; or two, one of whom will be refused."""
        self.look()
        for _ in range(2 if self.arena.drawn.random() < 0.1 else 1):
            self.pids.add(self.arena.fork(self.drive))

    def drive(self) -> int:
        return self._drive(tills.main)

    def _drive(self, task: object, **options: object) -> int:
        tills.ran = self.till.ran
        with (self.arena.folder / "said").open("a") as said:
            return tills.drive(self.till.url, self.till.run, self.till.result, self.till.size, said.write, task, **options)

    def look(self) -> None:
        """See that nothing was lost, changed or done again since the last look."""
        lines = self.till.lines()
        reported = max((int(line[1]) for line in lines if line[0] == "durable"), default=0)
        stored = self.arena.read(self.till.run)
        if stored is None:
            return
        if stored.marks[: len(self.seen)] != self.seen:
            self.arena.fail(f"{self.till.run}: rows that were read before are gone or changed")
        if len(stored.rows) < reported:
            self.arena.fail(f"{self.till.run}: {reported} rows were reported as durable, {len(stored.rows)} are there")
        again = {line[1] for line in lines[self.told :] if line[0] in ("step", "pay")} & self.known.keys()
        if again:
            self.arena.fail(f"{self.till.run}: recorded calls ran again: {sorted(again)}")
        self.seen, self.known = stored.marks, successes(stored.rows)
        self.told = len(self.till.lines())

    def hear_end(self, pid: int, status: int) -> None:
        """One of its drivers has ended."""
        self.pids.discard(pid)
        code = os.waitstatus_to_exitcode(status)
        self.arena.ends[ENDS.get(code, "fault")] += 1
        if code == 0 and self.till.result.exists():
            for other in self.pids:
                os.kill(other, signal.SIGKILL)
            self.look()
            self.arena.ended.append(self.till)
            self.is_over = self.arena.is_closing
            self.till = self.next_till()


class ServedSlot(Slot):
    """Runs that a client enqueues and waits for. Workers of the service drive them."""

    prefix = "served"

    def drive(self) -> int:
        """The client: enqueue the run, perhaps once more, and wait for its result."""
        till = self.till
        tills.ran = till.ran
        tills.till().mkdir(exist_ok=True)
        try:
            hw.enqueue(tills.main, till.size, run_id=till.run, store=till.url)
            tills.tell("enqueued")
            value = hw.result_of(till.run, store=till.url)
        except hw.HeadwayError as error:
            with (self.arena.folder / "said").open("a") as said:
                said.write(f"{type(error).__name__}: {error}\n")
            return 1
        tills.write_whole(till.result, repr(value))
        return 0

    def look(self) -> None:
        enqueued = bool(self.till.lines("enqueued"))
        stored = self.arena.read(self.till.run)
        if enqueued and stored is not None and not self.arena.is_there(self.till.run):
            self.arena.fail(f"{self.till.run} was enqueued and is not there")
        super().look()


class HiredSlot(Slot):
    """Runs whose steps are computed by the workers of agents."""

    prefix = "hired"
    times = 4  # agents take a while to come
    where = "local:2cpu"

    def drive(self) -> int:
        return self._drive(tills.far_main, pools={"process": Hired(self.where, patience_s=60.0)})

    def agents(self) -> list[int]:
        """The agents that its drivers have hired."""
        kept = children()
        found = [pid for driver in self.pids for pid in kept.get(driver, ()) if AGENT in command_of(pid)]
        self.arena.agents_seen.update(map(identity_of, found))
        return found

    def computing(self) -> dict[int, list[int]]:
        """The worker processes of each of its agents that have begun a step. Who is killed as it starts proves something else: that
        is taken for a program that can't be imported."""
        begun = {int(line[1]) for line in self.till.lines("at")}
        found = {agent: [pid for pid in family(agent) if pid in begun] for agent in self.agents()}
        return {agent: pids for agent, pids in found.items() if pids}


class RaySlot(HiredSlot):
    """The same with agents that Ray has placed."""

    prefix = "placed"
    where = "ray:1cpu"

    def agents(self) -> list[int]:
        """The agents below Ray's processes: they are not below the driver."""
        assert self.arena.cluster is not None
        return [pid for pid in family(self.arena.cluster.pid) if AGENT in command_of(pid)]


def children() -> dict[int, list[int]]:
    """The processes that live, by their parents."""
    found: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                found.setdefault(int(parent), []).append(int(stat.parent.name))
    return found


def family(pid: int) -> list[int]:
    """The processes below one."""
    kept, found, todo = children(), list[int](), [pid]
    while todo:
        below = kept.get(todo.pop(), [])
        found += below
        todo += below
    return found


def command_of(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def identity_of(pid: int) -> tuple[int, str]:
    """A process and when it started, since numbers are given again; "" where it is dead."""
    with contextlib.suppress(OSError):
        state, *words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return pid, "" if state in "ZX" else words[18]
    return pid, ""
