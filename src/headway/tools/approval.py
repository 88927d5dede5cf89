"""Asks a person whether a tool may do what a model asked of it.

The question is a call of its own that waits for a signal, so it outlives the process and is seen by `headway ls`, `headway show`
and `hw.view`; `questions` lists those that wait. The signal's name ends in the call's key: no answer can reach another question.

    headway signal RUN approve-send-3f2a91c07b44 yes
    headway signal RUN approve-send-3f2a91c07b44 "not on a Sunday"
    headway signal RUN approve-send-3f2a91c07b44 '{"arguments": {"to": "ada@example.org"}}'

Only a clear yes approves. Every other answer is a denial, and its text is the reason that the model is told. What a person is shown
is what the tool would be called with, whole, and not the text that the model wrote, which can hide things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from headway.context import call as current_call
from headway.context import wait_event
from headway.engine.handle import Handle
from headway.journal.open import DEFAULT_STORE
from headway.task import task
from headway.view import StoreLike, view

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


@dataclass(frozen=True, slots=True)
class Question:
    """A call that waits for the approval of a person.

    Attributes:
        tool: the tool's name.
        arguments: what it would be called with, JSON.
        signal: the name of the signal that answers.
        since: when it began to wait, in seconds since 1970.
    """

    tool: str
    arguments: str
    signal: str
    since: float


@task(name="tools.approval", label=lambda tool, arguments, _: f"{tool} {arguments}")
async def _wait_for_answer(tool: str, arguments: str, timeout_s: float | None) -> Any:
    """The answer of a person, whatever it is."""
    signal = f"approve-{tool}-{current_call().key[:12]}"
    await _note_question(tool, arguments, signal)
    return await wait_event(signal, timeout=timeout_s)


@task(name="tools.question", label=lambda tool, arguments, _: f"{tool} {arguments}")
async def _note_question(tool: str, arguments: str, signal: str) -> str:
    """Puts the whole question into the journal: what a call is asked is recorded when it has ended, and the other one waits."""
    return signal


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
        NotInRun: on await, outside of a run.

    Example:
        >>> from headway import tools
        >>> @hw.task
        ... async def program() -> str:
        ...     try:
        ...         answer = await tools.ask_approval("send", '{"to":"ada"}', timeout=3600)
        ...     except TimeoutError:
        ...         return "nobody answered"
        ...     return "sent" if tools.read_approval(answer).approved else "not sent"
        >>> hw.testing.run(program, store=None)  # on a clock that jumps
        'nobody answered'
    """
    return _wait_for_answer(tool, arguments, timeout)


def questions(run_id: str, *, store: StoreLike = DEFAULT_STORE) -> list[Question]:
    """What a run asks people, the oldest question first. Answer with `hw.signal(run_id, question.signal, …)`.

    Args:
        run_id: the run.
        store: the store.

    Returns:
        The questions that wait.

    Raises:
        UnknownRun: there is no such run.

    Example:
        >>> @hw.task
        ... async def program() -> str:
        ...     return "asks nobody"
        >>> store = hw.MemoryStore()
        >>> _ = hw.run(program, store=store, run_id="quiet")
        >>> questions("quiet", store=store)
        []
    """
    run = view(run_id, store=store)
    waiting = {wait.name: wait.since for wait in run.waiting}
    found = [call.arguments for call in run.calls if call.task == _note_question.name and call.ok]
    return [
        Question(each["tool"], each["arguments"], each["signal"], waiting[each["signal"]])
        for each in found
        if each["signal"] in waiting
    ]


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
