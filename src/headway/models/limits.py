"""How fast a model may be asked, kept with the model instead of around each call.

    provider = models.limited(models.Endpoint("gpt-4.1-mini"), 16, rate=500, per_s=60)
    await hw.gather(*(models.sample(provider, question) for question in questions))

It opens `hw.limit` under the model's name around each call, so it holds for the whole run and, through the store, for every other
run that limits this model too. It limits calls of the model and nothing else. For one part of a program `hw.limit` does as well.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.models.base import BatchModel, Model, identity_of
from headway.scope import LimitScope, limit


@dataclass(frozen=True, slots=True)
class Limited:
    """A model with a limit; made by `limited`."""

    model: Model | BatchModel
    concurrency: int | None
    rate: float | None
    per_s: float

    @property
    def name(self) -> str:
        return self.model.name

    def __headway_key__(self) -> object:
        return identity_of(self.model)

    def scope(self) -> LimitScope:
        return limit(self.concurrency, rate=self.rate, per_s=self.per_s, name=f"model {self.name}")


def limited(model: Model | BatchModel, concurrency: int | None = None, *, rate: float | None = None, per_s: float = 1.0) -> Limited:
    """The same model, asked at most `concurrency` times at once and begun at most `rate` times per `per_s` seconds.

    Raises UsageError for numbers that limit nothing or everything.
    """
    made = Limited(model, concurrency, rate, per_s)
    made.scope()
    return made
