"""Asks a person whether a tool may do what a model asked of it.

The question is a call of its own that waits for a signal, so it outlives the process and is seen by `headway ls`, `headway show`
and `hw.view`. The signal's name ends in the call's key: no answer can reach another question of the run.

    headway signal RUN approve-send-3f2a91c07b44 yes
    headway signal RUN approve-send-3f2a91c07b44 "not on a Sunday"
    headway signal RUN approve-send-3f2a91c07b44 '{"arguments": {"to": "ada@example.org"}}'

Only a clear yes approves. Every other answer is a denial, and its text is the reason that the model is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from headway.context import call as current_call
from headway.context import wait_event
from headway.engine.handle import Handle
from headway.task import task

_YES = frozenset({"yes", "y", "approve", "approved", "ok", "true"})
_NO = frozenset({"no", "n", "deny", "denied", "false", ""})


@dataclass(frozen=True, slots=True)
class Approval:
    """What a person said of a call.

    Attributes:
        approved: whether it may be run.
        arguments: what to run it with instead, JSON; empty for what the model asked.
        reason: why not.
    """

    approved: bool
    arguments: str = ""
    reason: str = ""


@task(name="tools.approval", label="{tool} {arguments}")
async def _wait_for_answer(tool: str, arguments: str, timeout_s: float | None) -> Any:
    """The answer of a person, whatever it is."""
    return await wait_event(f"approve-{tool}-{current_call().key[:12]}", timeout=timeout_s)


def ask_approval(tool: str, arguments: str, *, timeout: float | None = None) -> Handle[Any]:
    """Ask a person. A call of the current run.

    Args:
        tool: the tool's name.
        arguments: what it would be called with, JSON.
        timeout: seconds to wait at most; None waits without end.

    Returns:
        The call. Its result is the value that was sent; `read_approval` says what that means.

    Raises:
        TimeoutError: on await. Nobody answered in time.
    """
    return _wait_for_answer(tool, arguments, timeout)


def read_approval(answer: object) -> Approval:
    """What a person's answer means.

    Args:
        answer: the value of the signal: a yes or no, a reason why not, or an object with `arguments` to use, or with `approve` and
            `reason`.

    Returns:
        The approval, or the denial.

    Example:
        >>> read_approval("yes"), read_approval("too dear")
        (Approval(approved=True, arguments='', reason=''), Approval(approved=False, arguments='', reason='too dear'))
        >>> read_approval({"arguments": {"to": "ada"}})
        Approval(approved=True, arguments='{"to":"ada"}', reason='')
    """
    if isinstance(answer, Mapping):
        return _read_object(answer)
    if isinstance(answer, bool):
        return Approval(answer)
    said = str(answer if answer is not None else "").strip()
    if said.casefold() in _YES:
        return Approval(True)
    return Approval(False, reason="" if said.casefold() in _NO else said)


def _read_object(answer: Mapping[Any, Any]) -> Approval:
    reason = str(answer.get("reason", ""))
    unknown = sorted(map(str, answer.keys() - {"approve", "arguments", "reason"}))
    if unknown:
        return Approval(False, reason=f"the answer of the person asked could not be read: it has {', '.join(unknown)}")
    arguments = answer.get("arguments")
    approved = answer.get("approve", arguments is not None)
    if approved is not True:
        return Approval(False, reason=reason)
    if arguments is None:
        return Approval(True)
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return Approval(True, text, reason)
