"""The examples of `docs/allocate.md` run as they are there and print what it says; its table names the policies that there are."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from headway.methods import allocate
from headway.methods.allocate import base

PAGE = (Path(__file__).parents[3] / "docs" / "allocate.md").read_text()


def test_the_examples_print_what_the_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = "".join(re.findall(r"^```python run\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    exec(compile(code, "docs/allocate.md", "exec"), {"__name__": "docs_allocate"})
    assert capsys.readouterr().out.splitlines() == re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)


def test_the_table_names_every_policy():
    listed = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    policies = {name for name, value in vars(base).items() if inspect.isclass(value) and value.__module__ == base.__name__}
    assert listed == policies | {"Mcpp"}


def test_every_public_name_has_a_docstring():
    for name, value in vars(allocate).items():
        if not name.startswith("_") and (inspect.isfunction(value) or inspect.isclass(value)):
            assert value.__doc__, name
