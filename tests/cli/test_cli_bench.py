"""`headway bench search` from the command line: which run it is, and what it says when it is asked for what isn't there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import headway as hw
from headway.bench.search.program import Comparison
from headway.cli.app import app


def test_another_comparison_is_another_run_and_the_same_command_the_same_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names: list[str] = []

    def run(*args: Any, run_id: str, **options: Any) -> Comparison:
        names.append(run_id)
        return Comparison("countdown", 3, [])

    monkeypatch.setattr(hw, "run", run)
    commands: list[list[str]] = [[], ["--method", "beam"], ["--method", "DVTS"], ["--weights", "mine.safetensors"]]
    for more in (*commands, *commands):
        result = CliRunner().invoke(app, ["bench", "search", "--puzzles", "3", "--out", str(tmp_path), *more])
        assert result.exit_code == 0, result.output
    assert len(set(names)) == len(commands)
    assert names[: len(commands)] == names[len(commands) :]


def test_an_unknown_method_is_named_with_those_that_exist() -> None:
    result = CliRunner().invoke(app, ["bench", "search", "--method", "luck"])
    assert result.exit_code == 2
    assert "there is no method 'luck'" in result.output
    assert "best of n" in result.output
