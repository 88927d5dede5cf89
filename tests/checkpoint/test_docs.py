"""The examples of `docs/checkpoints.md` run as they are there, and print what it says.

Blocks that begin with "python run" are run, one after another, in one folder and one namespace. What a `print` is said to print
stands after it as a comment.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import headway.checkpoint
from headway.checkpoint.layout import rules
from headway.cli.app import app
from headway.cli.ckpt.app import ckpt

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "checkpoints.md").read_text()
_PRINTS = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


def blocks() -> list[str]:
    return re.findall(r"^```python run[^\n]*\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_examples_print_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    assert len(blocks()) >= 9
    for code in blocks():
        exec(compile(code, "docs/checkpoints.md", "exec"), names)
        assert capsys.readouterr().out.splitlines() == _PRINTS.findall(code), code


def test_every_python_block_is_python() -> None:
    for code in re.findall(r"^ *```python[^\n]*\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL):
        compile(re.sub(r"^  (?=from|dcp|$)", "", code, flags=re.MULTILINE), "docs/checkpoints.md", "exec")


def test_the_table_of_rules_has_every_rule_with_its_arguments() -> None:
    listed = dict(re.findall(r"^\| `(\w+)\((.*?)\)` \|", PAGE, re.MULTILINE))
    assert set(listed) == {rule.__name__ for rule in rules.Rule.__args__}
    for name, arguments in listed.items():
        fields = rules.__dict__[name].__dataclass_fields__
        shown = [argument.strip().rstrip("=") for argument in arguments.split(",")]
        assert shown == list(fields)[: len(shown)]
    extra = set(re.findall(r"^\| … `(\w+)=", PAGE, re.MULTILINE))
    assert extra == set(rules.Split.__dataclass_fields__) - {"pattern", "dim", "axis"}


def test_every_command_of_the_page_exists_with_its_options() -> None:
    lines = re.findall(r"headway ckpt (\w+)((?: (?!headway).*?)?)(?=  +headway|$)", PAGE, re.MULTILINE)
    every = {str(command.name or command.callback.__name__) for command in ckpt.registered_commands if command.callback}
    assert {name for name, _ in lines} == every
    for name, rest in lines:
        shown = CliRunner().invoke(app, ["ckpt", name, "--help"], env={"COLUMNS": "200"})
        assert shown.exit_code == 0
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in shown.stdout, f"{name} {option}"


def test_the_names_of_the_page_are_there() -> None:
    for name in {word for group in re.findall(r"from headway\.checkpoint import (.*)", PAGE) for word in group.split(", ")}:
        assert getattr(headway.checkpoint, name).__doc__
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (DOCS / link).exists()
