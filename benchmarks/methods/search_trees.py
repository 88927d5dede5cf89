"""Searches over trees of steps, on the Countdown model: what ETS holds in memory next to REBASE.

Settings were chosen on the puzzles of seed 11; the rows are measured on the held-out puzzles of seeds 100 and up.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple, TypeVar

from benchmarks.methods.row import Pair, Row
from headway.methods import search
from headway.methods.records import Candidate, State
from headway.methods.search.tree.keep import nodes_of
from headway.models.base import Request, Sample
from headway.reference.countdown.batches import make_held_out_puzzles
from headway.reference.countdown.judge import solves
from headway.reference.countdown.puzzle import answer, apply_steps, parse, steps_of
from headway.reference.countdown.sampling import CountdownModel

PUZZLES, WIDTH, STEPS = 60, 16, 3
COST = 2.0
"""ETS' price of nodes: of 1 and 2, what kept fewer per solved puzzle on seed 11."""
REBASE = 0.05
"""REBASE's temperature: of 0.05, 0.1 and 0.2, what kept the fewest nodes per solved puzzle on seed 11."""

T = TypeVar("T")


class Together:
    """Calls a function of a list once for all that is asked of it at about the same time. Rows run outside of a run, where calls of
    tasks that batch are not put together."""

    def __init__(self, function: Callable[[list[Any]], Sequence[Any]]) -> None:
        self._function = function
        self._asked: list[tuple[Any, asyncio.Future[Any]]] = []

    async def __call__(self, asked: Any) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked.append((asked, answer))
        if len(self._asked) == 1:
            self._soon(3)
        return await answer

    def _soon(self, turns: int) -> None:
        """Answer when the loop has come around a few times, so that all who are about to ask have asked."""
        asyncio.get_running_loop().call_soon(self._soon if turns else self._answer, *([turns - 1] if turns else []))

    def _answer(self) -> None:
        asked, self._asked = self._asked, []
        for (_, waiting), said in zip(asked, self._function([each for each, _ in asked]), strict=True):
            waiting.set_result(said)


class Parts:
    """The parts of a search on Countdown for one puzzle, without a run; what all puzzles ask at once is one batch. Counts tokens
    written, and the tokens of prompts."""

    def __init__(self, seed: int, shared: Shared) -> None:
        self.seed, self.shared, self.read, self.written = seed, shared, 0, 0

    async def say(self, text: str, index: int, most: int, stop: str = "") -> Sample:
        seed = self.seed * 1_000_003 + index
        reply = await self.shared.sample(Request(prompt=text, max_tokens=most, stop=(stop,) if stop else (), seed=seed))
        self.read, self.written = self.read + reply.prompt_tokens, self.written + reply.samples[0].tokens
        return reply.samples[0]  # type: ignore[no-any-return]

    async def generate(self, question: str, index: int) -> Candidate[str]:
        said = await self.say(question, index, 16)
        return Candidate(said.text, answer(question + said.text), said.tokens, said.logprob)

    async def step(self, question: str, state: State[str], index: int) -> State[str]:
        said = await self.say(question + state.value, index, 5, "\n")
        grown = replace(state, value=f"{state.value}{said.text}\n", tokens=state.tokens + said.tokens)
        puzzle, steps = parse(question + grown.value), steps_of(question + grown.value)
        if steps is None or apply_steps(puzzle, steps) is None:
            return replace(grown, done=True)
        return replace(grown, done=len(steps) == len(puzzle.numbers) - 1, answer=answer(question + grown.value))

    async def value(self, question: str, values: list[str]) -> list[float]:
        return list(await asyncio.gather(*(self.shared.value(question + value) for value in values)))

    async def embed(self, question: str, values: list[str]) -> list[list[float]]:
        return list(await asyncio.gather(*(self.shared.embed(question + value) for value in values)))


class Shared:
    """The Countdown model for many searches at a time."""

    def __init__(self) -> None:
        model = CountdownModel.shipped()
        self.sample, self.embed = Together(model.sample_batch), Together(model.embeddings)
        self.value = Together(lambda texts: self._values(model, texts))

    def _values(self, model: CountdownModel, texts: list[str]) -> list[float]:
        """What the value head says; 0 where a text breaks the rules."""
        legal = [text for text in texts if (steps := steps_of(text)) is not None and apply_steps(parse(text), steps) is not None]
        said = dict(zip(legal, model.values(legal), strict=True))
        return [said.get(text, 0.0) for text in texts]


def on_puzzles(search_one: Callable[[Parts, str], Coroutine[Any, Any, T]], seed: int, count: int = PUZZLES) -> list[T]:
    """Search each puzzle of a seed, all at the same time.

    Args:
        search_one: searches one, from its parts and its question.
        seed: of the puzzles; settings are chosen on others.
        count: how many puzzles.
    """

    async def search_all() -> list[T]:
        shared = Shared()
        puzzles = make_held_out_puzzles(100 + seed, count)
        return await asyncio.gather(*(search_one(Parts(number, shared), puzzle.prompt) for number, puzzle in enumerate(puzzles)))

    return asyncio.run(search_all())


class Searched(NamedTuple):
    """A search on a puzzle: the nodes that it held, summed over its rounds, and whether it solved the puzzle."""

    nodes: int
    solved: bool


async def hold(method: str, settings: dict[str, float], parts: Parts, question: str) -> Searched:
    """Search a puzzle, and count what the search holds: in each round the nodes on the paths of the continued states."""
    continued: defaultdict[int, set[tuple[int, ...]]] = defaultdict(set)

    def step(question: str, state: State[str], index: int) -> Awaitable[State[str]]:
        continued[state.depth].add(state.path)
        return parts.step(question, state, index)

    extra = (parts.embed,) if method == "ets" else ()
    found = await getattr(search, method)(question, step, parts.value, *extra, n=WIDTH, depth=STEPS, **settings)
    nodes = sum(len(nodes_of(list(paths))) for depth, paths in continued.items() if depth)
    return Searched(nodes, found.best is not None and solves(question + found.best.value))


@cache
def searched(method: str, seed: int, **settings: float) -> Sequence[Searched]:
    return on_puzzles(lambda parts, question: hold(method, settings, parts, question), seed)


def nodes_per_solved(found: Sequence[Searched]) -> float:
    return sum(each.nodes for each in found) / max(1, sum(each.solved for each in found))


def share_solved(found: Sequence[Searched]) -> float:
    return sum(each.solved for each in found) / len(found)


def measure_nodes(seed: int) -> Pair:
    """Nodes held per solved puzzle."""
    ours, plain = searched("ets", seed, node_cost=COST), searched("rebase", seed, temperature=REBASE)
    return Pair(nodes_per_solved(ours), nodes_per_solved(plain))


def measure_solved(seed: int) -> Pair:
    """The share of puzzles solved, next to REBASE at its most accurate temperature."""
    return Pair(share_solved(searched("ets", seed, node_cost=COST)), share_solved(searched("rebase", seed, temperature=0.2)))


def measure_cost(seed: int) -> Pair:
    """Nodes held per puzzle, with the price of nodes and without."""
    dear, free = searched("ets", seed, node_cost=COST), searched("ets", seed, node_cost=0.0)
    return Pair(sum(each.nodes for each in dear) / PUZZLES, sum(each.nodes for each in free) / PUZZLES)


ROWS = [
    Row(
        method="ETS",
        function="headway.methods.search.ets",
        item="search",
        claim="1.8x smaller KV cache and 1.4x throughput than REBASE at equal accuracy",
        shows="nodes held per solved puzzle are below REBASE's, on the Countdown model",
        baseline="REBASE of the same width, at the temperature at which it holds the fewest",
        unit="nodes per solved puzzle, summed over rounds",
        measure=measure_nodes,
        reached=lambda low, high: high < 1,
        test="tests/methods/search/tree/test_ets.py::"
        "test_a_search_holds_fewer_nodes_than_rebase_of_the_same_width_for_each_question_it_answers",
    ),
    Row(
        method="ETS",
        function="headway.methods.search.ets",
        item="search",
        claim="the same accuracy as REBASE",
        shows="as many puzzles are solved with dear nodes as by REBASE, within 3 points",
        baseline="REBASE of the same width, at its most accurate temperature",
        unit="share of puzzles solved",
        measure=measure_solved,
        compare="difference",
        seeds=10,
        reached=lambda low, high: low > -0.03,
        test="tests/methods/search/tree/test_ets.py::test_a_search_holds_fewer_nodes_the_dearer_they_are_at_equal_accuracy",
    ),
    Row(
        method="ETS",
        function="headway.methods.search.ets",
        item="search",
        claim="the price of a node sets what is held",
        shows="held nodes fall with lambda_c, on the Countdown model",
        baseline="the same search with nodes that cost nothing",
        unit="nodes per puzzle, summed over rounds",
        measure=measure_cost,
        reached=lambda low, high: high < 1,
        test="tests/methods/search/tree/test_ets.py::test_kept_nodes_never_rise_with_the_cost_of_a_node",
    ),
]
