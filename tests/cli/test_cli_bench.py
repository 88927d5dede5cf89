"""`headway bench search` from the command line: what it says when it is asked for something that isn't there."""

from __future__ import annotations

from typer.testing import CliRunner

from headway.cli.app import app


def test_an_unknown_method_is_named_with_those_that_exist() -> None:
    result = CliRunner().invoke(app, ["bench", "search", "--method", "luck"])
    assert result.exit_code == 2
    assert "there is no method 'luck'" in result.output
    assert "best of n" in result.output
