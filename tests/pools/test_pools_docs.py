"""docs/pools.md: its table is what the registry says, and its programs run."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from headway.pools.base import Traits
from headway.pools.registry import TRAITS
from headway.testing import check_pool

PAGE = Path(__file__).resolve().parents[2] / "docs" / "pools.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
CANCELLED = {
    "cooperative": "stops where it awaits or looks for it",
    "killed": "is killed",
    "abandoned": "goes on unheard, in its slot",
}


def row(name: str, traits: Traits) -> str:
    return " ".join(
        (
            f"| `{name}`",
            f"| {'at the top level of a module' if traits.imports else 'any'}",
            f"| {'copies' if traits.copies else 'the program’s own objects'.replace('’', chr(39))}",
            f"| {'yes' if traits.asks else 'rank 0' if traits.members else 'yes' if traits.relays else 'no'}",
            f"| {CANCELLED[traits.cancel]}",
            f"| {''.join(f'`{need}` ' for need in traits.needs)}|",
        )
    )


def test_the_table_of_traits_is_the_registry_s() -> None:
    table = PAGE.read_text().split("<!-- traits:")[1].split("<!-- end of traits -->")[0]
    found = [line for line in table.splitlines() if line.startswith("| `")]
    assert found == [row(name, traits) for name, traits in TRAITS.items()]


@pytest.mark.parametrize("block", [block for block in BLOCKS if "__main__" in block])
def test_a_program_of_the_page_prints_what_it_says(block: str, tmp_path: Path) -> None:
    said = re.findall(r"print\(.*\) +# (.*)", block)
    file = tmp_path / "program_of_the_page.py"
    file.write_text(block)
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    assert done.stdout.splitlines() == said, done.stderr


def test_the_pool_of_the_page_keeps_the_promises_of_a_pool(tmp_path: Path) -> None:
    file = tmp_path / "pool_of_the_page.py"
    file.write_text(next(block for block in BLOCKS if "FreshProcesses" in block))
    spec = importlib.util.spec_from_file_location("pool_of_the_page", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    promises = ["answers with the error", "cancels as its traits say", "cancels what has not begun", "closes"]
    assert check_pool(lambda: module.FreshProcesses(2), only=promises) == promises
