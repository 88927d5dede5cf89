"""Kills drivers, workers, agents, sessions and servers by the hundred under runs that pay at a till, and checks what is left.

    python tests/chaos/postgres/kills.py --kills 2000 --seed 1 --drivers 4
    python tests/chaos/postgres/kills.py --kills 400 --only worker agent

Drivers, workers of the service and the clients that wait for it are processes of their own, forked so that they import nothing.
They drive runs of `programs/tills.py` on one server that is durable (fsync). A seed draws who is killed and when. Whoever died is
started again, until all runs have ended.

What is looked for, by reading the tables and not through the store: rows that were there are there later, as they were; what a
driver reported as durable is there; what is recorded never runs again; and of each run its result, its payments and its ledger.

KINDS says what can be killed: with `--ray`, OF_RAY as well, on a cluster of this program's own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "programs"), str(HERE.parents[1])]

import psycopg  # noqa: E402
from slots import HiredSlot, RaySlot, ServedSlot, Slot, Stored, children, family, identity_of  # noqa: E402
from tellers import Till  # noqa: E402
from wounded import DURABLE, WoundedServer  # noqa: E402

import headway as hw  # noqa: E402
from headway.cli.service.working import WorkerArguments, run_worker  # noqa: E402
from headway.journal.postgres.store import PostgresStore  # noqa: E402
from headway.journal.records import Row  # noqa: E402

SCHEMA = "headway"
MAY_SAY = ("ConnectionLost", "RunOwned", "LeaseLost")  # with which a driver ends that is to be started again
LIMIT_S = 300.0  # so long may pass without a sign of life
LEFT_S = 20.0  # within which an agent notices that its driver is gone


class Arena:
    """A server, and runs on it that are driven by processes which die.

    Args:
        size: steps of each run.
        drivers: how many runs are driven at a time, each by a process of its own.
        served: how many clients of the service wait for a run at a time.
        workers: how many workers of the service there are.
        hired: how many runs are driven at a time whose steps are computed on agents.
        placed: the same, with agents that Ray places.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        drivers: int = 4,
        size: int = 60,
        served: int = 0,
        workers: int = 0,
        hired: int = 0,
        placed: int = 0,
    ) -> None:
        self.folder, self.size, self.seed = folder, size, seed
        self.drawn = random.Random(seed)
        self.cluster = start_cluster(folder) if placed else None
        self.server = WoundedServer(**{**DURABLE, "max_connections": "100"})
        self.struck: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.ended: list[Till] = []
        self.violations: list[str] = []
        self.is_closing = False
        self.kinds: Mapping[str, Kind] = KINDS
        self.stricken: set[tuple[int, str]] = set()
        self.agents_seen: set[tuple[int, str]] = set()
        self._begun = 0
        with PostgresStore(self.server.url) as store:
            hw.set_queue("default", store=store, deaths=100_000, backoff_s=0.01)
        os.environ["TILLS"] = str(folder)
        wanted = ((Slot, drivers), (ServedSlot, served), (HiredSlot, hired), (RaySlot, placed))
        self.slots = [kind(self, number) for kind, many in wanted for number in range(many)]
        self.workers = {self.fork(self.work) for _ in range(workers)}

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
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            code = do()
        except BaseException:
            with (self.folder / "said").open("a") as said:
                traceback.print_exc(file=said)
        finally:
            os._exit(code)

    def work(self) -> int:
        """A worker of the service, as `headway worker` starts one."""
        said = os.open(self.folder / "workers", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 2)
        run_worker(
            WorkerArguments(
                programs=["tills"],
                queues=["default"],
                slots=2,
                grace_s=5.0,
                drain=False,
                versions=[],
                processes=None,
                pools=[],
                store=self.server.url,
            )
        )
        return 0

    def is_there(self, run: str) -> bool:
        """Whether there is such a run, by hand; also where the server is away."""
        try:
            return bool(self.server.ask(f"SELECT 1 FROM {SCHEMA}.run WHERE run_id=%s", run))
        except psycopg.OperationalError:
            return True

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

    def pids(self, kind: type[Slot] = Slot) -> list[int]:
        """Those that drive, or wait, in the slots of a kind."""
        return [pid for slot in self.slots if isinstance(slot, kind) for pid in slot.pids]

    def placed(self) -> list[int]:
        """The agents that Ray has placed and whose workers have begun a step."""
        return next((list(slot.computing()) for slot in self.slots if isinstance(slot, RaySlot)), [])

    def owners(self) -> set[int]:
        """The processes that drive a run, by hand; none where the server is away."""
        try:
            found = self.server.ask(f"SELECT owner FROM {SCHEMA}.run WHERE owner<>''")
        except psycopg.OperationalError:
            return set()
        return {int(owner.split()[1]) for (owner,) in found}

    def drivers(self) -> list[int]:
        return [pid for slot in self.slots if not isinstance(slot, ServedSlot) for pid in slot.pids]

    def go(self, kills: int, kinds: Mapping[str, Kind]) -> None:
        """Kill so many, and let what is left come to its end."""
        self.kinds = kinds
        first, weights = list(kinds), [one.weight for one in kinds.values()]
        heard = time.monotonic()
        told = 0
        while sum(self.struck.values()) < kills:
            if self.reap():
                heard = time.monotonic()
            if (now_told := self.count_told()) > told:
                told, heard = now_told, time.monotonic()
            assert time.monotonic() - heard < LIMIT_S, f"nothing happens: {self.describe()}"
            time.sleep(self.drawn.uniform(0.0, 0.08))
            kind = self.drawn.choice(first) if first else self.drawn.choices(list(kinds), weights)[0]
            if (struck := kinds[kind].strike(self)) and first:
                first.remove(kind)
            self.struck[kind] += struck
        self.is_closing = True
        until = time.monotonic() + LIMIT_S
        while not all(slot.is_over for slot in self.slots):
            assert time.monotonic() < until, f"runs don't end: {self.describe()}"
            self.reap()
            time.sleep(0.01)
        self.send_home()

    def send_home(self) -> None:
        """Tell the workers to leave, and see that nobody is left: no worker, and no agent without a driver."""
        for pid in self.workers:
            os.kill(pid, signal.SIGTERM)
        for pid in self.workers:
            _, status = os.waitpid(pid, 0)
            self.note_worker(status)
        self.workers.clear()
        until = time.monotonic() + LEFT_S
        while left := [pid for pid, start in self.agents_seen if identity_of(pid) == (pid, start)]:
            if time.monotonic() > until:
                self.fail(f"agents outlive their drivers: {left}")
                return
            time.sleep(0.05)

    def note_worker(self, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        self.ends["worker left" if code == 0 else "worker killed" if code == -signal.SIGKILL else "fault"] += 1

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
        for pid in list(self.workers):
            got, status = os.waitpid(pid, os.WNOHANG)
            if got:
                self.note_worker(status)
                self.workers.remove(pid)
                self.workers.add(self.fork(self.work))
        return done

    def close(self) -> None:
        for pid in [*self.pids(), *self.workers]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        if self.cluster is not None:
            end_cluster(self.cluster)
        self.server.remove()

    def check(self) -> None:
        """Look at all runs that have ended, through the store."""

        def look() -> int:
            wrong = 0
            with PostgresStore(self.server.url) as store, (self.folder / "wrong").open("w") as file:
                if jobs := store.jobs(time.time()):
                    file.write(f"jobs are left although all runs have ended: {jobs}\n")
                    wrong += 1
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
        missing = [kind for kind in self.kinds if not self.struck[kind]]
        if missing:
            self.fail(f"never struck: {missing}")

    def describe(self) -> str:
        return "\n".join(self.table())

    def table(self) -> Iterator[str]:
        """What happened, as lines of a table."""
        yield "| killed | times |"
        yield "|---|---:|"
        yield from (f"| {kind} | {self.struck[kind]:,} |" for kind in self.kinds)
        yield f"| **all** | **{sum(self.struck.values()):,}** |"
        yield ""
        payments = sum(len(till.paid()) for till in self.ended)
        yield f"processes: {dict(self.ends)}; runs that ended: {len(self.ended)}; payments: {payments:,}"
        yield f"violations: {len(self.violations)}"


def strike(arena: Arena, pids: Sequence[int]) -> int:
    """SIGKILL one of these. Returns how many were struck: 0 or 1. Who was struck before is dying, and is not struck again."""
    fresh = [pid for pid in pids if identity_of(pid) not in arena.stricken]
    return strike_all(arena, [arena.drawn.choice(fresh)]) if fresh else 0


def strike_all(arena: Arena, pids: Sequence[int]) -> int:
    struck = 0
    for pid in pids:
        identity = identity_of(pid)
        if identity[1] and identity not in arena.stricken:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                arena.stricken.add(identity)
                struck += 1
    return struck


def strike_driver(arena: Arena) -> int:
    return strike(arena, arena.drivers())


def strike_all_drivers(arena: Arena) -> int:
    return strike_all(arena, arena.drivers())


def strike_worker(arena: Arena) -> int:
    """One that drives a run; now and then any, as one that has just begun."""
    busy = arena.owners() if arena.drawn.random() < 0.9 else arena.workers
    return strike(arena, sorted(arena.workers & busy))


def strike_client(arena: Arena) -> int:
    return strike(arena, arena.pids(ServedSlot))


def strike_agent(arena: Arena) -> int:
    return strike(arena, [pid for slot in arena.slots if type(slot) is HiredSlot for pid in slot.computing()])


def strike_computing(arena: Arena) -> int:
    found = [pids for slot in arena.slots if type(slot) is HiredSlot for pids in slot.computing().values()]
    return strike(arena, [pid for pids in found for pid in pids])


def strike_placed(arena: Arena) -> int:
    return strike(arena, arena.placed())


def strike_actor(arena: Arena) -> int:
    agents = set(arena.placed())
    return strike(arena, [pid for pid, below in children().items() if not agents.isdisjoint(below)])


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
    "a worker of the service (SIGKILL)": Kind(strike_worker, 40),
    "a client that waits for a run of the service (SIGKILL)": Kind(strike_client, 10),
    "an agent (SIGKILL)": Kind(strike_agent, 40),
    "a worker process of an agent (SIGKILL)": Kind(strike_computing, 40),
    "a session (pg_terminate_backend)": Kind(end_session, 60),
    "a session's process (SIGKILL; the server recovers)": Kind(kill_session, 6),
    "the postmaster (SIGKILL)": Kind(kill_postmaster, 3),
    "the server (stop -m immediate)": Kind(stop_at_once, 3),
}


OF_RAY: dict[str, Kind] = {
    "an agent that Ray has placed (SIGKILL)": Kind(strike_placed, 40),
    "an actor of Ray's that holds an agent (SIGKILL)": Kind(strike_actor, 40),
}


def start_cluster(folder: Path) -> subprocess.Popen[bytes]:
    """A Ray cluster of this program's own; drivers find it by RAY_ADDRESS."""
    address = folder / "cluster"
    process = subprocess.Popen([sys.executable, str(HERE / "programs" / "cluster.py"), str(address)], stdin=subprocess.PIPE)
    until = time.monotonic() + LIMIT_S
    while not address.exists():
        assert process.poll() is None, "the Ray cluster did not start"
        assert time.monotonic() < until, "the Ray cluster does not start"
        time.sleep(0.1)
    os.environ["RAY_ADDRESS"] = address.read_text()
    return process


def end_cluster(process: subprocess.Popen[bytes]) -> None:
    """End it; by force what does not end."""
    below = [identity_of(pid) for pid in family(process.pid)]
    assert process.stdin is not None
    process.stdin.close()
    process.wait(60)
    for pid, start in below:
        if identity_of(pid) == (pid, start):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Kill drivers, workers, agents, sessions and servers, and see that nothing is lost."
    )
    parser.add_argument("--kills", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--drivers", type=int, default=4)
    parser.add_argument("--served", type=int, default=3, help="clients that wait for runs of the service")
    parser.add_argument("--workers", type=int, default=2, help="workers of the service")
    parser.add_argument("--hired", type=int, default=2, help="drivers with agents")
    parser.add_argument("--ray", type=int, default=0, help="drivers with agents that Ray places")
    parser.add_argument("--size", type=int, default=60)
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="kill only those whose names hold one of these words")
    options = parser.parse_args()
    kinds = {name: kind for name, kind in {**KINDS, **(OF_RAY if options.ray else {})}.items() if is_wanted(name, options.only)}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="headway-kills-") as folder:
        arena = Arena(
            Path(folder),
            options.seed,
            drivers=options.drivers,
            size=options.size,
            served=options.served,
            workers=options.workers,
            hired=options.hired,
            placed=options.ray,
        )
        try:
            arena.go(options.kills, kinds)
            arena.check()
        except BaseException:
            print(arena.describe(), flush=True)
            raise
        finally:
            arena.close()
        runs = f"{options.drivers} driven, {options.served} served by {options.workers} workers, {options.hired} with agents"
        print(
            f"seed {options.seed}; runs at a time: {runs}, {options.ray} with agents of Ray's; {time.monotonic() - began:.0f} s\n"
        )
        print(arena.describe(), flush=True)
        for what in arena.violations:
            print(what)
        sys.exit(bool(arena.violations))


def is_wanted(name: str, words: Sequence[str]) -> bool:
    return not words or any(word in name for word in words)


if __name__ == "__main__":
    main()
