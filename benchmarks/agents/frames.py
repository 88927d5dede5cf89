"""Other people's frameworks: what pydantic-ai's agents and LangGraph's threads cost on Headway, beside what they usually stand on.

Both sides of a pair run one after the other, in one environment that has the peers (`.venv-peers/frames`).
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from benchmarks.frames.agent import steps
from benchmarks.methods.row import Held, Pair, Row
from benchmarks.sides import ROOT, Side, environ, environment

PEERS = Side(
    "frames",
    "frames_peers",
    "every step",
    (
        "pydantic-ai-slim==2.68.0",
        "dbos==3.4.0",
        "langgraph==1.2.24",
        "langgraph-checkpoint-sqlite==3.1.2",
        "msgspec>=0.19",
        "typer>=0.15",
        "rich>=13.7",
    ),
)
TURNS = 40  # of an agent
TALK = 200  # turns of a conversation


@cache
def python() -> str:
    """The interpreter that has the peers. Raises RuntimeError where they can't be installed."""
    with (Path(tempfile.gettempdir()) / "headway-frames.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # rows are measured side by side
        found, why_not = environment(PEERS)
    if why_not:
        raise RuntimeError(f"peers: {why_not}")
    return str(found)


def run(program: str, side: str, turns: int) -> str:
    """What a side prints."""
    with tempfile.TemporaryDirectory(prefix="frames-", dir=ROOT / "benchmarks") as folder:
        command = [python(), "-m", f"benchmarks.frames.{program}", side, folder, str(turns)]
        done = subprocess.run(command, cwd=ROOT, env=environ(Path(folder)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program} {side}: {done.stderr.strip()[-400:]}")
    return done.stdout.splitlines()[-1]


def time_steps(seed: int) -> Pair:
    """Milliseconds a step, ours and DBOS's; who goes first alternates."""
    sides = ("headway", "dbos") if seed % 2 else ("dbos", "headway")
    took = {side: 1000 * float(run("agent", side, TURNS)) / steps(TURNS) for side in sides}
    return Pair(took["headway"], took["dbos"])


@cache
def talk(side: str) -> tuple[int, int]:
    """Bytes after half of the conversation, and after all of it."""
    half, whole = json.loads(run("talk", side, TALK))
    return half, whole


def size_talk(_: int) -> Pair:
    return Pair(talk("headway")[1] / 1000, talk("sqlite")[1] / 1000)


def grow_talk(_: int) -> Pair:
    half, whole = talk("headway")
    return Pair((whole - half) / 1000, half / 1000)


ROWS = [
    Row(
        method="pydantic-ai's agents",
        function="headway.integrations.pydantic_ai.HeadwayDurability",
        item="integrations",
        claim="each turn and each tool call is recorded before the next one",
        shows=f"a step costs less than under pydantic-ai's own DBOS adapter, {TURNS} turns of two tools",
        baseline="DBOSDurability, its tools as steps, DBOS's SQLite",
        unit="ms a step",
        measure=time_steps,
        reached=lambda low, high: high < 1.0,
        test="tests/integrations/test_pydantic_ai.py::test_a_resumed_agent_repeats_no_turn_and_no_tool_call_that_was_recorded",
        seeds=5,
    ),
    Row(
        method="LangGraph's threads",
        function="headway.integrations.langgraph.HeadwaySaver",
        item="integrations",
        claim="a checkpoint holds the whole conversation",
        shows=f"a conversation of {TALK} turns takes a tenth of the bytes",
        baseline="LangGraph's SqliteSaver",
        unit="kB",
        measure=size_talk,
        reached=lambda low, high: high < 0.1,
        test="tests/integrations/test_langgraph.py::test_a_conversation_grows_by_what_is_said_and_not_by_what_was_said_before",
        exact=True,
    ),
    Row(
        method="LangGraph's threads",
        function="headway.integrations.langgraph.HeadwaySaver",
        item="integrations",
        claim="a checkpoint holds the whole conversation",
        shows=f"the journal of {TALK} turns grows linearly: the second half takes what the first took",
        baseline="the first half",
        unit="kB",
        measure=grow_talk,
        reached=lambda low, high: high < 1.1,
        test="tests/integrations/test_langgraph.py::test_a_conversation_grows_by_what_is_said_and_not_by_what_was_said_before",
        exact=True,
    ),
    Held(
        item="integrations",
        promise="An agent of pydantic-ai that is killed with SIGKILL at 50 moments (`make chaos`; 6 in each run of the tests) "
        "repeats no turn and no tool call that was recorded.",
        tests=("tests/chaos/test_agents.py::test_an_agent_that_is_killed_again_and_again_repeats_nothing_recorded",),
    ),
    Held(
        item="integrations",
        promise="A graph of LangGraph that is killed with SIGKILL at 50 moments (likewise) repeats no node whose writes were "
        "recorded.",
        tests=("tests/chaos/test_agents.py::test_a_graph_that_is_killed_again_and_again_repeats_nothing_recorded",),
    ),
    Held(
        item="integrations",
        promise="The checkpointer passes LangGraph's own conformance suite, on every store, and any history by two processes "
        "leaves what it says.",
        tests=(
            "tests/integrations/test_langgraph.py::test_it_passes_what_langgraph_asks_of_a_checkpointer",
            "tests/integrations/test_langgraph.py::test_any_history_by_two_processes_leaves_what_it_says",
        ),
    ),
    Held(
        item="integrations",
        promise="The OpenAI Agents SDK, as it is, calls tools, streams and answers in a type through `headway serve`, and takes "
        "tasks of `headway mcp` as its tools.",
        tests=(
            "tests/integrations/test_openai_agents.py::test_an_agent_of_the_sdk_calls_tools_through_headway_serve",
            "tests/integrations/test_openai_agents.py::test_it_streams_and_answers_in_a_type",
            "tests/integrations/test_openai_agents.py::test_tasks_that_headway_mcp_offers_are_tools_of_the_sdk_and_runs_of_a_store",
        ),
    ),
]
