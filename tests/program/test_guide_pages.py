"""The programs in the guide run as they are there, one after another on a page, and print what it says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
PAGES = ["collections"]
_PRINTS = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_the_programs_of_a_page_print_what_it_says(page, tmp_path, monkeypatch, capsys):
    text = (GUIDE / f"{page}.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    module = ModuleType(f"guide_{page}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for number, code in enumerate(blocks):
        exec(compile(code, f"docs/guide/{page}.md, block {number}", "exec"), vars(module))
        assert capsys.readouterr().out.splitlines() == _PRINTS.findall(code), code
