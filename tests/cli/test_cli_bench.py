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
        return Comparison(str(args[1]), "a model", 3, [])

    monkeypatch.setattr(hw, "run", run)
    one = ["--workload", "arithmetic"]
    commands: list[list[str]] = [[], ["--method", "beam"], ["--method", "DVTS"], [*one, "--weights", "mine.safetensors"]]
    for more in (*commands, *commands):
        result = CliRunner().invoke(app, ["bench", "search", "--questions", "3", "--out", str(tmp_path), *more])
        assert result.exit_code == 0, result.output
    runs = 2 * len(commands) - 1  # each of both workloads, but for the last
    assert len(set(names)) == runs
    assert names[:runs] == names[runs:]


def test_an_id_that_is_given_names_a_run_of_each_workload(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names: list[str] = []

    def run(*args: Any, run_id: str, **options: Any) -> Comparison:
        names.append(run_id)
        return Comparison(str(args[1]), "a model", 3, [])

    monkeypatch.setattr(hw, "run", run)
    for more in ([], ["--workload", "arithmetic"]):
        result = CliRunner().invoke(app, ["bench", "search", "--run-id", "mine", "--out", str(tmp_path), *more])
        assert result.exit_code == 0, result.output
    assert names == ["mine-countdown", "mine-arithmetic", "mine"]


def test_weights_are_those_of_one_workload() -> None:
    result = CliRunner().invoke(app, ["bench", "search", "--weights", "mine.safetensors"])
    assert result.exit_code == 2
    assert "say with --workload whose" in result.output


def test_an_unknown_workload_is_named_with_those_that_exist() -> None:
    result = CliRunner().invoke(app, ["bench", "search", "--workload", "chess"])
    assert result.exit_code == 2
    assert "there is no workload 'chess': there are countdown, arithmetic" in result.output


def test_an_unknown_method_is_named_with_those_that_exist() -> None:
    result = CliRunner().invoke(app, ["bench", "search", "--method", "luck"])
    assert result.exit_code == 2
    assert "there is no method 'luck'" in result.output
    assert "best of n" in result.output
