"""Think along several paths at once, and write one answer from all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol, TypeVar

from headway.joins.gather import gather_affordable
from headway.methods import settings
from headway.methods.protocols import Generator, Selector
from headway.methods.records import Candidate
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, Stopped, choose
from headway.methods.search.parts import call_generator, of_kind
from headway.methods.search.select.selectors import majority
from headway.scopes.anytime import Anytime, anytime

Q = TypeVar("Q")
Q_contra = TypeVar("Q_contra", contravariant=True)
V = TypeVar("V")


class Summarizer(Protocol[Q_contra, V]):
    """Writes one answer from what several paths came to, in the order of the paths."""

    def __call__(self, question: Q_contra, paths: list[Candidate[V]], /) -> Awaitable[Candidate[V]]: ...


async def para_thinker(
    question: Q,
    think: Generator[Q, V],
    summarize: Summarizer[Q, V],
    *,
    n: int = 8,
    select: Selector[V] = majority,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[V]:
    """Follow `n` paths side by side, then write one summary that has read them all.

    A summary can put together what no path has alone, which a vote over whole answers cannot. It takes the time of the longest path
    and of the summary, however many paths there are.

    It departs in that the summary reads texts: the paper's attends to the keys and values of all paths without reading them again,
    and its paths begin with tokens of their own that the model was trained on. Here the index tells paths apart.

    Args:
        question: what the parts are told.
        think: follows a path.
        summarize: writes the answer from the paths that were followed; it is not asked where there is none.
        n: paths.
        select: takes one of the paths where the summary fails, has no answer, or nothing is left to pay for it.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`.

    Returns:
        The paths, then the summary; the best is the summary if it has an answer.

    Raises:
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> async def most_frequent(question, paths):
        ...     return paths[search.select.selectors.majority(paths)]
        >>> asyncio.run(para_thinker("17+25=", sample, most_frequent, n=8)).answer
        '42'

    Source:
        ParaThinker: Wen et al., arXiv 2509.04475; after the idea of, from the abstract and the authors' README.
    """
    settings.whole_number("para_thinker", n=n)
    settings.function("para_thinker", think=think, summarize=summarize, select=select)
    found: dict[int, Candidate[V]] = {}
    failed = Failures(errors)

    async def follow(index: int) -> None:
        path = await failed.spare(index, call_generator(think, question, index))
        if not isinstance(path, Failed):
            block.keep(index, path)

    narrowed = False
    with anytime(found) as block:
        narrowed = len(await gather_affordable(*map(follow, range(n)))) < n
        await add_summary(question, summarize, block, n, failed)
    stopped: Stopped = "budget" if narrowed and block.stopped == "done" else block.stopped
    return conclude(found, n, select, stopped, failed)


async def add_summary(
    question: Q, summarize: Summarizer[Q, V], block: Anytime[int, Candidate[V]], place: int, failed: Failures
) -> None:
    """Keep a summary of all paths that a block has, at a place behind them."""
    paths = [path for _, path in sorted(block.kept.items())]
    if paths:
        asked = summarize(question, paths)
        said = await failed.spare(place, asked)
        if not isinstance(said, Failed):
            block.keep(place, of_kind(Candidate, summarize, said, asked))


def conclude(found: dict[int, Candidate[V]], place: int, select: Selector[V], stopped: Stopped, failed: Failures) -> Found[V]:
    """Choose the summary at a place behind the paths, where there is one with an answer; else one of the paths."""
    summary = found.get(place)
    paths = max((path.tokens for at, path in found.items() if at < place), default=0)
    tokens = paths + (0 if summary is None else summary.tokens)

    def pick(candidates: Sequence[Candidate[V]]) -> int:
        if summary is not None and summary.answer is not None:
            return len(candidates) - 1
        return select(candidates if summary is None else candidates[:-1])

    return choose(found, pick, stopped, tokens, failed)
