"""Decides whether a text solves its puzzle, by reasoning-gym's scorer."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from headway.extras import explain_missing
from headway.reference.countdown.puzzle import expression, parse


def solves(text: str) -> bool:
    """Whether the steps of a text (`25 8 7 3 -> 82` and its lines) use all numbers once and give the target.

    The steps become one expression, which reasoning-gym evaluates and scores. A text that breaks the rules is wrong.

    Raises:
        UsageError: reasoning-gym is not installed.

    Example:
        >>> solves("9 3 2 -> 24\\n9+3=12\\n12*2=24\\n")  # doctest: +SKIP
        True
    """
    said = expression(text)
    if said is None:
        return False
    puzzle = parse(text)
    entry = {"metadata": {"numbers": list(puzzle.numbers), "target": puzzle.target}}
    return float(_scorer().score_answer(said, entry)) == 1.0


@lru_cache(maxsize=1)
def _scorer() -> Any:
    with explain_missing("the judge of Countdown"):
        import reasoning_gym
    return reasoning_gym.create_dataset("countdown", size=1, seed=0)
