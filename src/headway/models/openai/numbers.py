"""Embeddings and scores of servers: bodies, and what they answer, in the forms that there are.

Scores have no form of OpenAI's. Three are known here: `/score` (vLLM, SGLang), `/rerank` (vLLM, SGLang, llama.cpp, Jina, Cohere)
and `/pooling`, which is how vLLM offers reward models: with a query each text is the answer of a conversation, without one it
stands alone.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from headway.models.numbers.embedding import Embeddings
from headway.models.numbers.scoring import Scores
from headway.models.openai.failures import make_protocol_error
from headway.models.openai.usage import usage_in

Document = dict[str, Any]
Scoring = Literal["score", "rerank", "pooling"]


def embeddings_body(model: str, texts: Sequence[str], dimensions: int | None) -> Document:
    """The body for `/embeddings`."""
    body: Document = {"model": model, "input": list(texts), "encoding_format": "float"}
    return body if dimensions is None else {**body, "dimensions": dimensions}


def read_embeddings(model: str, count: int, answer: Any) -> Embeddings:
    """The vectors of an answer. Raises ModelError for what is none."""
    try:
        found = _by_place(answer["data"], count, lambda one: _vector(one["embedding"]))
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise make_protocol_error(model, f"it answered with no vector for each text ({error})") from None
    return Embeddings(tuple(found), _tokens(answer), model)


def _vector(given: Any) -> tuple[float, ...]:
    """A vector: numbers, or their bytes in base64, which some send whatever was asked for."""
    if isinstance(given, str):
        data = base64.b64decode(given, validate=True)
        return struct.unpack(f"<{len(data) // 4}f", data)
    return tuple(float(value) for value in given)


def scores_body(form: Scoring, model: str, texts: Sequence[str], query: str) -> Document:
    """The body for `/score`, `/rerank` or `/pooling`; for the last with a query there is one text."""
    if form == "score":
        return {"model": model, "text_1": query, "text_2": list(texts)}
    if form == "rerank":
        return {"model": model, "query": query, "documents": list(texts)}
    if not query:
        return {"model": model, "input": list(texts), "encoding_format": "float"}
    (answer,) = texts
    said = [{"role": "user", "content": query}, {"role": "assistant", "content": answer}]
    return {"model": model, "messages": said, "encoding_format": "float", "add_generation_prompt": False}


def read_scores(form: Scoring, model: str, count: int, answer: Any) -> Scores:
    """The scores of an answer. Raises ModelError for what is none."""
    try:
        if form == "rerank":
            entries = answer if isinstance(answer, list) else answer["results"]
            found = _by_place(
                entries, count, lambda one: float(one["relevance_score"] if "relevance_score" in one else one["score"])
            )
        else:
            found = _by_place(answer["data"], count, lambda one: _last(one["score"] if form == "score" else one["data"]))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise make_protocol_error(model, f"it answered with no score for each text ({error})") from None
    return Scores(tuple(found), _tokens(answer), model)


def _last(given: Any) -> float:
    """A number, or the last of many: a reward model that scores each token has scored the whole text with the last."""
    while isinstance(given, list):
        given = given[-1]
    return float(given)


def _by_place(entries: Sequence[Mapping[str, Any]], count: int, read: Any) -> list[Any]:
    """What entries say, in the order of the texts: each has an index, and servers sort them as they like."""
    found = {int(one.get("index", place)): read(one) for place, one in enumerate(entries)}
    if found.keys() != set(range(count)) or len(entries) != count:
        raise ValueError(f"{len(entries)} for {count} texts")
    return [found[place] for place in range(count)]


def _tokens(answer: Any) -> int:
    usage = usage_in(answer.get("usage")) if isinstance(answer, Mapping) else None
    return 0 if usage is None else usage.read or usage.tokens
