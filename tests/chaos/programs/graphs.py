"""A graph of LangGraph on our checkpointer that dies in one life after the other. Not a test by itself.

    python graphs.py STORE RESULT RAN KILLS STEPS

A life is killed when a node begins or has done its work, or when a checkpoint or what a task wrote was put. In RAN a node says
`node TASK` as it begins; after each death stand `recorded TASK` for the tasks whose writes the store has, and `died LIFE`.
"""

from __future__ import annotations

import operator
import sys
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.config import get_config
from langgraph.graph import END, START, StateGraph
from lives import die_and_rise, pass_moment, tell

from headway.integrations.langgraph import HeadwaySaver

MOMENTS = ("a node begins", "a node is done", "a checkpoint was put", "writes were put")
STEPS = int(sys.argv[5])
CONFIG: Any = {"configurable": {"thread_id": "kills"}, "recursion_limit": 10 * STEPS}


class State(TypedDict):
    done: Annotated[list[str], operator.add]
    step: int


class KilledSaver(HeadwaySaver):
    """Passes a moment after each thing that it has put."""

    def put(self, *args: Any, **named: Any) -> Any:
        made = super().put(*args, **named)
        pass_moment("a checkpoint was put")
        return made

    def put_writes(self, *args: Any, **named: Any) -> None:
        super().put_writes(*args, **named)
        pass_moment("writes were put")


def work(which: str) -> Any:
    def node(state: State) -> Any:
        tell("node", get_config()["configurable"]["checkpoint_ns"].rpartition(":")[2])
        pass_moment("a node begins")
        made = {"done": [f"{which}{state['step']}"]}
        pass_moment("a node is done")
        return made

    return node


def count(state: State) -> Any:
    return {"step": state["step"] + 1}


def live() -> None:
    builder = StateGraph(State)
    for which in ("left", "right"):
        builder.add_node(which, work(which))
        builder.add_edge("fork", which)
        builder.add_edge(which, "count")
    builder.add_node("fork", lambda state: {})
    builder.add_node("count", count)
    builder.add_edge(START, "fork")
    builder.add_conditional_edges("count", lambda state: "fork" if state["step"] < STEPS else END)
    with KilledSaver(sys.argv[1]) as saver:
        graph = builder.compile(checkpointer=saver)
        begins = saver.get_tuple(CONFIG) is None
        said = graph.invoke({"done": [], "step": 0} if begins else None, CONFIG)
    Path(sys.argv[2]).write_text(" ".join(said["done"]))


def recorded() -> set[str]:
    with HeadwaySaver(sys.argv[1]) as saver:
        return {task for one in saver.list(CONFIG) for task, *_ in one.pending_writes or ()}


if __name__ == "__main__":
    die_and_rise(MOMENTS, live, recorded)
