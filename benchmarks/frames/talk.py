"""A conversation of LangGraph: each turn a user's message and an answer, some 200 characters each, by way of a graph of two nodes.

Printed are the bytes that the folder of the checkpointer holds after the first half of the turns and after all of them.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages


class State(TypedDict):
    messages: Annotated[list[Any], add_messages]
    mood: str


def graph_of(saver: Any) -> Any:
    builder = StateGraph(State)
    builder.add_node("answer", lambda state: {"messages": [("assistant", 20 * "an answer " + state["messages"][-1].content[:8])]})
    builder.add_node("judge", lambda state: {"mood": f"after {len(state['messages'])}"})
    builder.add_edge(START, "answer")
    builder.add_edge("answer", "judge")
    builder.add_edge("judge", END)
    return builder.compile(checkpointer=saver)


def open_saver(side: str, folder: Path) -> Any:
    if side == "headway":
        from headway.integrations.langgraph import HeadwaySaver

        return HeadwaySaver(folder)
    from langgraph.checkpoint.sqlite import SqliteSaver

    return SqliteSaver(sqlite3.connect(folder / "saver.sqlite", check_same_thread=False))


def held(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.name.endswith(("-wal", "-shm")))


def checkpoint(folder: Path) -> None:
    """Bring the write-ahead log into the database, on both sides alike."""
    for file in [*folder.glob("*.db"), *folder.glob("*.sqlite")]:
        connection = sqlite3.connect(file)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()


def measure(side: str, folder: Path, turns: int) -> list[int]:
    sizes = []
    graph = graph_of(open_saver(side, folder))
    for turn in range(turns):
        graph.invoke({"messages": [("user", f"{turn:07} " + 20 * "a question")]}, {"configurable": {"thread_id": "talk"}})
        if turn + 1 in (turns // 2, turns):
            checkpoint(folder)
            sizes.append(held(folder))
    assert len(graph.get_state({"configurable": {"thread_id": "talk"}}).values["messages"]) == 2 * turns
    return sizes


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
