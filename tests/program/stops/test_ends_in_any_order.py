"""Threads, loops and interpreters that end in any order: a run that could finish has finished, and is shown so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import headway as hw
from headway.journal.records import RunStatus

SRC = str(Path(__file__).parents[3] / "src")
PROGRAM = """
import asyncio, atexit, os, sys, threading, time
import headway as hw

@hw.task
async def leaf(i: int) -> int:
    await asyncio.sleep(0.02)
    return i

@hw.task
def in_thread(i: int) -> int:
    return i

@hw.task(pool="process")
def in_process(i: int) -> int:
    return i

@hw.task
async def main() -> int:
    return sum([await task(i) for i in range(3) for task in (leaf, in_thread, in_process)])

def run(run_id="run"):
    print("result", hw.run(main, run_id=run_id, progress=False), flush=True)

def in_a_thread():
    begun = threading.Event()
    def go():
        print("result", hw.run(main, run_id="run", progress=False, events=lambda _: begun.set()), flush=True)
    threading.Thread(target=go).start()
    begun.wait()

async def executor_goes_first():
    going = asyncio.create_task(hw.arun(main, run_id="run", progress=False))
    await asyncio.sleep(0.01)
    await asyncio.get_running_loop().shutdown_default_executor()
    print("result", await going)

if __name__ == "__main__":
"""
CASES = {
    "the main thread ends before the run's": "in_a_thread()",
    "the main thread exits with an error": "in_a_thread(); sys.exit(3)",
    "at exit": "atexit.register(run)",
    "the loop's executor ends first": "asyncio.run(executor_goes_first())",
    "in a fork after a run": "run('first')\n    if os.fork() == 0:\n        run()\n        os._exit(0)\n    os.wait()",
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_ends_whatever_ends_before_it(tmp_path, case):
    path = tmp_path / "program.py"
    path.write_text(f"{PROGRAM}    {CASES[case]}\n")
    env = {**os.environ, "PYTHONPATH": SRC}
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    if "Python shuts down" in done.stderr:  # versions that start no thread then refuse before anything is begun
        assert sys.version_info >= (3, 12)
        assert not (tmp_path / ".headway").exists()
        return
    assert "result 9" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr
    store = hw.SqliteStore(tmp_path / ".headway")
    try:
        assert store.run("run").status == RunStatus.DONE
    finally:
        store.close()


def test_a_thread_that_cannot_be_started_fails_its_call_and_not_the_run(tmp_path, monkeypatch):
    from headway.pools import thread

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    @hw.task
    def wanted() -> int:
        return 1

    @hw.task
    async def program() -> str:
        try:
            await wanted()
        except hw.CallError as error:
            return str(error)
        return "ran"

    monkeypatch.setattr(thread, "_Thread", refuse)
    assert "no thread can be started (can't start new thread)" in hw.run(program, store=tmp_path / "store", progress=False)


def test_every_run_of_a_loop_stops_in_order_when_the_process_is_told_to(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(
        """
import asyncio, os, signal
import headway as hw

@hw.task
async def rest(i: int) -> int:
    await hw.sleep(0.05)
    return i

@hw.task
async def main(n: int) -> int:
    for i in range(1000):
        await rest(i)
        if i == 3 and n == 1:
            os.kill(os.getpid(), signal.SIGTERM)
    return n

async def service() -> None:
    runs = (hw.arun(main, n, run_id=f"run{n}", progress=False) for n in range(3))
    print([type(end).__name__ for end in await asyncio.gather(*runs, return_exceptions=True)])

if __name__ == "__main__":
    asyncio.run(service())
"""
    )
    env = {**os.environ, "PYTHONPATH": SRC}
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "['Interrupted', 'Interrupted', 'Interrupted']", done.stderr
    store = hw.SqliteStore(tmp_path / ".headway")
    try:
        assert {store.run(f"run{n}").status for n in range(3)} == {RunStatus.INTERRUPTED}
    finally:
        store.close()
