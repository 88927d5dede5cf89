"""The first program of the README runs as it stands, and once more from its journal, as the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_first_program_runs_and_is_answered_from_its_journal(tmp_path: Path) -> None:
    program = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[0]
    (tmp_path / "program.py").write_text(program)

    def told(*words: str) -> str:
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = told("program.py")
    assert first.count("a page about why is the sky blue? 20") == 6
    assert told("program.py") == first
    assert "\n8 ok\n" in told("-m", "headway", "show", "sky")
    assert "0 run again, 0 unfinished, 0 not asked for, 1 reused" in told("-m", "headway", "resume", "sky", "--dry-run")
