"""The programs of docs/training.md run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
PAGE = Path(__file__).resolve().parents[2] / "docs" / "training.md"


PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def run(program: str, folder: Path) -> str:
    (folder / "program.py").write_text(program)
    done = subprocess.run([sys.executable, "program.py"], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_s_program_trains(tmp_path: Path) -> None:
    said = run(PROGRAMS[0], tmp_path)
    assert 0 <= float(said.split()[-1]) < 0.1  # an untrained line is wrong by 8 or more


def test_the_page_s_questions_are_made_as_it_says(tmp_path: Path) -> None:
    (made,) = PROGRAMS[1:]
    assert run(made + "print(len(questions), len(long))\n", tmp_path).split() == ["100", "100"]
