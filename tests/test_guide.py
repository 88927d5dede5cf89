"""Every program on the pages for users runs, and prints what its page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(path for path in (DOCS / "guide").glob("*.md") if "```python" in path.read_text())
BLOCK = re.compile(r"^```(python|text|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CUT = "--- cut ---"


class Step(NamedTuple):
    """A block of a page, and what the page says that it prints."""

    kind: str
    code: str
    prints: str | None


def steps_of(page: Path) -> list[Step]:
    steps: list[Step] = []
    for kind, text in BLOCK.findall(page.read_text()):
        if kind == "text":
            steps[-1] = steps[-1]._replace(prints=text)
        else:
            steps.append(Step(kind, text, None))
    return steps


def run_page(steps: list[Step], folder: Path) -> list[str]:
    """What each block prints. All Python of a page is one program; a command runs when the program has ended."""
    program = f"print({CUT!r})\n".join(step.code for step in steps if step.kind == "python")
    (folder / "page.py").write_text(program)
    printed = iter(_output([sys.executable, "page.py"], folder).split(f"{CUT}\n"))
    return [next(printed) if step.kind == "python" else _answers(step.code, folder) for step in steps]


def _answers(session: str, folder: Path) -> str:
    """A session in a shell, with what its commands print this time."""
    lines = []
    for line in session.splitlines():
        if line.startswith("$ headway "):
            lines += [line, *_output([sys.executable, "-m", "headway", *line.split()[2:]], folder).splitlines()]
    return "\n".join(lines) + "\n"


def _output(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def fits(printed: str, said: str) -> bool:
    """Whether a page says what was printed. … stands for any text, a line of … for any lines; widths don't count."""
    lines = [".*" if line == "…" else re.escape(line).replace("…", "[^\n]*") for line in _narrowed(said)]
    return re.fullmatch("\n".join(lines), "\n".join(_narrowed(printed)), re.DOTALL) is not None


def _narrowed(text: str) -> list[str]:
    """The lines of a text, columns of tables two spaces apart."""
    return [re.sub(" {3,}", "  ", line.rstrip()) for line in text.strip().splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_programs_of_a_page_print_what_it_says(page: Path, tmp_path: Path) -> None:
    steps = steps_of(page)
    for step, printed in zip(steps, run_page(steps, tmp_path), strict=True):
        said = step.code if step.kind == "console" else step.prints or ""
        assert fits(printed, said), f"{page.name}:\n{step.code}\nprints\n{printed}\nand the page says\n{said}"


def test_the_index_names_every_page() -> None:
    index = (DOCS / "guide" / "index.md").read_text()
    assert {*re.findall(r"\((\w+\.md)\)", index)} == {path.name for path in (DOCS / "guide").glob("*.md")} - {"index.md"}
