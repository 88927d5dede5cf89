"""DRQA's half that runs: several questions share one quota of tokens, and what one leaves the others may have."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from reprlib import repr as shortly
from typing import Generic, TypeVar

from headway.errors import UsageError
from headway.joins.bound import bound_of
from headway.joins.gather import gather
from headway.methods import settings
from headway.methods.records import Candidate
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.scopes.anytime import Stopped, anytime
from headway.scopes.budget import budget, remaining

Q = TypeVar("Q")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Answered(Generic[V]):
    """What came of questions under one quota.

    Attributes:
        answers: by the place of the question; those without an answer are missing.
        rounds: how often what was still open was asked.
        stopped: why it ended.
        errors: of the batches that failed without failing the rest.
    """

    answers: dict[int, Candidate[V]]
    rounds: int
    stopped: Stopped
    errors: tuple[Exception, ...] = ()


async def drqa(
    questions: Sequence[Q],
    ask: Callable[[list[Q], int, int], Awaitable[Sequence[Candidate[V] | None]]],
    *,
    quota: int,
    width: int = 8,
    accept: Callable[[Candidate[V]], bool] | None = None,
    errors: Errors = SAMPLE_ERRORS,
    unit: str = "tokens",
) -> Answered[V]:
    """Ask questions in batches, each under its share of one quota, and those without an answer again with what was left over.

    A batch pays for its prompt once, and inside of it a short answer leaves more for a long one. What all batches left is shared
    anew among those open questions that then get more than they had. A batch that the budget refuses leaves its share to them too:
    after a crash, what a lost call had reserved counts as spent, and there may be too little to make it again.

    It departs in that nothing is trained: the paper uses batches to teach a model to be brief; here a batch only shares a quota.

    Args:
        questions: what is asked.
        ask: answers a batch: `ask(batch, tokens, index)`, a candidate for each question in their order. One without an answer says
            by its tokens what was tried in vain; None was not tried. It must charge what it spends, and no more than `tokens`.
        quota: what all questions together may take.
        width: questions of a batch, at most.
        accept: whether an answer is good; one that isn't is asked again.
        errors: what a batch may fail with without failing the others; its questions are asked again.
        unit: what the quota is counted in.

    Returns:
        The answers. It ends when all are answered, when the quota, the budget or the deadline around it is used up, or when nothing
        that is left would give a question more than it had.

    Raises:
        UsageError: a senseless setting, or a batch that gives more or fewer than one answer each.
        Exception: what `ask` raises, but for budgets and deadlines, where it has no answer at all.

    Example:
        >>> @hw.task
        ... async def ask(batch: list[int], tokens: int, index: int) -> list[Candidate[int] | None]:
        ...     answers = []
        ...     for number in batch:                       # an answer takes as many tokens as its number
        ...         tokens -= number
        ...         answers.append(Candidate(number, number, number) if tokens >= 0 else None)
        ...     hw.charge(tokens=sum(answer.tokens for answer in answers if answer))
        ...     return answers
        >>> @hw.task
        ... async def program() -> list[int]:
        ...     return sorted((await agents.drqa([1, 2, 30, 1], ask, quota=40, width=2)).answers)
        >>> hw.run(program, store=None)
        [0, 1, 2, 3]

    Source:
        DRQA: Yan et al., "Dynamic reasoning quota allocation", arXiv 2508.17803; after the idea of.
    """
    where = "drqa"
    settings.function(where, ask=ask)
    settings.function(where, optional=True, accept=accept)
    settings.at_least_one(where, quota=quota, width=width)
    if not isinstance(questions, Sequence) or isinstance(questions, str) or not questions:
        raise UsageError(f"{where}: questions={questions!r:.80}: a list of at least one")
    failed, found = Failures(errors), dict[int, Candidate[V]]()
    had = dict.fromkeys(range(len(questions)), 0.0)  # tokens that each open question has had at once
    asked = rounds = 0

    async def attempt(batch: list[int], tokens: int, index: int) -> Exception | None:
        try:
            got = await failed.spare(index, ask([questions[place] for place in batch], tokens, index))
        except Exception as error:
            if bound_of(error) != "budget":
                raise
            return error
        if isinstance(got, Failed):
            return None
        if not isinstance(got, Sequence) or len(got) != len(batch):
            raise UsageError(f"{where}: ask={ask!r} gave {shortly(got)} for {len(batch)} questions: an answer or None for each")
        for place, candidate in zip(batch, got, strict=True):
            if candidate is not None and candidate.answer is not None and (accept is None or accept(candidate)):
                had.pop(place)
                block.keep(place, candidate)
            elif candidate is None or candidate.answer is None:
                had[place] = max(had[place], tokens / len(batch), candidate.tokens if candidate is not None else 0)
        return None

    with budget(wait=False, **{unit: quota}), anytime(found) as block:
        while open_ := worth_asking(left := min(float(quota), remaining(unit)), had):
            batches = [open_[start : start + width] for start in range(0, len(open_), width)]
            tokens = share_quota(left, [len(batch) for batch in batches])
            plan = [(batch, given) for batch, given in zip(batches, tokens, strict=True) if given]
            refused = await gather(*(attempt(batch, given, asked + n) for n, (batch, given) in enumerate(plan)))
            if (refusal := refused[0]) is not None and all(refused):
                raise refusal
            asked, rounds = asked + len(plan), rounds + 1
    failed.check(bool(found))
    return Answered({place: found[place] for place in sorted(found)}, rounds, block.stopped, failed.errors)


def worth_asking(left: float, had: Mapping[int, float]) -> list[int]:
    """Which open questions to ask again: as many as would each get more whole tokens than they had.

    Args:
        left: tokens that are left for all of them.
        had: by the place of a question, how many tokens it has had at once.

    Returns:
        Their places, in order; none where nobody would get more, or one token.

    Example:
        >>> worth_asking(100, {0: 80, 1: 40, 2: 30}), worth_asking(70, {0: 80})
        ([1, 2], [])
    """
    settings.finite("worth_asking", left=left)
    open_ = sorted(had, key=lambda place: (had[place], place))
    while open_ and left // len(open_) <= had[open_[-1]]:
        open_.pop()
    return sorted(open_)


def share_quota(left: float, sizes: Sequence[int]) -> list[int]:
    """Share tokens among batches by their sizes, in whole tokens.

    Args:
        left: what there is.
        sizes: how many questions each batch has.

    Returns:
        The tokens of each; together no more than there are.

    Raises:
        UsageError: a number is senseless, or there is nothing to share among.

    Example:
        >>> share_quota(100, [8, 8, 4])
        [40, 40, 20]
        >>> sum(share_quota(10.5, [1, 1, 1]))
        10
    """
    settings.finite("share_quota", left=left)
    if not sizes:
        raise UsageError("share_quota: sizes=[]: at least one batch")
    settings.at_least_one("share_quota", **{f"size_{n}": size for n, size in enumerate(sizes)})
    ends = [0]
    for size in sizes:
        ends.append(ends[-1] + size)
    marks = [math.floor(math.floor(left) * end / ends[-1]) for end in ends]
    return [after - before for before, after in pairwise(marks)]
