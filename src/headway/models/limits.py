"""A limit on how fast a model is asked, kept with the model instead of around each call.

    provider = models.limit_model(models.Endpoint("gpt-4.1-mini"), 16, rate=500, per_s=60)
    await hw.gather(*(models.sample(provider, question) for question in questions))

Around each call it opens an `hw.limit` named after the model (`identity_of`). So the limit holds for the whole run and, through the
store, for every other run that limits this model too. Two deployments of one name have limits of their own. Only calls of the model
are limited. To limit one part of a program, use `hw.limit`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from headway.engine.identity.canonical import canonical
from headway.errors import UsageError
from headway.models.base import BatchModel, Model, identity_of
from headway.scopes.limit import LimitScope, limit


@dataclass(frozen=True, slots=True)
class LimitedModel:
    """A model with a limit; made by `limit_model`."""

    model: Model | BatchModel | LimitedModel
    concurrency: int | None
    rate: float | None
    per_s: float

    @property
    def name(self) -> str:
        return self.model.name

    def __headway_key__(self) -> object:
        inner = self.model
        return inner.__headway_key__() if isinstance(inner, LimitedModel) else identity_of(inner)

    def scope(self) -> LimitScope:
        """The block around each call. Its name tells models apart as keys do, so that two deployments of one name have limits of
        their own, and windows, so that a model can have one per second and one per minute."""
        window = f" per {self.per_s:g} s" if self.rate is not None else ""
        name = _limit_name(self.name, self.__headway_key__())
        return limit(self.concurrency, rate=self.rate, per_s=self.per_s, name=f"{name}{window}")


def _limit_name(name: str, identity: object) -> str:
    """The name of a model's limit: its name alone where that is all it is known by.

    >>> _limit_name("qwen3", ("model", "qwen3")), _limit_name("qwen3", ("model", "qwen3", "laptop/v1"))
    ('model qwen3', 'model qwen3, laptop/v1')
    """
    if isinstance(identity, tuple) and identity[:1] == ("model",) and all(isinstance(part, str) for part in identity):
        return f"model {', '.join(identity[1:])}"
    return f"model {name}, {hashlib.blake2b(canonical(identity), digest_size=8).hexdigest()}"


def limit_model(
    model: Model | BatchModel | LimitedModel, concurrency: int | None = None, *, rate: float | None = None, per_s: float = 1.0
) -> LimitedModel:
    """Limit how fast a model is asked.

    A call that the provider refuses with `Retry-After` rests for that long and gives its place to the others, which go on asking.
    Tokens per time can't be limited: a call does not know before its end how many it takes.

    Args:
        model: the model. One that has a limit gets another one: `limit_model(limit_model(model, rate=10), rate=300, per_s=60)`.
        concurrency: how many calls may run at a time.
        rate: how many may begin in any `per_s` seconds.
        per_s: the window for `rate`, in seconds.

    Returns:
        The same model, with the limit.

    Raises:
        UsageError: the numbers limit nothing or everything, or there is a limit over the same window already.

    Example:
        >>> from headway import models
        >>> provider = models.limit_model(models.Endpoint("qwen3", base_url="http://localhost:8000/v1"), 16, rate=500, per_s=60)
        >>> provider.name
        'qwen3'
    """
    made = LimitedModel(model, concurrency, rate, per_s)
    name, inner = made.scope().name, model
    while isinstance(inner, LimitedModel):
        if inner.scope().name == name:
            raise UsageError(
                f"models.limit_model: {made.name} is limited {f'per {per_s:g} s' if rate is not None else 'in concurrency'} "
                "already: give one number for it"
            )
        inner = inner.model
    return made
