"""The plain loop: a model is asked, the tools that it asks for are run, and it is asked again, until it answers.

    answer = await agent(model, [search, read], "Which of Ada's papers was the first?")

Every request and every tool is a call below the caller's, so a run that was killed goes on in the middle of a turn. What the loop
decides it decides from recorded answers alone. It keeps nothing of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict, TypeVar, Unpack, overload

from headway.errors import BudgetExceeded, UsageError
from headway.methods import settings
from headway.methods.agent.compacting import compact
from headway.methods.agent.records import Answer, Called, Heard, Returned, Said, Why
from headway.methods.agent.shares import keep_one_delegation
from headway.methods.agent.transcript import answer_open_calls, describe_left, last_words, with_note
from headway.methods.guard.gates import Guard, open_gates
from headway.models.ask import AnyModel, begin
from headway.models.base import Piece, Sample
from headway.models.checks.answers import AskedForTools
from headway.models.messages import Message
from headway.models.requests import Sampling, make_request
from headway.models.streaming import pieces_of
from headway.models.structured.answering import answer
from headway.models.structured.forms import form_of
from headway.scopes.budget import remaining
from headway.scopes.deadline import time_left
from headway.tools.finding.shelf import Shelf
from headway.tools.running import run_calls
from headway.tools.tool import AnyTool, Tool, tool

T = TypeVar("T")

TURNS = 20
_LAST = "Your turns are used up. Answer now, with what you have."


class Settings(TypedDict, total=False):
    """What can be set of an agent.

    Attributes:
        system: what the model is told before all else.
        history: a conversation to go on from (`Answer.messages`).
        turns: how often the model is asked, at most (20). The last time it may ask for none and must answer.
        room: tokens of a conversation, about; what is longer is summed up, as a call. None sums nothing up (None).
        tell_budget: whether the model is told before each turn what is left of its budgets, its time and its turns (True).
        hear: a function that is told of each piece that the model says, each call and each result (`Said`, `Called`, `Returned`).
            A resumed agent tells it again what was recorded.
        approval_timeout_s: how long a person has to approve a call that needs it, in seconds; None waits without end (None).
        guards: what stands between the model and its tools: see `methods.guard`. Each helper of a delegation has its own.
        sampling: how the model is asked: see `models.Sampling`.
    """

    system: str
    history: Sequence[Message]
    turns: int
    room: int | None
    tell_budget: bool
    hear: Callable[[Heard], None] | None
    approval_timeout_s: float | None
    guards: Sequence[Guard]
    sampling: Sampling


@overload
async def agent(model: AnyModel, tools: Sequence[AnyTool], task: str, **options: Unpack[Settings]) -> Answer[str]: ...
@overload
async def agent(
    model: AnyModel, tools: Sequence[AnyTool], task: str, schema: type[T], **options: Unpack[Settings]
) -> Answer[T]: ...
async def agent(
    model: AnyModel, tools: Sequence[AnyTool], task: str, schema: Any = str, **options: Unpack[Settings]
) -> Answer[Any]:
    """Let a model work on a task with tools, until it answers.

    The tools of a turn run in parallel. A tool that fails, does not exist or gets bad arguments is told to the model, which goes
    on. Bounds hold as everywhere: a request that the budget can't afford ends the agent, which gives what it has. A deadline is
    raised.

    Args:
        model: any model that takes tools: an `Endpoint`, a `Local`, one of your own.
        tools: typed functions, tasks or tools; or a `tools.Shelf` of this agent's own, which grows as the model finds more.
        task: what is to be done.
        schema: the type of the answer; text without one. A model that answered in words is asked once more for a value.
        **options: see `Settings`.

    Returns:
        The answer, why it ended, and the conversation.

    Raises:
        UsageError: settings that make no sense, two tools of one name, a type without a form; before anything is asked.
        ModelError: the model refused or failed; where a value is asked for, it gave none in two attempts.
        DeadlineExceeded: a deadline passed.

    Example:
        >>> from headway import models, tools
        >>> from headway.methods.agent import agent
        >>> @tools.tool
        ... async def area(country: str) -> int:
        ...     '''The area of a country in km2.'''
        ...     return {"Italy": 302068}[country]
        >>> class Planner:  # asks for the tool, then says what it gave
        ...     name, abilities = "planner", {"tools"}
        ...     async def stream(self, request):
        ...         last = [said for said in request.prompt if said.role == "tool"]
        ...         if last:
        ...             yield models.Piece(f"It is {last[0].text} km2.", finish="stop", tokens=6)
        ...         else:
        ...             asked = models.CallPiece(0, "a", "area", '{"country": "Italy"}')
        ...             yield models.Piece(calls=(asked,), finish="tool", tokens=9)
        >>> @hw.task
        ... async def program() -> str:
        ...     return (await agent(Planner(), [area], "How large is Italy?")).value
        >>> hw.run(program, store=None)
        'It is 302068 km2.'
    """
    offered = tools if isinstance(tools, Shelf) else make_tools(tools)
    return await _Agent(model, offered, schema, options).run(task)


def make_tools(tools: Sequence[AnyTool]) -> list[Tool]:
    """The tools, each by a name of its own."""
    if not isinstance(tools, list | tuple):
        raise UsageError(f"agent: tools={tools!r:.80}: a list of typed functions, tasks or tools")
    made = [tool(each) for each in tools]
    names = [each.name for each in made]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UsageError(f"agent: two tools are called {twice!r}: give one of them another with tools.tool(…, name=)")
    return made


def check_settings(options: Settings) -> None:
    """Raises UsageError for settings that make no sense."""
    if unknown := options.keys() - Settings.__annotations__.keys():
        raise UsageError(f"agent has no {', '.join(sorted(unknown))}; it has {', '.join(Settings.__annotations__)}")
    settings.at_least_one("agent", turns=options.get("turns", TURNS))
    if options.get("room") is not None:
        settings.at_least_one("agent", room=options["room"])
    taken = {"tools", "tool_choice", "schema", "continues", "n"} & options.get("sampling", {}).keys()
    if taken:
        raise UsageError(f"agent: sampling has {', '.join(sorted(taken))}, which the loop sets itself")


class _Agent:
    """One agent at work."""

    def __init__(self, model: AnyModel, tools: Sequence[Tool], schema: Any, options: Settings) -> None:
        check_settings(options)
        self._model, self._tools, self._options = model, tools, options
        self._form = None if schema is str else form_of(schema)
        self._turns = options.get("turns", TURNS)
        self._turn = 0
        self._messages: list[Message] = []
        self._gate = open_gates(options.get("guards", ()), tools, options.get("history", ()))

    async def run(self, task: str) -> Answer[Any]:
        """Ask and run, until there is an answer."""
        if not isinstance(task, str) or not task:
            raise UsageError(f"agent: task={task!r:.80}: what is to be done, as text")
        if system := self._options.get("system", ""):
            self._messages.append(Message("system", system))
        self._messages += [*self._options.get("history", ()), Message("user", task)]
        try:
            while self._turn < self._turns:
                said = await self._ask()
                if not said.calls:
                    return await self._answer(said, "answered" if self._turn < self._turns else self._why())
                await self._use(said)
        except BudgetExceeded:
            self._messages += answer_open_calls(self._messages)
            return Answer(self._last_words(), "budget", self._turn, tuple(self._messages))
        raise AssertionError("the last turn offers no tools")

    def _why(self) -> Why:
        """Why it answers in its last turn: it could have gone on, or had nothing to go on for."""
        return "turns" if self._turn > 1 or self._tools else "answered"

    async def _ask(self) -> Sample:
        """One turn of the model."""
        room = self._options.get("room")
        if room is not None:
            self._messages = await compact(self._model, self._messages, room)
        is_last = self._turn == self._turns - 1
        sampling: Sampling = {**self._options.get("sampling", {})}
        if self._tools:
            sampling["tools"] = [each.spec for each in self._tools]
            sampling["tool_choice"] = "none" if is_last else "auto"
        try:
            said = await self._sample(with_note(self._messages, self._note(is_last)), sampling)
        except AskedForTools:
            if not (is_last and self._tools):
                raise
            self._turn += 1
            return Sample(self._words(), 0, "stop")  # it was told to answer and did not, so what it said before stands
        self._turn += 1
        self._messages.append(said.message)
        return said

    def _note(self, is_last: bool) -> str:
        """What the model is told of what is left."""
        notes = [_LAST] if is_last and self._turn else []
        if self._options.get("tell_budget", True) and self._tools:
            notes.append(describe_left(remaining(), time_left(), self._turns - self._turn))
        return " ".join(notes)

    async def _sample(self, prompt: tuple[Message, ...], sampling: Sampling) -> Sample:
        """Ask the model. Whoever listens hears the pieces as they are made; of a recorded answer, all at once."""
        request = make_request(prompt, **sampling)
        hear, turn = self._options.get("hear"), self._turn + 1
        if hear is None:
            return (await begin(self._model, request)).samples[0]
        heard = 0

        def listen(piece: Piece) -> None:
            nonlocal heard
            heard += 1
            hear(Said(turn, piece))

        reply = await begin(self._model, request, listener=listen, unless=lambda: heard > 0)
        if not heard:
            for piece in pieces_of(reply):
                listen(piece)
        return reply.samples[0]

    async def _use(self, said: Sample) -> None:
        """Run the tools that were asked for."""
        self._tell(*(Called(self._turn, call) for call in said.calls))
        calls, refused = keep_one_delegation(self._tools, said.calls)
        patience = self._options.get("approval_timeout_s")
        ran = iter(await run_calls(self._tools, calls, approval_timeout_s=patience, gate=self._gate))
        results = [refused.get(place) or next(ran) for place in range(len(said.calls))]
        self._messages += [result.message for result in results]
        self._tell(*(Returned(self._turn, result) for result in results))

    def _tell(self, *heard: Heard) -> None:
        if (hear := self._options.get("hear")) is not None:
            for each in heard:
                hear(each)

    async def _answer(self, said: Sample, why: Why) -> Answer[Any]:
        """What it answers, as text or as a value."""
        if self._form is None:
            return Answer(said.text, why, self._turn, tuple(self._messages))
        try:
            value = self._form.read_tolerant(said.text)
        except ValueError:
            asked = [*self._messages, Message("user", "Give your answer.")]
            value = await answer(self._model, asked, self._form)
        return Answer(value, why, self._turn, tuple(self._messages))

    def _last_words(self) -> str | None:
        return self._words() if self._form is None else None

    def _words(self) -> str:
        """What it said last."""
        return last_words(self._messages)
