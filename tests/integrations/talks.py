"""Checkpoints for the tests of LangGraph's threads, put without a graph."""

from __future__ import annotations

import uuid
from typing import Any

from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6


def config(thread: str = "ada", **more: str) -> Any:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": "", **more}}


def keep(saver: Any, values: dict[str, Any], before: Any = None, thread: str = "ada", versions: Any = None, **metadata: Any) -> Any:
    """Put a checkpoint in which every channel has changed."""
    said = {"source": "loop", "step": 1, **metadata}
    now = versions or {name: uuid.uuid4().hex for name in values}
    made = {**empty_checkpoint(), "id": str(uuid6()), "channel_values": values, "channel_versions": now}
    return saver.put(before or config(thread), made, said, now)
