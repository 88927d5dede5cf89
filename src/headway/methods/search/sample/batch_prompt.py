"""Many questions in one prompt, asked several times in other orders."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from random import Random
from reprlib import repr as shortly
from typing import Protocol, TypeVar

from headway.context import random
from headway.errors import UsageError
from headway.joins.gather import gather_affordable
from headway.methods import settings
from headway.methods.protocols import Equal, Selector
from headway.methods.records import Candidate
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, choose
from headway.methods.search.select.equality import same
from headway.methods.search.select.selectors import majority
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
Q_contra = TypeVar("Q_contra", contravariant=True)
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)


class BatchGenerator(Protocol[Q_contra, V_co]):
    """Answers several questions that stand in one prompt: a candidate for each, in their order.

    A score says how sure it is. `index` tells the prompts of a search apart.
    """

    def __call__(self, questions: Sequence[Q_contra], index: int, /) -> Awaitable[Sequence[Candidate[V_co]]]: ...


async def batch_prompt(
    questions: Sequence[Q],
    label: BatchGenerator[Q, V],
    *,
    size: int = 32,
    rounds: int = 5,
    agree: int = 2,
    sure: float | None = None,
    select: Selector[V] = majority,
    equal: Equal = same,
    rng: Random | None = None,
    errors: Errors = SAMPLE_ERRORS,
) -> list[Found[V]]:
    """Put several questions into one prompt, ask in several rounds, each in a new order, and vote.

    What stands late in a long prompt is answered worse, but in each round another question stands there. A question leaves as soon
    as its last `agree` answers are the same and sure, so later rounds have fewer prompts. The prompts of a round run side by side
    and are of equal length, give or take one question.

    It departs in the vote: the paper weighs an answer that the model calls not confident by a constant; here it counts like any
    other, and `select=weighted_vote` weighs by scores.

    Args:
        questions: what is asked.
        label: answers the questions of one prompt.
        size: questions in a prompt, at most.
        rounds: how often each question is asked, at most.
        agree: how many equal answers in a row end the asking; `rounds` asks always as often.
        sure: the least score of an answer that may end the asking; without it every answer may.
        select: takes one of a question's answers.
        equal: whether two answers are the same.
        rng: draws the orders; by default `hw.random()`.
        errors: what a prompt may fail with without failing the search; its questions have one answer less.

    Returns:
        What was found for each question, in their order: its answers, by round. The errors of a prompt are with its first question.

    Raises:
        UsageError: `label` gives more or fewer candidates than questions.
        Exception: what `label` raises, but for budgets and deadlines, which end the search.

    Example:
        >>> [found.answer for found in asyncio.run(batch_prompt(["1+1=", "17+25="], label, size=2))]
        ['2', '42']

    Source:
        BatchPrompt with batch permutation and self-reflection-guided early stopping: Lin et al., arXiv 2309.00384; after the idea
        of, from the abstract and notes on it.
    """
    settings.at_least_one("batch_prompt", size=size, rounds=rounds, agree=agree)
    if sure is not None:
        settings.number("batch_prompt", sure=sure)
    if rng is not None and not isinstance(rng, Random):
        raise UsageError(f"batch_prompt: rng={rng!r:.80}: a random.Random or None")
    settings.function("batch_prompt", label=label, select=select, equal=equal)
    found: dict[int, Candidate[V]] = {}
    answers: list[list[Candidate[V]]] = [[] for _ in questions]
    failures = [Failures(errors) for _ in questions]
    draws = (rng or random()) if questions else Random(0)
    index = 0

    async def ask(batch: Sequence[int], index: int, round_: int) -> None:
        made = await failures[batch[0]].spare(index, _call(label, [questions[place] for place in batch], index))
        for place, candidate in zip(batch, [] if isinstance(made, Failed) else made, strict=False):
            answers[place].append(candidate)
            block.keep(place * rounds + round_, candidate)

    with anytime(found) as block:
        for round_ in range(rounds):
            left = [place for place in range(len(questions)) if not is_settled(answers[place], agree, sure, equal)]
            if not left:
                break
            draws.shuffle(left)
            batches = cut_evenly(left, size)
            await gather_affordable(*(ask(batch, number, round_) for number, batch in enumerate(batches, index)))
            index += len(batches)
    if not found:
        for failed in failures:
            failed.check(False)
    return [_found(place, rounds, found, select, block.stopped, failures[place]) for place in range(len(questions))]


def is_settled(answers: Sequence[Candidate[object]], agree: int, sure: float | None = None, equal: Equal = same) -> bool:
    """Whether the last `agree` answers are there, are the same, and each has a score of at least `sure`.

    Example:
        >>> is_settled([Candidate("", "a"), Candidate("", "b"), Candidate("", "b")], 2)
        True
    """
    last = answers[-agree:]
    if len(last) < agree or any(each.answer is None for each in last):
        return False
    if sure is not None and not all(each.score is not None and each.score >= sure for each in last):
        return False
    return all(equal(last[0].answer, each.answer) for each in last[1:])


def cut_evenly(places: Sequence[int], size: int) -> list[Sequence[int]]:
    """Cut a list into as few parts of at most `size` as there can be, of equal lengths, give or take one.

    Example:
        >>> cut_evenly(range(5), 2)
        [range(0, 1), range(1, 3), range(3, 5)]
    """
    parts = -(-len(places) // size)
    return [places[len(places) * part // parts : len(places) * (part + 1) // parts] for part in range(parts)]


async def _call(label: BatchGenerator[Q, V], questions: list[Q], index: int) -> list[Candidate[V]]:
    made: object = await label(questions, index)
    if not isinstance(made, Sequence) or not all(isinstance(each, Candidate) for each in made) or len(made) != len(questions):
        raise UsageError(
            f"{settings.say_part(label)} returned {shortly(made)}: it must return a search.Candidate for each of {len(questions)} "
            f"questions, in their order; Candidate(value, None) where there is no answer"
        )
    return list(made)


def _found(
    place: int, rounds: int, found: Mapping[int, Candidate[V]], select: Selector[V], stopped: str, failed: Failures
) -> Found[V]:
    own = {key: found[key] for key in range(place * rounds, (place + 1) * rounds) if key in found}
    chosen = choose(own, select, stopped)  # type: ignore[arg-type]  # a literal of three
    return replace(chosen, errors=failed.errors, sequential_tokens=sum(each.tokens for each in own.values()))
