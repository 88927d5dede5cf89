"""Embeds texts: a vector for each, of which those that mean the same have the same direction.

    found = await models.embed(models.Endpoint("text-embedding-3-small"), ["a cat", "a dog"])
    found.vectors[0]

A call like any other: journaled, paid, retried. Many texts go out in parts. `embedder` makes a model one of the parts that searches
take (`headway.methods.search`).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar, runtime_checkable

from headway.engine.call import current
from headway.engine.handle import Handle
from headway.engine.identity.signature import unkeyed
from headway.errors import UsageError
from headway.models.base import ModelFault
from headway.models.limits import LimitedModel
from headway.models.numbers.reading import ReadingCall, begin, check_texts, describe, parts_of, read, unlimited
from headway.task import task

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What a model makes of texts.

    Attributes:
        vectors: one for each text, in their order.
        tokens: how many were read; 0 where the backend does not say.
        model: the model's name.
    """

    vectors: tuple[tuple[float, ...], ...]
    tokens: int
    model: str


@runtime_checkable
class EmbeddingModel(Protocol):
    """A model that embeds texts. It may have `price`, `count(text)` and `retry`, as `Model` has."""

    @property
    def name(self) -> str:
        """What it is known by, as `Model.name`."""

    def embed(self, texts: Sequence[str], dimensions: int | None = None) -> Awaitable[Embeddings]:
        """Embed texts.

        Args:
            texts: at least one, none of them empty.
            dimensions: how long the vectors are to be; None for the model's own length.

        Returns:
            A vector for each, in their order.
        """


def embed(model: EmbeddingModel | LimitedModel, texts: Sequence[str], *, dimensions: int | None = None) -> Handle[Embeddings]:
    """Embed texts. A call of the current run, to be awaited; outside of a run just the vectors, to be awaited as well.

    Args:
        model: an `Endpoint`, or anything like `EmbeddingModel`, or one that `limit_model` has limited.
        texts: at least one. More than a server takes at a time are sent in parts, each a call of its own.
        dimensions: how long the vectors are to be; None for the model's own length.

    Returns:
        The call. Its result is an `Embeddings`.

    Raises:
        UsageError: at the call, for what is no list of texts, and under a bound of `money` for a model without a price.
        ModelError: on await. The model refused, or gave no vector for each text.
        ModelUnavailable: on await. It could not be had.

    Example:
        >>> from headway import models
        >>> class Lengths:
        ...     name = "lengths"
        ...     price = models.FREE
        ...     async def embed(self, texts, dimensions=None):
        ...         return models.Embeddings(tuple((float(len(text)),) for text in texts), 3, self.name)
        >>> @hw.task
        ... async def program() -> list[tuple[float, ...]]:
        ...     return list((await models.embed(Lengths(), ["a", "bcd"])).vectors)
        >>> hw.run(program, store=None)
        [(1.0,), (3.0,)]
    """
    checked = check_texts("embed", texts)
    if dimensions is not None and (not isinstance(dimensions, int) or isinstance(dimensions, bool) or dimensions < 1):
        raise UsageError(f"models.embed(…, dimensions={dimensions!r:.80}): a whole number, at least 1")
    options = {} if dimensions is None else {"dimensions": dimensions}
    asked = describe("embed", unlimited(model), checked, options)
    parts = list(parts_of(checked))
    if current.get() is None:
        return _embed_outside(asked, parts)  # type: ignore[return-value]  # outside of a run a coroutine serves as a handle
    if len(parts) == 1:
        return begin(model, embed_part, asked)  # type: ignore[no-any-return]
    return embed_parts(asked, model)


@task(name="models.embed")
async def embed_part(asked: ReadingCall) -> Embeddings:
    """Texts that are sent together."""
    return await read(asked, _check)


@task(name="models.embed_all")
async def embed_parts(asked: ReadingCall, model: Annotated[Any, unkeyed]) -> Embeddings:
    """Texts that are sent in parts."""
    calls = [begin(model, embed_part, _part(asked, part)) for part in parts_of(asked.texts)]
    return _join([await call for call in calls])


async def _embed_outside(asked: ReadingCall, parts: list[tuple[str, ...]]) -> Embeddings:
    return _join([await read(_part(asked, part), _check) for part in parts])


def _part(asked: ReadingCall, texts: tuple[str, ...]) -> ReadingCall:
    return describe("embed", asked.model, texts, dict(asked.options))


def _join(found: Sequence[Embeddings]) -> Embeddings:
    vectors = tuple(vector for one in found for vector in one.vectors)
    return Embeddings(vectors, sum(one.tokens for one in found), found[0].model)


def _check(asked: ReadingCall, found: Any) -> Embeddings:
    """Raises ModelFault where there is not one vector for each text, all of one length and of numbers."""
    if not isinstance(found, Embeddings):
        raise ModelFault(f"{asked.name}: embed(texts) gave {found!r:.80}: it must give models.Embeddings")
    if len(found.vectors) != len(asked.texts):
        raise ModelFault(f"{asked.name}: embed(texts) gave {len(found.vectors)} vectors for {len(asked.texts)} texts: one for each")
    length = len(found.vectors[0])
    for place, vector in enumerate(found.vectors):
        if len(vector) != length or not length or not all(isinstance(x, int | float) and math.isfinite(x) for x in vector):
            raise ModelFault(f"{asked.name}: embed(texts) gave {vector!r:.80} for text {place}: {length or 'some'} numbers, please")
    return found


def embedder(
    model: EmbeddingModel | LimitedModel, text_of: Callable[[S], str] = str
) -> Callable[[object, list[S]], Awaitable[list[list[float]]]]:
    """A model as the part of a search that embeds partial solutions (`headway.methods.search.Embedder`).

    Args:
        model: as for `embed`.
        text_of: what of a solution is embedded, as text.

    Returns:
        A function from a question and solutions to vectors.

    Example:
        >>> from headway import models
        >>> models.embedder(models.Endpoint("nomic", base_url="http://localhost:8000/v1")).__name__
        'embed_solutions'
    """

    async def embed_solutions(_: object, values: list[S]) -> list[list[float]]:
        return [list(vector) for vector in (await embed(model, [text_of(value) for value in values])).vectors]

    return embed_solutions
