"""Begin many traces, and finish one of each group that would come to the same answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from headway.joins.gather import gather_affordable
from headway.methods import settings
from headway.methods.protocols import Scorer, Selector, Stepper
from headway.methods.records import Candidate, State
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, Stopped, choose
from headway.methods.search.parts import call_stepper
from headway.methods.search.select.groups import average_linkage
from headway.methods.search.select.selectors import weighted_vote
from headway.methods.search.tree.loop import NOTHING_SAID, leaf
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
S = TypeVar("S")


async def deep_prune(
    question: Q,
    step: Stepper[Q, S],
    alike: Scorer[Q, tuple[S, S]],
    *,
    n: int = 16,
    prefix: int = 1,
    sure: float = 0.5,
    depth: int = 40,
    select: Selector[S] = weighted_vote,
    start: State[S] = NOTHING_SAID,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[S]:
    """Begin `n` traces, group those that a judge believes to come to the same answer, and finish one of each group.

    The vote weighs an answer by the size of its groups (`Candidate.score`). One vote a group would count rare answers as much as
    the frequent one, and lose what a majority knows. Where that trace fails, the next one of its group is
    finished.

    It departs in how it groups. The paper compares a trace with those that came before it, and puts it where it fits, once and for
    all. Here all pairs are judged when all prefixes are there, and average linkage joins the two likeliest groups again and again:
    the groups do not hang on which trace came first, and with a judge that errs far fewer traces get into a wrong one. The trace to
    be finished is the one that its group most agrees with. The larger groups go first where the budget does not pay for all.

    Args:
        question: what the parts are told.
        step: extends a state; a trace is told the same index at each of its steps.
        alike: how likely two prefixes come to the same answer, from 0 to 1, for pairs of them.
        n: traces.
        prefix: steps after which a trace is judged.
        sure: how likely two groups must come to the same answer to be joined: the mean over all pairs, from 0 to 1.
        depth: steps of a trace at most.
        select: takes one of the candidates; by default of the answer whose groups have the most traces.
        start: where a trace starts; an empty text.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`. Two prefixes that
            can't be compared are not alike.

    Returns:
        The finished traces, each with the size of its group as score, and the one that `select` takes.

    Raises:
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> async def same_digit(question, pairs):
        ...     return [0.9 if one == other else 0.1 for one, other in pairs]
        >>> found = asyncio.run(deep_prune("17+25=", next_digit, same_digit, n=16))
        >>> len(found.candidates), max(each.score for each in found.candidates)
        (4, 12.0)

    Source:
        DeepPrune: Tu et al., arXiv 2510.08483; after the idea of, from the abstract and notes on it.
    """
    settings.whole_number("deep_prune", n=n)
    settings.at_least_one("deep_prune", prefix=prefix, depth=depth)
    settings.function("deep_prune", step=step, alike=alike, select=select)
    settings.instance("deep_prune", State, start=start)
    settings.number("deep_prune", 0, 1, sure=sure)
    found: dict[int, Candidate[S]] = {}
    failed = Failures(errors)

    async def walk(state: State[S], index: int, steps: int) -> State[S]:
        while not state.done and state.depth < steps:
            state = replace(await call_stepper(step, question, state, index), depth=state.depth + 1)
        return state

    async def begin(index: int) -> Begun[S] | None:
        state = await failed.spare(index, walk(start, index, min(prefix, depth)))
        return None if isinstance(state, Failed) else Begun(index, state)

    async def beliefs(traces: Sequence[Begun[S]]) -> list[list[float]]:
        """How likely every two traces come to the same answer."""
        pairs = [(i, j) for j in range(len(traces)) for i in range(j)]
        values = [(traces[i].state.value, traces[j].state.value) for i, j in pairs]
        scores = await failed.scores([traces[j].index for _, j in pairs], alike, question, values, probable=True)
        found = [[1.0] * len(traces) for _ in traces]
        for (i, j), score in zip(pairs, scores, strict=True):
            found[i][j] = found[j][i] = score or 0.0
        return found

    async def finish(group: Sequence[Begun[S]]) -> int:
        """Finish the first of a group that does not fail; return the tokens that it wrote."""
        for index, state in ((trace.index, trace.state) for trace in group):
            ended = await failed.spare(index, walk(state, index, depth))
            if not isinstance(ended, Failed):
                block.keep(index, leaf(ended, float(len(group))))
                return ended.tokens - state.tokens
        return 0

    tokens, refused = 0, 0
    with anytime(found) as block:
        made = await gather_affordable(*map(begin, range(n)))
        begun = [each for each in made if each is not None]
        tokens, refused = max((trace.state.tokens for trace in begun), default=0), n - len(made)
        groups = [[begun[place] for place in group] for group in group_alike(await beliefs(begun), sure)]
        written = await gather_affordable(*map(finish, groups))
        tokens, refused = tokens + max(written, default=0), refused + len(groups) - len(written)
    stopped: Stopped = "budget" if refused and block.stopped == "done" else block.stopped
    return choose(found, select, stopped, tokens, failed)


@dataclass(frozen=True, slots=True)
class Begun(Generic[S]):
    """A trace of which there is the prefix: its place, and its state."""

    index: int
    state: State[S]


def group_alike(beliefs: Sequence[Sequence[float]], sure: float) -> list[list[int]]:
    """Group traces that most likely come to the same answer. Pure.

    Args:
        beliefs: how likely every two of them do.
        sure: the least mean of two groups that are joined.

    Returns:
        The places of each group: the largest group first, and in each the trace first that the others agree with most.

    Example:
        >>> group_alike([[1, 0.9, 0.1, 0.6], [0.9, 1, 0.2, 0.8], [0.1, 0.2, 1, 0.1], [0.6, 0.8, 0.1, 1]], 0.5)
        [[1, 0, 3], [2]]
    """
    groups = average_linkage([[1 - belief for belief in row] for row in beliefs], 1 - sure)
    agreed = [sorted(group, key=lambda one: -sum(beliefs[one][other] for other in group)) for group in groups]
    return sorted(agreed, key=len, reverse=True)
