"""What looks like a secret is taken out, and little else."""

from __future__ import annotations

import itertools
import logging
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leaky import grep
from planted import harmless, planted, rates

import headway as hw
from headway import models, tools
from headway.methods.guard import find_suspects, open_vault, redact

pytest.importorskip("detect_secrets")
KEY = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"


@pytest.mark.parametrize("seed", range(3))
def test_planted_keys_are_cut_out_whole(seed: int) -> None:
    missed = [key for text, key in planted(seed) if any(part in redact(text) for part in (key, key[4:-4], key[-12:]))]
    assert missed == []
    assert rates(seed)[0] == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_text_without_keys_stays_as_it_is(seed: int) -> None:
    assert [text for text in harmless(seed) if redact(text) != text] == []


@given(st.text(max_size=200))
def test_redacting_twice_changes_nothing_more_and_finds_lie_side_by_side(text: str) -> None:
    found = find_suspects(text)
    assert all(one.end <= two.start for one, two in itertools.pairwise(found))
    assert redact(redact(text)) == redact(text)


def test_a_vault_that_redacts_does_so_in_results_errors_logs_and_prompts(go: Callable[..., Any], tmp_path: Path) -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]  # a list of lines
    asked: list[models.Request] = []

    @tools.tool
    async def find_key(fail: bool) -> str:
        """Finds a key that nobody has put into a vault."""
        logging.getLogger("finder").warning("found %s", KEY)
        if fail:
            raise ValueError(f"not {KEY}")
        return f"the key is {KEY}"

    class Echo:
        name = "echo"

        async def stream(self, request: models.Request) -> AsyncGenerator[models.Piece, None]:
            asked.append(request)
            yield models.Piece("yes", 0, "stop", tokens=1)

    @hw.task(name="program")
    async def program() -> list[str]:
        vault = open_vault({}, redact=True)
        offered = vault.guard([find_key])
        calls = [models.ToolCall(said, "find_key", f'{{"fail": {said}}}') for said in ("true", "false")]
        await models.sample(vault.guard_model(Echo()), f"use {KEY}")
        return [str(result.content) for result in await tools.run_calls(offered, calls)]

    logging.getLogger().addHandler(handler)
    try:
        said = go(program)
    finally:
        logging.getLogger().removeHandler(handler)
    for shown in (*said, *lines, str(asked)):
        assert KEY not in shown
        assert "«redacted:GitHub Token»" in shown
    assert grep(KEY, tmp_path) == []
