"""Orchestra-o1: a model that delegates, round after round, to sub-agents that work side by side.

    played = await orchestra(model, "Which of these films is the oldest?", {"eyes": vision, "ears": audio}, tools=[search])

Each round the conductor says one of two things: delegate these tasks, each to a model with these tools; or it is complete, and this
is the answer. All tasks of a round run at once, each with tools of its own copy of the environment, and none that fails takes the
others with it. What a sub-agent did is summed up, by the conductor's model, before the conductor sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from headway.engine.identity.signature import unkeyed
from headway.engine.tasks.callables import describe_error
from headway.errors import BudgetExceeded, ModelError, UsageError
from headway.joins.bound import bound_of
from headway.joins.gather import settle
from headway.methods import settings
from headway.methods.agent.loop import make_tools
from headway.methods.agent.transcript import describe_conversation
from headway.methods.plan.teams.sessions import Why, hold_session, plain_model
from headway.models.ask import AnyModel, sample
from headway.models.messages import Message
from headway.models.prices import price_of
from headway.models.structured.answering import answer
from headway.task import task
from headway.tools.faults import is_answer
from headway.tools.tool import AnyTool, Tool

Equipment = Sequence[AnyTool] | Callable[[str], Sequence[AnyTool]]
ROUNDS = 10
STEPS = 30
MOST = 16
_TOKENS = 1024


class Delegated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A task that the conductor gives away.

    Attributes:
        task_instruction: what is to be done.
        context: what the sub-agent must know for it.
        model: who does it.
        tools: what it may use, by name.
    """

    task_instruction: str
    model: str
    context: str = ""
    tools: list[str] = msgspec.field(default_factory=list)


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes with a decision.

    Attributes:
        tasks: what is given away.
        answer: the answer.
    """

    tasks: list[Delegated] = msgspec.field(default_factory=list)
    answer: str = ""


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the conductor decides.

    Attributes:
        action: to give tasks away, or that the whole is done.
        params: the tasks, or the answer.
    """

    action: Literal["delegate_task", "complete"]
    params: Params


@dataclass(frozen=True, slots=True)
class Part:
    """What became of a task.

    Attributes:
        seat: its round and place, as "2.1".
        given: what was asked.
        status: "done", it answered; "partial", it was stopped before; "error", it failed or could not be begun.
        said: what it answered or last said; the error, where it failed.
        summary: what it did, summed up.
        why: why its session ended; empty where there was none.
        steps: how often its model was asked.
    """

    seat: str
    given: Delegated
    status: Literal["done", "partial", "error"]
    said: str
    summary: str = ""
    why: Why | Literal[""] = ""
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it.

    Attributes:
        answer: the answer; empty where none was given.
        status: "done", it was completed; "partial", the rounds or the budget were used up before.
        rounds: what became of the tasks of each round.
    """

    answer: str
    status: Literal["done", "partial"]
    rounds: tuple[tuple[Part, ...], ...]


async def orchestra(
    conductor: AnyModel,
    task: str,
    models: Mapping[str, AnyModel],
    *,
    tools: Equipment = (),
    rounds: int = ROUNDS,
    steps: int = STEPS,
    most: int = MOST,
) -> Played:
    """Let a model delegate parts of a task, round after round, until it has the answer.

    It departs in that a conductor which has used up its rounds is asked once more for an answer from what there is.

    Args:
        conductor: the model that delegates. It is held to the form of its decisions, as `models.answer` does.
        task: what is to be done.
        models: who sub-agents may be, by the name that the conductor uses. Their prices are told to it.
        tools: what sub-agents may use; or a function from a seat ("2.1") to the tools of an environment of its own.
        rounds: how often the conductor may delegate.
        steps: how often a sub-agent's model is asked at most. It is warned with five and with three left.
        most: how many tasks a round may have.

    Returns:
        The answer, and what became of every task.

    Raises:
        UsageError: settings that make no sense; before anything is asked.
        ModelError: the conductor refused, failed, or twice wrote something else than a decision.

    Example:
        >>> from headway import models
        >>> from headway.methods.plan import teams
        >>> class Conductor:
        ...     name, abilities = "conductor", {"schema"}
        ...     async def stream(self, request):
        ...         task = '{"task_instruction": "6 * 7?", "model": "clerk"}'
        ...         asked = f'{{"action": "delegate_task", "params": {{"tasks": [{task}]}}}}'
        ...         done = '{"action": "complete", "params": {"answer": "42"}}'
        ...         yield models.Piece(done if "It is 42" in str(request.prompt) else asked, finish="stop", tokens=20)
        >>> class Clerk:
        ...     name, abilities = "clerk", {"tools"}
        ...     async def stream(self, request):
        ...         yield models.Piece("It is 42.", finish="stop", tokens=4)
        >>> @hw.task
        ... async def program() -> tuple[str, str, int]:
        ...     played = await teams.orchestra(Conductor(), "What is 6 * 7?", {"clerk": Clerk()})
        ...     return played.answer, played.status, len(played.rounds)
        >>> hw.run(program, store=None)
        ('42', 'done', 1)

    Source:
        Orchestra-o1, after the authors' code; the paper's formulas are in `matching`.
    """
    where = "orchestra"
    settings.at_least_one(where, rounds=rounds, steps=steps, most=most)
    if not isinstance(task, str) or not task:
        raise UsageError(f"{where}: task={task!r:.80}: what is to be done, as text")
    if not isinstance(models, Mapping) or not models:
        raise UsageError(f"{where}: models={models!r:.80}: at least one, by name")
    names = _names_of(tools)
    messages = [Message("system", _introduce(models, names, most)), Message("user", task)]
    played: list[tuple[Part, ...]] = []
    try:
        while len(played) < rounds:
            left = rounds - len(played)
            note = Message("user", f"You may delegate {left} more time{'s' * (left != 1)}. What do you do?")
            said = await answer(conductor, [*messages, note], Decision, max_tokens=_TOKENS)
            if said.action == "complete":
                return Played(said.params.answer, "done", tuple(played))
            asked = said.params.tasks
            parts = await _play(asked[:most], len(played) + 1, conductor, models, tools, steps)
            played.append(parts)
            shown = [_show(part) for part in parts]
            if not 1 <= len(asked) <= most:
                shown.append({"error": f"{len(asked)} tasks: from one to {most} at a time; {len(asked[most:])} were not begun"})
            messages.append(Message("assistant", msgspec.json.encode(said).decode()))
            messages.append(Message("user", f"Results:\n{msgspec.json.encode(shown).decode()}"))
        last = Message("user", "You may not delegate any more. Answer with what you have.")
        return Played((await sample(conductor, [*messages, last], max_tokens=_TOKENS)).text, "partial", tuple(played))
    except BudgetExceeded:
        return Played("", "partial", tuple(played))


async def _play(
    tasks: Sequence[Delegated], number: int, conductor: AnyModel, models: Mapping[str, AnyModel], tools: Equipment, steps: int
) -> tuple[Part, ...]:
    """All tasks of a round at once."""
    seats = [f"{number}.{place}" for place in range(1, len(tasks) + 1)]
    ends = await settle(*(_begin(seat, given, conductor, models, tools, steps) for seat, given in zip(seats, tasks, strict=True)))
    parts = []
    for seat, given, end in zip(seats, tasks, ends, strict=True):
        if end.error is not None and not is_answer(end.error) and bound_of(end.error) != "budget":
            raise end.error
        parts.append(end.value if end.value is not None else Part(seat, given, "error", describe_error(end.error or Exception())))
    return tuple(parts)


async def _begin(
    seat: str, given: Delegated, conductor: AnyModel, models: Mapping[str, AnyModel], tools: Equipment, steps: int
) -> Part:
    """One task. One that can't be begun is an error for the conductor to read."""
    if given.model not in models:
        return Part(seat, given, "error", f"there is no model {given.model!r}; there are: {', '.join(models)}")
    offered = {each.name: each for each in make_tools(tools(seat) if callable(tools) else tools)}
    unknown = [name for name in given.tools if name not in offered]
    if unknown:
        return Part(seat, given, "error", f"there is no tool {unknown[0]!r}; there are: {', '.join(offered) or 'none'}")
    mine = [offered[name] for name in dict.fromkeys(given.tools)]
    return await work_on_task(seat, given, models[given.model], conductor, mine, steps)


@task(
    name="orchestra.part",
    label=lambda seat, given, model, conductor, tools, steps: f"{seat}, {given.model}: {given.task_instruction:.32}",
)
async def work_on_task(
    seat: str,
    given: Delegated,
    model: Annotated[AnyModel, unkeyed],
    conductor: Annotated[AnyModel, unkeyed],
    tools: Annotated[list[Tool], unkeyed],
    steps: int,
) -> Part:
    """One sub-agent. The round, the place and what is asked name the call. Its answer stands, whatever becomes of the summary."""
    asked = f"{given.context}\n\n{given.task_instruction}" if given.context else given.task_instruction
    session = await hold_session(model, tools, [Message("user", asked)], steps=steps)
    status: Literal["done", "partial"] = "done" if session.why == "answered" else "partial"
    summary = ""
    if session.steps > 1:
        try:
            trace = describe_conversation(session.messages)
            summary = (
                await sample(conductor, [Message("user", f"{trace}\n\n{_SUM_UP}")], max_tokens=_TOKENS, temperature=0.0)
            ).text
        except (BudgetExceeded, ModelError):
            summary = ""
    return Part(seat, given, status, session.text, summary, session.why, session.steps)


_SUM_UP = "Sum up what this agent did and found, for somebody who sees nothing else: every fact, name and number, and what is open."


def _names_of(tools: Equipment) -> list[str]:
    return [each.name for each in make_tools(tools("0.0") if callable(tools) else tools)]


def _introduce(models: Mapping[str, AnyModel], tools: Sequence[str], most: int) -> str:
    """What the conductor is told of its players."""
    lines = []
    for name, model in models.items():
        price = price_of(plain_model(model))
        cost = "" if price is None else f": {price.read:g} per million tokens read, {price.written:g} written"
        lines.append(f"- {name}{cost}")
    return (
        "You solve a task by delegating parts of it. Each sub-agent knows nothing but its instruction and context. "
        f"In one decision you may give away up to {most} tasks, which run at the same time.\nModels:\n"
        + "\n".join(lines)
        + f"\nTools: {', '.join(tools) or 'none'}\n"
        'Decide with JSON alone: {"action": "delegate_task", "params": {"tasks": [{"task_instruction": "…", "context": "…", '
        '"model": "…", "tools": ["…"]}]}} or {"action": "complete", "params": {"answer": "…"}}.'
    )


def _show(part: Part) -> dict[str, str]:
    """What the conductor is shown of a task."""
    shown = {"seat": part.seat, "status": part.status, "answer": part.said}
    return shown | ({"summary": part.summary} if part.summary else {})
