"""How a connection to a store lies, how often, and how often each lie was told.

A request goes to the server, something is done there, and an answer comes back. Each step can fail by itself, and whoever asked
sees the same each time: the connection broke. So a commit that raises may have happened, may not have happened, and may happen yet.

A batch of tests in which a lie was never told has not tested it: `struck` counts them by kind, and `untold` names what is missing.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

CUT = "a commit raised and had not happened"
AFTER_ALL = "a commit raised and had happened"
LATE = "a commit raised and happened later"
RACED = "a commit was sent again and raced with its first try"
TWICE = "a commit that was answered came a second time"
AWAY = "the store was away for a while"
DEAF = "a wake-up was lost"
BROKEN = "another request broke off"
OVERTAKEN = "rows came under a lease that was lost"
BACK = "the store went back to an earlier state"
NOTICED = "a driver noticed that the store had gone back"
KINDS = (CUT, AFTER_ALL, LATE, RACED, TWICE, AWAY, DEAF, BROKEN, OVERTAKEN)
"""What a batch of runs on a lying store meets, besides stores that go back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lies:
    """Probabilities for each request, and mean times in virtual seconds.

    Example:
        >>> Lies.draw(random.Random(7)).delay_s > 0
        True
    """

    cut: float = 0.0
    """It never arrives."""
    swallowed: float = 0.0
    """It is done, and the answer is lost."""
    late: float = 0.0
    """The connection breaks, and it arrives later: a server may hold a request whose client has gone. Of one statement only; of
    what takes several, the rest never comes."""
    twice: float = 0.0
    """It is done and answered, and arrives once more later. Of commits only."""
    away: float = 0.0
    """From this request on, nothing arrives for a while."""
    deaf: float = 0.0
    """A word about something new is lost: whoever listens looks once in a while all the same."""
    delay_s: float = 0.001
    late_s: float = 0.05
    away_s: float = 5.0

    @classmethod
    def draw(cls, choice: random.Random) -> Lies:
        """Draw how a store lies, so that over many seeds each lie is met without the others."""
        return cls(
            cut=choice.choice((0.0, 0.02, 0.2)),
            swallowed=choice.choice((0.0, 0.05, 0.3)),
            late=choice.choice((0.0, 0.05, 0.3)),
            twice=choice.choice((0.0, 0.3)),
            away=choice.choice((0.0, 0.0, 0.005, 0.02)),
            deaf=choice.choice((0.0, 0.5, 1.0)),
            delay_s=choice.choice((0.0005, 0.01, 0.2)),
            late_s=choice.choice((0.01, 0.3, 20.0)),
            away_s=choice.choice((2.0, 10.0, 60.0)),
        )


def untold(struck: Counter[str], kinds: Iterable[str] = KINDS) -> list[str]:
    """The kinds that were never met."""
    return [kind for kind in kinds if not struck[kind]]
