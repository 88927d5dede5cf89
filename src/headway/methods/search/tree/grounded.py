"""Monte Carlo tree search whose steps a tool checks: finds answers, and labels steps for training a scorer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from headway.joins.gather import gather_affordable
from headway.methods import settings
from headway.methods.protocols import Stepper, Verifier
from headway.methods.records import Candidate, State, Verdict
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, choose
from headway.methods.search.parts import call_stepper, call_verifier
from headway.methods.search.select.selectors import likeliest
from headway.methods.search.tree.loop import NOTHING_SAID, leaf, place_in_tree
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Step(Generic[S_co]):
    """A step of a path, as the tool saw it.

    Attributes:
        value: the partial solution that it led to.
        ok: whether the tool found it right; None where it does not know.
    """

    value: S_co
    ok: bool | None


@dataclass(frozen=True, slots=True)
class Path(Generic[S_co]):
    """A whole solution.

    Attributes:
        steps: its steps with their labels, the first first.
        right: whether its answer is.
    """

    steps: tuple[Step[S_co], ...]
    right: bool


@dataclass(frozen=True, slots=True)
class Grounded(Generic[S_co]):
    """What a search with checked steps gives.

    Attributes:
        found: the whole solutions; a score says whether the answer is right.
        paths: the first right and the first wrong ones, as steps with their labels: training data for a scorer of steps.
    """

    found: Found[S_co]
    paths: tuple[Path[S_co], ...]


@dataclass(eq=False, slots=True)
class _Node(Generic[S]):
    """A state in the tree: what came through it, and what the tool said of its last step."""

    state: State[S]
    ok: bool | None = None
    parent: _Node[S] | None = None
    children: list[_Node[S]] = field(default_factory=list)
    extended: bool = False
    visits: int = 0
    total: float = 0.0

    @property
    def exhausted(self) -> bool:
        """Whether nothing new can come of it."""
        return (self.state.done and self.visits > 0) or (self.extended and all(child.exhausted for child in self.children))

    def line(self) -> Iterator[_Node[S]]:
        """The node and those above it, up to the root."""
        node: _Node[S] | None = self
        while node is not None:
            yield node
            node = node.parent


async def grounded_search(
    question: Q,
    step: Stepper[Q, S],
    check: Verifier[Q, S],
    judge: Verifier[Q, S],
    *,
    rounds: int = 10,
    width: int = 3,
    explore: float = 1.414,
    rollout: int = 5,
    fade: float = 0.9,
    positive: int = 3,
    negative: int = 3,
    start: State[S] = NOTHING_SAID,
    errors: Errors = SAMPLE_ERRORS,
) -> Grounded[S]:
    """Search by UCT, where a tool checks each step, and collect right and wrong solutions whose steps are labelled.

    A round goes down the tree to the most promising node, extends it, and follows one of its children to the end. What that is
    worth (`value_of_path`) goes up again, less by `fade` for each step. Labels come from the tool, so a right step on the way to a
    wrong answer is not blamed for it, as it is where only answers count.

    It departs from the public code, which goes down to a random child, and follows the paper's UCT, over mean values. It departs in
    that the children of a node are checked at once and the best of them is followed. A solution that does not end within the
    rollout belongs to no path.

    Args:
        question: what the parts are told.
        step: extends a state.
        check: whether the last step of a partial solution is right: the tool.
        judge: whether the answer of a whole solution is right.
        rounds: at most. The search ends before, when it has enough right and wrong solutions.
        width: children of a node.
        explore: UCT's constant: how much what was seen seldom is preferred.
        rollout: steps that a child is followed for at most.
        fade: from 0 to 1: what a value is multiplied by for each step up.
        positive: right solutions to collect. When they are there, the search looks for wrong ones.
        negative: wrong solutions to collect.
        start: where the search starts; an empty text.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`. A check that fails says
            nothing of its step.

    Returns:
        The solutions, and their paths.

    Raises:
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> async def right_so_far(question, candidate, index):
        ...     return search.Verdict("42".startswith(candidate.value))
        >>> got = asyncio.run(grounded_search("17+25=", next_digit, right_so_far, proof))
        >>> got.found.answer, {step.ok for path in got.paths if path.right for step in path.steps}
        ('42', {True})

    Source:
        GroundedPRM: Zhang et al., arXiv 2510.14942; values and constants as in the authors' code.
    """
    settings.whole_number("grounded_search", rounds=rounds, positive=positive, negative=negative)
    settings.at_least_one("grounded_search", width=width, rollout=rollout)
    settings.finite("grounded_search", explore=explore)
    settings.number("grounded_search", 0, 1, fade=fade)
    settings.function("grounded_search", step=step, check=check, judge=judge)
    settings.instance("grounded_search", State, start=start)
    failed = Failures(errors)
    solved: dict[int, tuple[Candidate[S], Path[S]]] = {}
    root = _Node(start)
    places = tokens = 0

    async def extend(parent: _Node[S], index: int, place: int) -> _Node[S] | None:
        made = await failed.spare(place, call_stepper(step, question, parent.state, index))
        if isinstance(made, Failed):
            return None
        state = place_in_tree(parent.state, made, index)
        verdict = await failed.spare(place, call_verifier(check, question, leaf(state), place))
        return _Node(state, verdict.ok if isinstance(verdict, Verdict) else None, parent)

    async def grow(node: _Node[S]) -> None:
        """Give a node its children."""
        nonlocal places, tokens
        first, places = places + 1, places + width
        made = await gather_affordable(*(extend(node, index, first + index) for index in range(width)))
        node.extended, node.children = True, [child for child in made if child is not None]
        tokens += max((child.state.tokens - node.state.tokens for child in node.children), default=0)

    async def follow(node: _Node[S]) -> tuple[list[bool | None], float]:
        """Follow a node to the end of its solution: the labels of the steps from it on, and 1 if the answer is right, else -1."""
        nonlocal places, tokens
        labels, before = [node.ok], node.state.tokens
        while not node.state.done and len(labels) <= rollout:
            places += 1
            after = await extend(node, width, places)
            if after is None:
                return labels, -1.0
            node = after
            labels.append(node.ok)
        tokens += node.state.tokens - before
        if not node.state.done:
            return labels, -1.0
        places += 1
        said = await failed.spare(places, call_verifier(judge, question, leaf(node.state), places))
        if isinstance(said, Failed) or said.ok is None:
            return labels, 0.0
        steps = [Step(each.state.value, each.ok) for each in node.line() if each.parent is not None]
        block.keep(places, (leaf(node.state, said.right), Path(tuple(reversed(steps)), said.ok)))
        return labels, 1.0 if said.ok else -1.0

    with anytime(solved) as block:
        for _ in range(rounds):
            right = sum(path.right for _, path in solved.values())
            if (right >= positive and len(solved) - right >= negative) or root.exhausted:
                break
            wanted = 1 if right < positive else -1
            node = descend(root, explore, wanted)
            if node is root or node.visits:
                await grow(node)
                node = max(node.children, key=lambda child: wanted * _sign(child.ok), default=node)
            labels, final = ([None], -1.0) if node.extended else await follow(node)  # extended: no child of it could be made
            send_up(node, value_of_path([_sign(label) for label in labels], final), fade)
    found = {place: candidate for place, (candidate, _) in solved.items()}
    paths = [path for _, (_, path) in sorted(solved.items())]
    wrong = [path for path in paths if not path.right][:negative]
    ended = choose(found, likeliest, block.stopped, tokens, failed)
    return Grounded(ended, (*[path for path in paths if path.right][:positive], *wrong))


def value_of_path(labels: Sequence[float], final: float) -> float:
    """What a followed path is worth to the node that it begins at.

    Args:
        labels: of its steps: 1 right, -1 wrong, 0 unknown. The earlier, the more they count.
        final: of its answer.

    Returns:
        The sum over steps i of N, from 0, of label / N * (N - i) / N, and final / N.

    Example:
        >>> value_of_path([1, 1, -1, -1], final=-1)
        0.0
    """
    count = len(labels)
    return sum(label * (count - place) / count for place, label in enumerate(labels)) / count + final / count


def descend(root: _Node[S], explore: float, wanted: int) -> _Node[S]:
    """Go down by UCT to a node without children, past those that nothing new can come of.

    Args:
        root: where to begin; not exhausted.
        explore: UCT's constant.
        wanted: 1 to go where values are high, -1 where they are low.

    Returns:
        The node.
    """
    node = root
    while node.children:
        above = math.log(node.visits + 1)

        def bound(child: _Node[S], above: float = above) -> float:
            mean = child.total / child.visits if child.visits else 0.0
            return wanted * mean + explore * math.sqrt(above / (child.visits + 1))

        node = max((child for child in node.children if not child.exhausted), key=bound)
    return node


def send_up(node: _Node[S], value: float, fade: float) -> None:
    """Add a value to a node and, less for each step, to those above it."""
    for distance, each in enumerate(node.line()):
        each.visits += 1
        each.total += value * fade**distance


def _sign(ok: bool | None) -> int:
    return 0 if ok is None else 1 if ok else -1
