"""The example of `docs/agents.md` runs as it is there and prints what it says; what the page names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headway.methods.agent.loop import TURNS, Settings

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "agents.md").read_text()


def test_the_example_prints_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ((code, said),) = re.findall(r"^```python run\n(.*?)^```\n+```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for _ in range(2):  # the second time all is recorded
        exec(compile(code, "docs/agents.md", "exec"), {"__name__": "docs_agents"})
    assert capsys.readouterr().out == 2 * said


def test_the_page_has_every_setting_and_every_link_leads_somewhere() -> None:
    settings = re.findall(r"^\| `(\w+)` \| ([^|]*?) ?\|", PAGE.partition("## Settings")[2], re.MULTILINE)
    assert [name for name, _ in settings] == list(Settings.__annotations__)
    assert dict(settings)["turns"] == str(TURNS)
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGE):
        assert (DOCS / link).exists() or link == "results/agents.md"
