"""Scores texts with a reward model or a reranker: a number for each, the larger the better.

    found = await models.score(models.Endpoint("qwen-reward", base_url=…), answers, query=question)
    found.values[0]

A call like any other: journaled, paid, retried. Which path of a server is asked is said by `Endpoint(…, scoring=)`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, runtime_checkable

from headway.engine.call import current
from headway.engine.handle import Handle
from headway.engine.identity.signature import unkeyed
from headway.errors import UsageError
from headway.models.base import ModelFault
from headway.models.checks.requests import is_sendable
from headway.models.limits import LimitedModel
from headway.models.numbers.reading import MOST_TEXTS, ReadingCall, begin, check_texts, describe, parts_of, read, unlimited
from headway.task import task


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model thinks of texts.

    Attributes:
        values: a number for each text, in their order; the scale is the model's.
        tokens: how many were read; 0 where the backend does not say.
        model: the model's name.
    """

    values: tuple[float, ...]
    tokens: int
    model: str


@runtime_checkable
class ScoringModel(Protocol):
    """A model that scores texts.

    It may have `price`, `count(text)` and `retry`, as `Model` has, and `most_texts(query)`: how many it takes at a time.
    """

    @property
    def name(self) -> str:
        """What it is known by, as `Model.name`."""

    def score(self, texts: Sequence[str], query: str = "") -> Awaitable[Scores]:
        """Score texts.

        Args:
            texts: at least one, none of them empty.
            query: what they answer, or are searched for; empty where they stand alone.

        Returns:
            A number for each, in their order.
        """


def score(model: ScoringModel | LimitedModel, texts: Sequence[str], query: str = "") -> Handle[Scores]:
    """Score texts. A call of the current run, to be awaited; outside of a run just the scores, to be awaited as well.

    Args:
        model: an `Endpoint`, or anything like `ScoringModel`, or one that `limit_model` has limited.
        texts: at least one. More than a server takes at a time are sent in parts, each a call of its own.
        query: what they answer, or are searched for; empty where they stand alone.

    Returns:
        The call. Its result is a `Scores`.

    Raises:
        UsageError: at the call, for what is no list of texts, and under a bound of `money` for a model without a price.
        ModelError: on await. The model refused, or gave no number for each text.
        ModelUnavailable: on await. It could not be had.

    Example:
        >>> from headway import models
        >>> class Shortest:
        ...     name = "shortest"
        ...     price = models.FREE
        ...     async def score(self, texts, query=""):
        ...         return models.Scores(tuple(-float(len(text)) for text in texts), 3, self.name)
        >>> @hw.task
        ... async def program() -> list[float]:
        ...     return list((await models.score(Shortest(), ["a", "bcd"], "which is short?")).values)
        >>> hw.run(program, store=None)
        [-1.0, -3.0]
    """
    checked = check_texts("score", texts)
    if not isinstance(query, str) or not is_sendable(query):
        raise UsageError(f"models.score(…, query={query!r:.80}): a text that can be sent")
    asked = _describe(unlimited(model), checked, query)
    parts = _parts(asked)
    if current.get() is None:
        return _score_outside(parts)  # type: ignore[return-value]  # outside of a run a coroutine serves as a handle
    if len(parts) == 1:
        return begin(model, score_part, parts[0])  # type: ignore[no-any-return]
    return score_parts(asked, model)


def _describe(model: Any, texts: tuple[str, ...], query: str) -> ReadingCall:
    return describe("score", model, texts, {"query": query} if query else {}, beside=query)


@task(name="models.score")
async def score_part(asked: ReadingCall) -> Scores:
    """Texts that are sent together."""
    return await read(asked, _check)


@task(name="models.score_all")
async def score_parts(asked: ReadingCall, model: Annotated[Any, unkeyed]) -> Scores:
    """Texts that are sent in parts."""
    calls = [begin(model, score_part, part) for part in _parts(asked)]
    return _join([await call for call in calls])


async def _score_outside(parts: Sequence[ReadingCall]) -> Scores:
    return _join([await read(part, _check) for part in parts])


def _parts(asked: ReadingCall) -> list[ReadingCall]:
    """The call in parts that the model takes at a time."""
    query = dict(asked.options).get("query", "")
    most = getattr(asked.model, "most_texts", None)
    return [_describe(asked.model, part, query) for part in parts_of(asked.texts, MOST_TEXTS if most is None else most(query))]


def _join(found: Sequence[Scores]) -> Scores:
    return Scores(tuple(value for one in found for value in one.values), sum(one.tokens for one in found), found[0].model)


def _check(asked: ReadingCall, found: Any) -> Scores:
    """Raises ModelFault where there is not one number for each text."""
    if not isinstance(found, Scores):
        raise ModelFault(f"{asked.name}: score(texts) gave {found!r:.80}: it must give models.Scores")
    if len(found.values) != len(asked.texts):
        raise ModelFault(f"{asked.name}: score(texts) gave {len(found.values)} scores for {len(asked.texts)} texts: one for each")
    if wrong := [value for value in found.values if not isinstance(value, int | float) or not math.isfinite(value)]:
        raise ModelFault(f"{asked.name}: score(texts) gave {wrong[0]!r:.80} for a text: a finite number, please")
    return found
