"""The methods that came first, on synthetic solvers, each against the strongest simple baseline at equal compute.

Settings are those of the tests in `tests/methods/search`. Where a method's paper claims less time and not less compute, the unit is
seconds of a clock that jumps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from benchmarks.methods.row import Pair, Row
from benchmarks.methods.solvers import Noisy, Reasoner, Shallow, Thinker, Voter, accuracy, revise
from headway.methods import search
from headway.methods.search import Candidate, Found
from headway.methods.search.select.selectors import borda, weighted_vote
from headway.methods.search.select.selectors import majority as search_majority
from headway.testing import VirtualClock, VirtualLoop

GAINS = "tests/methods/search/test_what_methods_gain.py"
POLICY = "tests/methods/search/test_policy.py"
QUESTIONS = 120

Method = Callable[[str], Awaitable[Found]]


def share(seed: int, method: Method, questions: int = QUESTIONS) -> float:
    """The share of a seed's questions that a method answers right."""

    def of_seed(question: str) -> Awaitable[Found]:
        return method(f"{seed}: {question}")

    return asyncio.run(accuracy(of_seed, questions))


def seconds(seed: int, method: Method, questions: int = QUESTIONS) -> tuple[float, float]:
    """The same, and the seconds that a question takes, on a clock that jumps."""

    async def timed() -> tuple[float, float]:
        began = asyncio.get_running_loop().time()
        right = await accuracy(lambda question: method(f"{seed}: {question}"), questions)
        return right, (asyncio.get_running_loop().time() - began) / questions

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(VirtualClock())) as runner:
        return runner.run(timed())


def vote(generate: Any, n: int) -> Method:
    """Self-consistency with every sample."""

    async def method(question: str) -> Found:
        made = await asyncio.gather(*(generate(question, index) for index in range(n)))
        return search.choose(dict(enumerate(made)), search_majority, "done")

    return method


def measure_best_of_n(seed: int) -> Pair:
    tree = Noisy(right=0.75, noise=0.3, seed=seed)
    scored = partial(search.best_of_n, generate=tree.generate, score=tree.score, n=16, select=weighted_vote)
    return Pair(share(seed, scored), share(seed, vote(tree.generate, 16)))


def measure_majority(seed: int) -> Pair:
    """Samples until the vote is settled, and all of them."""
    early, whole = Voter(), Voter()
    share(seed, lambda q: search.majority(q, early.generate, n=40, sure=0.95))
    share(seed, vote(whole.generate, 40))
    return Pair(early.samples, whole.samples)


def measure_majority_right(seed: int) -> Pair:
    early, whole = Voter(), Voter()
    return Pair(
        share(seed, lambda q: search.majority(q, early.generate, n=40, sure=0.95), 300), share(seed, vote(whole.generate, 40), 300)
    )


def measure_first_finish(seed: int) -> Pair:
    reasoner = Reasoner()
    raced = seconds(seed, lambda q: search.first_finish(q, reasoner.generate, n=8), 300)
    return Pair(raced[0], seconds(seed, vote(reasoner.generate, 8), 300)[0])


def measure_first_finish_time(seed: int) -> Pair:
    reasoner = Reasoner()
    raced = seconds(seed, lambda q: search.first_finish(q, reasoner.generate, n=8), 300)
    return Pair(raced[1], seconds(seed, vote(reasoner.generate, 8), 300)[1])


def measure_short_attempts(seed: int) -> Pair:
    """Tokens are alike: sixteen short attempts, and four long ones that vote."""
    short = Shallow(right=0.35, mean=3.0, seed=seed)
    long = Shallow(right=0.6, mean=12.0, seed=seed)
    ours = seconds(seed, lambda q: search.no_thinking(q, short.generate, n=16, select=borda(1.0), within_s=8), 200)
    return Pair(ours[0], seconds(seed, in_time(long.generate, 4, 8.0), 200)[0])


def in_time(generate: Any, n: int, within_s: float) -> Method:
    """A vote of those samples that end in time."""

    async def method(question: str) -> Found:
        found: dict[int, Candidate] = {}

        async def attempt(index: int) -> None:
            found[index] = await generate(question, index)

        tasks = [asyncio.create_task(attempt(index)) for index in range(n)]
        await asyncio.wait(tasks, timeout=within_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return search.choose(dict(sorted(found.items())), search_majority, "done")

    return method


def measure_detect(seed: int) -> Pair:
    """Steps until an answer is taken: stopped when it is complete, and let doubt to its end."""

    def steps(detects: bool) -> int:
        thinker = Thinker()
        detect = thinker.complete if detects else None
        share(
            seed,
            lambda q: search.solve_detect_verify(
                q, thinker.step, thinker.check, thinker.check, detect=detect, rounds=3, revise=revise
            ),
        )
        return thinker.steps

    return Pair(steps(True), steps(False))


def measure_detect_right(seed: int) -> Pair:
    """Three attempts with feedback, and one that thinks to its end; the latter takes more steps."""

    def right(detects: bool, rounds: int) -> float:
        thinker = Thinker()
        detect = thinker.complete if detects else None
        return share(
            seed,
            lambda q: search.solve_detect_verify(
                q, thinker.step, thinker.check, thinker.check, detect=detect, rounds=rounds, revise=revise
            ),
        )

    return Pair(right(True, 3), right(False, 1))


def above(bound: float) -> Callable[[float, float], bool]:
    return lambda low, high: low > bound


def below(bound: float) -> Callable[[float, float], bool]:
    return lambda low, high: high < bound


ROWS = [
    Row(
        method="Best of n, weighted",
        function="headway.methods.search.best_of_n",
        item="search",
        claim="a verifier's scores add to what the frequency of answers says",
        shows="sums of noisy scores beat votes of the same 16 answers",
        baseline="self-consistency with the same answers",
        unit="share right",
        compare="difference",
        measure=measure_best_of_n,
        reached=above(0),
        test=f"{GAINS}::test_weighing_by_answers_beats_the_best_score_where_scores_are_noisy",
    ),
    Row(
        method="Adaptive consistency",
        function="headway.methods.search.majority",
        item="search",
        claim="up to 7.9 times fewer samples, less than 0.1 points less accurate",
        shows="less than half of the samples",
        baseline="self-consistency with 40 samples",
        unit="samples",
        measure=measure_majority,
        reached=below(0.5),
        test=f"{GAINS}::test_a_vote_that_stops_when_settled_takes_fewer_samples_at_equal_accuracy",
    ),
    Row(
        method="Adaptive consistency",
        function="headway.methods.search.majority",
        item="search",
        claim="up to 7.9 times fewer samples, less than 0.1 points less accurate",
        shows="at most a point less accurate",
        baseline="self-consistency with 40 samples",
        unit="share right",
        compare="difference",
        measure=measure_majority_right,
        reached=above(-0.01),
        test=f"{GAINS}::test_a_vote_that_stops_when_settled_takes_fewer_samples_at_equal_accuracy",
    ),
    Row(
        method="First finish search",
        function="headway.methods.search.first_finish",
        item="search",
        claim="more accurate than one long trace at the latency of the shortest",
        shows="of 8 samples whose short ones are right more often, the first to end is right more often than a vote",
        baseline="a vote of the same 8 samples",
        unit="share right",
        compare="difference",
        measure=measure_first_finish,
        reached=above(0),
        test=f"{GAINS}::test_the_law_of_first_finish",
    ),
    Row(
        method="First finish search",
        function="headway.methods.search.first_finish",
        item="search",
        claim="more accurate than one long trace at the latency of the shortest",
        shows="it takes less than half of the time",
        baseline="a vote of the same 8 samples",
        unit="seconds per question",
        measure=measure_first_finish_time,
        reached=below(0.5),
        test=f"{GAINS}::test_the_law_of_first_finish",
    ),
    Row(
        method="NoThinking",
        function="headway.methods.search.no_thinking",
        item="search",
        claim="short attempts side by side beat long thinking at equal tokens and latency",
        shows="sixteen short attempts beat a vote of four long ones within eight seconds, at equal tokens",
        baseline="a vote of those of four long attempts that end in time",
        unit="share right",
        compare="difference",
        measure=measure_short_attempts,
        reached=above(0),
        test=f"{GAINS}::test_many_short_attempts_beat_a_long_one_under_a_deadline",
    ),
    Row(
        method="Solve, detect, verify",
        function="headway.methods.search.solve_detect_verify",
        item="search",
        claim="stopping at a whole solution halves the tokens",
        shows="half of the steps",
        baseline="the same three attempts, each thought to its end",
        unit="steps",
        measure=measure_detect,
        reached=below(0.5),
        test=f"{GAINS}::test_detecting_a_whole_solution_saves_steps_and_feedback_makes_the_next_one_better",
    ),
    Row(
        method="Solve, detect, verify",
        function="headway.methods.search.solve_detect_verify",
        item="search",
        claim="the saved tokens buy further attempts with feedback",
        shows="three attempts are right more often than one to its end, for fewer steps",
        baseline="one attempt that thinks to its end",
        unit="share right",
        compare="difference",
        measure=measure_detect_right,
        reached=above(0),
        test=f"{GAINS}::test_detecting_a_whole_solution_saves_steps_and_feedback_makes_the_next_one_better",
    ),
]
