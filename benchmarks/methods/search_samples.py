"""Methods that sample whole answers: few of them, many questions at once, answers from documents, and whether to verify them.

Solvers are synthetic where the paper's point is a property of samples. Settings were chosen on seeds from 50 on; the rows are
measured on seeds 0 to 4.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from benchmarks.methods.row import Held, Pair, Row
from benchmarks.methods.solvers import by_hash, drawn
from headway.methods import search
from headway.methods.search import Candidate, Found
from headway.methods.search.select.consensus import overlap
from headway.methods.search.select.selectors import weighted_vote

TESTS = "tests/methods/search/samples"
LETTERS = "abcdefghijklmnopqrstuvwxyz     "


@dataclass
class Speaker:
    """Says a sentence with noise. On one question in five sampling goes astray and most of it is noise, where the greedy answer is
    as good as always. What it says in another language has a fifth of the noise, and can't be used."""

    seed: int
    questions: int = 80

    def truth(self, question: str) -> str:
        draw = drawn(self.seed, "truth", question)
        return "".join(draw.choice(LETTERS) for _ in range(40))

    def noise(self, question: str) -> float:
        return 0.5 if by_hash(self.seed, "astray", question) < 0.2 else 0.25

    async def generate(self, question: str, index: int) -> Candidate:
        return self._say(question, self.noise(question), index)

    async def greedy(self, question: str, index: int) -> Candidate:
        return self._say(question, 0.2, f"greedy {index}")

    async def foreign(self, question: str, index: int) -> Candidate:
        return self._say(question, self.noise(question) / 5, f"foreign {index}")

    def _say(self, question: str, noise: float, index: object) -> Candidate:
        draw = drawn(self.seed, "say", question, index)
        text = "".join(draw.choice(LETTERS) if draw.random() < noise else letter for letter in self.truth(question))
        return Candidate(text, text, len(text))


async def quality(speaker: Speaker, method: Callable[[str], Awaitable[Found]]) -> list[float]:
    """How like the truth the answer to each question is."""
    found = []
    for number in range(speaker.questions):
        question = f"question {number}"
        answer = await method(question)
        found.append(overlap(str(answer.answer), speaker.truth(question)))
    return found


def measure_middle(seed: int) -> Pair:
    """Of five samples, the one in the middle, and the one that a vote takes: hardly any two are equal."""
    speaker = Speaker(seed)
    vote = quality(speaker, lambda q: search.majority(q, speaker.generate, n=5))
    return Pair(fmean(asyncio.run(quality(speaker, lambda q: search.mbr(q, speaker.generate, n=5)))), fmean(asyncio.run(vote)))


def measure_evidence(seed: int) -> Pair:
    """Of five samples, the one in the middle: with three in another language to compare with, and without."""
    speaker = Speaker(seed)
    ours = quality(speaker, lambda q: search.mbr(q, speaker.generate, n=5, evidence=speaker.foreign, extra=3))
    return Pair(fmean(asyncio.run(ours)), fmean(asyncio.run(quality(speaker, lambda q: search.mbr(q, speaker.generate, n=5)))))


def measure_evidence_at_equal_cost(seed: int) -> Pair:
    speaker = Speaker(seed)
    return Pair(measure_evidence(seed).ours, fmean(asyncio.run(quality(speaker, lambda q: search.mbr(q, speaker.generate, n=8)))))


def _worst(values: list[float]) -> float:
    return fmean(sorted(values)[: len(values) // 10])


def measure_hedge(seed: int) -> Pair:
    """The worst tenth of questions: four samples and the greedy answer, and five samples."""
    speaker = Speaker(seed)
    ours = quality(speaker, lambda q: search.mbr(q, speaker.generate, n=5, greedy=speaker.greedy))
    return Pair(_worst(asyncio.run(ours)), _worst(asyncio.run(quality(speaker, lambda q: search.mbr(q, speaker.generate, n=5)))))


def measure_hedge_over_greedy(seed: int) -> Pair:
    speaker = Speaker(seed)
    ours = quality(speaker, lambda q: search.mbr(q, speaker.generate, n=5, greedy=speaker.greedy))
    alone = quality(speaker, lambda q: search.mbr(q, speaker.greedy, n=1))
    return Pair(fmean(asyncio.run(ours)), fmean(asyncio.run(alone)))


def measure_checklist(seed: int) -> Pair:
    """Five samples, one of them greedy: chosen by a judge that errs, and the one in their middle."""
    return _judge(seed, 5)


def measure_checklist_at_equal_cost(seed: int) -> Pair:
    """The same, with as many more samples as the judge and its checklist take calls."""
    return _judge(seed, 7)


def _judge(seed: int, plainly: int) -> Pair:
    speaker = Speaker(seed)

    async def write(question: str) -> str:
        return question

    async def judge(question: str, checklist: str, values: list[str]) -> list[float]:
        noise = (drawn(seed, "judge", question, value).gauss(0, 0.05) for value in values)
        return [overlap(value, speaker.truth(question)) + off for value, off in zip(values, noise, strict=True)]

    ours = quality(speaker, lambda q: search.chops(q, speaker.generate, write, judge, n=5, greedy=speaker.greedy))
    plain = quality(speaker, lambda q: search.mbr(q, speaker.generate, n=plainly, greedy=speaker.greedy))
    return Pair(fmean(asyncio.run(ours)), fmean(asyncio.run(plain)))


FEW = [
    Row(
        method="MBR",
        function="headway.methods.search.mbr",
        item="search",
        claim="the answer with the most likeness to the others, where answers are never equal",
        shows="of five samples, the one most like the others is better than the one that a vote takes",
        baseline="self-consistency with the same five samples",
        unit="likeness to the truth",
        measure=measure_middle,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_few.py::test_the_middle_of_samples_is_better_than_a_vote_where_none_are_equal",
    ),
    Row(
        method="X-MBR",
        function="headway.methods.search.mbr",
        item="search",
        claim="more wins over one greedy answer than MBR on open questions in seven languages, with five samples",
        shows="evidence in another language makes the choice among five samples better",
        baseline="MBR among the same five samples",
        unit="likeness to the truth",
        measure=measure_evidence,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_few.py::test_evidence_of_a_better_kind_makes_the_choice_better",
    ),
    Row(
        method="X-MBR",
        function="headway.methods.search.mbr",
        item="search",
        claim="more wins over one greedy answer than MBR on open questions in seven languages, with five samples",
        shows="five samples and three of another language are better than eight samples",
        baseline="MBR among eight samples",
        unit="likeness to the truth",
        measure=measure_evidence_at_equal_cost,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_few.py::test_evidence_of_a_better_kind_makes_the_choice_better",
        reason="evidence can't be returned: with noise drawn for each sample alone, three more to choose from are worth more",
    ),
    Row(
        method="Hedged sampling",
        function="headway.methods.search.mbr",
        item="search",
        claim="a greedy sample in the pool hedges against temperatures at which sampling goes astray",
        shows="the worst tenth of questions is better with the greedy answer among five",
        baseline="MBR among five samples",
        unit="likeness to the truth",
        measure=measure_hedge,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_few.py::test_a_greedy_sample_lifts_the_worst_questions",
    ),
    Row(
        method="Hedged sampling",
        function="headway.methods.search.mbr",
        item="search",
        claim="a greedy sample in the pool hedges against temperatures at which sampling goes astray",
        shows="four samples beside the greedy answer are better than that alone",
        baseline="the greedy answer alone",
        unit="likeness to the truth",
        measure=measure_hedge_over_greedy,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_few.py::test_a_greedy_sample_lifts_the_worst_questions",
    ),
    Row(
        method="CHOPS",
        function="headway.methods.search.chops",
        item="search",
        claim="the best of five samples by one pass of a judge: 17.3 points over one greedy answer on m-ArenaHard, 8B model",
        shows="one pass of a judge that errs beats the middle of the same five samples",
        baseline="MBR among the same five",
        unit="likeness to the truth",
        measure=measure_checklist,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_few.py::test_a_judge_that_errs_chooses_better_than_the_middle",
    ),
    Row(
        method="CHOPS",
        function="headway.methods.search.chops",
        item="search",
        claim="the best of five samples by one pass of a judge: 17.3 points over one greedy answer on m-ArenaHard, 8B model",
        shows="one pass of a judge that errs beats two more samples without it",
        baseline="MBR among seven samples, the greedy one included: as many calls",
        unit="likeness to the truth",
        measure=measure_checklist_at_equal_cost,
        compare="difference",
        reached=lambda low, high: low > 0,
        test=f"{TESTS}/test_few.py::test_a_judge_that_errs_chooses_better_than_the_middle",
        reason="a call for the checklist and one for the judge are worth less here than two more samples to choose from",
    ),
]


@dataclass
class Labeller:
    """Answers yes or no, right 90 % of the time on most questions and 60 % on hard ones; what stands late in a prompt is answered
    worse. It is surer of what is right, with an error. A prompt has 600 tokens of instructions, a question 40."""

    seed: int
    questions: int = 320
    prompts: int = 0
    answers: int = 0
    tokens: int = 0

    async def label(self, questions: Sequence[int], index: int) -> list[Candidate]:
        self.prompts += 1
        self.answers += len(questions)
        self.tokens += 600 + 40 * len(questions)
        return [self._answer(question, place, index) for place, question in enumerate(questions)]

    def _answer(self, question: int, place: int, index: int) -> Candidate:
        draw, hard = drawn(self.seed, "label", question, place, index), by_hash(self.seed, "hard", question)
        chance = (0.6 if hard < 0.15 else 0.96) - 0.2 * (1 - math.exp(-place / 12))
        right = draw.random() < chance
        return Candidate("", right, 1, score=draw.gauss(0.8 if right else 0.5, 0.15))

    def share_right(self, **settings: Any) -> float:
        rng = random.Random(self.seed)
        found = asyncio.run(search.batch_prompt(range(self.questions), self.label, rng=rng, **settings))
        return fmean(each.answer is True for each in found)


BATCHED: dict[str, Any] = {"size": 32, "rounds": 7, "agree": 2, "sure": 0.65, "select": weighted_vote}


def measure_batch_accuracy(seed: int) -> Pair:
    return Pair(Labeller(seed).share_right(**BATCHED), Labeller(seed).share_right(size=1, rounds=1))


def measure_batch_tokens(seed: int) -> Pair:
    batched, alone = Labeller(seed), Labeller(seed)
    batched.share_right(**BATCHED)
    alone.share_right(size=1, rounds=1)
    return Pair(batched.tokens, alone.tokens)


def measure_batch_once(seed: int) -> Pair:
    """A long prompt, asked once, against rounds in new orders."""
    return Pair(Labeller(seed).share_right(**BATCHED), Labeller(seed).share_right(size=32, rounds=1))


_BATCH = "test_a_long_prompt_errs_more_and_rounds_in_new_orders_with_leaving_early_make_it_good_for_a_third_of_the_tokens"
BATCHES = [
    Row(
        method="BatchPrompt",
        function="headway.methods.search.batch_prompt",
        item="search",
        claim="with 32 questions in a prompt, 90.9 % of BoolQ where one by one is 90.6 %",
        shows="no less accurate than one question in a prompt",
        baseline="one question in a prompt",
        unit="share right",
        measure=measure_batch_accuracy,
        compare="difference",
        reached=lambda low, high: low > -0.01,
        test=f"{TESTS}/test_batch_prompt.py::{_BATCH}",
    ),
    Row(
        method="BatchPrompt",
        function="headway.methods.search.batch_prompt",
        item="search",
        claim="27.4 % of the tokens, 15.7 % of the calls",
        shows="at most 40 % of the tokens at that accuracy",
        baseline="one question in a prompt",
        unit="tokens",
        measure=measure_batch_tokens,
        reached=lambda low, high: high < 0.4,
        test=f"{TESTS}/test_batch_prompt.py::{_BATCH}",
    ),
    Row(
        method="BatchPrompt",
        function="headway.methods.search.batch_prompt",
        item="search",
        claim="72.8 % for 64 questions in a prompt without permutations, 90.9 % for 32 with",
        shows="rounds in new orders give back what a long prompt costs",
        baseline="32 questions in a prompt, asked once",
        unit="share right",
        measure=measure_batch_once,
        compare="difference",
        reached=lambda low, high: low > 0.05,
        test=f"{TESTS}/test_batch_prompt.py::{_BATCH}",
    ),
]

REFUSED = Held(
    item="search",
    promise="MBR, CHOPS, BatchPrompt, documents, splits, pools and the diagnosis refuse bad input in one sentence, before a call",
    tests=(
        "tests/methods/search/test_settings.py::test_a_setting_that_makes_no_sense_is_refused_before_anything_is_spent",
        f"{TESTS}/test_few.py::test_a_similarity_that_is_no_number_is_named",
        f"{TESTS}/test_batch_prompt.py::test_a_prompt_that_answers_too_little_is_named",
        f"{TESTS}/test_solve_or_verify.py::test_pools_of_unequal_lengths_are_refused",
        f"{TESTS}/test_documents.py::test_too_few_examples_are_refused_before_anything_is_looked_up",
        f"{TESTS}/test_documents.py::test_profiles_that_are_none_are_refused",
        f"{TESTS}/test_scorer.py::test_what_is_no_item_is_named_with_its_line",
        f"{TESTS}/test_scorer.py::test_a_scorer_that_gives_too_few_scores_is_named",
    ),
)
GOES_ON = Held(
    item="search",
    promise="MBR, CHOPS, BatchPrompt, documents and splits go on after a crash with an equal result, and end inside their bounds",
    tests=(
        "tests/methods/search/test_searches_survive.py::test_no_recorded_call_runs_again_after_a_crash",
        "tests/methods/search/test_how_searches_end.py::test_every_budget_ends_a_search_with_the_best_so_far",
        "tests/methods/search/test_how_searches_end.py::test_every_deadline_ends_a_search_in_time_with_the_best_so_far",
    ),
)
ROWS = [*FEW, *BATCHES, REFUSED, GOES_ON]
