"""Opens the models of this project by name or file, for `headway.models.open`."""

from __future__ import annotations

from pathlib import Path

from headway.errors import UsageError
from headway.reference.arithmetic.sampling import ArithmeticModel
from headway.reference.countdown.sampling import CountdownModel
from headway.reference.planner.sampling import PlannerModel
from headway.reference.sampling import SmallModel
from headway.reference.weights import about

MODELS: dict[str, type[SmallModel]] = {kind.language.name: kind for kind in (CountdownModel, ArithmeticModel, PlannerModel)}


def open_model(name: str) -> SmallModel:
    """The model of a name (what comes with the package) or of a file of weights, which says whose it is."""
    if name == "planner-noisy":
        return PlannerModel.load(PlannerModel.noisy)
    if name in MODELS:
        return MODELS[name].shipped()
    language = about(Path(name)).get("language", "")
    if language not in MODELS:
        raise UsageError(
            f"{name} holds no model of this project: its words are those of {language!r}; there are: {', '.join(MODELS)}"
        )
    return MODELS[language].load(name)
