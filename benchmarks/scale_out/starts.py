"""A program that outgrows one driver: 1,000 runs of 10,000 calls on four workers, of which each is killed once."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.methods.row import Held, Pair, Row
from benchmarks.scale_out.alone import server
from benchmarks.sides import ROOT, environ
from headway.journal.postgres.store import PostgresStore
from headway.journal.records import RunStatus

PROGRAM = ROOT / "tests" / "chaos" / "postgres" / "programs" / "starters.py"
DRIVERS = 4
LIMIT_S = 3600.0


def of_many_runs(runs: int, calls: int) -> Pair:
    """How many calls are recorded as done when all is over, and how many there are. A call more, or less, is a fault."""
    with server(max_wal_size="8GB") as url, tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        env = {**environ(Path(folder)), "RAN_EFFECTS": f"{folder}/effects"}
        worker = [sys.executable, "-m", "headway", "worker", str(PROGRAM), "--queue", "parts", "--slots", "2", "--store", url]
        command = [sys.executable, str(PROGRAM), url, f"{folder}/result", "unused", str(runs), str(calls)]

        log = Path(folder, "log")

        def launch(command: list[str]) -> subprocess.Popen[bytes]:
            with log.open("ab") as said:
                return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=said)

        starter, workers, until = launch(command), [launch(worker) for _ in range(DRIVERS)], time.monotonic() + LIMIT_S
        try:
            with PostgresStore(url) as store:
                for number in range(DRIVERS):  # each is lost once, in the middle
                    while _ended(store) < (number + 1) * runs // (DRIVERS + 2):
                        if starter.poll() is not None or time.monotonic() > until:
                            raise RuntimeError("the program did not come so far")
                        time.sleep(0.5)
                    workers[number].kill()
                    workers[number].wait()
                    workers[number] = launch(worker)
                if starter.wait(max(1.0, until - time.monotonic())):
                    raise RuntimeError(f"the program failed: {log.read_text()[-300:]}")
                if int(Path(folder, "result").read_text()) != sum(range(runs * calls)):
                    raise RuntimeError("a wrong result")
                query = "SELECT count(*), count(DISTINCT (run, key)) FROM record WHERE kind & 15 = 3"
                recorded, distinct = store.reading(lambda connection: connection.execute(query).fetchone())
                if recorded != distinct:
                    raise RuntimeError(f"{recorded - distinct} outcomes were recorded twice")
        finally:
            for each in (starter, *workers):
                each.kill()
                each.wait()
    return Pair(recorded, runs * (calls + 2) + runs + 1)  # a part, its leaves and its effect; the calls that start parts; the root


def _ended(store: PostgresStore) -> int:
    query = "SELECT count(*) FROM run WHERE status=?"
    found: int = store.reading(lambda connection: connection.execute(query, (RunStatus.DONE.value,)).fetchone())[0]
    return found


TEST = "tests/chaos/postgres/test_started_runs_killed.py::test_drivers_that_are_killed_lose_nothing_and_repeat_no_record"
STARTED = "tests/service/test_started.py"

ROWS: list[Row | Held] = [
    Row(
        method="Started runs",
        function="headway.start",
        item="starts",
        claim="a program outgrows one driver by starting runs",
        shows="1,000 runs of 10,000 calls on 4 drivers, each killed once: every call is recorded, and none twice",
        baseline="the calls that the program makes",
        unit="calls recorded",
        measure=lambda seed: of_many_runs(1_000, 10_000),
        compare="difference",
        reached=lambda low, high: low == high == 0,
        exact=True,
        slow=True,
        test=TEST,
    ),
    Held(
        item="starts",
        promise="Started runs: a run that is started is a call: named, recorded, awaited and joined like one, and found again by a "
        "starter that goes on",
        tests=(
            f"{STARTED}::test_started_runs_are_calls_whose_results_are_joined",
            f"{STARTED}::test_a_starter_that_goes_on_finds_the_runs_that_it_has_started",
            f"{STARTED}::test_a_started_run_starts_runs_itself",
            f"{STARTED}::test_a_starter_that_only_waits_is_parked_and_woken_by_the_end_of_what_it_started",
        ),
    ),
    Held(
        item="starts",
        promise="Started runs: a cancelled call has its run cancelled; one that failed goes on when it is asked for again, and "
        "keeps what had succeeded",
        tests=(
            f"{STARTED}::test_a_cancelled_call_has_its_run_cancelled",
            f"{STARTED}::test_a_run_that_was_cancelled_with_its_starter_goes_on_with_it",
            f"{STARTED}::test_a_started_run_that_failed_goes_on_when_it_is_asked_for_again_and_keeps_what_had_succeeded",
            f"{STARTED}::test_a_retry_has_the_started_run_go_on",
        ),
    ),
    Held(
        item="starts",
        promise="Started runs: what a run may spend is reserved in the budget of its starter, and settled at what it spent",
        tests=(
            f"{STARTED}::test_a_started_run_spends_what_was_reserved_for_it_and_the_rest_is_given_back",
            f"{STARTED}::test_a_started_run_can_not_spend_more_than_was_reserved_for_it",
            f"{STARTED}::test_a_started_run_whose_budget_is_not_there_is_refused_before_it_starts",
        ),
    ),
    Held(
        item="starts",
        promise="Bad input: queues: what can't be started is refused with the reason",
        tests=(
            f"{STARTED}::test_what_can_not_be_started_is_refused_with_the_reason",
            f"{STARTED}::test_a_run_is_started_only_inside_of_a_run_that_has_a_store",
        ),
    ),
]
