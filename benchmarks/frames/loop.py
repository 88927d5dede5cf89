"""A conversation of an agent: each turn some 200 characters and a call of a tool, which gives some 400; at the end an answer.

The same words on both sides, which a script says: ours by the plain loop, on a store; LangGraph's by a graph of a model and tools,
on its `SqliteSaver`. Printed are the bytes that the folder holds after half of the turns and after all of them.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

from benchmarks.frames.talk import checkpoint, held

TASK = "Read the whole archive, page by page, and say what is in it."
FOUND = 10 * "what stands on one of its many pages.."


def say(turn: int) -> str:
    return f"{turn:04} " + 20 * "I go on to read. "[:10]


def run_headway(folder: Path, turns: int) -> None:
    import headway as hw
    from headway import models, tools
    from headway.methods.agent import agent

    class Reader:
        name, abilities, price = "reader", frozenset({"tools"}), models.Price(1.0, 1.0)

        async def stream(self, request: models.Request) -> Any:
            turn = sum(message.role == "assistant" for message in request.prompt if not isinstance(message, str))
            if turn == turns:
                yield models.Piece("That was all.", finish="stop", tokens=4)
                return
            asked = models.CallPiece(0, f"call-{turn}", "read", json.dumps({"page": turn}))
            yield models.Piece(say(turn), finish="tool", tokens=60, calls=(asked,))

    @tools.tool
    async def read(page: int) -> str:
        """Read a page."""
        return f"{page:04} {FOUND}"

    @hw.task(name="archive")
    async def program() -> int:
        answer = await agent(Reader(), [read], TASK, turns=turns + 1, tell_budget=False)
        return len(answer.messages)

    assert hw.run(program, store=folder, run_id="archive", progress=False) == 2 * turns + 2


def run_langgraph(folder: Path, turns: int) -> None:
    from langchain_core.messages import AIMessage, ToolMessage
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import END, START, MessagesState, StateGraph

    def model(state: Any) -> Any:
        turn = sum(message.type == "ai" for message in state["messages"])
        if turn == turns:
            return {"messages": [AIMessage("That was all.")]}
        call = {"name": "read", "args": {"page": turn}, "id": f"call-{turn}"}
        return {"messages": [AIMessage(say(turn), tool_calls=[call])]}

    def run_tools(state: Any) -> Any:
        (call,) = state["messages"][-1].tool_calls
        return {"messages": [ToolMessage(f"{call['args']['page']:04} {FOUND}", tool_call_id=call["id"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("model", model)
    builder.add_node("tools", run_tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", lambda state: "tools" if state["messages"][-1].tool_calls else END)
    builder.add_edge("tools", "model")
    graph = builder.compile(checkpointer=SqliteSaver(sqlite3.connect(folder / "saver.sqlite", check_same_thread=False)))
    config = {"configurable": {"thread_id": "archive"}, "recursion_limit": 3 * turns + 10}
    assert len(graph.invoke({"messages": [("user", TASK)]}, config)["messages"]) == 2 * turns + 2


def measure(side: str, folder: Path, turns: int) -> list[int]:
    sizes = []
    for some in (turns // 2, turns):
        inside = folder / str(some)
        inside.mkdir()
        (run_headway if side == "headway" else run_langgraph)(inside, some)
        checkpoint(inside)
        sizes.append(held(inside))
    return sizes


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
