"""A result that was paid for is kept, also where no annotation says what it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SRC = str(Path(__file__).parents[3] / "src")
KINDS = """
import dataclasses, enum
from typing import NamedTuple
import msgspec, pydantic

@dataclasses.dataclass
class Data:
    text: str
class Outer:
    @dataclasses.dataclass
    class Inner:
        text: str
class Row(NamedTuple):
    text: str
class Struct(msgspec.Struct):
    text: str
class Model(pydantic.BaseModel):
    text: str
class Colour(enum.Enum):
    RED = 1
"""
PROGRAM = """
import os, sys
import headway as hw
import kinds
{lazily}
@hw.task
async def ask(kind):
    print("paid", kind, flush=True)
    made = {{"Data": kinds.Data("x"), "Inner": kinds.Outer.Inner("x"), "Row": kinds.Row("x"), "Struct": kinds.Struct(text="x"),
            "Model": kinds.Model(text="x"), "Colour": kinds.Colour.RED, "list": [kinds.Data("x"), {{"a": kinds.Row("y")}}]}}
    return made[kind]

@hw.task
async def main() -> list:
    answers = [await ask(kind) for kind in ("Data", "Inner", "Row", "Struct", "Model", "Colour", "list")]
    if os.environ.get("STOP"):
        raise RuntimeError("stop")
    return [repr(answer) for answer in answers]

if __name__ == "__main__":
    print(hw.run(main, run_id="r", progress=False))
"""


def _life(folder: Path, **more: str) -> str:
    env = {**os.environ, "PYTHONPATH": SRC, **more}
    return subprocess.run([sys.executable, "prog.py"], cwd=folder, env=env, capture_output=True, text=True).stdout


def test_results_of_types_that_no_annotation_names_are_kept(tmp_path):
    (tmp_path / "kinds.py").write_text(KINDS)
    (tmp_path / "prog.py").write_text(PROGRAM.format(lazily=""))
    assert _life(tmp_path, STOP="1").count("paid") == 7
    again = _life(tmp_path)
    assert "paid" not in again
    for said in ("Data(text='x')", "Outer.Inner(text='x')", "Row(text='x')", "Struct(text='x')", "Model(text='x')", "Colour.RED"):
        assert said in again
