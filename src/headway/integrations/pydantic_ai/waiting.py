"""Waits of an agent for an answer from outside, as durable waits for a signal to its run.

pydantic-ai hands a token to whoever will answer. Ours names the run and the wait, so that any process which has the store can
answer (`resolve_event`), days later and while nothing of the run is in memory: the signal is kept until the run goes on.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic_ai.durable_exec import ExternalEventError, ExternalEventWaiter
from pydantic_ai.exceptions import UserError

from headway.context import call, random, wait_event
from headway.journal.store import Store
from headway.steer import signal

PREFIX = "pydantic_ai:"


class SignalWaiter(ExternalEventWaiter):
    """Waits for a signal to the current run.

    Args:
        ask: runs the question as a recorded unit of the agent.
    """

    def __init__(self, ask: Callable[[str, str, Callable[[], Awaitable[Any]]], Awaitable[Any]]) -> None:
        self._ask = ask

    async def wait(self, name: str, *, ask: Callable[[str], Awaitable[Any]], timeout: timedelta | None) -> Any:
        """Ask once, then wait. Raises ExternalEventError when it took too long, or the answer is that there is none."""
        event = f"{PREFIX}{name}:{random().getrandbits(64):016x}"
        token = json.dumps([call().run_id, event])
        answer = await self._ask(name, token, lambda: ask(token))
        if answer is not None:
            return answer
        try:
            told = await wait_event(event, timeout=None if timeout is None else timeout.total_seconds())
        except TimeoutError:
            raise ExternalEventError(f"No resolution arrived within {timeout}.") from None
        if "reason" in told:
            raise ExternalEventError(told["reason"])
        return told["answer"]


def resolve_event(token: str, payload: object, *, store: str | Path | Store | None = None) -> None:
    """Answer what an agent waits for.

    Args:
        token: as it was handed out.
        payload: the answer: text, numbers, lists, dictionaries.
        store: of the run. Default: ".headway".

    Raises:
        UserError: this is no token.
        UnknownRun: the store has no such run.
        NotEncodable: the payload can't be stored.
    """
    _send(token, {"answer": payload}, store)


def fail_event(token: str, reason: str, *, store: str | Path | Store | None = None) -> None:
    """Say that no answer will come. The agent's wait raises ExternalEventError with the reason.

    Args:
        token: as it was handed out.
        reason: why.
        store: of the run. Default: ".headway".

    Raises:
        UserError: this is no token.
        UnknownRun: the store has no such run.
    """
    _send(token, {"reason": reason}, store)


def _send(token: str, told: dict[str, object], store: str | Path | Store | None) -> None:
    try:
        run_id, event = json.loads(token)
        known = isinstance(run_id, str) and isinstance(event, str) and event.startswith(PREFIX)
    except (TypeError, ValueError):
        known = False
    if not known:
        raise UserError(f"{token!r:.100} is no token of a Headway run: pass on the text that the question was asked with")
    signal(run_id, event, told, **({} if store is None else {"store": store}))
