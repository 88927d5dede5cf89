"""SCALE: hard steps of a solution are thought through, easy ones answered at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Generic, NamedTuple, TypeVar

from headway.errors import UsageError
from headway.joins.gather import gather
from headway.methods import settings
from headway.methods.graph import Graph
from headway.methods.records import Action, View
from headway.scopes.anytime import Stopped, anytime

Q = TypeVar("Q")
P = TypeVar("P")
T = TypeVar("T")

THRESHOLD = 0.2
LAST = 0.9
"""The difficulty of the last step: whatever it is rated, it is thought through."""
ASKS = 3  # for a choice among outlines


class Step(NamedTuple, Generic[P, T]):
    """A step that is solved: the sub-problem, how hard it was rated, whether it was thought through, and its solution."""

    problem: P
    difficulty: float
    is_slow: bool
    solution: T


@dataclass(frozen=True, slots=True)
class Scaled(Generic[P, T]):
    """How a question was solved.

    Attributes:
        outline: the sub-problems that were chosen.
        steps: those that are solved, in their order.
        stopped: why it ended.
    """

    outline: tuple[P, ...]
    steps: tuple[Step[P, T], ...]
    stopped: Stopped

    @property
    def answer(self) -> T | None:
        """The solution of the last step, None where it was not reached."""
        return self.steps[-1].solution if self.outline and len(self.steps) == len(self.outline) else None


def is_slow(difficulty: float, threshold: float = THRESHOLD, *, is_last: bool = False) -> bool:
    """Whether a step is thought through.

    Args:
        difficulty: how hard it is rated, from 0 to 1.
        threshold: the difficulty up to which a step is answered at once.
        is_last: whether it is the last step, which counts as hard.

    Returns:
        Whether it is harder than the threshold.

    Example:
        >>> is_slow(0.2), is_slow(0.3), is_slow(0.1, is_last=True)
        (False, True, True)
    """
    return (LAST if is_last else difficulty) > threshold


async def scale(
    question: Q,
    outline: Callable[[Q, int], Awaitable[Sequence[P]]],
    pick: Callable[[Q, list[list[P]], int], Awaitable[int | None]],
    rate: Callable[[Q, P, list[Step[P, T]]], Awaitable[float]],
    solve: Callable[[Q, P, list[Step[P, T]], bool], Awaitable[T]],
    *,
    outlines: int = 8,
    threshold: float = THRESHOLD,
) -> Scaled[P, T]:
    """Solve a question step by step, and think only where it is hard.

    Several outlines are written side by side, and one is picked. Then step after step is rated and solved, each with all that is
    solved before it. The last step is always thought through.

    It departs in that the first outline is taken where nothing valid is picked three times.

    Args:
        question: what the parts are told.
        outline: writes the sub-problems: `outline(question, index)`.
        pick: chooses an outline by its place: `pick(question, outlines, index)`; None where it can't say.
        rate: how hard a sub-problem is, from 0 to 1: `rate(question, problem, solved)`. It is not asked of the last.
        solve: solves a sub-problem: `solve(question, problem, solved, is_slow)`.
        outlines: how many.
        threshold: the difficulty up to which a step is answered at once; 0.2 in the paper, 1 never thinks.

    Returns:
        The steps. It ends when all are solved, or when the budget or the deadline around it is used up.

    Raises:
        UsageError: a senseless setting, an outline without sub-problems, or a difficulty that is no number from 0 to 1.
        Exception: what the parts raise, but for budgets and deadlines.

    Example:
        >>> async def outline(question: str, index: int) -> list[str]:
        ...     return question.split("+")
        >>> async def pick(question: str, outlines: list[list[str]], index: int) -> int:
        ...     return 0
        >>> async def rate(question: str, part: str, solved: list[Step]) -> float:
        ...     return len(part) / 10
        >>> async def add(question: str, part: str, solved: list[Step], is_slow: bool) -> int:
        ...     return int(part) + (solved[-1].solution if solved else 0)
        >>> @hw.task
        ... async def program() -> tuple[int, list[bool]]:
        ...     found = await agents.scale("2+1000+3", outline, pick, rate, add)
        ...     return found.answer, [step.is_slow for step in found.steps]
        >>> hw.run(program, store=None)
        (1005, [False, True, True])

    Source:
        SCALE: Xiao et al., "Selective resource allocation for overcoming performance bottlenecks in mathematical test-time
        scaling", arXiv 2512.00466, and the authors' code (XiaoYang66/DualThinking, c0447c3).
    """
    where = "scale"
    settings.function(where, outline=outline, pick=pick, rate=rate, solve=solve)
    settings.at_least_one(where, outlines=outlines)
    settings.number(where, 0, 1, threshold=threshold)
    chosen: list[P] = []
    found: dict[int, Step[P, T]] = {}
    with anytime(found) as block:
        written = [list(each) for each in await gather(*(outline(question, index) for index in range(outlines)))]
        if not (written := [each for each in written if each]):
            raise UsageError(f"{where}: outline={outline!r} wrote no sub-problem {outlines} times: at least one")
        chosen += written[await _pick(question, pick, written)]
        solved: list[Step[P, T]] = []
        for place, problem in enumerate(chosen):
            is_last = place == len(chosen) - 1
            difficulty = LAST if is_last else await rate(question, problem, list(solved))
            settings.number(f"{where}: rate={rate!r} of {problem!r:.40}", 0, 1, difficulty=difficulty)
            slow = is_slow(difficulty, threshold, is_last=is_last)
            solution = await solve(question, problem, list(solved), slow)
            solved.append(Step(problem, float(difficulty), slow, solution))
            block.keep(place, solved[-1])
    return Scaled(tuple(chosen), tuple(found[place] for place in sorted(found)), block.stopped)


async def _pick(question: Q, pick: Callable[[Q, list[list[P]], int], Awaitable[int | None]], written: list[list[P]]) -> int:
    """The place of an outline: of the first answer that is one."""
    for index in range(ASKS if len(written) > 1 else 0):
        place = await pick(question, written, index)
        if isinstance(place, int) and not isinstance(place, bool) and 0 <= place < len(written):
            return place
    return 0


@dataclass(frozen=True)
class Scale:
    """A policy that starts easy steps of a plan the fast way, hard ones the slow way, and what failed the fast way the slow way.

    Steps that no other needs count as hard, whatever they are rated.

    Attributes:
        graph: the plan that it will run.
        difficulty: how hard each step is rated, from 0 to 1.
        fast: the choice for easy steps.
        slow: the choice for hard ones.
        threshold: the difficulty up to which a step is easy.
        tries: how often a step is tried before it is given up.

    Raises:
        UsageError: a senseless setting, or a step without a difficulty.

    Example:
        >>> plan = Graph((Node("a", 1), Node("b", 2, after("a"))))
        >>> policy = Scale(plan, {"a": 0.1, "b": 0.1})
        >>> [policy(View((step,)), Random(1))[0].choice for step in ("a", "b")]
        ['fast', 'slow']

    Source:
        SCALE: Xiao et al., arXiv 2512.00466, and the authors' code (XiaoYang66/DualThinking, c0447c3).
    """

    graph: Graph[Any] = field(repr=False)
    difficulty: Mapping[str, float] = field(repr=False)
    fast: str = "fast"
    slow: str = "slow"
    threshold: float = THRESHOLD
    tries: int = 2

    name = "scale"

    def __post_init__(self) -> None:
        settings.number("Scale", 0, 1, threshold=self.threshold)
        settings.at_least_one("Scale", tries=self.tries)
        for node in self.graph.nodes:
            if node.id not in self.difficulty:
                raise UsageError(f"Scale: difficulty= has nothing of step {node.id!r}")
            settings.number(f"Scale: step {node.id!r}", 0, 1, difficulty=self.difficulty[node.id])

    def __call__(self, view: View, rng: Random, /) -> Sequence[Action]:
        actions = []
        for step in view.ready:
            failed = sum(each.step == step for each in view.ended)
            is_last = not self.graph.dependents(step)
            slow = bool(failed) or is_slow(self.difficulty[step], self.threshold, is_last=is_last)
            why = "failed before" if failed else "last" if is_last else f"difficulty {self.difficulty[step]:.2f}"
            if failed < self.tries:
                actions.append(Action(step, self.slow if slow else self.fast, why=why))
        return actions
