"""Documents of a server that answers as it is told."""

from __future__ import annotations

import json
from typing import Any

from headway import models

PRICE = models.Price(read=1_000_000, written=1_000_000)
RESERVED = 20


def chunk(text: str | None = "", finish: str | None = None, usage: Any = None, index: int = 0, **delta: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": "x",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": index, "delta": {"content": text, **delta}, "finish_reason": finish, "logprobs": None}],
    }
    return made if usage is None else {**made, "usage": usage}


def counted(**usage: Any) -> dict[str, Any]:
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage}


USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
GOOD = [chunk("The answer"), chunk(" is 42.", "stop")]


def bound(said: Any) -> int:
    return len((said if isinstance(said, str) else json.dumps(said)).encode()) + 8 + 32 + RESERVED
