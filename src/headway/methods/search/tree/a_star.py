"""A*-decoding: best-first search over partial solutions."""

from __future__ import annotations

import heapq
from typing import Generic, NamedTuple, TypeVar

from headway.joins.gather import gather_affordable
from headway.methods import settings
from headway.methods.protocols import Equal, Scorer, Stepper
from headway.methods.records import Candidate, State
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found
from headway.methods.search.parts import call_stepper
from headway.methods.search.select.equality import Classes, same
from headway.methods.search.tree.loop import NOTHING_SAID, leaf, place_in_tree
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
S = TypeVar("S")


class Node(NamedTuple, Generic[S]):
    """A state on the frontier, least estimated cost first: `path` behind it and `ahead`. Of equals the deeper, then the earlier."""

    estimate: float
    depth: int  # negative
    number: int
    path: float
    ahead: float
    state: State[S]
    extended: int = 0  # how often it was


class Grown(NamedTuple, Generic[S]):
    """A state that a step led to, and its place among all that the search grew."""

    place: int
    parent: Node[S]
    state: State[S]


async def a_star(
    question: Q,
    step: Stepper[Q, S],
    score: Scorer[Q, S],
    *,
    n: int = 64,
    width: int = 4,
    parallel: int = 1,
    memory: float = 1.0,
    depth: int = 40,
    equal: Equal = same,
    start: State[S] = NOTHING_SAID,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[S]:
    """Always extend the partial solution of least estimated cost. The cheapest whole answer is the result.

    The cost ahead of a state is 1 - score. The cost behind it is the sum of all rises of that cost on its path: a path that once
    looked worse keeps that cost, even if a lucky score follows. Only differences of costs count, so scores may have any scale.

    It departs from the paper in four ways. `memory` says how much the rises on the way count. The `parallel` best states are
    extended at once, which trades calls for rounds. A state that was reached before is not put on the frontier again. When nothing
    is left to extend and no answer was reached, all states come back to the frontier: a stepper that draws may continue them
    otherwise.

    Args:
        question: what the parts are told.
        step: extends a state.
        score: says how promising states are.
        n: expansions at most.
        width: continuations of an expanded state.
        parallel: states that are expanded at once.
        memory: how much the rises on the way count; 1 is A*, 0 looks at the last score alone (greedy best-first), which is better
            where scores are noisy from step to step.
        depth: steps of an answer at most.
        equal: whether two partial solutions are the same.
        start: where the search starts; an empty text.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Returns:
        All whole answers that were reached, by their cost, and after them those that nobody scored; the best is the one of least
        cost, not the one that was reached first.

    Raises:
        Exception: what `step` and `score` raise, but for budgets and deadlines, which end the search.

    Example:
        >>> asyncio.run(a_star("17+25=", next_digit, value, n=100, width=4)).answer
        '42'

    Source:
        A*-decoding: Chatziveroglou, arXiv 2505.13672; after the idea of, from the abstract and notes on it.
    """
    settings.whole_number("a_star", n=n)
    settings.at_least_one("a_star", width=width, parallel=parallel, depth=depth)
    settings.finite("a_star", memory=memory)
    settings.function("a_star", step=step, score=score, equal=equal)
    settings.instance("a_star", State, start=start)
    frontier: list[Node[S]] = [Node(0.0, 0, 0, 0.0, 0.0, start)]
    extended: list[Node[S]] = []
    unscored: dict[int, Candidate[S]] = {}  # answers that have no score (yet), by their places
    reached, longest = Classes(equal), dict[int, int]()  # tokens of the longest step of each round
    reached.number(start.value)
    places = range(0)  # of the states of a round; those of the next follow
    expansions = 0
    failed = Failures(errors)

    async def extend(parent: Node[S], index: int, place: int) -> Grown[S] | None:
        made = await failed.spare(place, call_stepper(step, question, parent.state, index))
        if isinstance(made, Failed):
            return None
        grown = place_in_tree(parent.state, made, index)
        longest[places.start] = max(longest.get(places.start, 0), grown.tokens - parent.state.tokens)
        if grown.done and grown.answer is not None:
            unscored[place] = leaf(grown)
        return Grown(place, parent, grown)

    with anytime() as block:
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
            plan = zip(places, work, strict=True)
            ends = await gather_affordable(*(extend(parent, index, place) for place, (parent, index) in plan))
            grown = [end for end in ends if end is not None]
            scores = await failed.scores([one.place for one in grown], score, question, [one.state.value for one in grown])
            for one, value in zip(grown, scores, strict=True):
                if value is None:
                    continue
                unscored.pop(one.place, None)
                known = len(reached)
                if reached.number(one.state.value) == known:
                    heapq.heappush(frontier, _node(one, value, memory))
    goals = sorted(node for node in frontier if node.state.done and node.state.answer is not None)
    scored = [leaf(goal.state, 1 - goal.ahead) for goal in goals]
    candidates = _distinct([*scored, *(unscored[place] for place in sorted(unscored))], equal)
    failed.check(bool(candidates))
    return Found(candidates[0] if candidates else None, candidates, block.stopped, sum(longest.values()), failed.errors)


def _distinct(candidates: list[Candidate[S]], equal: Equal) -> tuple[Candidate[S], ...]:
    """The first of all candidates that are the same."""
    classes, first = Classes(equal), dict[int, Candidate[S]]()
    for candidate in candidates:
        first.setdefault(classes.number(candidate.value), candidate)
    return tuple(first.values())


def _node(grown: Grown[S], score: float, memory: float) -> Node[S]:
    place, parent, state = grown
    ahead = 1.0 - score
    rise = max(0.0, ahead - parent.ahead) if parent.number else 0.0  # the question itself has no score
    path = parent.path + memory * rise
    return Node(path + ahead, -state.depth, place + 1, path, ahead, state)


def _pop(frontier: list[Node[S]], most: int, depth: int) -> list[Node[S]]:
    """The cheapest states that can be extended; none when the cheapest is an answer. Dead ends are dropped."""
    taken: list[Node[S]] = []
    while frontier and len(taken) < most:
        state = frontier[0].state
        if state.done and state.answer is not None:
            break
        node = heapq.heappop(frontier)
        if not state.done and state.depth < depth:
            taken.append(node)
    return taken
