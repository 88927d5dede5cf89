"""Calls of models that only read: texts go in, numbers come out. Journaled, paid, retried and stopped as samples are.

What they cost at most is the tokens of their texts, as the model counts them or by their bytes. Long lists are sent in parts, each
a call of its own, so that a crash loses no part that has come back. `embedding` and `scoring` say what is asked.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from headway.engine.outcomes.retry import Retry
from headway.errors import ModelError, UsageError
from headway.models.base import ModelFault, Usage
from headway.models.checks.bounds import ROUND_A_MESSAGE
from headway.models.checks.requests import HALF, is_sendable
from headway.models.limits import LimitedModel
from headway.models.prices import Price, reading_price_of
from headway.models.retrying import retry_of
from headway.scopes.budget import bounds, charge
from headway.task import Task

MOST_TEXTS = 128  # of a part
MOST_BYTES = 200_000  # of a part: servers take a few hundred thousand tokens at a time


class Read(Protocol):
    """What a model made of texts."""

    @property
    def tokens(self) -> int:
        """How many were read; 0 where the backend does not say."""


R = TypeVar("R", bound=Read)


@dataclass(frozen=True, slots=True)
class ReadingCall:
    """A call of a model that reads texts: what names it, and what is needed to make it."""

    what: str
    name: str
    identity: object
    texts: tuple[str, ...]
    options: tuple[tuple[str, Any], ...]
    model: Any = field(compare=False, repr=False)
    bound: int = field(compare=False, repr=False)
    counted: bool = field(compare=False, repr=False)
    price: Price | None = field(compare=False, repr=False)

    def __headway_label__(self) -> str:
        return f"{self.name}, {len(self.texts)} text{'s' * (len(self.texts) != 1)}"

    @property
    def reserved(self) -> dict[str, float]:
        """What it costs at most, by unit."""
        return self.amounts(self.bound)

    def amounts(self, tokens: int, *, assumed: bool = False) -> dict[str, float]:
        """What so many tokens cost, by unit."""
        amounts: dict[str, float] = {"tokens": tokens}
        if assumed and tokens:
            amounts["assumed_tokens"] = tokens
        if self.price is not None:
            amounts["money"] = self.price.at_most(Usage(tokens, 0))
        return amounts


def describe(what: str, model: Any, texts: Sequence[str], options: dict[str, Any], *, beside: str = "") -> ReadingCall:
    """A call of `what`, to be made by the model's method of that name.

    Args:
        what: "embed" or "score".
        model: has such a method.
        texts: what is read; checked.
        options: further arguments of the method, part of the key.
        beside: a text that is read with each.

    Returns:
        The call.

    Raises:
        UsageError: there is no such method, or no price under a bound of money.
    """
    if not callable(getattr(model, what, None)) or isinstance(model, type):
        raise UsageError(f"{model!r:.80} can't {what} texts: it has no {what}(texts, …)")
    price = reading_price_of(model)
    if price is None and bounds("money"):
        raise UsageError(f"{model.name} has no price, so a bound of money can't hold for it: give it one, as models.Price(0.02, 0)")
    count = getattr(model, "count", None)
    bound = sum(_count(model, count, text) for text in texts)
    bound += len(texts) * _count(model, count, beside) if beside else 0
    speaks = getattr(model, "__headway_key__", None)
    identity = ("model", model.name) if speaks is None else speaks()
    return ReadingCall(what, model.name, identity, tuple(texts), tuple(options.items()), model, bound, count is not None, price)


def _count(model: Any, count: Callable[[str], Any] | None, text: str) -> int:
    """The tokens of a text at most."""
    if count is None:
        return len(text.encode()) + ROUND_A_MESSAGE
    try:
        tokens: int = math.ceil(count(text))
    except (TypeError, ValueError, OverflowError):  # of no number, NaN, infinity
        tokens = -1
    if tokens < 0:
        raise ModelFault(f"{model.name}: count(text) gave no number of tokens")
    return tokens


def check_texts(what: str, texts: object) -> tuple[str, ...]:
    """The texts. Raises UsageError for what is no list of them."""
    if isinstance(texts, str) or not isinstance(texts, Sequence) or not texts:
        raise UsageError(f"models.{what}(model, {texts!r:.80}): a list of texts, at least one; await handles first")
    for text in texts:
        if not isinstance(text, str) or not text:
            raise UsageError(f"models.{what} with {text!r:.80}: texts that are not empty")
        if not is_sendable(text):
            raise UsageError(f"models.{what} with {text!r:.80}: {HALF}")
    return tuple(texts)


def parts_of(texts: tuple[str, ...], most: int = MOST_TEXTS) -> Iterator[tuple[str, ...]]:
    """The texts in parts that a server takes at a time, in order: so many texts, and so many bytes unless it is one.

    >>> list(parts_of(("a", "b"))), [len(part) for part in parts_of(("x" * 150_000,) * 3)], len(list(parts_of(("x",) * 300)))
    ([('a', 'b')], [1, 1, 1], 3)
    """
    part: list[str] = []
    size = 0
    for text in texts:
        nbytes = len(text.encode())
        if part and (len(part) == most or size + nbytes > MOST_BYTES):
            yield tuple(part)
            part, size = [], 0
        part.append(text)
        size += nbytes
    yield tuple(part)


async def read(asked: ReadingCall, check: Callable[[ReadingCall, Any], R]) -> R:
    """Make a call, and book what it cost.

    Args:
        asked: the call.
        check: checks what came of it; raises ModelFault for what is wrong with it.

    Returns:
        What came of it.

    Raises:
        ModelError: the model refused, or could not be had.
    """
    work: Awaitable[Any] = getattr(asked.model, asked.what)(asked.texts, **dict(asked.options))
    spent = asked.amounts(asked.bound, assumed=True)  # it is stopped, and its server may have worked in silence
    try:
        found = await work
        tokens: int = found.tokens if isinstance(getattr(found, "tokens", None), int) else 0
        spent = asked.amounts(tokens) if tokens > 0 else asked.amounts(asked.bound, assumed=not asked.counted)
        return check(asked, found)
    except ModelError as error:
        if not error.may_have_cost:
            spent = asked.amounts(0)
        raise
    except UsageError as error:
        if not isinstance(error, ModelFault):  # it was refused before anything was sent
            spent = asked.amounts(0)
        raise
    finally:
        charge(**spent)


def begin(model: Any, task: Task[[ReadingCall], R], asked: ReadingCall) -> Any:
    """The call of a task, with what it can cost at most reserved, within the model's limits."""
    retry: Retry = retry_of(asked.model)
    if not isinstance(model, LimitedModel):
        return task.options(cost=asked.reserved, retry=retry)(asked)
    with model.scope():
        return begin(model.model, task, asked)


def unlimited(model: Any) -> Any:
    """The model itself, without its limits."""
    while isinstance(model, LimitedModel):
        model = model.model
    return model
