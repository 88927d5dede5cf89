"""A handful of samples, used well: one greedy as a hedge, and a choice that needs no equal answers."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from headway.methods import settings
from headway.methods.protocols import Generator
from headway.methods.records import Candidate
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, choose
from headway.methods.search.parts import call_generator, scores_of
from headway.methods.search.rounds import attempts, sequential_tokens
from headway.methods.search.select.consensus import Similarity, most_similar, overlap
from headway.methods.search.select.selectors import best
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
Q_contra = TypeVar("Q_contra", contravariant=True)
V = TypeVar("V")
V_contra = TypeVar("V_contra", contravariant=True)
C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)
C_contra = TypeVar("C_contra", contravariant=True)


class Lister(Protocol[Q_contra, C_co]):
    """Writes down what a good answer to a question has: a checklist, of whatever type the judge reads."""

    def __call__(self, question: Q_contra, /) -> Awaitable[C_co]: ...


class ListJudge(Protocol[Q_contra, C_contra, V_contra]):
    """Scores all answers in one pass by a checklist: a finite number for each, in their order, the larger the better."""

    def __call__(self, question: Q_contra, checklist: C_contra, values: Sequence[V_contra], /) -> Awaitable[list[float]]: ...


async def mbr(
    question: Q,
    generate: Generator[Q, V],
    *,
    n: int = 5,
    greedy: Generator[Q, V] | None = None,
    evidence: Generator[Q, V] | None = None,
    extra: int = 3,
    similar: Similarity = overlap,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[V]:
    """Sample a few answers and return the one that is most like the others.

    With `greedy`, the first of the `n` is the model's most likely answer: where sampling goes astray, it is there to be chosen.
    With `evidence`, `extra` samples of another kind (in another language, from another model) count in the comparison and are never
    returned.

    Args:
        question: what the parts are told.
        generate: samples an answer.
        n: answers to choose from, the greedy one included.
        greedy: gives the most likely answer; asked once, with index 0.
        evidence: samples what is only compared with.
        extra: how many of those, where there is `evidence`.
        similar: how alike two values are.
        errors: what a sample may fail with without failing the search; see `Found.errors`.

    Returns:
        The candidates that could be chosen, and the one in their middle.

    Raises:
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> asyncio.run(mbr("17+25=", sample, n=5)).answer
        '42'

    Source:
        MBR and X-MBR with hedged sampling, in "When Life Gives You Samples": Khairi et al., arXiv 2506.20544; after the idea of.
    """
    settings.whole_number("mbr", n=n, extra=extra)
    settings.function("mbr", generate=generate, similar=similar)
    settings.function("mbr", optional=True, greedy=greedy, evidence=evidence)
    found: dict[int, Candidate[V]] = {}
    rounds: list[int] = []
    failed = Failures(errors)
    further = extra if evidence is not None else 0

    async def attempt(index: int) -> None:
        part = evidence if evidence is not None and n <= index < n + further else _part(index, generate, greedy)
        candidate = await failed.spare(index, call_generator(part, question, index))
        if not isinstance(candidate, Failed):
            block.keep(index, candidate)

    with anytime(found) as block:
        await attempts(attempt, n + further if n else 0, rounds)
    own = {index: each for index, each in found.items() if not n <= index < n + further}
    compared = [each for index, each in sorted(found.items()) if index not in own]
    return choose(own, most_similar(similar, compared), block.stopped, sequential_tokens(found, rounds), failed)


async def chops(
    question: Q,
    generate: Generator[Q, V],
    write: Lister[Q, C],
    judge: ListJudge[Q, C, V],
    *,
    n: int = 5,
    greedy: Generator[Q, V] | None = None,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[V]:
    """Sample a few answers, and have a judge score all of them in one pass by a checklist.

    The checklist is written while the answers are sampled. However many answers there are, the judge is asked once. Where it fails,
    or the bounds leave it no time, the first answer is returned: the greedy one, if there is one.

    It departs in having the checklist written by a call of its own, beside the samples, where the paper's judge writes it first in
    its only pass.

    Args:
        question: what the parts are told.
        generate: samples an answer.
        write: writes the checklist.
        judge: scores all answers by it.
        n: answers to choose from, the greedy one included.
        greedy: gives the most likely answer; asked once, with index 0.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Returns:
        All candidates with their scores, and the best.

    Raises:
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> asyncio.run(chops("17+25=", sample, points, judge, n=5)).answer
        '42'

    Source:
        CHOPS with hedged sampling, in "When Life Gives You Samples": Khairi et al., arXiv 2506.20544; after the idea of.
    """
    settings.whole_number("chops", n=n)
    settings.function("chops", generate=generate, write=write, judge=judge)
    settings.function("chops", optional=True, greedy=greedy)
    found: dict[int, Candidate[V]] = {}
    rounds: list[int] = []
    failed = Failures(errors)

    checklists: list[C] = []

    async def attempt(index: int) -> None:
        if index == 0:
            checklist = await failed.spare(index, write(question))
            checklists.extend([] if isinstance(checklist, Failed) else [checklist])
            return
        candidate = await failed.spare(index, call_generator(_part(index - 1, generate, greedy), question, index - 1))
        if not isinstance(candidate, Failed):
            block.keep(index, candidate)

    with anytime(found) as block:
        await attempts(attempt, n + 1 if n else 0, rounds)
        places = sorted(found)
        for checklist in checklists if found else ():
            judged = scores_of(partial(_judge_all, judge, checklist), question, [found[index].value for index in places])
            scores = await failed.spare(0, judged)
            for index, value in zip(places, () if isinstance(scores, Failed) else scores, strict=False):
                block.keep(index, replace(found[index], score=value))
    return choose(found, best, block.stopped, sequential_tokens(found, rounds), failed)


def _part(index: int, generate: Generator[Q, V], greedy: Generator[Q, V] | None) -> Generator[Q, V]:
    return greedy if greedy is not None and index == 0 else generate


def _judge_all(judge: ListJudge[Q, C, V], checklist: C, question: Q, values: list[V]) -> Awaitable[list[float]]:
    return judge(question, checklist, values)
