"""Plan distinct outlines first, then follow each."""

from __future__ import annotations

from collections.abc import Awaitable
from reprlib import repr as shortly
from typing import Protocol, TypeVar

from headway.errors import UsageError
from headway.joins.gather import gather_affordable
from headway.methods import settings
from headway.methods.protocols import Equal, Selector
from headway.methods.records import Candidate
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, Stopped
from headway.methods.search.parts import of_kind
from headway.methods.search.sample.para_thinker import Summarizer, add_summary, conclude
from headway.methods.search.select.equality import Classes, same
from headway.methods.search.select.selectors import majority
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
Q_contra = TypeVar("Q_contra", contravariant=True)
O = TypeVar("O")  # noqa: E741 - an outline
O_contra = TypeVar("O_contra", contravariant=True)
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)


class Outliner(Protocol[Q_contra, O]):
    """Plans up to so many outlines of a solution, each of another way to go."""

    def __call__(self, question: Q_contra, count: int, /) -> Awaitable[list[O]]: ...


class Follower(Protocol[Q_contra, O_contra, V_co]):
    """Solves the question along an outline. `index` tells the paths of one outline apart."""

    def __call__(self, question: Q_contra, outline: O_contra, index: int, /) -> Awaitable[Candidate[V_co]]: ...


async def follow_outlines(
    question: Q,
    plan: Outliner[Q, O],
    follow: Follower[Q, O, V],
    *,
    n: int = 8,
    summarize: Summarizer[Q, V] | None = None,
    select: Selector[V] = majority,
    equal: Equal = same,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[V]:
    """Plan `n` outlines in one call, follow each along a path of its own, and vote, or write one summary.

    Independent samples take the likeliest way again and again. Outlines that are planned together take each way once, as strata do
    in sampling: the same number of paths reaches more different answers.

    It departs in that the model was not trained to plan and follow. It departs where the plan has fewer outlines than `n`: they are
    then followed in turn, each as often as the others.

    Args:
        question: what the parts are told.
        plan: gives up to `n` outlines. Those that are equal to one before them count once.
        follow: solves the question along an outline.
        n: paths.
        summarize: writes the answer from all paths, as in `para_thinker`; None for `select` alone.
        select: takes one of the paths, by default the most frequent answer's.
        equal: whether two outlines are the same.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`. A plan that fails fails
            the search.

    Returns:
        The paths in the order of their outlines, and the summary where one was written.

    Raises:
        UsageError: the plan has no outlines, or is no list.
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> async def first_digits(question, count):
        ...     return ["3", "4", "5"]
        >>> async def go_on(question, outline, index):
        ...     made = await sample(question, index)
        ...     return search.Candidate(outline, made.answer if made.answer.startswith(outline) else None)
        >>> asyncio.run(follow_outlines("17+25=", first_digits, go_on, n=6)).answer
        '42'

    Source:
        OPE, outline-guided path exploration; after the idea of, from the abstract and notes on it.
    """
    settings.whole_number("follow_outlines", n=n)
    settings.function("follow_outlines", plan=plan, follow=follow, select=select, equal=equal)
    settings.function("follow_outlines", optional=True, summarize=summarize)
    found: dict[int, Candidate[V]] = {}
    failed = Failures(errors)

    async def go(outline: O, index: int) -> None:
        asked = follow(question, outline, index)
        path = await failed.spare(index, asked)
        if not isinstance(path, Failed):
            block.keep(index, of_kind(Candidate, follow, path, asked))

    narrowed = False
    with anytime(found) as block:
        outlines: list[O] = distinct(plan, await plan(question, n), equal) if n else []
        made = await gather_affordable(*(go(outlines[index % len(outlines)], index) for index in range(n)))
        narrowed = len(made) < n
        if summarize is not None:
            await add_summary(question, summarize, block, n, failed)
    stopped: Stopped = "budget" if narrowed and block.stopped == "done" else block.stopped
    return conclude(found, n, select, stopped, failed)


def distinct(plan: object, outlines: object, equal: Equal = same) -> list[O]:
    """The outlines of a plan, each once. Raises UsageError where there is none."""
    if not isinstance(outlines, list) or not outlines:
        raise UsageError(f"the plan {settings.say_part(plan)} gave {shortly(outlines)}: give a list with at least one outline")
    classes, found = Classes(equal), list[O]()
    for outline in outlines:
        if classes.number(outline) == len(found):
            found.append(outline)
    return found
