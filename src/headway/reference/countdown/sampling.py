"""The Countdown model as a model of language: samples, values of states, and how it is opened."""

from __future__ import annotations

from pathlib import Path

from headway.reference.countdown.tokens import LANGUAGE
from headway.reference.sampling import SmallModel


class CountdownModel(SmallModel):
    """The small model that solves number puzzles: a `BatchModel`.

    Example:
        >>> model = CountdownModel.shipped()                                        # doctest: +SKIP
        >>> model.sample_batch([Request(prompt="9 3 2 -> 24\\n", max_tokens=20)])   # doctest: +SKIP
    """

    language = LANGUAGE
    file = Path(__file__).parent / "trained" / "countdown.safetensors"
