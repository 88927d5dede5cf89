"""What tokens cost, as data: list prices by model name, so that a call can reserve and charge `money` (US dollars).

    models.Endpoint("my-model", base_url=…, price=models.Price(0.20, 0.80))       # your own contract

The table holds list prices of one day. Check yours: they change, and batches, caches and contracts differ. A model that is not in
it and names no price of its own has none: its money is not counted, so under a bound of `money` it is refused, because a bound
that counts nothing would be a lie. Models that run in this process cost no money (`FREE`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from headway.errors import UsageError
from headway.models.base import BatchModel, Model, Usage, answers_together


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens that are read and written. Of those read, `cached` is what one costs that comes from the
    provider's cache, and `stored` one that is put there (None: as much as others). Thoughts cost what is written.

    >>> Price(2.00, 8.00).of(Usage(read=1_000, written=500))
    0.006
    >>> Price(2.00, 8.00, cached=0.50).of(Usage(read=1_000, written=500, cached=1_000))
    0.0045

    Raises UsageError for what is no price.
    """

    read: float
    written: float
    cached: float | None = None
    stored: float | None = None

    def __post_init__(self) -> None:
        for name in ("read", "written", "cached", "stored"):
            value = getattr(self, name)
            if value is None and name in ("cached", "stored"):
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise UsageError(f"Price({name}={value!r}): US dollars per million tokens, zero or more")

    def of(self, usage: Usage) -> float:
        """What this many tokens cost, in US dollars."""
        cached = self.read if self.cached is None else self.cached
        stored = self.read if self.stored is None else self.stored
        read = (usage.read - usage.cached - usage.stored) * self.read + usage.cached * cached + usage.stored * stored
        return (read + usage.written * self.written) / 1_000_000

    def at_most(self, usage: Usage) -> float:
        """What this many tokens cost at most, whatever the provider's cache does with those read."""
        dearest = max(self.read, self.cached or 0.0, self.stored or 0.0)
        return (usage.read * dearest + usage.written * self.written) / 1_000_000


FREE = Price(0.0, 0.0)

SOURCE = "https://platform.openai.com/docs/pricing"
READ_ON = "2026-06"

PRICES: Mapping[str, Price] = {
    "gpt-5.1*": Price(1.25, 10.00, cached=0.125),
    "gpt-5-mini*": Price(0.25, 2.00, cached=0.025),
    "gpt-5-nano*": Price(0.05, 0.40, cached=0.005),
    "gpt-5-pro*": Price(15.00, 120.00),
    "gpt-5": Price(1.25, 10.00, cached=0.125),
    "gpt-5-20*": Price(1.25, 10.00, cached=0.125),
    "gpt-4.1-mini*": Price(0.40, 1.60, cached=0.1),
    "gpt-4.1-nano*": Price(0.10, 0.40, cached=0.025),
    "gpt-4.1": Price(2.00, 8.00, cached=0.5),
    "gpt-4.1-20*": Price(2.00, 8.00, cached=0.5),
    "gpt-4o-mini": Price(0.15, 0.60, cached=0.075),
    "gpt-4o-mini-20*": Price(0.15, 0.60, cached=0.075),
    "gpt-4o-2024-05-13": Price(5.00, 15.00),
    "gpt-4o": Price(2.50, 10.00, cached=1.25),
    "gpt-4o-20*": Price(2.50, 10.00, cached=1.25),
    "o3-mini*": Price(1.10, 4.40, cached=0.55),
    "o3": Price(2.00, 8.00, cached=0.5),
    "o3-20*": Price(2.00, 8.00, cached=0.5),
    "o4-mini": Price(1.10, 4.40, cached=0.275),
    "o4-mini-20*": Price(1.10, 4.40, cached=0.275),
}
"""List prices by name, as patterns of the shell; the first that fits counts."""


def list_price(name: str, table: Mapping[str, Price] = PRICES) -> Price | None:
    """The price of a model in a table, None where it has none.

    >>> list_price("gpt-4o-mini-2024-07-18")
    Price(read=0.15, written=0.6, cached=0.075, stored=None)
    >>> list_price("gpt-99") is None
    True
    """
    return next((price for pattern, price in table.items() if fnmatchcase(name, pattern)), None)


def price_of(model: Model | BatchModel) -> Price | None:
    """The price that a model names itself, else that of the table; a model that runs in this process is free.

    Raises UsageError for one that is no price: what it costs would not be counted.
    """
    own = getattr(model, "price", None)
    if isinstance(own, Price):
        return own
    if own is not None:
        raise UsageError(f"{model.name} has price={own!r}: write models.Price(read, written), in US dollars per million tokens")
    return FREE if answers_together(model) else list_price(model.name)
