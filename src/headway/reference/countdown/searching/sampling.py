"""The search model as a model of language, and how it is opened."""

from __future__ import annotations

from pathlib import Path

from headway.reference.countdown.searching.tokens import LANGUAGE
from headway.reference.sampling import SmallModel


class SearchModel(SmallModel):
    """The small model that searches for the solutions of number puzzles, alone or with helpers: a `BatchModel`.

    Example:
        >>> model = SearchModel.shipped()                                                 # doctest: +SKIP
        >>> model.sample_batch([Request(prompt="9 7 4 2 -> 80\\n", max_tokens=400)])       # doctest: +SKIP
    """

    language = LANGUAGE
    file = Path(__file__).parent / "trained" / "countdown-search.safetensors"
