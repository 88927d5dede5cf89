"""BATS: an agent that knows what is left of its budget, as a search of branches and as a policy of a map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Generic, TypeVar

from headway.joins.gather import gather_affordable
from headway.methods import settings
from headway.methods.allocate.agents.tracker import REGIMES, Move, Regime, Tracker, decide_after
from headway.methods.protocols import Scorer, Selector, Stepper, Verifier
from headway.methods.records import Action, Candidate, State, Verdict, View
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, choose
from headway.methods.search.parts import call_stepper, call_verifier
from headway.methods.search.select.selectors import best
from headway.methods.search.tree.loop import NOTHING_SAID, check_steps, leaf
from headway.scopes.anytime import anytime
from headway.scopes.budget import remaining

Q = TypeVar("Q")
S = TypeVar("S")


async def bats(
    question: Q,
    step: Stepper[Q, S],
    score: Scorer[Q, S],
    verify: Verifier[Q, S],
    *,
    regimes: tuple[Regime, ...] = REGIMES,
    least: float = 0.0,
    depth: int = 1,
    most: int = 1000,
    select: Selector[S] = best,
    start: State[S] = NOTHING_SAID,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[S]:
    """Dig where it is promising, or pivot to other branches, by what is left of the budget.

    With plenty left it opens several branches at once and digs only at a good one. The less is left, the fewer it opens and the
    sooner it makes do. It digs only where it can come to an answer before the budget ends. An answer that is verified ends the
    search ("success"). One that can't be verified is kept, and its branch goes on from before it ("continue"); one that is
    contradicted ends its branch ("pivot").

    It departs in that code decides: the paper tells the model what is left and leaves the choice to it. It departs in what is
    enough to dig, which the paper does not say in numbers. It departs in that branches are states, where the paper keeps a
    checklist in the prompt.

    Args:
        question: what the parts are told.
        step: extends a state; from `start` it opens a branch. What it spends is what is tracked.
        score: how promising open branches are, from 0 to 1.
        verify: right is a success, None goes on, wrong ends the branch.
        regimes: how to act with how much left.
        least: the score that a branch must have to be dug at all; 0 spends all there is.
        depth: how many steps it takes to an answer, as far as one knows; 1 where one doesn't.
        most: steps at most, should steps spend nothing of what is tracked.
        select: takes one of the candidates, whose score is how likely they are right.
        start: where a branch starts; an empty text.
        errors: what a part may fail with without failing the search. A step that fails ends its branch.

    Returns:
        The candidates, and the one that `select` takes. It ends when an answer is verified, when the budget or the deadline is
        used up, or when little is left and no branch is open.

    Raises:
        UsageError: there is no budget around it, or a senseless setting.
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> @hw.task(cost={"searches": 1})
        ... async def look(question: str, state: State[str], index: int) -> State[str]:
        ...     hw.charge(searches=1)
        ...     return State(state.value or "abcdefgh"[index], 1, done=bool(state.value), answer=state.value)
        >>> async def promising(question: str, values: list[str]) -> list[float]:
        ...     return [0.9 if value in "cf" else 0.1 for value in values]
        >>> async def right(question: str, candidate: Candidate[str], index: int) -> Verdict:
        ...     return Verdict(candidate.value == question)
        >>> @hw.task
        ... async def program() -> tuple[object, float]:
        ...     with hw.budget(searches=20) as book:
        ...         found = await agents.bats("f", look, promising, right)
        ...     return found.answer, book.spent["searches"]
        >>> hw.run(program, store=None)
        ('f', 10.0)

    Source:
        BATS: Liu et al., "Budget-aware tool-use enables effective agent scaling", arXiv 2511.17006.
    """
    check_steps("bats", step, score, select, start, n=1, depth=depth)
    settings.function("bats", verify=verify)
    settings.at_least_one("bats", most=most)
    agent: _Agent[Q, S] = _Agent(
        question, step, score, verify, Tracker(remaining(), regimes, least), depth, start, Failures(errors)
    )
    with anytime(agent.found) as block:
        while (move := agent.decide()) is not None:
            if move.dig is None:
                await agent.open_branches(move.branches)
            elif (candidate := await agent.dig(agent.open[move.dig])) is not None:
                block.keep(len(agent.found), candidate)
            if agent.solved or agent.places >= most:
                break
    return choose(agent.found, select, block.stopped, sum(candidate.tokens for candidate in agent.found.values()), agent.failed)


@dataclass
class _Branch(Generic[S]):
    state: State[S]
    score: float
    tried: int = 0  # continuations of this state


@dataclass
class _Agent(Generic[Q, S]):
    question: Q
    step: Stepper[Q, S]
    score: Scorer[Q, S]
    verify: Verifier[Q, S]
    tracker: Tracker
    depth: int
    start: State[S]
    failed: Failures
    open: list[_Branch[S]] = field(default_factory=list)
    opened: int = 0
    found: dict[int, Candidate[S]] = field(default_factory=dict)
    places: int = 0  # of steps and verdicts
    steps: int = 0
    solved: bool = False

    def decide(self) -> Move | None:
        """Dig or pivot, by what is left now."""
        left = remaining()
        needs = [max(0, self.depth - branch.state.depth) for branch in self.open]
        scores, steps = [branch.score for branch in self.open], self.tracker.steps(left, self.steps)
        return self.tracker.decide(left, scores, needs, new=self.depth - 1, steps=steps)

    async def open_branches(self, count: int) -> None:
        """Take so many first steps, side by side; keep those that lead somewhere."""
        numbers = range(self.opened, self.opened + count)
        self.opened += count
        made = await gather_affordable(*(self._extend(self.start, number) for number in numbers))
        states = [state for state in made if state is not None]
        await self._keep([_Branch(state, 0.0) for state in states])

    async def dig(self, branch: _Branch[S]) -> Candidate[S] | None:
        """Take the next step of a branch. Returns the candidate where it led to an answer."""
        self.open.remove(branch)
        if branch.state.done:
            return await self._judge(branch, branch.state, None)
        state = await self._extend(branch.state, branch.tried)
        branch.tried += 1
        if state is None:
            return None
        if state.done:
            return await self._judge(branch, state, branch)
        await self._keep([_Branch(state, 0.0)])
        return None

    async def _judge(self, branch: _Branch[S], state: State[S], before: _Branch[S] | None) -> Candidate[S]:
        self.places += 1
        verdict = await self.failed.spare(self.places, call_verifier(self.verify, self.question, leaf(state), branch.tried))
        found = Verdict(None) if isinstance(verdict, Failed) else verdict
        decision = decide_after(found, self.tracker.regime(remaining()))
        self.solved = decision == "success"
        if decision == "continue" and before is not None:
            self.open.insert(0, before)  # it goes on there, unless another is better
        return leaf(state, found.right)

    async def _extend(self, state: State[S], index: int) -> State[S] | None:
        self.places += 1
        self.steps += 1
        made = await self.failed.spare(self.places, call_stepper(self.step, self.question, state, index))
        return None if isinstance(made, Failed) else replace(made, depth=state.depth + 1)

    async def _keep(self, branches: list[_Branch[S]]) -> None:
        """Score branches and have them open."""
        places = [self.places] * len(branches)
        scores = await self.failed.scores(
            places, self.score, self.question, [branch.state.value for branch in branches], probable=True
        )
        for branch, score in zip(branches, scores, strict=True):
            if score is not None:
                branch.score = score
                self.open.append(branch)


@dataclass(frozen=True)
class Bats:
    """A policy for the leads of a map: how many are tried at once, and how often before others are, by what is left of the budget.

    The total is what is left, what was seen to be spent, and what runs has reserved.

    Attributes:
        choice: how a lead is tried.
        enough: how many leads must succeed; then it gives up the others. None for all of them.
        regimes: how to act with how much left. Where one opens no branches, leads that were never tried are left alone, unless
            nothing else is there.

    Raises:
        UsageError: a senseless setting, or there is no budget to track.

    Example:
        >>> failed = 6 * (Observation("0", ok=False, cost={"searches": 1}),)
        >>> plenty, less = View(tuple("012345"), left={"searches": 10}), View(tuple("012345"), ended=failed, left={"searches": 4})
        >>> [len(Bats()(view, Random(1))) for view in (plenty, less)]
        [4, 2]

    Source:
        BATS: Liu et al., "Budget-aware tool-use enables effective agent scaling", arXiv 2511.17006; after the idea of.
    """

    choice: str = ""
    enough: int | None = 1
    regimes: tuple[Regime, ...] = REGIMES

    def __post_init__(self) -> None:
        if self.enough is not None:
            settings.at_least_one("Bats", enough=self.enough)
        Tracker({"any": 1.0}, self.regimes)

    name = "bats"

    def __call__(self, view: View, rng: Random, /) -> Sequence[Action]:
        solved = {each.step for each in view.ended if each.ok}
        if self.enough is not None and len(solved) >= self.enough:
            return []
        regime, left = self._track(view)
        tries = Counter(each.step for each in view.ended)
        again = [step for step in view.ready if tries[step] % regime.patience or (tries[step] and not regime.branches)]
        others = sorted((step for step in view.ready if step not in again), key=lambda step: tries[step])
        free = max(1, regime.branches) - len(view.running)
        return [
            Action(step, self.choice, why=f"{'dig' if step in again else 'pivot'}: {regime.name}, {left:.0%} left")
            for step in [*again, *others][: max(0, free)]
        ]

    def _track(self, view: View) -> tuple[Regime, float]:
        total = dict(view.left)
        for unit in total:
            total[unit] += sum(each.cost.get(unit, 0.0) for each in view.ended)
            total[unit] += sum(each.reserved.get(unit, 0.0) for each in view.running)
        tracker = Tracker(total, self.regimes)
        return tracker.regime(view.left), tracker.share(view.left)
