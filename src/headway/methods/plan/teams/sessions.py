"""One stretch of an agent's work: asked again and again until it answers, or until it has to stop.

The agents of Orchestra-o1 and KISS Sorcar end where the plain loop (`methods.agent`) goes on: after so many steps, when the
conversation fills its room, when it goes round in circles. What follows is decided by who began the session. Everything is decided
from recorded answers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from headway.errors import BudgetExceeded
from headway.methods.agent.shares import keep_one_delegation
from headway.methods.agent.transcript import answer_open_calls, guess_tokens, last_words, with_note
from headway.models.ask import AnyModel, sample
from headway.models.base import BatchModel, Model, Sample
from headway.models.limits import LimitedModel
from headway.models.messages import Message
from headway.models.requests import Sampling
from headway.tools.running import run_calls
from headway.tools.tool import Tool

Why = Literal["answered", "steps", "room", "stuck", "budget"]
WARN_AT = (5, 3)
PATIENCE = 5
GIVES_AWAY = "kiss.parts"
"""The name of the task behind the tool that gives parts away."""
LONGEST = 3  # steps of a pattern


@dataclass(frozen=True, slots=True)
class Session:
    """A stretch of work.

    Attributes:
        messages: the conversation.
        why: why it ended: it "answered"; its "steps" were used up; the conversation filled its "room"; it was "stuck" in a pattern;
            the "budget" refused another step.
        steps: how often the model was asked.
    """

    messages: tuple[Message, ...]
    why: Why
    steps: int

    @property
    def text(self) -> str:
        """What the model said last."""
        return last_words(self.messages)


async def hold_session(
    model: AnyModel,
    tools: Sequence[Tool],
    messages: Sequence[Message],
    *,
    steps: int,
    room: int | None = None,
    warn_at: Sequence[int] = WARN_AT,
    patience: int = PATIENCE,
    sampling: Sampling | None = None,
) -> Session:
    """Let a model work until it answers or has to stop.

    Args:
        model: the model.
        tools: what it may ask for.
        messages: the conversation to go on from.
        steps: how often it is asked at most. The caps are looked at before each step, so none is begun that may not be made.
        room: tokens that the conversation may take, about; None for no bound.
        warn_at: with how many steps left it is told so.
        patience: how often a pattern of calls may come again before it counts as stuck.
        sampling: how the model is asked.

    Returns:
        The conversation, and why it ended.
    """
    said: list[Message] = list(messages)
    asked: list[str] = []
    begun = 0
    options: Sampling = {**(sampling or {})}
    if tools:
        options["tools"] = [each.spec for each in tools]
    try:
        while begun < steps:
            if room is not None and guess_tokens(said) > room:
                return Session(tuple(said), "room", begun)
            if repeats(asked, patience):
                return Session(tuple(said), "stuck", begun)
            left = steps - begun
            note = (
                f"You have {left} step{'s' * (left != 1)} left. Finish, and answer with what you have." if left in warn_at else ""
            )
            reply = await sample(model, with_note(said, note), **options)
            begun += 1
            turn = reply.samples[0]
            said.append(turn.message)
            if not turn.calls:
                return Session(tuple(said), "answered", begun)
            asked.append(_signature(turn))
            said += await _use(tools, turn)
    except BudgetExceeded:
        return Session((*said, *answer_open_calls(said)), "budget", begun)
    return Session(tuple(said), "steps", begun)


def plain_model(model: AnyModel) -> Model | BatchModel:
    """The model inside of its limits."""
    while isinstance(model, LimitedModel):
        model = model.model
    return model


def repeats(asked: Sequence[str], times: int, longest: int = LONGEST) -> bool:
    """Whether what was asked last is one pattern, again and again.

    Args:
        asked: what was asked in each step.
        times: how often the pattern has come in a row.
        longest: steps of a pattern at most.

    Example:
        >>> repeats(["a", "b", "a", "b", "a", "b"], 3)
        True
        >>> repeats(["a", "b", "a", "c"], 2)
        False
    """
    for length in range(1, longest + 1):
        tail = asked[-length * times :]
        if len(tail) == length * times and all(each == tail[place % length] for place, each in enumerate(tail)):
            return True
    return False


def _signature(turn: Sample) -> str:
    return "; ".join(sorted(f"{call.name}({call.arguments})" for call in turn.calls))


async def _use(tools: Sequence[Tool], turn: Sample) -> list[Message]:
    """Run the tools that were asked for; at most one call of a turn gives parts away."""
    calls, refused = keep_one_delegation(tools, turn.calls, GIVES_AWAY)
    ran = iter(await run_calls(tools, calls))
    results = [refused.get(place) or next(ran) for place in range(len(turn.calls))]
    return [result.message for result in results]
