"""Queues: claims a second with eight workers, what a parked run weighs, and how soon a killed worker's runs go on."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from benchmarks.methods.row import Held, Pair, Row
from benchmarks.scale_out.alone import server
from benchmarks.scale_out.claiming import fill, measure_claims
from benchmarks.scale_out.model import SMALL
from benchmarks.scale_out.simulated import recover
from headway.journal.open import open_store
from headway.journal.owner import LEASE_S
from headway.journal.postgres.address import parse_address
from headway.journal.records import RunStatus
from headway.journal.shared.queues import QueueSettings
from headway.service.worker import POLL_S

WORKERS, BATCH, JOBS = 8, 20, 20_000
PARKED = 100_000
RUNS = 1_000_000
LOST = 60
WANTED = 5_000.0
MEGABYTES = 1_000.0
MILLISECONDS = 50.0


def claims(settings: QueueSettings, keys: int) -> Callable[[int], Pair]:
    """Claims a second, beside what is asked for."""

    def take(seed: int) -> Pair:
        options = argparse.Namespace(workers=WORKERS, batch=BATCH, jobs=JOBS)
        with server() as url:
            measure_claims(f"{url}?schema=warm", settings, keys, argparse.Namespace(workers=2, batch=BATCH, jobs=1_000))
            return Pair(measure_claims(f"{url}?schema=bench", settings, keys, options), WANTED)

    return take


def weigh(seed: int) -> Pair:
    """Megabytes of a database with so many parked runs, beside what is allowed."""
    import psycopg

    with server() as url:
        place = f"{url}?schema=parked"
        fill(place, PARKED, 100, state="parked", at=float("inf"))
        address = parse_address(place)
        query = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace=%s::regnamespace AND relkind='r'"
        with psycopg.connect(address.conninfo, autocommit=True) as connection:
            ((nbytes,),) = connection.execute(query, (address.schema,)).fetchall()
    return Pair(int(nbytes) / 1e6, MEGABYTES)


def list_runs(seed: int) -> Pair:
    """Milliseconds of the query behind `headway ls` in a store of a million runs: the newest page, in any state and in one."""
    with server() as url:
        place = f"{url}?schema=many"
        fill(place, RUNS, 1)
        with open_store(place) as store:
            times = []
            for statuses in ((), (RunStatus.RUNNING,), (RunStatus.FAILED,)):
                store.runs(most=50, newest_first=True, statuses=statuses)
                began = time.perf_counter()
                for _ in range(10):
                    store.runs(most=50, newest_first=True, statuses=statuses)
                times.append((time.perf_counter() - began) / 10)
    return Pair(1e3 * max(times), MILLISECONDS)


def recover_lost(seed: int) -> Pair:
    """Seconds until the last of a killed worker's runs went on with workers on other machines, beside what is allowed."""
    return Pair(recover(SMALL, LOST, seed), LEASE_S + 2 * POLL_S)


TAKING = "tests/conformance/queues/test_taking_jobs.py"
RACES = "tests/conformance/queues/test_queue_races.py"

ROWS: list[Row | Held] = [
    *(
        Row(
            method="Queues",
            function="headway.enqueue",
            item="service",
            claim="a claim is one statement for a batch, and waits for nobody where no limit is shared",
            shows=f"claims of {WORKERS} workers in batches of {BATCH}, {what}: at least 5,000 a second",
            baseline="5,000 a second",
            unit="claims/s",
            measure=claims(settings, keys),
            reached=lambda low, high: low >= 1,
            test=f"{RACES}::test_no_job_is_taken_by_two_of_many",
            reason=reason,
        )
        for what, settings, keys, reason in (
            ("no limit", QueueSettings(name="q"), 100, "jobs that become due get their places under the lock of their queue's row"),
            (
                "a limit of the queue",
                QueueSettings(name="q", limit=1 << 30),
                100,
                "who counts a limit holds the queue's row until its batch is on disk, so batches follow one another",
            ),
        )
    ),
    Row(
        method="Workers",
        function="headway.enqueue",
        item="service",
        claim="whoever looks takes back what the dead had",
        shows=f"a killed worker's runs go on within the lease and 2 polls, all {LOST} of them, on other machines; simulated",
        baseline=f"{LEASE_S + 2 * POLL_S:.0f} s",
        unit="s",
        measure=recover_lost,
        reached=lambda low, high: high <= 1,
        test="tests/sim/test_capacity.py::test_runs_of_a_killed_worker_go_on_elsewhere_within_the_lease_and_two_polls",
    ),
    Row(
        method="Parked runs",
        function="headway.enqueue",
        item="service",
        claim="a run that waits needs no process and little room",
        shows="100,000 parked runs: no process, and less than 1 GB of database",
        baseline="1,000 MB",
        unit="MB",
        measure=weigh,
        reached=lambda low, high: high < 1,
        exact=True,
        test="tests/conformance/queues/test_jobs_given_back.py::test_a_parked_run_without_a_time_waits_for_ever",
    ),
    Row(
        method="Postgres",
        function="headway.runs",
        item="postgres",
        claim="runs are read by pages, and nothing is counted",
        shows="the query behind ls of 1,000,000 runs takes at most 50 ms",
        baseline="50 ms",
        unit="ms",
        measure=list_runs,
        reached=lambda low, high: high <= 1,
        slow=True,
        test="tests/conformance/test_pages_of_runs.py::test_the_newest_come_first_where_that_is_asked",
    ),
]
