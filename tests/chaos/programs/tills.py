"""The program whose drivers die, freeze and err about the time on a store in Postgres. Not a test by itself.

    python tills.py STORE RESULT RAN SIZE

It pays at a till that stands outside: a folder with one file for each payment. The till takes a second payment of the same key for
the first. So what was paid twice, and what was only asked for twice, can be told apart. RAN has a line `what key idempotency_key`
for each call that begins (`step`, `pay`) and for each payment that `verify` saw (`seen`), and `durable SEQ` for what the run has
reported to be in its store.

Where no RAN is named (in a worker, which drives many runs), the notes of a run are in the folder TILLS, under the run's name.

LEASE_S is how long the lease of a driver lasts, CLOCK_FILE its clock, OFTEN_S a pause that makes the run longer, GATE a file for
which it waits before it drives. HOLD is a pipe: one step keeps the interpreter to itself until something is written there. The
program leaves with 3 when somebody else drives the run, with 1 after any other error.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import shifted  # noqa: F401 - sets the clock, so it comes before Headway

import headway as hw
from headway import events
from headway.engine.replay import claim

RUN = "kills"
HOLDS_AT = 40
EVERY = 5  # of so many steps one pays
ran = Path()  # where calls say that they begin


def notes() -> Path:
    return ran if ran.name else Path(os.environ["TILLS"]) / f"{hw.call().run_id}.ran"


def tell(what: str, *words: object) -> None:
    """One write, so that a kill leaves whole lines."""
    with notes().open("a") as file:
        file.write(" ".join(map(str, (what, *words))) + "\n")


def tell_call(what: str) -> None:
    tell(what, hw.call().key, hw.call().idempotency_key)


def till() -> Path:
    return notes().with_name(f"{notes().name}.till")


def payment() -> Path:
    return till() / hw.call().idempotency_key.replace("/", "_")


@hw.task
async def step(x: int) -> int:
    tell_call("step")
    if x == HOLDS_AT and (pipe := os.environ.get("HOLD")):
        end = os.open(pipe, os.O_RDWR)
        tell("holds")
        ctypes.PyDLL(None).read(end, ctypes.create_string_buffer(1), 1)  # keeps the interpreter's lock
    await asyncio.sleep(float(os.environ.get("OFTEN_S", "0.002")) * (x % 4))
    hw.charge(steps=1)
    return x * x


async def look_in_till(x: int) -> hw.Happened | None:
    if not payment().exists():
        return None
    tell_call("seen")
    return hw.Happened(payment().read_text())


@hw.task(effect=True, verify=look_in_till)
async def pay(x: int) -> str:
    tell_call("pay")
    slip = payment().with_suffix(f".{os.getpid()}")
    slip.write_text(f"paid {x}")
    with contextlib.suppress(FileExistsError):
        payment().hardlink_to(slip)  # whole or not at all, and once
    slip.unlink()
    await asyncio.sleep(0.02)  # the answer takes its time
    return f"paid {x}"


@hw.task
async def work(x: int) -> tuple[int, str]:
    return await step(x), await pay(x) if x % EVERY == 0 else ""


@hw.task
async def main(size: int) -> tuple[list[tuple[int, str]], float]:
    with hw.budget(steps=10 * size) as budget:
        done = [result async for result in hw.map(work, range(size), window=6)]
        return done, budget.spent["steps"]


@hw.task(pool="process", retry=hw.Retry(attempts=100, delay_s=0.01, factor=1.0, on=(hw.WorkerDied,)))
def far_step(x: int, said: str) -> int:
    """A step in another process, on this machine or another."""
    global ran
    ran = Path(said)
    tell("at", os.getpid())
    tell_call("step")
    hw.charge(steps=1)
    time.sleep(float(os.environ.get("OFTEN_S", "0.002")) * (x % 4))
    return x * x


@hw.task
async def far_work(x: int) -> tuple[int, str]:
    return await far_step(x, str(notes())), await pay(x) if x % EVERY == 0 else ""


@hw.task
async def far_main(size: int) -> tuple[list[tuple[int, str]], float]:
    with hw.budget(steps=100 * size) as budget:
        done = [result async for result in hw.map(far_work, range(size), window=6)]
        return done, budget.spent["steps"]


def expected(size: int) -> list[tuple[int, str]]:
    """What a run returns besides what it spent."""
    return [(x * x, f"paid {x}" if x % EVERY == 0 else "") for x in range(size)]


def hear(event: events.Event) -> None:
    if isinstance(event, events.Committed):
        tell("durable", event.seq)


def drive(store: str, run_id: str, result: Path, size: int, said: Callable[[str], object], task: Any = main, **options: Any) -> int:
    """Drive the run to its end. Returns the exit code."""
    till().mkdir(exist_ok=True)
    try:
        value = hw.run(task, size, store=store, run_id=run_id, progress=False, events=hear, **options)
    except hw.HeadwayError as error:
        said(f"{type(error).__name__}: {error}\n")
        return 3 if isinstance(error, hw.RunOwned) else 1
    write_whole(result, repr(value))
    return 0


def write_whole(file: Path, text: str) -> None:
    """Whole or not at all, wherever this process is killed."""
    written = file.with_suffix(f".{os.getpid()}")
    written.write_text(text)
    written.replace(file)


if __name__ == "__main__":
    claim.LEASE_S = float(os.environ.get("LEASE_S", claim.LEASE_S))
    ran = Path(sys.argv[3])
    if gate := os.environ.get("GATE"):
        tell("ready")
        while not Path(gate).exists():
            time.sleep(0.001)
    sys.exit(drive(sys.argv[1], RUN, Path(sys.argv[2]), int(sys.argv[4]), sys.stderr.write))
