"""The example of `docs/tools.md` runs as it is there and prints what it says; what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import headway as hw
from headway import tools

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "tools.md").read_text()


def test_the_example_prints_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ((code, said),) = re.findall(r"^```python run\n(.*?)^```\n+```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for _ in range(2):
        exec(compile(code, "docs/tools.md", "exec"), {"__name__": "docs_tools"})
        assert capsys.readouterr().out == said


def test_the_names_of_the_page_are_there() -> None:
    for name in set(re.findall(r"tools\.(\w+)\(", PAGE)):
        assert getattr(tools, name).__doc__, name
    for name in re.findall(r"`hw\.(\w+)", PAGE):
        assert hasattr(hw, name), name
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (DOCS / link).exists() or link == "results/agents.md"  # that page is printed by a command


def test_every_public_name_has_a_place_in_the_reference() -> None:
    reference = "".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    named = set(re.findall(r"^::: headway\.tools\.\S+\.(\w+)$", reference, re.MULTILINE))
    public = {name for name, value in vars(tools).items() if callable(value) and not name.startswith("_")}
    assert public - named == {"AnyTool", "ToolArgumentsError"}  # a type alias, and one of the errors
