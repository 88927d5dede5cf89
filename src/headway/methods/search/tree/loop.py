"""The loop that step-wise methods share: extend the chosen states in parallel, score what came out, decide who is continued.

The methods differ only in that decision (`Allocate`). A finished state becomes a candidate and takes its share of the width with
it, so `n` bounds both the answers and the states of a round (as in REBASE; the other papers leave it open).

A search starts from an empty text. If states are something else (a tuple of moves, an array, a program), `start=State(...)` gives
the empty state.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from reprlib import repr as shortly
from typing import Any, SupportsIndex, TypeAlias, TypeVar

from headway.errors import UsageError
from headway.joins.gather import gather_affordable
from headway.methods import settings
from headway.methods.protocols import Scorer, Selector, Stepper
from headway.methods.records import Candidate, State
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, Stopped, choose
from headway.methods.search.parts import call_stepper
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
S = TypeVar("S")

Allocate: TypeAlias = Callable[[Sequence[State[S]], Sequence[float], int], Awaitable[list[int]]]
"""From open states, their scores, and how many continuations there are in all: how often each is continued."""

NOTHING_SAID: State[Any] = State("")
"""Where a search over texts starts."""


async def tree_search(
    question: Q,
    step: Stepper[Q, S],
    score: Scorer[Q, S],
    allocate: Allocate[S],
    *,
    n: int,
    depth: int,
    select: Selector[S],
    start: State[S] = NOTHING_SAID,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[S]:
    """Grow `n` first steps by rounds, and select among the answers that were reached.

    Where the budget refuses some of a round, the search goes on with as many states less. A round that a bound cuts short keeps the
    answers it reached; those that nobody scored any more have no score.

    Args:
        question: what the parts are told.
        step: extends a state.
        score: says how promising states are.
        allocate: says how many continuations each state gets.
        n: states of a round, less the answers that are finished.
        depth: rounds at most.
        select: takes one of the candidates.
        start: where the search starts; an empty text.
        errors: what a part may fail with at one place without failing the search. A step that fails leads nowhere, and a state that
            can't be scored is continued no further.

    Returns:
        The candidates that were completed, and the one that `select` takes.

    Raises:
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> async def evenly(states: list, scores: list[float], total: int) -> list[int]:
        ...     return [total // len(states)] * len(states)
        >>> asyncio.run(tree_search("17+25=", next_digit, value, evenly, n=16, depth=2, select=weighted_vote)).answer
        '42'
    """
    check_steps("tree_search", step, score, select, start, n=n, depth=depth)
    settings.function("tree_search", allocate=allocate)
    failed = Failures(errors)
    found: dict[int, Candidate[S]] = {}
    longest: dict[int, int] = {}  # tokens of the longest step of each round
    places = range(0)  # of the states of a round; those of the next follow
    narrowed = False

    async def extend(state: State[S], index: int, place: int) -> tuple[int, State[S]] | None:
        made = await failed.spare(place, call_stepper(step, question, state, index))
        if isinstance(made, Failed):
            return None
        grown = place_in_tree(state, made, index)
        longest[state.depth] = max(longest.get(state.depth, 0), grown.tokens - state.tokens)
        if grown.done:
            block.keep(place, leaf(grown))
        return place, grown

    with anytime(found) as block:
        states, counts = [start], [n]
        for _ in range(depth):
            parents = [state for state, count in zip(states, counts, strict=True) for _ in range(count)]
            places = range(places.stop, places.stop + len(parents))
            plan = zip(parents, range(len(parents)), places, strict=True)
            made = await gather_affordable(*(extend(state, index, place) for state, index, place in plan))
            if len(made) < len(parents):
                n -= len(parents) - len(made)
                narrowed = True
            grown = [each for each in made if each is not None]
            scores = await failed.scores([place for place, _ in grown], score, question, [state.value for _, state in grown])
            for (place, _), value in zip(grown, scores, strict=True):
                if place in found:
                    block.keep(place, replace(found[place], score=value))
            scored = zip(grown, scores, strict=True)
            open_ = [(state, value) for (_, state), value in scored if not state.done and value is not None]
            if not open_ or n <= len(found):
                break
            states = [state for state, _ in open_]
            counts = _counts(allocate, await allocate(states, [value for _, value in open_], n - len(found)), len(states))
    stopped: Stopped = "budget" if narrowed and block.stopped == "done" else block.stopped
    return choose(found, select, stopped, sum(longest.values()), failed)


def check_steps(
    where: str, step: Stepper[Q, S], score: Scorer[Q, S], select: Selector[S], start: State[S], *, n: int, depth: int
) -> None:
    """Raises UsageError for settings of a search by steps that make no sense."""
    settings.whole_number(where, n=n)
    settings.at_least_one(where, depth=depth)
    settings.function(where, step=step, score=score, select=select)
    settings.instance(where, State, start=start)


def _counts(allocate: Allocate[S], given: Sequence[object], states: int) -> list[int]:
    counts = [each.__index__() if isinstance(each, SupportsIndex) else -1 for each in given]
    if len(counts) != states or min(counts, default=0) < 0:
        wanted = f"a whole number, at least 0, for each of {states} states"
        raise UsageError(f"tree_search: allocate={settings.say_part(allocate)} gave {shortly(given)}: give {wanted}")
    return counts


def place_in_tree(state: State[S], grown: State[S], index: int) -> State[S]:
    """Return the state that a step led to, with its depth, branch and path set."""
    return replace(grown, depth=state.depth + 1, branch=state.branch if state.depth else index, path=(*state.path, index))


def leaf(state: State[S], score: float | None = None) -> Candidate[S]:
    """A state as a candidate."""
    return Candidate(state.value, state.answer, state.tokens, state.logprob, score)
