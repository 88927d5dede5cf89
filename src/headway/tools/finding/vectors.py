"""Vectors of texts, compared by their cosine. Needs numpy; importing it needs nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol, cast

from headway.errors import UsageError
from headway.extras import explain_missing
from headway.models.numbers.embedding import EmbeddingModel, embed


class Embedder(Protocol):
    """A vector for each text; those that mean the same have vectors of the same direction.

    Usually a task, so that its calls are recorded.
    """

    def __call__(self, texts: list[str], /) -> Awaitable[Sequence[Sequence[float]]]: ...


def as_function(embedder: Embedder | EmbeddingModel) -> Embedder:
    """An embedder as a function of texts: of a model, its call."""
    if not hasattr(embedder, "embed"):
        return embedder
    model = cast("EmbeddingModel", embedder)

    async def embed_texts(texts: list[str], /) -> Sequence[Sequence[float]]:
        return (await embed(model, texts)).vectors

    return embed_texts


class Vectors:
    """The vectors of texts."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows  # float64, (number of texts, dimensions), each of length 1

    @classmethod
    async def of(cls, embedder: Embedder, texts: list[str]) -> Vectors:
        """The vectors that an embedder makes of texts. Raises UsageError where they are none."""
        return cls(_normalise(await embedder(texts), len(texts)))

    def scores(self, asked: Vectors) -> list[float]:
        """The cosine of each text with the one that is asked for."""
        if self._rows.shape[1] != asked._rows.shape[1]:
            raise UsageError(
                f"the embedder gave vectors of {self._rows.shape[1]} numbers for tools, {asked._rows.shape[1]} for a request: "
                "use the same one for both"
            )
        found: list[float] = (self._rows @ asked._rows[0]).tolist()
        return found


def _normalise(given: Sequence[Sequence[float]], wanted: int) -> Any:
    """The vectors as rows of length 1."""
    with explain_missing("tools.Toolbox(embedder=…)"):
        import numpy as np
    try:
        rows = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError("the embedder of a toolbox must give a list of numbers for each text, all of one length") from None
    if rows.ndim != 2 or len(rows) != wanted or not np.isfinite(rows).all():
        raise UsageError(
            f"the embedder of a toolbox got {wanted} texts and gave an array of shape {rows.shape}: "
            "it must give a list of finite numbers for each text"
        )
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
