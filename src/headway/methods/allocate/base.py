"""Base policies: simple rules, each of which runs a plan or a map by itself. `Mcpp` chooses among what they would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from headway.methods import settings
from headway.methods.records import Action, View


@dataclass(frozen=True)
class Seq:
    """Start `count` samples of one choice for each step that is ready, and again for each that failed.

    Args:
        choice: how steps are done.
        count: samples at once.

    Example:
        >>> Seq("small", 4)(View(ready=("a",)), Random(1))
        [Action(step='a', choice='small', count=4, why='always 4 × small')]
    """

    choice: str = ""
    count: int = 1

    def __post_init__(self) -> None:
        settings.at_least_one("Seq", count=self.count)

    @property
    def name(self) -> str:
        return f"{self.count} × {self.choice}".strip()

    def __call__(self, view: View, rng: Random, /) -> Sequence[Action]:
        return [Action(step, self.choice, self.count, f"always {self.name}") for step in view.ready]
