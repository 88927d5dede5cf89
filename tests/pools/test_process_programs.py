"""Whole programs in processes of their own: scripts, broken scripts, and what is left when the driver is killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from poolbench import JOBS, gone

SRC = str(Path(__file__).parents[2] / "src")

PRELUDE = f"""
import asyncio, json, os, sys
from dataclasses import dataclass
sys.path.insert(0, {str(JOBS.parent)!r})
from poolbench import Bench, until
from headway.pools.process import ProcessPool
"""


def start(path, text, *, interpreter_args=(), **kwargs):
    path.write_text(PRELUDE + textwrap.dedent(text))
    env = {**os.environ, "PYTHONPATH": SRC}
    return subprocess.Popen([sys.executable, *interpreter_args, str(path)], env=env, text=True, **kwargs)


def output(path, text):
    process = start(path, text, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_functions_and_classes_of_the_script_itself_work(tmp_path):
    code, out, err = output(
        tmp_path / "prog.py",
        """
        from headway.journal.codec import codec

        @codec.register
        @dataclass
        class Point:
            x: int

        class Wrong(Exception):
            pass

        def move(point):
            return Point(point.x + 1)

        def fail():
            raise Wrong("no")

        async def main():
            bench = Bench(ProcessPool(1))
            assert await bench.value(move, Point(1)) == Point(2)
            assert type((await bench.answer(fail)).error) is Wrong
            print("a line from", __name__)
            await bench.pool.close()

        if __name__ == "__main__":
            asyncio.run(main())
        """,
    )
    assert (code, out, err) == (0, "a line from __main__\n", "")


def test_workers_write_to_the_drivers_output_by_the_end_of_the_call(tmp_path):
    code, out, _ = output(
        tmp_path / "prog.py",
        """
        async def main():
            bench = Bench(ProcessPool(1))
            await bench.value("print_line", "from the worker")
            await bench.pool.close()

        if __name__ == "__main__":
            asyncio.run(main())
        """,
    )
    assert (code, out) == (0, "from the worker\n")


def test_a_script_that_starts_its_run_on_import_fails_with_the_reason(tmp_path):
    code, out, err = output(
        tmp_path / "prog.py",
        """
        if __name__ != "__main__":
            raise ImportError("a broken import")

        def noop(): ...

        async def main():
            bench = Bench(ProcessPool(2))
            for _ in range(5):
                print((await bench.answer(noop)).error)
            await bench.pool.close()

        asyncio.run(main())
        """,
    )
    assert code == 0
    lines = out.splitlines()
    assert "exit code 1 while it imported" in lines[0]
    assert "__main__" in lines[0]
    assert lines[3].startswith("not tried, since workers cannot start")
    assert err.count("ImportError: a broken import") == 3


def test_a_program_loaded_from_a_file_works_in_workers(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    program = tmp_path / "elsewhere" / "guess.py"
    program.write_text("import helper\ndef run(x):\n    return helper.twice(x)\n")
    program.with_name("helper.py").write_text("def twice(x):\n    return 2 * x\n")
    code, out, err = output(
        tmp_path / "main.py",
        f"""
        from headway.pools.program import load_object

        async def main():
            bench = Bench(ProcessPool(1))
            print(await bench.value(load_object({str(program) + ":run"!r}), 21))
            await bench.pool.close()

        if __name__ == "__main__":
            asyncio.run(main())
        """,
    )
    assert (code, out, err) == (0, "42\n", "")


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs pidfd to watch processes that are not children")
def test_no_worker_survives_a_killed_driver(tmp_path):
    driver = start(
        tmp_path / "prog.py",
        f"""
        from pathlib import Path

        async def main():
            bench = Bench(ProcessPool(5))
            paths = [Path({str(tmp_path)!r}) / name for name in ("spin", "hold_the_interpreter", "stubborn", "hang_with_a_child")]
            for path in paths:
                bench.submit(path.name, str(path))
            idle = await bench.value("pid")
            await until(lambda: all(path.exists() and path.read_text() for path in paths))
            print(json.dumps([idle, *(int(path.read_text()) for path in paths)]), flush=True)
            await asyncio.Event().wait()

        if __name__ == "__main__":
            asyncio.run(main())
        """,
        stdout=subprocess.PIPE,
    )
    pids = []
    assert driver.stdout is not None
    try:
        pids = json.loads(driver.stdout.readline())
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait(30)
        assert len(set(pids)) == 5
        assert [pid for pid in pids if not gone(pid)] == []
    finally:
        driver.kill()
        driver.wait(30)
        driver.stdout.close()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_a_driver_that_forgets_to_close_still_ends_with_its_workers(tmp_path):
    code, out, _ = output(
        tmp_path / "prog.py",
        """
        async def main():
            bench = Bench(ProcessPool(1))
            print(await bench.value("pid"))

        if __name__ == "__main__":
            asyncio.run(main())
        """,
    )
    assert code == 0
    assert gone(int(out))


def test_a_call_may_start_processes_of_its_own(tmp_path):
    code, out, err = output(
        tmp_path / "prog.py",
        """
        import multiprocessing

        def square(x):
            return x * x

        def spread():
            with multiprocessing.Pool(2) as pool:
                return pool.map(square, [1, 2, 3])

        async def main():
            bench = Bench(ProcessPool(1))
            print(await bench.value(spread))
            await bench.pool.close()

        if __name__ == "__main__":
            asyncio.run(main())
        """,
    )
    assert (code, out, err) == (0, "[1, 4, 9]\n", "")
