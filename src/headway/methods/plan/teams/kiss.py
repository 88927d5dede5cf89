"""KISS Sorcar: agents with caps, that go on in a new session when one is full, and give parts away with a share for each.

    done = await kiss(model, tools, "Mend all tests", steps=100, sessions=10, caps={"money": 10.0}, depth=1)

Three simple rules carry it. Nobody begins a step that its caps refuse. Whoever runs out of steps or room writes down what is done
and what is left, and begins again from that. And of n parts that are given away each gets 1/(n + 1) of what is left, so that the
one who gives can always go on: `fan_out` is that rule for any work.

The shares are budgets of the run. Nothing here counts money.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from headway.engine.tasks.callables import describe_error
from headway.errors import BudgetExceeded, UsageError
from headway.joins.base import Settled
from headway.joins.bound import bound_of
from headway.joins.gather import settle
from headway.methods import settings
from headway.methods.agent.loop import make_tools
from headway.methods.agent.transcript import describe_conversation
from headway.methods.allocate.budgets.shares import child_budgets
from headway.methods.plan.teams.sessions import GIVES_AWAY, Why, hold_session, plain_model
from headway.methods.plan.teams.worktree import Merge, Worked, commit_work, in_worktrees
from headway.models.ask import AnyModel, sample
from headway.models.base import identity_of
from headway.models.messages import Message, ToolSpec
from headway.scopes.budget import budget, remaining
from headway.task import task
from headway.tools.faults import is_answer
from headway.tools.parameters import ToolArgumentsError
from headway.tools.tool import AnyTool, Labels, Tool

T = TypeVar("T")
W = TypeVar("W")
Equipment = Sequence[AnyTool] | Callable[[str], Sequence[AnyTool]]

SUMMARY_TOKENS = 1024
MOST = 16
_GO_ON = "You, or another one, have worked on this before. What was done, and what is left:\n"
_SUM_UP = (
    "Your steps are used up, and another one goes on who sees nothing of this but what you write now. Say what is done, what was "
    "tried and failed, and what is left to do, with every name and number that is needed."
)
_GIVE = (
    "Give parts of your task to others who work on them at the same time. Each knows nothing but what you write for it. You get "
    "back what each found."
)


@dataclass(frozen=True, slots=True)
class Kissed:
    """What an agent came to.

    Attributes:
        text: what it answered; what it last said where it came to no answer.
        why: why it ended: it "answered", or what its last session ended with; it "failed" in its worktree.
        sessions: how many it took.
        steps: how often its model was asked, in all of them.
        merge: what became of its change; None where it worked in no repository, or failed.
        diff: its change, where it was not merged.
    """

    text: str
    why: Why | Literal["failed"]
    sessions: int
    steps: int
    merge: Merge | None = None
    diff: bytes = b""


@dataclass(frozen=True)
class Brief:
    """What an agent works with, and the ones that it gives parts to."""

    model: AnyModel
    tools: Equipment
    steps: int
    sessions: int
    room: int | None
    caps: Mapping[str, float]
    depth: int
    most: int

    def __headway_key__(self) -> object:
        tools = self.tools if callable(self.tools) else tuple(make_tools(self.tools))
        return (
            "kiss",
            identity_of(plain_model(self.model)),
            tools,
            self.steps,
            self.sessions,
            self.room,
            dict(self.caps),
            self.depth,
            self.most,
        )


async def kiss(
    model: AnyModel,
    tools: Equipment,
    task: str,
    *,
    steps: int = 100,
    sessions: int = 10,
    room: int | None = None,
    caps: Mapping[str, float] | None = None,
    depth: int = 0,
    most: int = MOST,
    repository: str | Path = "",
    into: str = "",
) -> Kissed:
    """Let an agent work on a task, through as many sessions as it takes.

    It departs in that caps are reserved before a step and not only looked at, so agents side by side can't pass them together.
    It departs in that changes are merged by a rule and not by a person: see `in_worktrees`.

    Args:
        model: any model that takes tools.
        tools: what it may use; with a `repository`, a function from the folder to work in to the tools.
        task: what is to be done.
        steps: how often the model is asked in a session, at most.
        sessions: how many sessions, at most.
        room: tokens that a conversation may take, about, before a new session begins.
        caps: what each agent may spend at most, by unit, its helpers included: `{"money": 10.0}`.
        depth: how deep it may give parts away, by a tool called `run_parallel`; 0 for never.
        most: how many parts at a time.
        repository: a folder of a git repository: each agent then works in a worktree of its own, and its change is merged into the
            one who gave it its part.
        into: the branch that the whole is merged into; by default the one that is checked out.

    Returns:
        What it came to. An agent that a cap ends gives what it last said.

    Raises:
        UsageError: settings that make no sense; before anything is asked.
        ModelError: the model refused or failed.

    Example:
        >>> from headway import models
        >>> from headway.methods.plan import teams
        >>> class Slow:  # needs to be asked three times
        ...     name, abilities = "slow", {"tools"}
        ...     async def stream(self, request):
        ...         said = str(request.prompt)
        ...         if "Your steps are used up" in said:
        ...             yield models.Piece("Half of it is done.", finish="stop", tokens=5)
        ...         elif "Half of it" in said:
        ...             yield models.Piece("All of it is done.", finish="stop", tokens=5)
        ...         else:
        ...             yield models.Piece(calls=(models.CallPiece(0, "a", "dig", "{}"),), finish="tool", tokens=3)
        >>> @hw.task
        ... async def dig() -> str:
        ...     return "deeper"
        >>> @hw.task
        ... async def program() -> tuple[str, int, int]:
        ...     done = await teams.kiss(Slow(), [dig], "Dig a well.", steps=2)
        ...     return done.text, done.sessions, done.steps
        >>> hw.run(program, store=None)
        ('All of it is done.', 2, 3)

    Source:
        KISS Sorcar, arXiv 2604.23822.
    """
    where = "kiss"
    settings.at_least_one(where, steps=steps, sessions=sessions, most=most)
    settings.whole_number(where, depth=depth)
    if room is not None:
        settings.at_least_one(where, room=room)
    caps = dict(caps or {})
    settings.finite(where, **caps)
    if not isinstance(task, str) or not task:
        raise UsageError(f"{where}: task={task!r:.80}: what is to be done, as text")
    if bool(repository) != callable(tools):
        raise UsageError(f"{where}: tools= is a function from a folder to tools if, and only if, there is a repository=")
    if not callable(tools):
        make_tools(tools)
    brief = Brief(model, tools, steps, sessions, room, caps, depth, most)
    if not repository:
        return await work_on(brief, task, "")
    (worked,) = await in_worktrees(repository, partial(work_on, brief), [task], into=into)
    if worked.value is None:
        return Kissed(f"It failed: {worked.error}", "failed", 0, 0, diff=worked.change.diff)
    return replace(worked.value, merge=worked.merge, diff=b"" if worked.ok else worked.change.diff)


async def fan_out(work: Callable[[W], Awaitable[T]], parts: Sequence[W]) -> list[Settled[T]]:
    """Work on parts side by side, each with one share of what is left, and keep one share.

    Args:
        work: does a part.
        parts: the parts.

    Returns:
        How each ended, in their order. What each may spend is 1/(n + 1) of what the budgets leave when the first begins.

    Raises:
        UsageError: `parts` is no list.

    Example:
        >>> from headway.methods.plan import teams
        >>> @hw.task
        ... async def purse(part: str) -> float:
        ...     return hw.remaining("tokens")
        >>> @hw.task
        ... async def program() -> list[float]:
        ...     with hw.budget(tokens=400):
        ...         return [end.value for end in await teams.fan_out(purse, ["a", "b", "c"])]
        >>> hw.run(program, store=None)
        [100.0, 100.0, 100.0]

    Source:
        KISS Sorcar, arXiv 2604.23822: the rule by which its agents fan out.
    """
    settings.function("fan_out", work=work)
    if isinstance(parts, str) or not isinstance(parts, Sequence):
        raise UsageError(f"fan_out: parts={parts!r:.80}: a list")
    shares = _shares(len(parts))

    async def one(part: W, share: contextlib.AbstractContextManager[object]) -> T:
        with share:
            return await work(part)

    return await settle(*(one(part, share) for part, share in zip(parts, shares, strict=True)))


def _shares(count: int) -> Sequence[contextlib.AbstractContextManager[object]]:
    return child_budgets(count) if count and remaining() else [contextlib.nullcontext() for _ in range(count)]


# --- an agent ---------------------------------------------------------------------------------------------------------


@task(name="kiss.agent")
async def work_on(brief: Brief, part: str, folder: str) -> Kissed:
    """One agent, session after session. `folder`: where it works, empty where there is no repository."""
    tools = make_tools(brief.tools(folder) if callable(brief.tools) else brief.tools)
    if brief.depth:
        tools.append(_make_tool(brief, tools, folder))
    begin = Message("user", part)
    messages, steps = [begin], 0
    with budget(wait=False, **brief.caps) if brief.caps else contextlib.nullcontext():
        for number in range(1, brief.sessions + 1):
            session = await hold_session(brief.model, tools, messages, steps=brief.steps, room=brief.room)
            steps += session.steps
            if session.why in ("answered", "budget") or number == brief.sessions or not session.steps:
                break
            try:
                summary = await _sum_up(brief.model, session.messages)
            except BudgetExceeded:
                break
            messages = [begin, Message("user", _GO_ON + summary)]
    return Kissed(session.text, session.why, number, steps)


async def _sum_up(model: AnyModel, messages: Sequence[Message]) -> str:
    """What a session leaves to the next one, as a call."""
    asked = f"{describe_conversation(messages)}\n\n{_SUM_UP}"
    return (await sample(model, [Message("user", asked)], max_tokens=SUMMARY_TOKENS, temperature=0.0)).text


# --- giving parts away ------------------------------------------------------------------------------------------------


def _make_tool(brief: Brief, tools: Sequence[Tool], folder: str) -> Tool:
    """The tool by which an agent gives parts away."""
    helper = replace(brief, depth=brief.depth - 1)
    labels = Labels(effect=bool(folder) or any(each.labels.effect for each in tools), reads_untrusted=False)
    parameters = _PartsParameters(helper, folder)
    return Tool(ToolSpec("run_parallel", _GIVE, parameters.schema), labels, work_on_parts, parameters)


class _Parts(msgspec.Struct, forbid_unknown_fields=True):
    tasks: list[str]


class _PartsParameters:
    """What the tool takes: the parts; and what the helpers work with, which is not the model's to say."""

    def __init__(self, brief: Brief, folder: str) -> None:
        self.identity = (brief, folder)
        self._most = brief.most
        parts = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": brief.most}
        self.schema = {"type": "object", "properties": {"tasks": parts}, "required": ["tasks"], "additionalProperties": False}

    def parse(self, arguments: str) -> dict[str, Any]:
        try:
            read = msgspec.json.decode(arguments, type=_Parts)
        except msgspec.DecodeError as error:
            raise ToolArgumentsError(f'run_parallel: {error}. Write {{"tasks": ["…"]}}.') from None
        if not 1 <= len(read.tasks) <= self._most or not all(read.tasks):
            raise ToolArgumentsError(f"run_parallel: {len(read.tasks)} parts: from one to {self._most} at a time, none empty.")
        return {"tasks": read.tasks}

    def place(self, values: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (*self.identity, values["tasks"]), {}


@task(name=GIVES_AWAY)
async def work_on_parts(brief: Brief, folder: str, tasks: list[str]) -> list[str]:
    """Work on all parts side by side."""
    if not folder:
        return [_tell(end) for end in await fan_out(lambda part: work_on(brief, part, ""), tasks)]
    await commit_work(folder, "before parts are given away")
    shares = iter(_shares(len(tasks)))

    def work(part: str, there: str) -> Awaitable[Kissed]:
        return _within(next(shares), work_on, brief, part, there)

    return [_tell_merged(worked) for worked in await in_worktrees(folder, work, tasks)]


async def _within(share: contextlib.AbstractContextManager[object], work: Callable[..., Awaitable[T]], *given: Any) -> T:
    with share:
        return await work(*given)


def _tell(end: Settled[Kissed]) -> str:
    """What the one who gave a part is told of it."""
    if end.value is None:
        assert end.error is not None
        if not is_answer(end.error) and bound_of(end.error) != "budget":
            raise end.error
        return f"This helper failed: {describe_error(end.error)}"
    return _tell_done(end.value)


def _tell_done(done: Kissed) -> str:
    if done.why == "answered":
        return done.text
    return f"This helper came to no end ({done.why}). It last said: {done.text or 'nothing'}"


def _tell_merged(worked: Worked[Kissed]) -> str:
    said = f"This helper failed: {worked.error}" if worked.value is None else _tell_done(worked.value)
    if worked.merge is not None and worked.merge.how == "merged":
        return f"{said}\n[Its change is merged: {', '.join(worked.change.files)}]"
    if not worked.change.files:
        return said
    why = "it failed" if worked.merge is None else worked.merge.why
    return f"{said}\n[Its change is NOT merged: {why}. It is:\n{worked.change.diff.decode('utf-8', 'backslashreplace')}]"
