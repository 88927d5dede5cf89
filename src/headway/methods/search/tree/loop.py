"""The loop that step-wise methods share: extend the chosen states in parallel, score what came out, decide who is continued.

Methods differ in the decision alone (`Allocate`). A state that is done is put aside as a candidate and takes its share of the
width with it, so `n` bounds the answers and the states of a round (as in REBASE; the others' papers leave it open).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from reprlib import repr as shortly
from typing import SupportsIndex

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.search.base import Candidate, Found, Scorer, Selector, State, Stepper, Stopped, chosen, of_kind
from headway.methods.search.ending import each, ending
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures

Allocate = Callable[[Sequence[State], Sequence[float], int], Awaitable[list[int]]]
"""From open states, their scores, and how many continuations there are in all: how often each is continued."""


async def tree_search(
    question: str,
    step: Stepper,
    score: Scorer,
    allocate: Allocate,
    *,
    n: int,
    depth: int,
    select: Selector,
    errors: Errors = SAMPLE_ERRORS,
) -> Found:
    """Grow `n` first steps by rounds, at most `depth` of them, and select among the answers that were reached.

    Where the budget refuses some of a round, the search goes on with as many states less. A round that a bound cuts short keeps the
    answers it reached; those that nobody scored any more have no score. A step that fails with one of `errors` leads nowhere, and a
    state that can't be scored is continued no further.
    """
    check_steps("tree_search", step, score, select, n=n, depth=depth)
    settings.function("tree_search", allocate=allocate)
    failed = Failures(errors)
    found: dict[int, Candidate] = {}
    longest: dict[int, int] = {}  # tokens of the longest step of each round
    places = range(0)  # of the states of a round; those of the next follow

    narrowed = False

    async def extend(state: State, index: int, place: int) -> tuple[int, State] | None:
        made = await failed.spare(place, asked := step(state, index))
        if isinstance(made, Failed):
            return None
        grown = grown_from(state, of_kind(State, step, made, asked), index)
        longest[state.depth] = max(longest.get(state.depth, 0), grown.tokens - state.tokens)
        if grown.done:
            found[place] = leaf(question, grown)
        return place, grown

    with ending() as end:
        states, counts = [State(question)], [n]
        for _ in range(depth):
            parents = [state for state, count in zip(states, counts, strict=True) for _ in range(count)]
            places = range(places.stop, places.stop + len(parents))
            plan = zip(parents, range(len(parents)), places, strict=True)
            made = await each(extend(state, index, place) for state, index, place in plan)
            if len(made) < len(parents):
                n -= len(parents) - len(made)
                narrowed = True
            grown = [each for each in made if each is not None]
            scores = await failed.scores([place for place, _ in grown], score, [state.text for _, state in grown])
            for (place, _), value in zip(grown, scores, strict=True):
                if place in found:
                    found[place] = replace(found[place], score=value)
            scored = zip(grown, scores, strict=True)
            open_ = [(state, value) for (_, state), value in scored if not state.done and value is not None]
            if not open_ or n <= len(found):
                break
            states = [state for state, _ in open_]
            counts = _counts(allocate, await allocate(states, [value for _, value in open_], n - len(found)), len(states))
    stopped: Stopped = "budget" if narrowed and end.stopped == "done" else end.stopped
    return chosen(found, select, stopped, sum(longest.values()), failed)


def check_steps(where: str, step: Stepper, score: Scorer, select: Selector, *, n: int, depth: int) -> None:
    """Raises UsageError for settings of a search by steps that make no sense."""
    settings.whole_number(where, n=n)
    settings.at_least_one(where, depth=depth)
    settings.function(where, step=step, score=score, select=select)


def _counts(allocate: Allocate, given: Sequence[object], states: int) -> list[int]:
    counts = [each.__index__() if isinstance(each, SupportsIndex) else -1 for each in given]
    if len(counts) != states or min(counts, default=0) < 0:
        wanted = f"a whole number, at least 0, for each of {states} states"
        raise UsageError(f"tree_search: allocate={allocate!r} gave {shortly(given)}: give {wanted}")
    return counts


def grown_from(state: State, grown: State, index: int) -> State:
    """The state that a step led to, with its depth and branch."""
    return replace(grown, depth=state.depth + 1, branch=state.branch if state.depth else index)


def leaf(question: str, state: State, score: float | None = None) -> Candidate:
    """A state as a candidate."""
    return Candidate(state.text.removeprefix(question), state.answer, state.tokens, state.logprob, score)
