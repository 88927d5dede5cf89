"""An agent of pydantic-ai that is killed at one moment after the other repeats no turn and no tool call that was recorded."""

from __future__ import annotations

from collections import Counter

import pytest
from victims import LIMIT_S, Victims, check_recorded_once, rows

pytest.importorskip("pydantic_ai")

MOMENTS = {"a turn begins", "a turn is done", "a tool begins", "a tool is done", "an end is recorded"}


def kill_again_and_again(victims: Victims, kills: int, turns: int) -> Counter[str]:
    """Returns how often it died at which kind of moment."""
    process = victims.start("agents.py", "store", kills, turns)
    assert process.wait(LIMIT_S * 3) == 0, victims.said("store")
    assert victims.result("store") == f"{3 * turns} results, {sum(n * n for n in range(3 * turns))} in all"
    assert len(victims.lines("store", "died")) == kills
    recorded: set[str] = set()
    for line in victims.lines("store"):
        if line[0] == "recorded":
            recorded.add(line[1])
        assert not (line[0] in ("turn", "tool") and line[1] in recorded), f"recorded, and ran again: {line}"
    found = rows(victims.folder / "store")
    check_recorded_once(found)
    assert {line[1] for line in victims.lines("store", "turn") + victims.lines("store", "tool")} <= recorded
    return Counter(" ".join(line[1:]) for line in victims.lines("store", "dies"))


def test_an_agent_that_is_killed_again_and_again_repeats_nothing_recorded(victims):
    assert len(kill_again_and_again(victims, kills=6, turns=5)) >= 3


@pytest.mark.long
def test_an_agent_that_is_killed_at_fifty_moments_repeats_nothing_recorded(victims):
    assert kill_again_and_again(victims, kills=50, turns=24).keys() == MOMENTS
