"""The planner as a model of language: samples, and how it is opened."""

from __future__ import annotations

from pathlib import Path

from headway.reference.planner.tokens import LANGUAGE
from headway.reference.sampling import SmallModel

_TRAINED = Path(__file__).parent / "trained"


class PlannerModel(SmallModel):
    """The small model that turns a question about countries into a plan of tool calls: a `BatchModel`.

    Example:
        >>> model = PlannerModel.shipped()                                              # doctest: +SKIP
        >>> model.sample_batch([Request(prompt="What is the area of Italy?\\n")])        # doctest: +SKIP
    """

    language = LANGUAGE
    file = _TRAINED / "planner.safetensors"
    noisy = _TRAINED / "planner-noisy.safetensors"
    """Early weights of the same training, which make mistakes."""
