"""The program whose store is damaged, and what becomes of it then, once for every damage. Not a test by itself.

    python damaged.py make STORE RESULT STOP     STOP calls later it kills itself; 0: it ends
    python damaged.py hurt STORE DAMAGES ENDS    one resume for each damage, each of a fresh copy of STORE

DAMAGES is a JSON list of `[file, at, mask, length]`: the byte at `at` is changed by `mask`, `length` bytes from there on become
zero where it is positive, and with -1 the file ends at `at`. Each resume is a process of its own (a fork, which is fast), so a
crash or a hang of one is seen and does not end the others. ENDS gets a JSON list of what each of them ended with.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import headway as hw
from headway.engine.replay import claim
from headway.journal.records import COSTED, Kind, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.journal.upkeep.repair import repair

HANG_S = 40  # for two lives; on a quiet machine they take less than one
SIZE = 30
asked = 0
stop_at = 0


@hw.task
async def leaf(x: int) -> str:
    global asked
    asked += 1
    if asked == stop_at // 2:
        with sqlite3.connect(Path(sys.argv[2]) / "journal.db") as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    if asked == stop_at:
        await hw.sleep(0.2)  # what ended before reaches the disk meanwhile
        os.kill(os.getpid(), signal.SIGKILL)
    return f"{x:04d}" * (5 + x % 40)


@hw.task
async def large(x: int) -> bytes:
    return random.Random(x).randbytes(300_000 if x < 0 else 24_000)


@hw.task(cache="forever")
async def kept(x: int) -> int:
    return x * x


@hw.task(effect=True)
async def pay(x: int) -> str:
    return f"paid {x}"


@hw.task
async def broken(x: int) -> int:
    raise ValueError(f"no {x}")


@hw.task
async def step(x: int) -> tuple[str, int, int, str, int, str]:
    with hw.budget(calls=50):
        texts = await hw.gather(*(leaf(10 * x + k) for k in range(4)))
        best = await hw.race(kept(x), kept(x + 1_000), accept=lambda value: value == x * x)
        page = await large(x) if x % 6 == 0 else b""
        paid = await pay(x) if x % 3 == 0 else ""
        (failed,) = await hw.settle(broken(x)) if x % 5 == 0 else (hw.Settled(0),)
    return max(texts), sum(map(len, texts)), best, paid, sum(page), str(failed.error)


@hw.task
async def main(size: int) -> tuple[int, list[tuple[str, int, int, str, int, str]]]:
    first = await hw.gather(large(-1), large(1_000))  # a resume needs these, and no other large ones of a finished step
    return sum(map(sum, first)), [result async for result in hw.map(step, range(size), window=3)]


def drive(store: Path) -> str:
    return repr(hw.run(main, SIZE, store=store, run_id="kills", progress=False))


def hurt(file: Path, at: int, mask: int, length: int) -> None:
    data = bytearray(file.read_bytes())
    if length < 0:
        del data[at:]
    elif length > 0:
        data[at : at + length] = bytes(min(length, len(data) - at))
    else:
        data[at] ^= mask
    file.write_bytes(data)


def recorded_twice(store: Path) -> bool:
    with hw.SqliteStore(store) as opened:
        rows = [row for _, row in opened.rows(opened.run("kills").uid) if row.kind & ~COSTED == Kind.OUTCOME]
    ends = Counter(row.key for row in rows if decode_outcome(row.body).status == Status.OK)
    return max(ends.values(), default=0) > 1


def resume(store: Path) -> dict[str, str]:
    """What a resume ends with: its result, an error of the store, or something that must not be."""
    try:
        end = {"result": drive(store)}
        if recorded_twice(store):
            end["wrong"] = "an outcome was recorded twice"
        return end
    except hw.StoreError as error:
        return {"error": f"{type(error).__name__}: {error}"}
    except BaseException as error:
        return {"wrong": f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-4)}"}


def live(store: Path, out: Path) -> None:
    """One life after a damage; where the store says that it is damaged, one more after its repair."""
    signal.alarm(HANG_S)
    end: dict[str, Any] = resume(store)
    if "error" in end:
        try:
            repair(store, now=time.time())
            end["repaired"] = resume(store)
        except hw.HeadwayError as error:
            end["repaired"] = {"error": f"{type(error).__name__}: {error}"}
        except BaseException as error:
            end["repaired"] = {"wrong": f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-4)}"}
    out.write_text(json.dumps(end))


def hurt_each(base: Path, damages: list[tuple[str, int, int, int]]) -> list[dict[str, Any]]:
    ends = []
    for number, damage in enumerate(damages):
        store, out = base.with_name(f"{base.name}.hurt"), base.with_name(f"{base.name}.end")
        shutil.rmtree(store, ignore_errors=True)
        out.unlink(missing_ok=True)
        shutil.copytree(base, store)
        hurt(store / damage[0], *damage[1:])
        child = os.fork()
        if child == 0:
            live(store, out)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        died = f"died of signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"left with {status}"
        end = json.loads(out.read_text()) if out.exists() else {"wrong": died}
        ends.append({"damage": damage, "number": number, **end})
    return ends


if __name__ == "__main__":
    if sys.argv[1] == "make":
        stop_at, claim.LEASE_S = int(sys.argv[4]), 0.1  # over when a resume comes, whatever becomes of the owner's name
        Path(sys.argv[3]).write_text(drive(Path(sys.argv[2])))
    else:
        found = hurt_each(Path(sys.argv[2]), [tuple(one) for one in json.loads(Path(sys.argv[3]).read_text())])
        Path(sys.argv[4]).write_text(json.dumps(found))
