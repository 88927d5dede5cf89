"""Keeps some calls running, each chosen by what those before it came to, until there have been enough or a bound is used up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from headway.engine.handle import Handle
from headway.joins.bound import bound_of
from headway.joins.group import Group, group

S = TypeVar("S")
T = TypeVar("T")


async def keep_running(
    ask: Callable[[], tuple[S, Awaitable[T]] | None], tell: Callable[[S, Handle[T]], None], parallel: int
) -> None:
    """Start calls until `ask` has no more, so many at a time. Calls are told in the order in which they end, which is recorded.

    A call that a budget refuses ends the asking. What runs beside it is awaited and told, and then the refusal is raised.

    Args:
        ask: what is tried next, and its call; None where there is nothing for now.
        tell: gets what was tried, and its call, which has ended. It raises what shall end everything.
        parallel: calls at a time.

    Raises:
        BudgetExceeded: a call was refused.
        Exception: what `tell` raises.
    """
    refusal: BaseException | None = None
    running: dict[Handle[T], S] = {}
    calls: Group[T]
    async with group() as calls:
        while True:
            while refusal is None and len(running) < parallel and (asked := ask()) is not None:
                running[calls.add(asked[1])] = asked[0]  # type: ignore[arg-type]  # a coroutine outside of a run
            if not running:
                break
            ended = await anext(calls)
            tried, error = running.pop(ended), ended.exception()
            if error is not None and bound_of(error) == "budget":
                refusal = error
            else:
                tell(tried, ended)
    if refusal is not None:
        raise refusal
