"""The example of `docs/memory.md` runs as it is there and prints what it says; what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

from headway.methods import memory

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "memory.md").read_text()


def test_the_example_of_memory_prints_what_the_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ((code, said),) = re.findall(r"^```python run\n(.*?)^```\n+```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for _ in range(2):
        exec(compile(code, "docs/memory.md", "exec"), {"__name__": "docs_memory"})
        assert capsys.readouterr().out == said


def test_what_the_page_of_memory_names_is_there():
    for name in set(re.findall(r"memory\.(\w+)\(", PAGE)):
        assert getattr(memory.Memory, name).__doc__, name
    named = ("World", "Rules", "ByVectors", "TaskTree", "SharedTasks", "memory_tools", "replay", "load_tree", "save_trace", "redo")
    for name in named:
        assert name in PAGE
        assert getattr(memory, name).__doc__
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (DOCS / link).exists() or link == "results/plans.md"  # that page is printed by a command


def test_every_public_name_of_memory_has_a_place_in_the_reference():
    reference = (DOCS / "reference" / "memory.md").read_text()
    named = set(re.findall(r"^::: headway\.methods\.memory\.(\w+)$", reference, re.MULTILINE))
    assert {name for name, value in vars(memory).items() if callable(value)} == named
