"""What the page of many machines opens with: its parts, what was named, what must be shown, and what it withstands.

A row, or a promise, answers a line by the beginning of its name. Upper and lower case matter. A line that nothing answers makes a
test red.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.methods.compute import Overview
from benchmarks.methods.parts import Line
from benchmarks.scale_out import SCALE

HEAD = """# Results: many machines

Each row is a figure that must be shown, with the test that holds what it is about. Both sides of a row are measured one after the
other in the same minute, five times, in either order; the last columns have the mean of their ratio, its 95 % interval (Student's t
over the repetitions), and whether it is reached by the bound of the interval. Promises have no number; tests hold them. Postgres is
Debian's, on the machine that is measured, with `fsync` and `synchronous_commit` on. Print it again:

```
python -m benchmarks.scale_out                   # measure what has no figure yet; a killed measurement goes on
python -m benchmarks.scale_out fan-out Ray       # measure some again
python -m benchmarks.scale_out --write-docs      # this page
```
"""

PARTS = {
    "postgres": "the journal, blobs and limits in a database that machines share",
    "service": "runs that wait in queues until a worker takes them; schedules; runs that are parked",
    "starts": "runs that start runs and wait for them",
    "agents": "call bodies on machines that somebody hires",
    "calls": "calls that a body in another process makes",
    "simulation": "drivers, workers and queues on a store that lies, under a seeded loop",
    "proof": "kills of real drivers, workers, agents and servers, counted",
}
"""The rooms, in the order of the page, and what each is about."""

NAMED: Sequence[Line] = (
    Line("`PostgresStore`", ("Postgres:",)),
    Line("unknown commit outcomes", ("Postgres: a commit whose answer is lost",)),
    Line("a half-open owner is evicted", ("Postgres: a driver that vanished",)),
    Line("signals numbered per run", ("Postgres: signals",)),
    Line("clocks agreed with the server", ("Postgres: machines whose clocks differ",)),
    Line("blobs in the database, a folder or an object store", ("Postgres: a value",)),
    Line("migrations beside live drivers", ("Postgres: migrations",)),
    Line("transaction poolers", ("Postgres: behind a pooler",)),
    Line("retention and `gc` in batches", ("Postgres: runs are forgotten",)),
    Line("checkpoints of its runs", ("Postgres: checkpoints",)),
    Line("`ls` and `show` by pages", ("Postgres: runs are listed",)),
    Line("`doctor`", ("Postgres: the doctor",)),
    Line("`headway store copy`", ("Copies:",)),
    Line("`hw.enqueue`, in the caller's own transaction", ("Queues: a run is enqueued",)),
    Line("limits per queue and key, exact under crashes", ("Queues: limits",)),
    Line("fairness between keys", ("Queues: keys",)),
    Line("delayed runs, priorities, pause, depth", ("Queues: delays",)),
    Line("schedules", ("Schedules:",)),
    Line("`headway worker`", ("Workers:",)),
    Line("parked runs", ("Parked runs:",)),
    Line("`hw.start`", ("Started runs:",)),
    Line("hirers and agents", ("Agents:",)),
    Line("Ray", ("Ray:",)),
    Line("gangs across agents", ("Agents: a gang",)),
    Line("calls from workers", ("Calls from workers:",)),
    Line("a simulated store that lies", ("Lies:",)),
)

SHOWN: Sequence[Line] = (
    Line("durable fan-out on Postgres: at most 3x of SQLite's cost, 40x faster a step than DBOS", ("Postgres: durable fan-out",)),
    Line("durable chain on Postgres: at most 4x of SQLite's cost, 10x faster a step than DBOS", ("Postgres: durable chain",)),
    Line("a call on a Ray-hired agent: at most 0.2x of a `ray.remote` no-op", ("Ray: a call",)),
    Line("a named limit on Postgres: at most 2x of a call without it", ("Postgres: a call inside of a named limit",)),
    Line("claims in batches of 20: at least 5,000 a second with 8 workers", ("Queues: claims",)),
    Line("100,000 parked runs: no process, under 1 GB of database", ("Parked runs: 100,000",)),
    Line("a killed worker's runs go on within the lease and 2 polls, all of them", ("Workers: a killed worker's runs",)),
    Line("the query behind `ls` of 1,000,000 runs: at most 50 ms", ("Postgres: the query behind ls",)),
    Line("calls a second with 1, 2 and 4 drivers on one Postgres", ("Drivers:",)),
    Line("a capacity model to a million concurrent runs, checked against the simulator", ("Capacity:",)),
    Line("1,000 runs x 10,000 calls on 4 drivers, any of which may be lost", ("Started runs: 1,000",)),
    Line("at least 2,000 kills with nothing lost", ("Kills:",)),
    Line("the injections, each counted", ("Injections:",)),
    Line("at least 15 bugs on purpose, each caught", ("Lies: at least 15",)),
)

WITHSTOOD: Sequence[Line] = (
    Line("a URL that names no store, a server that is away or refuses, a schema of others", ("Bad input: the name of a store",)),
    Line("what can't be enqueued, a queue that is full, a schedule that makes no sense", ("Bad input: queues",)),
    Line("an agent that never comes, a cluster that is missing, versions that differ", ("Bad input: agents",)),
    Line("what a body in a worker may not do", ("Bad input: calls from workers",)),
)

OVERVIEW = Overview(HEAD, SCALE, PARTS, SHOWN, WITHSTOOD, "What it withstands", NAMED)
