"""The result of a search: its choice, all candidates, and why it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import index
from reprlib import repr as shortly
from typing import TYPE_CHECKING, Generic, Literal, SupportsIndex, TypeVar

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.protocols import Selector
from headway.methods.records import Candidate

if TYPE_CHECKING:
    from headway.methods.search.failures import Failures

V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)

Stopped = Literal["done", "budget", "deadline"]


@dataclass(frozen=True, slots=True)
class Found(Generic[V_co]):
    """What a method returns.

    Attributes:
        best: its choice, None where it has nothing.
        candidates: all that it chose from, in the order of the search.
        stopped: why it ended.
        sequential_tokens: of the candidates' tokens, those that had to be written one after another, however wide the machine is:
            the longest of each round, summed over the rounds. What all of it cost, the budget around it knows.
        errors: of the parts that failed at one sample, step, score or verdict without failing the search (`errors=` of a method),
            in the order of the search. A resumed search gives the same.
    """

    best: Candidate[V_co] | None
    candidates: tuple[Candidate[V_co], ...]
    stopped: Stopped = "done"
    sequential_tokens: int = 0
    errors: tuple[Exception, ...] = ()

    @property
    def answer(self) -> object:
        """The answer of the best candidate, None where there is none."""
        return None if self.best is None else self.best.answer


def choose(
    found: Mapping[int, Candidate[V]],
    select: Selector[V],
    stopped: Stopped,
    tokens: int = 0,
    failed: Failures | None = None,
) -> Found[V]:
    """Choose among a method's candidates and build its result.

    Args:
        found: candidates by their places in the search, in whatever order they came.
        select: takes one of them.
        stopped: why the search ended.
        tokens: `Found.sequential_tokens`.
        failed: what failed on the way.

    Returns:
        The candidates in the order of their places, and the one that `select` takes.

    Raises:
        UsageError: `select` gives no place among the candidates.
        Exception: the first error of `failed`, where there are no candidates.

    Example:
        >>> from headway.methods.search import Candidate, choose
        >>> found = {1: Candidate("b", "b"), 0: Candidate("a", "a")}
        >>> choose(found, lambda candidates: 1, "done").answer
        'b'
    """
    candidates = tuple(candidate for _, candidate in sorted(found.items()))
    errors: tuple[Exception, ...] = ()
    if failed is not None:
        failed.check(bool(candidates))
        errors = failed.errors
    best = candidates[_select(select, candidates)] if candidates else None
    return Found(best, candidates, stopped, tokens, errors)


def _select(select: Selector[V], candidates: Sequence[Candidate[V]]) -> int:
    place: object = select(candidates)
    if isinstance(place, bool) or not isinstance(place, SupportsIndex) or not 0 <= index(place) < len(candidates):
        places = f"the place of one of {len(candidates)} candidates, from 0 to {len(candidates) - 1}"
        raise UsageError(f"select={settings.say_part(select)} returned {shortly(place)}: it must return {places}")
    return index(place)
