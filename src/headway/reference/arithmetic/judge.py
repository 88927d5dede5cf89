"""Decides whether a text answers its question, by reasoning-gym's scorer."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from headway.extras import explain_missing
from headway.reference.arithmetic.expression import answer, parse, solve


def solves(text: str) -> bool:
    """Whether what the last line of a text makes (`12-(34+5)*3` and its lines) is the value of its first.

    Reasoning-gym scores the number. A text that breaks off is wrong, however its lines begin; a wrong line that happens to end at
    the right number is right, as anywhere where only answers are judged.

    Raises:
        UsageError: reasoning-gym is not installed.

    Example:
        >>> solves("12-(34+5)*3\\n34+5=39\\n39*3=117\\n12-117=-105\\n")  # doctest: +SKIP
        True
    """
    said = answer(text)
    if said is None:
        return False
    entry = {"answer": str(solve(parse(text.split("\n")[0]))[-1].result)}
    return float(_scorer().score_answer(said, entry)) == 1.0


@lru_cache(maxsize=1)
def _scorer() -> Any:
    with explain_missing("the judge of arithmetic"):
        import reasoning_gym
    return reasoning_gym.create_dataset("chain_sum", size=1, seed=0)
