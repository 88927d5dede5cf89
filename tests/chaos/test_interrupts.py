"""Ctrl-C: the first drains and journals and says how to go on, the second stops at once. Both lose nothing that was finished."""

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


def interrupt(program: Path, seconds: float, times: int) -> tuple[int, str, str]:
    """Start the program, send Ctrl-C when its slow call runs; return code, stdout and stderr."""
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
        os.kill(process.pid, signal.SIGINT)
        while "Ctrl-C again" not in heard:
            heard += process.stderr.readline()
    out, err = process.communicate(timeout=30)
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
