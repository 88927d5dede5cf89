"""The example of `docs/plan-tools.md` runs as it is there and prints what it says; what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headway.methods import plan

PAGE = (Path(__file__).parents[3] / "docs" / "plan-tools.md").read_text()


def test_the_example_prints_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ((code, said),) = re.findall(r"^```python run\n(.*?)^```\n+```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for _ in range(2):
        exec(compile(code, "docs/plan-tools.md", "exec"), {"__name__": "docs_plan_tools"})
        assert capsys.readouterr().out == said


def test_the_names_of_the_page_are_there() -> None:
    for name in set(re.findall(r"plan\.(\w+)\b(?!\.)", PAGE.replace("plan.md", ""))):
        assert hasattr(plan, name), name
