"""Ctrl-C and SIGTERM: the first drains and journals and says how to go on, the second stops at once. Both lose nothing that was
finished, and what the program forks has signals of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import headway as hw

PROGRAM = """
import asyncio, sys
from pathlib import Path
import headway as hw

@hw.task
async def quick(x: int) -> int:
    return x

@hw.task
async def slow(x: int) -> int:
    print("ready", flush=True)
    await asyncio.sleep(float(sys.argv[2]))
    return x

@hw.task
async def later(x: int) -> int:
    print("too late", flush=True)
    return x

@hw.task
async def main() -> int:
    await hw.gather(*(quick(i) for i in range(10)))
    value = await slow(1)
    return await later(value)

if __name__ == "__main__":
    hw.run(main, store=sys.argv[1], run_id="stop", progress=False)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    return file


def interrupt(program: Path, seconds: float, times: int, number: int = signal.SIGINT) -> tuple[int, str, str]:
    """Start the program, send Ctrl-C or another signal when its slow call runs; return code, stdout and stderr."""
    process = subprocess.Popen(
        [sys.executable, str(program), str(program.parent / "store"), str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "ready\n"
    heard = ""
    for _ in range(times):
        os.kill(process.pid, number)
        while "to end and be journaled" not in heard:
            heard += process.stderr.readline()
    out, err = process.communicate(timeout=120)
    return process.returncode, out, heard + err


def test_the_first_ctrl_c_lets_running_calls_end_and_starts_no_others(program):
    code, out, err = interrupt(program, 0.5, 1)
    assert code == 1
    assert out == ""
    assert "waiting for 1 running call" in err
    assert "headway resume stop" in err
    with hw.SqliteStore(program.parent / "store") as store:
        assert store.run("stop").status == "interrupted"
        assert sum(1 for _ in store.rows(1)) == 11


def test_the_second_ctrl_c_stops_at_once_and_keeps_what_was_finished(program):
    code, _, err = interrupt(program, 600, 2)
    assert code == 1
    assert "headway resume stop" in err
    with hw.SqliteStore(program.parent / "store") as store:
        assert sum(1 for _ in store.rows(1)) == 10


def test_sigterm_drains_too(program):
    code, out, err = interrupt(program, 0.5, 1, signal.SIGTERM)
    assert (code, out) == (1, "")
    assert "told to end; no new calls, waiting for 1 running call" in err
    assert "headway resume stop" in err
    with hw.SqliteStore(program.parent / "store") as store:
        assert store.run("stop").status == "interrupted"
        assert sum(1 for _ in store.rows(1)) == 11


FORKS = """
import multiprocessing
import headway as hw

@hw.task(pool="thread")
def fork() -> int:
    with multiprocessing.get_context("fork").Pool(2) as pool:  # which ends its workers with SIGTERM
        return sum(pool.map(abs, range(5)))

@hw.task
async def main() -> list[int]:
    return [await fork() for _ in range(10)]

if __name__ == "__main__":
    print(hw.run(main, store=None, progress=False))
"""


def test_signals_of_a_forked_process_are_its_own(tmp_path):
    (tmp_path / "forks.py").write_text(FORKS)
    command = [sys.executable, "-W", "ignore", str(tmp_path / "forks.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "no new calls" not in done.stderr
    assert (done.returncode, done.stdout) == (0, f"{[10] * 10}\n")


FORKS_AGAIN = """
import asyncio, os, signal, sys
import headway as hw

def told_by_a_child(look) -> int:
    child = os.fork()
    if not child:
        os._exit(look())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def is_default() -> bool:
    return signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and signal.getsignal(signal.SIGINT) is signal.default_int_handler

def hands_down() -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return told_by_a_child(lambda: signal.getsignal(signal.SIGTERM) is signal.SIG_IGN)

@hw.task
async def forks() -> tuple[int, int]:
    await other_ended.wait()
    return told_by_a_child(is_default), told_by_a_child(hands_down)

@hw.task
async def other() -> None:
    pass

async def main() -> None:
    global other_ended
    other_ended = asyncio.Event()
    first = asyncio.create_task(hw.arun(forks, store=None, progress=False))
    await asyncio.sleep(0)
    await hw.arun(other, store=None, progress=False)
    other_ended.set()
    print(await first, hands_down())

asyncio.run(main())
"""


def test_a_fork_gives_back_what_its_runs_took_and_nothing_else(tmp_path):
    (tmp_path / "forks_again.py").write_text(FORKS_AGAIN)
    command = [sys.executable, "-W", "ignore", str(tmp_path / "forks_again.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "(1, 1) 1"), done.stderr


EVERYTHING = """
import os, signal, time
import headway as hw

@hw.task(pool="process")
def work() -> int:
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    os.kill(child, signal.SIGTERM)  # what a call forks still ends by it
    code = os.waitpid(child, 0)[1]
    print(os.getpid(), os.getppid(), flush=True)
    while not os.path.exists("go on"):
        time.sleep(0.01)
    return code

@hw.task
async def main() -> int:
    return await work()

if __name__ == "__main__":
    print(hw.run(main, store="store", run_id="sky", progress=False))
"""


def test_a_run_whose_processes_are_all_told_to_end_is_interrupted_and_goes_on(tmp_path):
    (tmp_path / "program.py").write_text(EVERYTHING)
    command = [sys.executable, "-W", "ignore", "program.py"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        worker, server = map(int, process.stdout.readline().split())
        for pid in (worker, server, process.pid):
            os.kill(pid, signal.SIGTERM)
        assert process.stderr.readline() == "\n"
        assert "waiting for 1 running call" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=100)
    assert "Interrupted: run 'sky' was interrupted" in err
    (tmp_path / "go on").touch()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.stdout.splitlines()[-1] == str(int(signal.SIGTERM)), done.stderr
