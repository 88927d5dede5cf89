"""A folder with a program of its own, and the command line run in it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from headway.cli.app import app

PROGRAM = """
import os
import signal

import headway as hw


@hw.task(retry=hw.Retry(attempts=2, delay_s=0.001))
async def search(query: str, number: int) -> list[str]:
    hw.charge(tokens=50)
    if number == 1 and hw.call().attempt == 1:
        raise TimeoutError("flaky")
    return [query] * number


@hw.task
def count(pages: list[str]) -> int:
    return len(pages)


@hw.task
async def answer(question: str, number: int = 3, *, how: str = "") -> str:
    with hw.budget(tokens=1000):
        pages = await hw.gather(*(search(question, i) for i in range(number)))
        counts = await hw.gather(*(count(hw_pages) for hw_pages in pages))
    if how == "wait":
        return str(await hw.wait_event("go"))
    if not os.path.exists("mended"):
        if how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "stop":
            os.kill(os.getpid(), signal.SIGINT)
            await hw.sleep(3600)
        if how == "raise":
            raise LookupError("nothing to be found")
        if how == "encode":
            return object()
    return f"{question}: {sum(counts)}"


@hw.task
async def spend(number: int) -> float:
    hw.charge(tokens=number)
    return hw.remaining("tokens")


not_a_task = 3
"""


@dataclass(frozen=True)
class Answer:
    """What a command printed, and how it exited."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Folder:
    """A user's folder, with a program file of a name of its own (modules are loaded once per process)."""

    numbers = itertools.count()

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stem = f"program_{next(self.numbers)}"
        (path / f"{self.stem}.py").write_text(PROGRAM)

    def target(self, task: str) -> str:
        return f"{self.stem}.py:{task}"

    def headway(self, *args: str) -> Answer:
        """Run a command in this process."""
        result = CliRunner().invoke(app, list(args))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Answer(result.exit_code, result.stdout, result.stderr)

    def answer(self, *args: str) -> Answer:
        return self.headway("run", self.target("answer"), *args)

    def process(self, *args: str, timeout_s: float = 60) -> Answer:
        """Run a command as a user does."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONWARNINGS": "error"}
        done = subprocess.run(
            [sys.executable, "-m", "headway", *args],
            cwd=self.path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)
