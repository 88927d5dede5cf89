"""GroundedPRM on chains of sums with a checker: how noisy the labels of steps are, next to labels from answers alone."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace

from benchmarks.methods.row import Pair, Row
from headway.methods import search
from headway.methods.search import Candidate, State, Verdict

Chain = tuple[int, ...]
LENGTH = 6


@dataclass
class Sums:
    """Chains of 6 sums: each step adds the next number to what is there, and gets it wrong in one of four cases, or after a wrong
    step in one of three. An answer is right where it is the whole sum. The tool does a step's sum itself, and errs in a share of
    cases."""

    seed: int = 0
    tool_errs: float = 0.0
    calls: int = field(default=0, compare=False)

    def numbers(self, question: str) -> list[int]:
        draw = draw_for(self.seed, "numbers", question)
        return [draw.randint(1, 99) for _ in range(LENGTH + 1)]

    def is_right(self, question: str, sums: Chain) -> bool:
        """Whether the last step of a chain adds what it should to what was there."""
        numbers = self.numbers(question)
        before = sums[-2] if len(sums) > 1 else numbers[0]
        return sums[-1] == before + numbers[len(sums)]

    async def step(self, question: str, state: State[Chain], index: int) -> State[Chain]:
        self.calls += 1
        sums: Chain = state.value
        numbers = self.numbers(question)
        made = (sums[-1] if sums else numbers[0]) + numbers[len(sums) + 1]
        draw = draw_for(self.seed, "step", question, sums, index)
        slips = 0.33 if sums and sums[-1] != sum(numbers[: len(sums) + 1]) else 0.25
        if draw.random() < slips:
            made += draw.choice((-10, -1, 1, 10))
        grown = (*sums, made)
        done = len(grown) == LENGTH
        return replace(state, value=grown, done=done, tokens=state.tokens + 1, answer=grown[-1] if done else None)

    async def check(self, question: str, candidate: Candidate[Chain], index: int) -> Verdict:
        self.calls += 1
        errs = draw_for(self.seed, "tool", question, candidate.value).random() < self.tool_errs
        return Verdict(self.is_right(question, candidate.value) != errs)

    async def judge(self, question: str, candidate: Candidate[Chain], index: int) -> Verdict:
        return Verdict(candidate.answer == sum(self.numbers(question)))

    async def is_solved_from(self, question: str, sums: Chain, index: int) -> bool:
        state = State(sums, done=len(sums) == LENGTH)
        while not state.done:
            state = await self.step(question, state, index)
        return state.value[-1] == sum(self.numbers(question))


def until_first_error(sums: Sums, question: str, chain: Chain) -> int:
    """How many steps have a true label: those up to the first wrong one."""
    for count in range(1, len(chain) + 1):
        if not sums.is_right(question, chain[:count]):
            return count
    return len(chain)


async def label(sums: Sums, questions: int) -> tuple[float, float]:
    """The share of steps that get a wrong label: from checked paths, and from answers alone, with at least as many calls."""
    wrong, plain, steps = 0, 0, 0
    for number in range(questions):
        question, sums.calls = f"q{number}", 0
        got = await search.grounded_search(question, sums.step, sums.check, sums.judge, rollout=LENGTH, start=State(()))
        labelled = [step for path in got.paths for step in path.steps[: until_first_error(sums, question, path.steps[-1].value)]]
        spent, sums.calls, solved, tries = sums.calls, 0, [False] * len(labelled), 0
        while labelled and sums.calls < spent:  # a step is right if an answer that was reached from it is: Math-Shepherd's label
            for at, step in enumerate(labelled):
                solved[at] |= await sums.is_solved_from(question, step.value, 1000 + tries)
            tries += 1
        truth = [sums.is_right(question, step.value) for step in labelled]
        wrong += sum(step.ok != right for step, right in zip(labelled, truth, strict=True))
        plain += sum(one != right for one, right in zip(solved, truth, strict=True))
        steps += len(labelled)
    return wrong / steps, plain / steps


async def solutions(sums: Sums, explore: float, questions: int) -> float:
    """Right solutions per question that a search collects in 12 rounds."""
    count = 0
    for number in range(questions):
        got = await search.grounded_search(
            f"q{number}",
            sums.step,
            sums.check,
            sums.judge,
            rounds=12,
            positive=12,
            explore=explore,
            rollout=LENGTH,
            start=State(()),
        )
        count += sum(path.right for path in got.paths)
    return count / questions


def draw_for(*what: object) -> random.Random:
    return random.Random(repr(what))


def measure_labels(seed: int) -> Pair:
    """The share of steps with a wrong label, where the tool errs in one of twenty cases."""
    return Pair(*asyncio.run(label(Sums(seed, tool_errs=0.05), 100)))


def measure_solutions(seed: int) -> Pair:
    """Right solutions per question in 12 rounds, by UCT and by going down to all nodes in turn."""
    return Pair(*(asyncio.run(solutions(Sums(seed), explore, 100)) for explore in (1.414, 1e6)))


TESTS = "tests/methods/search/tree/test_grounded.py::"
ROWS = [
    Row(
        method="GroundedPRM",
        function="headway.methods.search.grounded_search",
        item="search",
        claim="26 % better than other scorers of steps, from 40 K labelled samples",
        shows="fewer steps get a wrong label, though the tool errs in 5 % of its checks",
        baseline="labels from answers alone (Math-Shepherd), for as many calls",
        unit="share of steps with a wrong label (synthetic)",
        measure=measure_labels,
        reached=lambda low, high: high < 1,
        test=f"{TESTS}test_checked_steps_have_less_noise_than_labels_from_answers_alone_for_as_many_calls",
    ),
    Row(
        method="GroundedPRM",
        function="headway.methods.search.grounded_search",
        item="search",
        claim="UCT leads the search",
        shows="UCT collects more right solutions in as many rounds",
        baseline="all nodes in turn",
        unit="right solutions per question (synthetic)",
        measure=measure_solutions,
        reached=lambda low, high: low > 1,
        test=f"{TESTS}test_what_comes_through_a_node_says_where_to_look",
    ),
]
