"""The page about the service, typed from top to bottom: every command works, and prints what the page says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from test_guide import fits

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\w+\.py)\n")


def answers(session: str, folder: Path) -> str:
    """A session in a shell, with what its commands print this time, to either end."""
    told = []
    for line in session.splitlines():
        if line.startswith("$ "):
            program, *words = shlex.split(line[2:])
            command = [sys.executable, *(["-m", "headway"] if program == "headway" else []), *words]
            env = {**os.environ, "COLUMNS": "200"}
            done = subprocess.run(
                command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}"
            told += [line, *done.stdout.splitlines()]
    return "\n".join(told)


def test_the_page_of_the_service_works_as_it_is_typed(tmp_path: Path) -> None:
    ran = 0
    for kind, text in BLOCK.findall((DOCS / "service.md").read_text()):
        if kind == "python" and (named := FILE.match(text)):
            (tmp_path / named[1]).write_text(text)
        elif kind == "console":
            printed = answers(text, tmp_path)
            assert fits(printed, text), f"{text}\nprints\n{printed}"
            ran += text.count("$ ")
    assert ran >= 15
