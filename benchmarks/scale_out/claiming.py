"""How many jobs a second workers take from one queue in Postgres, and what a parked run weighs.

    python -m benchmarks.scale_out.claiming [--workers 8] [--batch 20] [--jobs 40000] [--parked 100000] [--url postgresql://…]

Without `--url` it starts Debian's Postgres with durable commits. Workers are processes of their own that take jobs and do nothing
with them. Once without a limit, once with one, once among many keys.
"""

from __future__ import annotations

import argparse
import multiprocessing
import multiprocessing.synchronize
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headway.journal.open import open_store
from headway.journal.postgres.address import parse_address
from headway.journal.records import RunSpec
from headway.journal.shared.queues import QueueSettings
from headway.journal.sql.checked_rows import encode_run

TASK = "bench.nothing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=40_000)
    parser.add_argument("--parked", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    url = options.url or start_server()
    print(f"{options.workers} workers, batches of {options.batch}, {options.jobs:,} jobs")
    shapes = {
        "no limit": (QueueSettings(name="q"), 1),
        "no limit, 100 keys": (QueueSettings(name="q"), 100),
        "a limit of the queue": (QueueSettings(name="q", limit=1 << 30), 100),
        "a limit of each key": (QueueSettings(name="q", key_limit=1 << 30), 100),
    }
    for name, (settings, keys) in shapes.items():
        rates = [measure_claims(f"{url}?schema=c{time.time_ns()}", settings, keys, options) for _ in range(options.rounds)]
        print(f"{name:24} {statistics.median(rates):10,.0f} claims/s  ({', '.join(f'{rate:,.0f}' for rate in rates)})")
    weigh_parked(f"{url}?schema=p{time.time_ns()}", options.parked)


def start_server() -> str:
    """Debian's Postgres with durable commits."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
    from postgres_server import Server

    return Server(fsync="on", shared_buffers="256MB").url


def fill(url: str, count: int, keys: int, *, state: str = "delayed", at: float = 0.0) -> None:
    """Enqueue many runs at once, as rows."""
    import psycopg

    open_store(url).close()
    address = parse_address(url)
    with psycopg.connect(address.conninfo, options=f"-csearch_path={address.schema}") as connection:
        with connection.cursor().copy("COPY run (run_id, spec, crc, status, fence) FROM STDIN") as copy:
            for number in range(count):
                spec = RunSpec(
                    run_id=f"r{number}",
                    task=TASK,
                    module="bench",
                    qualname="nothing",
                    args=bytes(50),
                    root=bytes(16),
                    salt=bytes(16),
                )
                run_id, data, crc = encode_run(spec)
                copy.write_row((run_id, data, crc, "running", int(state == "parked")))
        connection.execute(
            "INSERT INTO job (run, run_id, task, queue, key, priority, not_before, weight, version, state, at, vtime) "
            "SELECT uid, run_id, %s, 'q', 'k' || uid %% %s, 0, 0, 1, '', %s, %s, 0 FROM run",
            (TASK, keys, state, at),
        )


def measure_claims(url: str, settings: QueueSettings, keys: int, options: argparse.Namespace) -> float:
    """Jobs that all workers together take in a second, until none is left."""
    fill(url, options.jobs, keys)
    with open_store(url) as store:
        store.put_queue(settings)
    context = multiprocessing.get_context("spawn")
    gate, found = context.Barrier(options.workers + 1), context.SimpleQueue()
    workers = [context.Process(target=take_all, args=(url, options.batch, gate, found)) for _ in range(options.workers)]
    for worker in workers:
        worker.start()
    gate.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    took_s = time.perf_counter() - began
    counts = [found.get() for _ in workers]
    assert sum(counts) == options.jobs, f"{sum(counts)} of {options.jobs} jobs were taken"
    return options.jobs / took_s


def take_all(url: str, batch: int, gate: multiprocessing.synchronize.Barrier, found: Any) -> None:
    """A worker that takes jobs until there are none."""
    with open_store(url) as store:
        store.queues(time.time())
        gate.wait()
        count = 0
        while taken := take(store, batch):
            count += len(taken)
    found.put(count)


def take(store: Any, batch: int) -> Sequence[Any]:
    """A batch; none only where there is none."""
    for _ in range(50):
        if taken := store.take_jobs("worker", ["q"], [TASK], batch, 3600.0, time.time()):
            return taken
        (info,) = store.queues(time.time())
        if not info.waiting:
            break
    return ()


def weigh_parked(url: str, count: int) -> None:
    """What parked runs cost: bytes, and the time to show the queues and to look for something to do."""
    import psycopg

    fill(url, count, 100, state="parked", at=float("inf"))
    address = parse_address(url)
    with psycopg.connect(address.conninfo, autocommit=True) as connection:
        query = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace=%s::regnamespace AND relkind='r'"
        ((nbytes,),) = connection.execute(query, (address.schema,)).fetchall()
    with open_store(url) as store:
        times = {}
        for name, do in {
            "queues()": lambda: store.queues(time.time()),
            "a poll that finds nothing": lambda: store.take_jobs("w", ["q"], [TASK], 20, 30.0, time.time()),
            "a sweep that finds nothing": lambda: store.sweep_jobs(time.time()),
        }.items():
            do()
            began = time.perf_counter()
            for _ in range(20):
                do()
            times[name] = (time.perf_counter() - began) / 20
        found = store.queues(time.time())
    nbytes = int(nbytes)
    print(f"{count:,} parked runs: {nbytes / 1e6:,.0f} MB; {found[0].parked:,} are counted")
    print("; ".join(f"{name} {took_s * 1e3:.2f} ms" for name, took_s in times.items()))


if __name__ == "__main__":
    main()
