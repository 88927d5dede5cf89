"""A*-decoding: best-first search over partial solutions."""

from __future__ import annotations

import heapq
from typing import NamedTuple

from headway.methods import settings
from headway.methods.search.base import Candidate, Found, Scorer, State, Stepper, of_kind
from headway.methods.search.ending import each, ending
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.tree.loop import grown_from, leaf


class Node(NamedTuple):
    """A state on the frontier, least estimated cost first: `path` behind it and `ahead`. Of equals the deeper, then the earlier."""

    estimate: float
    depth: int  # negative
    number: int
    path: float
    ahead: float
    state: State
    extended: int = 0  # how often it was


class Grown(NamedTuple):
    """A state that a step led to, and its place among all that the search grew."""

    place: int
    parent: Node
    state: State


async def a_star(
    question: str,
    step: Stepper,
    score: Scorer,
    *,
    n: int = 64,
    width: int = 4,
    parallel: int = 1,
    memory: float = 1.0,
    depth: int = 40,
    errors: Errors = SAMPLE_ERRORS,
) -> Found:
    """Always extend the partial solution of least estimated cost; the first whole answer that is cheapest is the result
    (A*-decoding: Chatziveroglou, arXiv 2505.13672, after the idea of: from the abstract and notes on it).

    What lies ahead of a state costs 1 - score. What lies behind it is the sum of all its rises on the way: a path that looked
    worse at some step stays marked by that, so a lucky score later does not wash it clean. It departs in how much that counts
    (`memory`), in extending the `parallel` best states at once, which trades calls for rounds, in that a text that was reached
    before is not put on the frontier again, and in that all states come back to it when nothing is left to extend and no answer
    was reached: a stepper that draws may continue them otherwise. Only differences of costs count, so scores may have any scale.

    n: expansions at most. width: continuations of an expanded state. depth: steps of an answer at most.
    memory: how much the rises on the way count; 1 is A*, 0 looks at the last score alone (greedy best-first), which is better
        where scores are noisy from step to step.

    Returns all whole answers that were reached, by their cost, and after them those that nobody scored; the best is the one of
    least cost, not the one that was reached first.

    errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Raises what `step` and `score` raise, but for budgets and deadlines, which end the search.

    Example:
        >>> async def program(question):
        ...     with hw.budget(tokens=5_000):
        ...         return await a_star(question, next_line, value, n=100, width=4)
    """
    settings.whole_number("a_star", n=n)
    settings.at_least_one("a_star", width=width, parallel=parallel, depth=depth)
    settings.finite("a_star", memory=memory)
    settings.function("a_star", step=step, score=score)
    frontier = [Node(0.0, 0, 0, 0.0, 0.0, State(question))]
    extended: list[Node] = []
    unscored: dict[int, Candidate] = {}  # answers that have no score (yet), by their places
    reached = {question}
    longest: dict[int, int] = {}  # tokens of the longest step of each round
    places = range(0)  # of the states of a round; those of the next follow
    expansions = 0

    failed = Failures(errors)

    async def extend(parent: Node, index: int, place: int) -> Grown | None:
        got = await failed.spare(place, asked := step(parent.state, index))
        if isinstance(got, Failed):
            return None
        grown = grown_from(parent.state, of_kind(State, step, got, asked), index)
        longest[places.start] = max(longest.get(places.start, 0), grown.tokens - parent.state.tokens)
        if grown.done and grown.answer is not None:
            unscored[place] = leaf(question, grown)
        return Grown(place, parent, grown)

    with ending() as end:
        while expansions < n:
            parents = _pop(frontier, min(parallel, n - expansions), depth)
            if not parents and not frontier and extended and not unscored:
                frontier, extended = sorted(extended), []
                continue
            if not parents:
                break
            expansions += len(parents)
            extended += [parent._replace(extended=parent.extended + 1) for parent in parents]
            work = [(parent, parent.extended * width + index) for parent in parents for index in range(width)]
            places = range(places.stop, places.stop + len(work))
            ends = await each(extend(parent, index, place) for place, (parent, index) in zip(places, work, strict=True))
            grown = [end for end in ends if end is not None]
            scores = await failed.scores([one.place for one in grown], score, [one.state.text for one in grown])
            for one, value in zip(grown, scores, strict=True):
                if value is None:
                    continue
                unscored.pop(one.place, None)
                if one.state.text not in reached:
                    reached.add(one.state.text)
                    heapq.heappush(frontier, _node(one, value, memory))
    goals = sorted(node for node in frontier if node.state.done and node.state.answer is not None)
    candidates = _whole([leaf(question, goal.state, 1 - goal.ahead) for goal in goals], unscored)
    failed.check(bool(candidates))
    return Found(candidates[0] if candidates else None, candidates, end.stopped, sum(longest.values()), failed.errors)


def _whole(scored: list[Candidate], unscored: dict[int, Candidate]) -> tuple[Candidate, ...]:
    """Candidates with a score first, then those without one, each in order of place. Each text appears once."""
    first = {candidate.text: candidate for candidate in scored}
    for place in sorted(unscored):
        first.setdefault(unscored[place].text, unscored[place])
    return tuple(first.values())


def _node(grown: Grown, score: float, memory: float) -> Node:
    place, parent, state = grown
    ahead = 1.0 - score
    rise = max(0.0, ahead - parent.ahead) if parent.number else 0.0  # nothing is known of the question itself
    path = parent.path + memory * rise
    return Node(path + ahead, -state.depth, place + 1, path, ahead, state)


def _pop(frontier: list[Node], most: int, depth: int) -> list[Node]:
    """The cheapest states that can be extended; none when the cheapest is an answer. Dead ends are dropped."""
    taken: list[Node] = []
    while frontier and len(taken) < most:
        state = frontier[0].state
        if state.done and state.answer is not None:
            break
        node = heapq.heappop(frontier)
        if not state.done and state.depth < depth:
            taken.append(node)
    return taken
