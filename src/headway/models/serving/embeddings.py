"""`/v1/embeddings`: bodies to texts, and vectors to documents. Pure functions."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headway.models.numbers.embedding import Embeddings
from headway.models.serving.bodies import Document, Refused, read_body
from headway.near import near_misses

MOST_TEXTS = 2048  # of a request, as at OpenAI
_TAKEN = {"model", "input", "encoding_format", "dimensions", "user"}


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts to embed, how long the vectors are to be, and whether they are wanted as bytes in base64."""

    texts: tuple[str, ...]
    dimensions: int | None = None
    in_base64: bool = False


def read_embedding_request(body: Any, model: str) -> EmbeddingRequest:
    """What a body asks for. Raises Refused, in words for the client."""
    body = read_body(body, model)
    if unknown := [name for name in body if name not in _TAKEN]:
        raise Refused(f"{unknown[0]} is not known here; {near_misses(unknown[0], _TAKEN)}")
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise Refused("input: a text, or a list of texts, none of them empty (no tokens)")
    if len(texts) > MOST_TEXTS:
        raise Refused(f"input: {len(texts):,} texts; at most {MOST_TEXTS:,} a request")
    form = body.get("encoding_format", "float")
    if form not in ("float", "base64"):
        raise Refused(f"encoding_format={form!r:.80}: 'float' or 'base64'")
    return EmbeddingRequest(tuple(texts), body.get("dimensions"), form == "base64")


def embeddings_document(found: Embeddings, asked: EmbeddingRequest) -> Document:
    """Vectors as the protocol has them."""
    say = _in_base64 if asked.in_base64 else list
    data = [{"object": "embedding", "index": place, "embedding": say(vector)} for place, vector in enumerate(found.vectors)]
    usage = {"prompt_tokens": found.tokens, "total_tokens": found.tokens}
    return {"object": "list", "data": data, "model": found.model, "usage": usage}


def _in_base64(vector: Sequence[float]) -> str:
    """A vector as the bytes of its numbers, of four bytes each, the lowest first.

    >>> _in_base64([1.0])
    'AACAPw=='
    """
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
