"""The examples of `docs/plan.md` run as they are there and print what it says."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).parents[3] / "docs" / "plan.md").read_text()


def test_the_examples_print_what_the_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = "".join(re.findall(r"^```python run\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    exec(compile(code, "docs/plan.md", "exec"), {"__name__": "docs_plan"})
    assert capsys.readouterr().out.splitlines() == re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
