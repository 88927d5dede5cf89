"""Agents of pydantic-ai and graphs of LangGraph that are killed at one moment after the other repeat nothing that was recorded."""

from __future__ import annotations

from collections import Counter

from victims import LIMIT_S, Victims, check_recorded_once, often, rows

UNITS = {"a turn begins", "a turn is done", "a tool begins", "a tool is done", "an end is recorded"}
NODES = {"a node begins", "a node is done", "a checkpoint was put", "writes were put"}
KILLS = 50 if often(1) > 1 else 6  # all of them in `make chaos`


def kill_again_and_again(victims: Victims, program: str, kills: int, size: int) -> Counter[str]:
    """Returns how often it died at which kind of moment."""
    process = victims.start(program, "store", kills, size)
    assert process.wait(LIMIT_S * 3) == 0, victims.said("store")
    assert len(victims.lines("store", "died")) == kills
    recorded: set[str] = set()
    for what, name, *_ in victims.lines("store"):
        if what == "recorded":
            recorded.add(name)
        assert not (what in ("turn", "tool", "node") and name in recorded), f"recorded, and ran again: {what} {name}"
    assert recorded
    return Counter(" ".join(words) for _, *words in victims.lines("store", "dies"))


def check_agent(victims: Victims, kills: int, turns: int) -> Counter[str]:
    died = kill_again_and_again(victims, "tool_agents.py", kills, turns)
    assert victims.result("store") == f"{3 * turns} results, {sum(n * n for n in range(3 * turns))} in all"
    check_recorded_once(rows(victims.folder / "store"))
    began = {name for what, name, *_ in victims.lines("store") if what in ("turn", "tool")}
    assert began <= {name for what, name, *_ in victims.lines("store") if what == "recorded"}
    return died


def check_graph(victims: Victims, kills: int, steps: int) -> Counter[str]:
    died = kill_again_and_again(victims, "graphs.py", kills, steps)
    assert victims.result("store").split() == [f"{which}{step}" for step in range(steps) for which in ("left", "right")]
    return died


def test_an_agent_that_is_killed_again_and_again_repeats_nothing_recorded(victims):
    assert check_agent(victims, KILLS, turns=min(KILLS, 40)).keys() == UNITS  # pydantic-ai allows 50 turns


def test_a_graph_that_is_killed_again_and_again_repeats_nothing_recorded(victims):
    assert check_graph(victims, KILLS, steps=KILLS).keys() == NODES
