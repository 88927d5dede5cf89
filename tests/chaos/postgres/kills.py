"""Kills drivers, sessions and servers by the hundred under runs that pay at a till outside, and checks what is left.

    python tests/chaos/postgres/kills.py --kills 2000 --seed 1 --drivers 4

Each driver is a process of its own, forked so that it need not import anything, and drives a run of `programs/tills.py` on one
server that is durable (fsync). A seed draws who is killed and when. Whoever died is started again, until all runs have ended.

What is looked for, by reading the tables and not through the store: rows that were there are there later, as they were; what a
driver reported as durable is there; what is recorded never runs again; and of each run its result, its payments and its ledger.

KINDS says what can be killed. What joins it (workers of the service, agents) is killed and counted like the rest.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "programs"), str(HERE.parents[1])]

import psycopg  # noqa: E402
import tills  # noqa: E402
from tellers import OWNED_BY_ANOTHER, Till  # noqa: E402
from victims import successes  # noqa: E402
from wounded import DURABLE, WoundedServer  # noqa: E402

from headway.journal.postgres.store import PostgresStore  # noqa: E402
from headway.journal.records import Row  # noqa: E402

SCHEMA = "headway"
MAY_SAY = ("ConnectionLost", "RunOwned", "LeaseLost")  # with which a driver ends that is to be started again
LIMIT_S = 300.0  # so long may pass without a sign of life
ENDS = {
    0: "done",
    1: "gave up",  # its store was away for too long, or it was fenced
    OWNED_BY_ANOTHER: "refused",
    -signal.SIGKILL: "killed",
}


class Stored(NamedTuple):
    """The rows of a run as the tables have them."""

    marks: list[tuple[int, int]]  # number and checksum
    rows: list[Row]


class Slot:
    """A place where one run after the other is driven."""

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
        return Till(self.arena.server.url, self.arena.folder, self.arena.size, f"run{self.number}-{self.arena.begun()}")

    def start(self) -> None:
        """Look at what is there, and start a driver; or two, one of whom will be refused."""
        self.look()
        for _ in range(2 if self.arena.drawn.random() < 0.1 else 1):
            self.pids.add(self.arena.fork(self.drive))

    def drive(self) -> int:
        tills.ran = self.till.ran
        with (self.arena.folder / "said").open("a") as said:
            return tills.drive(self.till.url, self.till.run, self.till.result, self.till.size, said.write)

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


class Arena:
    """A server, and runs on it that are driven by processes which die.

    Args:
        size: steps of each run.
        drivers: how many runs are driven at a time.
    """

    def __init__(self, folder: Path, seed: int, *, drivers: int = 4, size: int = 60) -> None:
        self.folder, self.size, self.seed = folder, size, seed
        self.drawn = random.Random(seed)
        self.server = WoundedServer(**{**DURABLE, "max_connections": "100"})
        self.struck: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.ended: list[Till] = []
        self.violations: list[str] = []
        self.is_closing = False
        self._begun = 0
        with PostgresStore(self.server.url):
            pass
        self.slots = [Slot(self, number) for number in range(drivers)]

    def begun(self) -> int:
        self._begun += 1
        return self._begun

    def fail(self, what: str) -> None:
        self.violations.append(what)

    def fork(self, do: Callable[[], int]) -> int:
        """Do it in a process of its own."""
        if pid := os.fork():
            return pid
        code = 2
        try:
            code = do()
        except BaseException:
            with (self.folder / "said").open("a") as said:
                traceback.print_exc(file=said)
        finally:
            os._exit(code)

    def read(self, run: str) -> Stored | None:
        """The rows of a run by hand; None while the server is away."""
        uid = f"(SELECT uid FROM {SCHEMA}.run WHERE run_id=%s)"
        query = f"SELECT seq, crc, kind, key, parent, body FROM {SCHEMA}.record WHERE run={uid} ORDER BY seq"
        try:
            found = self.server.ask(query, run)
        except psycopg.OperationalError:
            return None
        return Stored([(seq, crc) for seq, crc, *_ in found], [Row(*row) for _, _, *row in found])

    # --- who is killed ------------------------------------------------------------------------------------------------

    def drivers(self) -> list[int]:
        return [pid for slot in self.slots for pid in slot.pids]

    def go(self, kills: int) -> None:
        """Kill so many, and let what is left come to its end."""
        first = list(KINDS)
        self.drawn.shuffle(first)
        heard = time.monotonic()
        told = 0
        while sum(self.struck.values()) < kills:
            if self.reap():
                heard = time.monotonic()
            if (now_told := self.count_told()) > told:
                told, heard = now_told, time.monotonic()
            assert time.monotonic() - heard < LIMIT_S, f"nothing happens: {self.describe()}"
            time.sleep(self.drawn.uniform(0.0, 0.08))
            kind = first[-1] if first else self.drawn.choices(list(KINDS), [one.weight for one in KINDS.values()])[0]
            if (struck := KINDS[kind].strike(self)) and first:
                first.pop()
            self.struck[kind] += struck
        self.is_closing = True
        until = time.monotonic() + LIMIT_S
        while not all(slot.is_over for slot in self.slots):
            assert time.monotonic() < until, f"runs don't end: {self.describe()}"
            self.reap()
            time.sleep(0.01)

    def count_told(self) -> int:
        return sum(slot.till.ran.stat().st_size for slot in self.slots if slot.till.ran.exists())

    def reap(self) -> int:
        """Start again who has ended. Returns how many came to their end."""
        done = 0
        for slot in self.slots:
            for pid in list(slot.pids):
                got, status = os.waitpid(pid, os.WNOHANG)
                if got:
                    slot.hear_end(pid, status)
                    done += os.waitstatus_to_exitcode(status) == 0
            if not slot.pids and not slot.is_over:
                slot.start()
        return done

    def close(self) -> None:
        for pid in self.drivers():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.server.remove()

    def check(self) -> None:
        """Look at all runs that have ended, through the store."""

        def look() -> int:
            wrong = 0
            with PostgresStore(self.server.url) as store, (self.folder / "wrong").open("w") as file:
                for till in self.ended:
                    try:
                        till.check(store)
                    except AssertionError:
                        traceback.print_exc(file=file)
                        wrong += 1
            return min(wrong, 100)

        _, status = os.waitpid(self.fork(look), 0)
        if status:
            self.fail("runs have not ended as they should: " + (self.folder / "wrong").read_text())
        said = (self.folder / "said").read_text().splitlines() if (self.folder / "said").exists() else []
        strange = [line for line in said if line.partition(":")[0] not in MAY_SAY]
        if self.ends["fault"] or strange:
            self.fail("a driver failed: " + "\n".join(strange[-30:]))
        missing = [kind for kind in KINDS if not self.struck[kind]]
        if missing:
            self.fail(f"never struck: {missing}")

    def describe(self) -> str:
        return "\n".join(self.table())

    def table(self) -> Iterator[str]:
        """What happened, as lines of a table."""
        yield "| killed | times |"
        yield "|---|---:|"
        yield from (f"| {kind} | {self.struck[kind]:,} |" for kind in KINDS)
        yield f"| **all** | **{sum(self.struck.values()):,}** |"
        yield ""
        payments = sum(len(till.paid()) for till in self.ended)
        yield f"drivers: {dict(self.ends)}; runs that ended: {len(self.ended)}; payments: {payments:,}"
        yield f"violations: {len(self.violations)}"


def strike_driver(arena: Arena) -> int:
    pids = arena.drivers()
    if pids:
        os.kill(arena.drawn.choice(pids), signal.SIGKILL)
    return bool(pids)


def strike_all_drivers(arena: Arena) -> int:
    for pid in (pids := arena.drivers()):
        os.kill(pid, signal.SIGKILL)
    return len(pids)


def end_session(arena: Arena) -> int:
    try:
        return arena.server.terminate_backends(1)
    except psycopg.OperationalError:
        return 0


def kill_session(arena: Arena) -> int:
    return int(arena.server.kill_backend())


def kill_postmaster(arena: Arena) -> int:
    arena.server.kill_postmaster()
    return 1


def stop_at_once(arena: Arena) -> int:
    arena.server.crash()
    return 1


class Kind(NamedTuple):
    """Something that can be killed. `strike` kills it and returns how many were; `weight` says how often it is drawn."""

    strike: Callable[[Arena], int]
    weight: int


KINDS: dict[str, Kind] = {
    "a driver (SIGKILL)": Kind(strike_driver, 120),
    "all drivers at once (SIGKILL each)": Kind(strike_all_drivers, 8),
    "a session (pg_terminate_backend)": Kind(end_session, 60),
    "a session's process (SIGKILL; the server recovers)": Kind(kill_session, 6),
    "the postmaster (SIGKILL)": Kind(kill_postmaster, 3),
    "the server (stop -m immediate)": Kind(stop_at_once, 3),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill drivers, sessions and servers, and see that nothing is lost.")
    parser.add_argument("--kills", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--drivers", type=int, default=4)
    parser.add_argument("--size", type=int, default=60)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="headway-kills-") as folder:
        arena = Arena(Path(folder), options.seed, drivers=options.drivers, size=options.size)
        try:
            arena.go(options.kills)
            arena.check()
        except BaseException:
            print(arena.describe(), flush=True)
            raise
        finally:
            arena.close()
        print(f"seed {options.seed}, {options.drivers} drivers at a time, {time.monotonic() - began:.0f} s\n")
        print(arena.describe(), flush=True)
        for what in arena.violations:
            print(what)
        sys.exit(bool(arena.violations))


if __name__ == "__main__":
    main()
