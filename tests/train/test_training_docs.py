"""The program of docs/training.md runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
PAGE = Path(__file__).resolve().parents[2] / "docs" / "training.md"


def test_the_page_s_program_trains(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "line.py").write_text(program)
    done = subprocess.run([sys.executable, "line.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert 0 <= float(done.stdout.split()[-1]) < 0.1  # an untrained line is wrong by 8 or more
