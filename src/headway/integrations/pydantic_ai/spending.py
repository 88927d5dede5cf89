"""What a turn of a model costs, in Headway's units: `tokens`, and `money` where the model has a price.

Under a budget a turn reserves beforehand what it can cost at most: the prompt (no token is less than a byte of it) and `max_tokens`
of the model's settings. Without `max_tokens` there is no such bound: the turn is charged afterwards only, and a budget that it
overdraws is closed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_ai.durable_exec import ModelCompactMessagesId, ModelRequestId
from pydantic_ai.models import Model

from headway.errors import UsageError
from headway.models.base import Usage
from headway.models.prices import Price, list_price
from headway.scopes.budget import bounds


@dataclass(frozen=True, slots=True)
class Turn:
    """A request to a model, as far as it costs something."""

    model_name: str
    price: Price | None
    prompt_bytes: int
    max_tokens: int | None

    @property
    def reserved(self) -> dict[str, float]:
        """What it costs at most, of the units that a budget bounds. Raises UsageError for a model without a price under a bound of
        money."""
        money = bounds("money")
        if money and self.price is None:
            raise UsageError(
                f"{self.model_name} has no price, so a bound of money can't hold for it: give it one, as in "
                "HeadwayDurability(price=headway.models.Price(0.15, 0.60)) (US dollars per million tokens read, written)"
            )
        if self.max_tokens is None or not (money or bounds("tokens")):
            return {}
        most = Usage(self.prompt_bytes, self.max_tokens)
        return {"tokens": float(most.tokens)} | ({} if self.price is None else {"money": self.price.at_most(most)})

    def spent(self, payload: object) -> dict[str, float]:
        """What it has cost, from its recorded answer. Nothing where that says nothing of it."""
        used = payload.get("usage") if isinstance(payload, Mapping) else None
        if not isinstance(used, Mapping):
            return {}
        usage = Usage(
            read=_count(used, "input_tokens"),
            written=_count(used, "output_tokens"),
            cached=_count(used, "cache_read_tokens"),
            stored=_count(used, "cache_write_tokens"),
        )
        return {"tokens": float(usage.tokens)} | ({} if self.price is None else {"money": self.price.of(usage)})


def turn_of(operation_id: object, cache_key: tuple[object, ...], asked: str, price: Price | None) -> Turn | None:
    """The turn that a unit is, or None where it asks no model."""
    if not isinstance(operation_id, ModelRequestId | ModelCompactMessagesId):
        return None
    context: Any = cache_key[-1]
    settings = next((part for part in cache_key if isinstance(part, dict)), None) or {}
    limit = settings.get("max_tokens")
    return Turn(operation_id.model_name, price or _listed(operation_id.model_name, context.model), len(asked.encode()), limit)


def _listed(model_name: str, model: object) -> Price | None:
    """The list price of a model at its server."""
    server = model.base_url if isinstance(model, Model) and model.model_name == model_name else None
    return list_price(model_name, server)


def _count(used: Mapping[str, Any], name: str) -> int:
    return int(used.get(name) or 0)
