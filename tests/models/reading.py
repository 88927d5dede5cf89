"""What the stand-in server answers about texts: vectors and scores that anybody can check, in the forms of several servers."""

from __future__ import annotations

import base64
import struct
from typing import Any


def vector_of(text: str) -> list[float]:
    return [float(len(text)), float(sum(text.count(vowel) for vowel in "aeiou"))]


def answer(kind: str, path: str, body: dict[str, Any]) -> Any:
    """The document for `/embeddings`, `/score`, `/rerank` and `/pooling`. The kind says what is odd about it."""
    name = path.partition("?")[0].rpartition("/")[2]
    texts = [one for field in ("input", "text_2", "documents") for one in body.get(field, ())]
    texts = texts or [message["content"] for message in body.get("messages", ())[-1:]]
    if name == "embeddings":
        length = body.get("dimensions", 2)
        found = [{"object": "embedding", "index": at, "embedding": vector_of(text)[:length]} for at, text in enumerate(texts)]
    elif name == "rerank":
        found = [{"index": at, "relevance_score": float(len(text))} for at, text in enumerate(texts)]
    elif name == "score":
        found = [{"index": at, "object": "score", "score": float(len(text))} for at, text in enumerate(texts)]
    else:
        found = [{"index": at, "object": "pooling", "data": [[0.0], [float(len(text))]]} for at, text in enumerate(texts)]
    if kind == "sorted":
        found.sort(key=lambda one: -one["index"])
    elif kind == "packed":
        for one in found:
            one["embedding"] = base64.b64encode(struct.pack("<2f", *one["embedding"])).decode()
    elif kind == "few":
        found.pop()
    elif kind == "twice":
        found[-1]["index"] = 0
    elif kind == "odd":
        found[0] = {"index": 0, "embedding": ["x"], "score": "x", "data": []}
    made: dict[str, Any] = {"results" if name == "rerank" else "data": found}
    if kind != "uncounted":
        made["usage"] = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return made
