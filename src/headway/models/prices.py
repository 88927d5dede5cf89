"""What tokens cost, so that a call can reserve and charge `money` (US dollars).

    models.Endpoint("my-model", base_url=…, price=models.Price(0.20, 0.80))       # your own contract

List prices come from genai-prices, which knows those of most providers, with what caches and long prompts cost and since when. They
come with the installed release: nothing is fetched, and `pip install -U genai-prices` brings newer ones. Providers are recognised
by their address, so a model on your own server has no list price, whatever its name. A model without a price can't be counted, so
it is refused under a budget of `money`. Models that run in this process cost no money (`FREE`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from headway.errors import UsageError
from headway.models.base import BatchModel, Model, Usage, answers_together


@dataclass(frozen=True, slots=True)
class Price:
    """What a model's tokens cost, in US dollars per million.

    Attributes:
        read: of those that are read.
        written: of those that are written, thoughts among them.
        cached: of those read that come from the provider's cache; None where they cost as much as others.
        stored: of those read that are put into the provider's cache; None where they cost as much as others.
        beyond: a number of tokens, and the price of all tokens where more than so many are read.
        reasoning: of those written that are thoughts; None where they cost as much as others.
        audio: of those read that are sound and not from the cache; None where they cost as much as others.

    Raises:
        UsageError: a number is no price.

    Example:
        >>> Price(2.00, 8.00).of(Usage(read=1_000, written=500))
        0.006
        >>> Price(2.00, 8.00, cached=0.50).of(Usage(read=1_000, written=500, cached=1_000))
        0.0045
        >>> Price(1.00, 8.00, beyond=(200_000, Price(2.00, 12.00))).of(Usage(read=200_001, written=0))
        0.400002
    """

    read: float
    written: float
    cached: float | None = None
    stored: float | None = None
    beyond: tuple[int, Price] | None = None
    reasoning: float | None = None
    audio: float | None = None

    def __post_init__(self) -> None:
        for name in ("read", "written", "cached", "stored", "reasoning", "audio"):
            value = getattr(self, name)
            if value is None and name not in ("read", "written"):
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise UsageError(f"Price({name}={value!r}): US dollars per million tokens, zero or more")
        if self.beyond is not None and not (
            isinstance(self.beyond, tuple) and len(self.beyond) == 2 and isinstance(self.beyond[1], Price) and self.beyond[0] > 0
        ):
            raise UsageError(f"Price(beyond={self.beyond!r:.80}): the tokens read, and the price that counts where there are more")

    def of(self, usage: Usage) -> float:
        """What tokens cost.

        Args:
            usage: the tokens.

        Returns:
            US dollars.
        """
        if self.beyond is not None and usage.read > self.beyond[0]:
            return self.beyond[1].of(usage)
        special = ((usage.cached, self.cached), (usage.stored, self.stored), (self._sound_in(usage), self.audio))
        read = usage.read * self.read + sum(tokens * (price - self.read) for tokens, price in special if price is not None)
        thoughts = 0.0 if self.reasoning is None else usage.reasoning * (self.reasoning - self.written)
        return (read + usage.written * self.written + thoughts) / 1_000_000

    def _sound_in(self, usage: Usage) -> int:
        """The tokens that are read as sound, but for those that may be from the cache."""
        return min(usage.audio, usage.read - usage.cached - usage.stored)

    def at_most(self, usage: Usage) -> float:
        """What tokens cost at most, whatever the provider's cache does with those read.

        Args:
            usage: the tokens.

        Returns:
            US dollars.
        """
        dearest = max(self.read, self.cached or 0.0, self.stored or 0.0)
        sound = usage.audio * max(0.0, (self.audio or 0.0) - dearest)
        least = (usage.read * dearest + sound + usage.written * max(self.written, self.reasoning or 0.0)) / 1_000_000
        if self.beyond is not None and usage.read > self.beyond[0]:
            return max(least, self.beyond[1].at_most(usage))
        return least


FREE = Price(0.0, 0.0)

OPENAI = "https://api.openai.com/v1"


def list_price(name: str, server: str | None = None, *, reads: bool = False) -> Price | None:
    """The list price of a model today.

    Args:
        name: the model, as its provider calls it.
        server: the address that is asked, with or without `https://`; without one, the provider is guessed from the name.
        reads: whether the model only reads, as for embeddings: it needs no price for what is written.

    Returns:
        None where there is none: for a server or model that nobody lists, for one that also costs by the request, and without
        genai-prices (extra `models`).

    Example:
        >>> list_price("gpt-4o-mini-2024-07-18", OPENAI)
        Price(read=0.15, written=0.6, cached=0.075, stored=None, beyond=None, reasoning=None, audio=None)
        >>> list_price("gpt-4o-mini", "http://localhost:8000/v1") is None
        True
    """
    try:
        from genai_prices.data_snapshot import get_snapshot
    except ImportError:
        return None
    try:
        url = server if server is None or "://" in server else f"https://{server}"
        _, model = get_snapshot().find_provider_model(name, None, None, url)
    except LookupError:
        return None
    listed: dict[str, Any] = {key: value for key, value in vars(model.get_prices(datetime.now(UTC))).items() if value is not None}
    if "input_mtok" not in listed or ("output_mtok" not in listed and not reads) or listed.get("requests_kcount"):
        return None
    steps = {0} | {tier.start for value in listed.values() for tier in getattr(value, "tiers", ())}
    beyond: tuple[int, Price] | None = None
    for step in sorted(steps, reverse=True):
        beyond = step, _price_from(listed, step, beyond)
    return beyond and beyond[1]


def _price_from(listed: dict[str, Any], tokens: int, beyond: tuple[int, Price] | None) -> Price:
    """The price from a number of tokens read on, as it is listed."""

    def of(*keys: str) -> float | None:
        costs = [_at(listed[key], tokens) for key in keys if key in listed]
        return max(costs) if costs else None

    read, written = of("input_mtok"), of("output_mtok")
    assert read is not None
    cached, stored = of("cache_read_mtok"), of("cache_write_mtok", "cache_write_5m_mtok")
    return Price(read, written or 0.0, cached, stored, beyond, of("output_reasoning_mtok"), of("input_audio_mtok"))


def _at(listed: Any, tokens: int) -> float:
    """A number, or what the tiers say from so many tokens on."""
    tiers = [tier.price for tier in getattr(listed, "tiers", ()) if tier.start <= tokens]
    return float(tiers[-1] if tiers else getattr(listed, "base", listed))


def price_of(model: Model | BatchModel) -> Price | None:
    """The price that a model names itself, else the list price; a model that runs in this process is free.

    Raises UsageError for one that is no price: what it costs would not be counted.
    """
    own = _own_price(model)
    if own is not None:
        return own
    return FREE if answers_together(model) else list_price(model.name, getattr(model, "server", None))


def reading_price_of(model: Any) -> Price | None:
    """The same for a model that only reads."""
    own = _own_price(model)
    return list_price(model.name, getattr(model, "server", None), reads=True) if own is None else own


def _own_price(model: Any) -> Price | None:
    own = getattr(model, "price", None)
    if isinstance(own, Price):
        return own
    if own is not None:
        raise UsageError(f"{model.name} has price={own!r}: write models.Price(read, written), in US dollars per million tokens")
    return None
