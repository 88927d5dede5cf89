"""Stochastic solvers for what is measured and tested of search methods: what they draw hangs on their seed and what they are asked,
nothing else.

A question is any text; "|" ends it. A solution is a walk of DEPTH steps behind it, one digit each. A step is right (digit 0) with
the probability of the tree, drawn from the state and the index; a walk is right when all its steps are. A score is what is known
of a walk, blurred by noise that hangs on the text alone.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from headway.methods.search import Candidate, Found, State, Verdict

RIGHT = "right"


def drawn(*what: object) -> random.Random:
    return random.Random(repr(what))


def by_hash(*what: object) -> float:
    """From 0 to 1, always the same for the same things."""
    return drawn(*what).random()


@dataclass
class Tree:
    """Walks of `depth` steps; `right` is the probability of a right step, `noise` the standard deviation of a score."""

    depth: int = 6
    right: float = 0.6
    noise: float = 0.15
    seed: int = 0
    steps: int = field(default=0, compare=False)  # taken so far: what a search costs
    scored: int = field(default=0, compare=False)

    async def step(self, question: str, state: State, index: int) -> State:
        self.steps += 1
        draw = drawn(self.seed, question + state.value, index)
        digit = 0 if draw.random() < self.right else draw.randint(1, 9)
        return self.after(state, digit)

    def after(self, state: State, digit: int) -> State:
        walk = f"{state.value}{digit}"
        done = len(walk) >= self.depth
        return replace(state, value=walk, tokens=state.tokens + 1, done=done, answer=self.answer(walk) if done else None)

    async def generate(self, question: str, index: int) -> Candidate:
        state = State("")
        for _ in range(self.depth):
            state = await self.step(question, state, index)
        return Candidate(state.value, state.answer, state.tokens)

    async def score(self, question: str, texts: list[str]) -> list[float]:
        self.scored += len(texts)
        return [self.value(question + text) for text in texts]

    def value(self, text: str) -> float:
        walk = text.partition("|")[2]
        wrong = len(walk.replace("0", ""))
        believed = (0.9, 0.45, 0.25)[min(wrong, 2)] + drawn(self.seed, "score", text).gauss(0, self.noise)
        return min(1.0, max(0.0, believed))

    async def embed(self, question: str, texts: list[str]) -> list[list[float]]:
        """Walks go in the same direction when they have the same wrong steps."""
        names = [text.replace("0", "") for text in texts]
        kinds = sorted(set(names))
        return [[float(kind == name) for kind in kinds] for name in names]

    def answer(self, walk: str) -> str:
        return walk if walk.strip("0") else RIGHT


class Trap(Tree):
    """A tree whose first step takes a direction: most walks take a wrong one (1) that looks as good as the right one (0) until they
    are whole. What follows is as in a tree."""

    async def step(self, question: str, state: State, index: int) -> State:
        self.steps += 1
        whole = question + state.value
        draw, share = drawn(self.seed, whole, index), by_hash(self.seed, "direction", whole, index)
        if not state.value:
            return self.after(state, 0 if share < 0.12 else 1 if share < 0.75 else draw.randint(2, 5))
        return self.after(state, 0 if draw.random() < self.right else draw.randint(6, 9))

    def value(self, text: str) -> float:
        walk = text.partition("|")[2]
        wrong = len(walk[1:].replace("0", ""))
        believed = (0.62 if walk[0] == "0" else 0.6) - 0.25 * min(wrong, 2)
        if len(walk) == self.depth:
            believed = 0.3 if walk.strip("0") else 0.9
        return min(1.0, max(0.0, believed + drawn(self.seed, "score", text).gauss(0, self.noise)))

    async def embed(self, question: str, texts: list[str]) -> list[list[float]]:
        """Walks go in the same direction when their first step does."""
        first = [text[:1] for text in texts]
        return [[float(digit == one) for digit in "012345"] for one in first]


async def accuracy(method: Callable[[str], Awaitable[Found]], questions: int) -> float:
    """The share of questions that a method answers right."""
    found = [await method(f"question {number}|") for number in range(questions)]
    return sum(each.answer == RIGHT for each in found) / questions


class Noisy(Tree):
    """Equal answers differ in their text, so that each has a score of its own."""

    @classmethod
    def of(cls, tree: Tree) -> Noisy:
        return cls(tree.depth, tree.right, tree.noise, tree.seed)

    async def generate(self, question: str, index: int) -> Candidate:
        made = await super().generate(question, index)
        return replace(made, value=made.value + "0" * index)


@dataclass
class Voter:
    """Gives the right answer with a probability of the question's own, else one of four wrong ones."""

    samples: int = 0

    def easiness(self, question: str) -> float:
        return 0.3 + 0.65 * by_hash("easiness", question)

    async def generate(self, question: str, index: int) -> Candidate:
        self.samples += 1
        draw = drawn("vote", question, index)
        return Candidate("", RIGHT if draw.random() < self.easiness(question) else f"wrong {draw.randint(1, 4)}", 1)


@dataclass
class Reasoner:
    """Right 60 % of the time, and then short: a right answer takes N(8, 2.5) tokens, a wrong one N(14, 4), a token a second."""

    lengths: list[float] = field(default_factory=list)

    async def generate(self, question: str, index: int) -> Candidate:
        draw = drawn("reason", question, index)
        right = draw.random() < 0.6
        seconds = max(0.1, draw.gauss(8, 2.5) if right else draw.gauss(14, 4))
        await asyncio.sleep(seconds)
        return Candidate("", RIGHT if right else "wrong", round(seconds))


@dataclass
class Judge:
    """Errs in a share of its verdicts, each by itself; a quick one costs 1, a thorough one 12."""

    cost: float = 0.0

    async def fast(self, question: str, candidate: Candidate, index: int) -> Verdict:
        self.cost += 1
        return Verdict((candidate.answer == RIGHT) != (by_hash("fast", question, index) < 0.25))

    async def slow(self, question: str, candidate: Candidate, index: int) -> Verdict:
        self.cost += 12
        return Verdict((candidate.answer == RIGHT) != (by_hash("slow", question) < 0.03))


@dataclass
class Thinker:
    """Has a whole solution after 4 steps and then doubts it for 8 more; right with 45 %, with 80 % once told what was wrong."""

    steps: int = 0

    async def step(self, question: str, state: State, index: int) -> State:
        self.steps += 1
        text, so_far = state.value, state.value.count("s")
        if so_far < 3:
            return replace(state, value=text + "s")
        if so_far == 3:
            right = by_hash("solve", question + text, index) < (0.8 if "hint" in question else 0.45)
            return replace(state, value=text + "s", answer=RIGHT if right else "wrong")
        return replace(state, value=text + "s wait, ", done=so_far > 11)

    async def complete(self, question: str, texts: list[str]) -> list[float]:
        return [0.9 if text.count("s") >= 4 else 0.1 for text in texts]

    async def check(self, question: str, candidate: Candidate, index: int) -> Verdict:
        right = (candidate.answer == RIGHT) != (by_hash("check", question, candidate.value, index) < 0.05)
        return Verdict(right, 0.9, "" if right else "hint")


def revise(question: str, candidate: Candidate, feedback: str) -> str:
    return question.replace("|", f" {feedback}|")


class Mixed(Tree):
    """Every second question is easy; what is hard has a right step half of the time."""

    async def generate(self, question: str, index: int) -> Candidate:
        return await self.easy(question).counted(self, question, index)

    async def step(self, question: str, state: State, index: int) -> State:
        self.steps += 1
        return await self.easy(question).step(question, state, index)

    def easy(self, text: str) -> Mixed:
        number = int(text.partition("|")[0].split()[-1])
        return Easy(self.depth, 0.93 if number % 2 else 0.5, self.noise)

    async def counted(self, whole: Tree, question: str, index: int) -> Candidate:
        made = await Tree.generate(self, question, index)
        whole.steps += self.steps
        return made


class Easy(Mixed):
    step = Tree.step


@dataclass
class Shallow:
    """Takes `mean` seconds, give or take a third, a token a second; right with a probability, and surer of what is right."""

    right: float
    mean: float
    seed: int = 0

    async def generate(self, question: str, index: int) -> Candidate:
        draw = drawn(self.seed, self.mean, question, index)
        took = max(0.5, draw.gauss(self.mean, self.mean / 3))
        await asyncio.sleep(took)
        right = draw.random() < self.right
        sure = draw.gauss(1.0 if right else 0.0, 1.0)
        return Candidate("", RIGHT if right else f"wrong {draw.randint(1, 6)}", round(took), logprob=sure * round(took))
