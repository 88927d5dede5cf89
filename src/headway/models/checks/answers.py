"""Says which samples are answers, and makes samples of what has come of them.

An empty text must never pass for an answer, and a call of a tool is one only where tools were offered. Of what a request asks,
that is all that counts here (`Asked`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headway.errors import ModelError
from headway.models.base import Alternative, CallPiece, Finish, ModelFault, Piece, Request, Sample
from headway.models.messages import ToolCall
from headway.models.openai.calls import calls_before, invented_id
from headway.models.openai.strict import drop_nulls_of

SAID = 300  # characters of what a model said instead of an answer
MOST_CALLS = 1024  # of a sample; a place beyond is a fault, not a reason to make room
_MARKS = ("<tool_call", "<|tool_call", "<function=", "<|tool▁call", "[TOOL_CALLS]", "<|python_tag|>", "tool_calls>")
"""How models write calls in their templates, where a server should have read them."""


class AskedForTools(ModelError):
    """A model asked for tools where the request offers none, or says that it must not."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request lets a sample be.

    Attributes:
        tools: whether calls of tools are answers.
        only_tools: whether nothing else is.
        calls_before: how many calls the conversation holds, for ids that are missing.
        strict: the schemas of strict tools by name: what may be left out comes as null from them.
    """

    tools: bool = False
    only_tools: bool = False
    calls_before: int = 0
    strict: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def asked_by(request: Request) -> Asked:
    """What a request lets its samples be."""
    offered = bool(request.tools) and request.tool_choice != "none"
    only = offered and isinstance(request.tool_choice, str) and request.tool_choice != "auto"
    strict = {tool.name: tool.parameters for tool in request.tools if tool.strict}
    return Asked(offered, only, calls_before(request), strict)


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Part:
    """What has come of one sample."""

    text: list[str] = field(default_factory=list)
    tokens: int = 0
    finish: Finish | None = None
    logprobs: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    calls: list[_Call] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    top: list[tuple[Alternative, ...]] = field(default_factory=list)

    @classmethod
    def of(cls, one: Sample) -> Part:
        """A whole sample."""
        calls = [_Call(call.id, call.name, [call.arguments]) for call in one.calls]
        said = [one.said] if one.said else []
        return cls([one.text], finish=one.finish, said=said, calls=calls, thoughts=[one.thoughts])

    def add(self, piece: Piece) -> None:
        """Raises ModelFault for calls that are out of order."""
        self.text.append(piece.text)
        self.tokens += piece.tokens
        self.logprobs += piece.logprobs
        self.top += piece.top
        if piece.said:
            self.said.append(piece.said)
        if piece.thoughts:
            self.thoughts.append(piece.thoughts)
        for call in piece.calls:
            self._add_call(call)
        if piece.finish is not None and self.finish not in ("tool", "refusal"):  # a "stop" after a tool's name takes nothing back
            self.finish = piece.finish

    def _add_call(self, piece: CallPiece) -> None:
        if piece.place == len(self.calls) < MOST_CALLS:
            self.calls.append(_Call())
        elif not 0 <= piece.place < len(self.calls):
            raise ModelFault(f"the model streams call {piece.place} of a sample that has {len(self.calls)} so far: count from 0 on")
        call = self.calls[piece.place]
        call.id = call.id or piece.id
        call.name += piece.name
        call.arguments.append(piece.arguments)

    def answers(self, asked: Asked) -> bool:
        """Whether it is an answer. What ended without a text, for a reason that is none to end a text, is not."""
        if self.calls:
            return asked.tools
        if self.finish == "tool" and self.said:
            return False
        if asked.only_tools and self.finish != "length":
            return False
        if any(self.text):
            return True
        return self.finish in ("stop", "length") and not self.said and not (asked.tools and self.swallowed)

    @property
    def swallowed(self) -> bool:
        """Whether its thoughts hold a call that the server should have read."""
        thoughts = "".join(self.thoughts)
        return any(mark in thoughts for mark in _MARKS)

    @property
    def instead(self) -> str:
        """What was said instead of an answer."""
        return ("".join(self.said) or "".join(f"{call.name}{''.join(call.arguments)}" or "a tool" for call in self.calls))[:SAID]

    def sample(self, tokens: int, asked: Asked) -> Sample:
        """The sample, for so many tokens."""
        assert self.finish is not None
        finish, instead = self.finish, self.instead
        if self.calls:
            cut_off = finish in ("length", "filter") and asked.tools
            finish, instead = (finish if cut_off else "tool"), ("" if asked.tools else instead)
        elif self.answers(asked) and finish in ("tool", "refusal"):
            finish, instead = "stop", ""  # it said something besides, or asked for a tool without naming one
        logprob = sum(self.logprobs) if self.logprobs else None
        return Sample(
            "".join(self.text),
            tokens,
            finish,
            logprob,
            tuple(self.logprobs),
            instead,
            self._made_calls(asked, whole=finish == "tool"),
            "".join(self.thoughts),
            tuple(self.top),
        )

    def _made_calls(self, asked: Asked, *, whole: bool) -> tuple[ToolCall, ...]:
        """The calls, each with an id of its own. One that ended without arguments has none: an empty object."""
        made: list[ToolCall] = []
        for place, call in enumerate(self.calls):
            known = {one.id for one in made}
            chosen = call.id if call.id and call.id not in known else invented_id(asked.calls_before + place)
            arguments = "".join(call.arguments)
            if call.name in asked.strict:
                arguments = drop_nulls_of(asked.strict[call.name], arguments)
            made.append(ToolCall(chosen, call.name, arguments if arguments.strip() or not whole else "{}"))
        return tuple(made)


def check_answers(model: str, parts: Sequence[Part], asked: Asked) -> None:
    """Raises ModelError where no sample is an answer: an empty text would pass for one."""
    if any(part.answers(asked) for part in parts):
        return
    part, instead = parts[0], parts[0].instead
    if part.calls or part.finish == "tool":
        _raise_for_tools(model, part, asked)
    if part.finish == "filter":
        raise ModelError(f"{model}: a content filter of the server held the answer back")
    if part.finish == "refusal":
        raise ModelError(f"{model} refused to answer{f': {instead}' if instead else ''}")
    if asked.tools and part.swallowed:
        raise ModelError(
            f"{model} seems to have asked for tools, but its server left the calls among its thoughts: "
            f"{''.join(part.thoughts).strip()[-SAID:]!r}. Start the server with the parsers for this model's tools and thoughts"
        )
    if asked.only_tools:
        text = "".join(part.text)
        raise ModelError(
            f"{model} was told to ask for a tool and gave {f'the text {text[:SAID]!r}' if text else 'nothing'}: its server does "
            "not hold it to tool_choice. Start it with the parser for this model's tools, or ask with tool_choice='auto'"
        )
    raise ModelError(f"{model} gave no answer: {instead}")


def _raise_for_tools(model: str, part: Part, asked: Asked) -> None:
    if not asked.tools:
        raise AskedForTools(
            f"{model} asked for a tool instead of answering ({part.instead or 'it did not say which'}), but the request offers no "
            "tools: ask a server that has none built in, or say in the prompt that there are none"
        )
    if not (asked.only_tools and any(part.text)):
        raise ModelError(
            f"{model} asked for a tool and did not say which ({part.instead or 'no call came'}): its server lost the call. Start "
            "it with the parser for this model's tools"
        )
