"""Commands that are killed, in processes of their own, with their store in Postgres."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

SRC = str(Path(__file__).parents[3] / "src")

PROGRAM = """
import os, signal
import headway as hw

def note(line):
    with open("done.txt", "a") as file:
        file.write(line + "\\\\n")

@hw.task
async def step(number: int) -> int:
    note(f"step {number}")
    return number

@hw.task(effect=True)
async def pay(amount: int) -> str:
    note(f"pay {amount}")
    return hw.call().idempotency_key

@hw.task(effect=True)  # so that all before it is durable when it begins
async def crash() -> None:
    if not os.path.exists("again"):
        open("again", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)

@hw.task
async def main(count: int) -> int:
    with hw.budget(calls=100):
        found = await hw.gather(*(step(number) for number in range(count)))
        await pay(1)
        await hw.collection("seen", int).append(len(found))
        await crash()
        return sum(found) + len(await hw.collection("seen", int).snapshot())
"""


def headway(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": SRC}
    command = [sys.executable, "-m", "headway", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.on_postgres
def test_a_command_that_is_killed_goes_on_and_repeats_nothing(place, tmp_path):
    (tmp_path / "p.py").write_text(PROGRAM.replace("\\\\n", "\\n"))
    store = ("--store", str(place))
    died = headway(tmp_path, "run", "p.py:main", "20", "--run-id", "sky", *store)
    assert died.returncode == -signal.SIGKILL, died.stderr
    (listed,) = msgspec.json.decode(headway(tmp_path, "ls", "--state", "crashed", "--json", *store).stdout)["runs"]
    assert (listed["run_id"], listed["status"], listed["calls"]) == ("sky", "crashed", 22)
    again = headway(tmp_path, "resume", "sky", *store)
    assert (again.returncode, again.stdout) == (0, "191\n"), again.stderr
    done = (tmp_path / "done.txt").read_text().splitlines()
    assert sorted(done) == sorted([*(f"step {number}" for number in range(20)), "pay 1"])
    assert headway(tmp_path, "show", "sky", *store).stdout.startswith("sky  p.main  done")


@pytest.mark.on_postgres
def test_where_a_test_keeps_its_runs(request, place, tmp_path):
    """A marked test has its runs where its name says."""
    if "postgres" in request.node.name.partition("[")[2]:
        assert str(place).startswith("postgresql://")
    else:
        assert place == tmp_path / "store"
