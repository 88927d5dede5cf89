"""`--pool`: sizes of pools, and pools of the program's own, in `run`, `resume` and `check`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from commandline import Folder

PROGRAM = """
import asyncio
from pathlib import Path
import headway as hw
from headway.pools import Answer, Traits

class Box:
    traits = Traits(asks=True, cancel="cooperative")

    def free(self, need):
        return 2

    def start(self, on_free, emit):
        print("the box is open")

    def submit(self, job):
        try:
            job.on_done(Answer(value=job.context.run(job.fn, *job.args)))
        except Exception as error:
            job.on_done(Answer(error=error))

    def cancel(self, job):
        return True

    async def close(self):
        pass

@hw.task(pool="box")
def boxed(x: int) -> int:
    if Path("stop").exists():
        raise ValueError("stopped")
    return 2 * x

@hw.task
async def program(x: int) -> int:
    return await boxed(x)
"""
BOX = ("--pool", "box=boxes_cli.py:Box")


@pytest.fixture
def boxes(folder: Folder) -> Iterator[Folder]:
    (folder.path / "boxes_cli.py").write_text(PROGRAM)
    yield folder
    sys.modules.pop("boxes_cli", None)


def test_a_run_and_its_resume_bring_a_pool_of_the_program(boxes: Folder) -> None:
    stop = boxes.path / "stop"
    stop.touch()
    said = boxes.headway(
        "run", "boxes_cli.py:program", "3", "--run-id", "one", "--pool", "box=boxes_cli.py:Box", "--pool", "thread=2"
    )
    assert said.code == 1
    assert "ValueError: stopped" in said.err
    stop.unlink()
    said = boxes.headway("resume", "one", *BOX)
    assert said.code == 0, said.err
    assert said.out.splitlines()[-1] == "6"


def test_a_check_simulates_a_pool_and_does_not_open_it(boxes: Folder) -> None:
    said = boxes.headway("check", "boxes_cli.py:program", "3", "--schedules", "2", *BOX)
    assert said.code == 0, said.out
    assert "the box is open" not in said.out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("box", "--pool box: write NAME=SIZE for thread, process, gang, or NAME=program.py:Class for one of your own"),
        ("box=3", "pools= has no 'box'"),
        ("thread=zero", "--pool thread=zero: write NAME=SIZE for thread, process, gang, or NAME=program.py:Class"),
        ("thread=0", "thread = 0: a whole number, at least 1"),
        ("box=boxes_cli.py:Bax", "did you mean 'Box'?"),
        ("box=boxes_cli.py:PROGRAM_THAT_IS_NOT", "there is no 'PROGRAM_THAT_IS_NOT'"),
    ],
)
def test_what_is_no_pool_is_refused(text: str, message: str, boxes: Folder) -> None:
    said = boxes.headway("run", "boxes_cli.py:program", "3", "--pool", text)
    assert said.code != 0
    assert message in " ".join(said.err.split())
    assert not (boxes.path / ".headway").exists()


def test_a_size_that_is_given_twice_is_refused(boxes: Folder) -> None:
    said = boxes.headway("run", "boxes_cli.py:program", "3", "--workers", "2", "--pool", "process=3")
    assert "was given twice" in said.err
