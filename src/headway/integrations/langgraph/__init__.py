"""Threads of LangGraph in a Headway store: a checkpointer that many processes share.

What it writes grows with what is said, not with what was said before.

    graph = builder.compile(checkpointer=HeadwaySaver(".headway"))
    graph.invoke({"messages": [("user", "hello")]}, {"configurable": {"thread_id": "ada"}})

The class is made when it is first asked for, so importing this module needs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.extras import explain_missing

if TYPE_CHECKING:
    from headway.integrations.langgraph.saver import HeadwaySaver as HeadwaySaver

__all__ = ["HeadwaySaver"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with explain_missing(f"{__name__}.{name}"):
        from headway.integrations.langgraph.saver import HeadwaySaver
    globals()[name] = HeadwaySaver
    return HeadwaySaver
