"""Go down one path at a time; at a dead end go back a step, or begin again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.protocols import Stepper, Verifier
from headway.methods.records import Candidate, State
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, choose
from headway.methods.search.parts import call_stepper, call_verifier
from headway.methods.search.select.selectors import likeliest
from headway.methods.search.tree.loop import NOTHING_SAID, leaf, place_in_tree
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
S = TypeVar("S")


@dataclass(slots=True)
class _Open(Generic[S]):
    """A state on the path, and how often it was continued."""

    state: State[S]
    tried: int = 0


async def backtrack(
    question: Q,
    step: Stepper[Q, S],
    judge: Verifier[Q, S] | None = None,
    *,
    n: int = 64,
    width: int | Callable[[State[S]], int] = 4,
    restart: bool = False,
    depth: int = 40,
    start: State[S] = NOTHING_SAID,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[S]:
    """Search depth first with `n` steps in all, until an answer is right.

    At a dead end or a wrong answer it goes back to the last state that was continued less than `width` times. With `restart` it
    begins again from the start instead, and continues every state on its way by the number of the attempt: random restarts, as
    many whole samples as `n` steps pay for. Which of the two pays hangs on the task; `which_pays` says it from a few questions.

    It departs from the paper, which compares models that were trained to write their search down with models that answer directly.
    Here the search is a program over the same stepper, so the two differ in nothing but where they go on.

    Args:
        question: what the parts are told.
        step: extends a state. The index is the number of the continuation of this state, or of the attempt with `restart`.
        judge: whether an answer is right; without one, the first answer ends the search.
        n: steps at most.
        width: continuations of a state at most, where it goes back; or a function that says of a state how many it has, where steps
            are choices and not samples.
        restart: begin again at a dead end.
        depth: steps of a path at most.
        start: where a path starts; an empty text.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`. A step that fails is a
            dead end.

    Returns:
        All answers in the order in which they were reached; the best is the one that was found right.

    Raises:
        UsageError: a setting makes no sense.
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> asyncio.run(backtrack("17+25=", next_digit, proof, n=64)).answer
        '42'
        >>> asyncio.run(backtrack("17+25=", next_digit, proof, n=64, restart=True)).answer
        '42'

    Source:
        To Backtrack or Not to Backtrack: Qin et al., arXiv 2504.07052; after the idea of, from the abstract.
    """
    settings.whole_number("backtrack", n=n)
    settings.at_least_one("backtrack", depth=depth)
    if not callable(width):
        settings.at_least_one("backtrack", width=width)
    if not isinstance(restart, bool):
        raise UsageError(f"backtrack: restart={restart!r:.80}: True or False")
    settings.function("backtrack", step=step)
    settings.function("backtrack", optional=True, judge=judge)
    settings.instance("backtrack", State, start=start)
    failed = Failures(errors)
    found: dict[int, Candidate[S]] = {}
    path, attempt, tokens = [_Open(start)], 0, 0

    async def is_right(place: int, candidate: Candidate[S]) -> bool:
        """Keep an answer, and say whether it ends the search."""
        block.keep(place, candidate)
        if judge is None:
            return True
        said = await failed.spare(place, call_verifier(judge, question, candidate, place))
        if isinstance(said, Failed):
            return False
        block.keep(place, leaf(state, said.right))
        return said.ok is True

    with anytime(found) as block:
        for place in range(n):
            last = path[-1]
            index, last.tried = attempt if restart else last.tried, last.tried + 1
            made = await failed.spare(place, call_stepper(step, question, last.state, index))
            if not isinstance(made, Failed):
                state = place_in_tree(last.state, made, index)
                tokens += max(0, state.tokens - last.state.tokens)
                if state.done and state.answer is not None and await is_right(place, leaf(state)):
                    break
                if not state.done and state.depth < depth:
                    path.append(_Open(state))
                    continue
            attempt += 1
            path = path[:1] if restart else _go_back(path, width if callable(width) else lambda _: width)
            if not path:
                break
    return choose(found, likeliest, block.stopped, tokens, failed)


def _go_back(path: list[_Open[S]], width: Callable[[State[S]], int]) -> list[_Open[S]]:
    """The path up to the last state that can be continued once more; empty where there is none."""
    while path and path[-1].tried >= width(path[-1].state):
        path.pop()
    return path
