"""The Responses API (`/responses`): turns requests into bodies, and events into pieces.

A conversation is a list of items here: messages, calls and their answers, which name each other by `call_id`. Events name the item
that they go on with by `output_index`, or by its id alone (llama.cpp). Nothing is kept at the server (`store: false`), so the whole
conversation is sent each time, as everywhere. What the API has no word for is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headway.errors import ModelError, UsageError
from headway.models.base import Alternative, CallPiece, Piece, Request
from headway.models.messages import Audio, Image, Message, Text
from headway.models.openai.calls import calls_before, invented_id
from headway.models.openai.conversation import say_arguments, url_of
from headway.models.openai.failures import make_protocol_error, make_unavailable
from headway.models.openai.protocol import say_schema, say_tool
from headway.models.openai.usage import usage_in

Document = dict[str, Any]

_AGAIN = ("server_error", "rate_limit_exceeded", "vector_store_timeout", "timeout", "overloaded", "service_unavailable")
_TEXT, _REFUSAL = ("output_text", "text"), "refusal"


# --- requests --------------------------------------------------------------------------------------------------------


def request_body(model: str, request: Request, *, of_openai: bool, thoughts: bool = False) -> Document:
    """A request as the API says it.

    Args:
        model: its name at the server.
        request: what is asked.
        of_openai: whether the server is OpenAI's own, some of whose models take no temperature, not even the usual one.
        thoughts: whether an assistant's thoughts are given back.

    Returns:
        The body, in which `request.extra` is.

    Raises:
        UsageError: the API can't do what is asked.
    """
    if isinstance(request.prompt, str) or (fault := _fault_in(request)):
        fault = "it answers messages and continues no text" if isinstance(request.prompt, str) else fault
        raise UsageError(f"{model}: the Responses API can't do this: {fault}. Use models.Endpoint(…, api='chat')")
    body: Document = {
        "model": model,
        "stream": True,
        "store": False,
        "max_output_tokens": request.max_tokens,
        "input": [item for place, message in enumerate(request.prompt) for item in _items(place, message, thoughts)],
    }
    if request.temperature != 1 or not of_openai:
        body["temperature"] = request.temperature
    if request.top_p < 1 or not of_openai:
        body["top_p"] = request.top_p
    if request.logprobs or request.top_logprobs:
        body |= {"include": ["message.output_text.logprobs"], "top_logprobs": request.top_logprobs}
    if request.schema is not None:
        body["text"] = {"format": {"type": "json_schema", **say_schema(request.schema, of_openai=of_openai)}}
    _say_tools(body, request, of_openai)
    return body | dict(request.extra)


def _fault_in(request: Request) -> str:
    said: Sequence[Message] = () if isinstance(request.prompt, str) else request.prompt
    parts = [part for message in said if not isinstance(message.content, str) for part in message.content]
    faults = {
        f"n={request.n}: it gives one sample a call": request.n > 1,
        "stop=: it knows no texts that end a sample": bool(request.stop),
        "seed=: it takes none": request.seed is not None,
        "continues=True: it goes on with no message": request.continues,
        "models.Audio: it takes no sounds": any(isinstance(part, Audio) for part in parts),
        "Message(name=…): nobody has a name there": any(message.name and message.role != "tool" for message in said),
    }
    return next((fault for fault, there in faults.items() if there), "")


def _items(place: int, message: Message, thoughts: bool) -> Iterator[Document]:
    if message.role == "tool":
        yield {"type": "function_call_output", "call_id": message.call_id, "output": _content(message)}
        return
    if thoughts and message.thoughts:
        content = [{"type": "reasoning_text", "text": message.thoughts}]
        yield {"type": "reasoning", "id": f"rs_{place}", "summary": [], "content": content}
    if message.content or not message.calls:
        yield {"role": message.role, "content": message.text if message.role != "user" else _content(message)}
    for call in message.calls:
        arguments = say_arguments(call.arguments)
        yield {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments}


def _content(message: Message) -> str | list[Document]:
    content = message.content
    if isinstance(content, str) or all(isinstance(part, Text) for part in content):
        return message.text
    return [_part(part) for part in content if isinstance(part, Text | Image)]


def _part(part: Text | Image) -> Document:
    if isinstance(part, Text):
        return {"type": "input_text", "text": part.text}
    return {"type": "input_image", "image_url": url_of(part), "detail": part.detail}


def _say_tools(body: Document, request: Request, of_openai: bool) -> None:
    choice, tools = request.tool_choice, request.tools
    if not tools:
        return
    if isinstance(choice, tuple) and not of_openai:
        tools, choice = tuple(tool for tool in tools if tool.name in choice), "auto"
    body["tools"] = [{"type": "function", "strict": False, **say_tool(tool, of_openai=of_openai)} for tool in tools]
    body["parallel_tool_calls"] = request.parallel_tool_calls
    if isinstance(choice, tuple):
        named = [{"type": "function", "name": name} for name in choice]
        body["tool_choice"] = {"type": "allowed_tools", "mode": "auto", "tools": named}
    elif choice in ("none", "required"):
        body["tool_choice"] = choice
    elif choice != "auto":
        body["tool_choice"] = {"type": "function", "name": choice}


# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Output:
    """What has come of one item: how much of its texts, and which call it is."""

    text: str = ""
    refusal: str = ""
    thoughts: str = ""
    place: int | None = None
    arguments: str = ""
    logprobs: int = 0


@dataclass(slots=True)
class EventReader:
    """Reads the events of one request.

    Args:
        model: its name, for errors.
        request: what was asked.
    """

    model: str
    request: Request
    answered: bool = field(default=False, init=False)
    """Whether an event was one of a response."""
    _outputs: dict[int | str, _Output] = field(default_factory=dict, init=False)
    _by_id: bool = field(default=False, init=False)
    _calls: int = field(default=0, init=False)
    _refused: bool = field(default=False, init=False)

    def read(self, event: Any) -> list[Piece]:
        """The pieces of one event, or of a whole answer.

        Args:
            event: JSON, as it came.

        Returns:
            Its pieces; none for an event of another kind.

        Raises:
            ModelError: the server failed, or the event is not one of the API.
            ModelUnavailable: the server could not go on.
        """
        if not isinstance(event, Mapping):
            return []
        kind = str(event.get("type") or "")
        try:
            if event.get("object") == "response":
                self.answered = True
                return [*self._whole(event)]
            if kind == "error":
                self._fail(event)
            if not kind.startswith("response."):
                return []
            self.answered = True
            return [*self._read(kind.removeprefix("response."), event)]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise make_protocol_error(self.model, f"an event is not of its kind ({error})") from None

    def _read(self, kind: str, event: Mapping[str, Any]) -> Iterator[Piece]:
        if kind in ("completed", "incomplete", "failed", "cancelled"):
            yield from self._whole(event["response"])
            return
        if kind in ("output_item.added", "output_item.done"):
            output = self._output(event.get("output_index"), event["item"].get("id"))
            yield from self._item(output, event["item"], done=kind == "output_item.done")
            return
        if not kind.endswith(".delta"):
            return
        output = self._output(event.get("output_index"), event.get("item_id"))
        if kind == "output_text.delta":
            yield from self._text(output, event["delta"], event.get("logprobs"))
        elif kind == "refusal.delta":
            yield from self._refusal(output, event["delta"])
        elif kind in ("reasoning_text.delta", "reasoning_summary_text.delta"):
            yield from self._thought(output, event["delta"])
        elif kind == "function_call_arguments.delta":
            yield from self._arguments(output, event["delta"])

    def _output(self, index: int | None, named: str | None) -> _Output:
        """What has come of an item, by its place or its id."""
        self._by_id = self._by_id or (index is None and named is not None)
        known = [self._outputs[key] for key in (index, named) if key is not None and key in self._outputs]
        output = known[0] if known else _Output()
        for key in (index, named):
            if key is not None:
                self._outputs[key] = output
        return output

    def _whole(self, response: Mapping[str, Any]) -> Iterator[Piece]:
        """The whole response: what of it has not come yet, what it cost, and why it ended."""
        status = response.get("status") or "completed"
        if status in ("failed", "cancelled"):
            self._fail(response.get("error") or {"code": "server_error", "message": f"the response is {status}"})
        for index, item in enumerate(response.get("output") or ()):
            yield from self._item(self._output(index if not self._by_id else None, item.get("id")), item, done=True)
        usage = usage_in(response.get("usage"))
        if usage is not None:
            yield Piece(usage=usage)
        if status not in ("completed", "incomplete"):
            return
        reason = (response.get("incomplete_details") or {}).get("reason") if status == "incomplete" else None
        if usage is not None and usage.written >= self.request.max_tokens:
            reason = reason or "max_tokens"  # llama.cpp says "completed" of what it cut off
        if reason in ("max_output_tokens", "max_tokens"):
            yield Piece(finish="length")
        elif reason == "content_filter":
            yield Piece(finish="filter")
        elif self._calls:
            yield Piece(finish="tool")
        elif self._refused:
            yield Piece(finish="refusal")
        else:
            yield Piece(finish="stop", said=f"it ended for {reason!r}" if reason else "")

    def _item(self, output: _Output, item: Mapping[str, Any], *, done: bool) -> Iterator[Piece]:
        """An item as it begins or ends: what of it has not come yet."""
        kind = item.get("type")
        if kind == "function_call":
            yield from self._begin_call(output, item)
            if done:
                yield from self._arguments(output, _rest(item.get("arguments") or "", output.arguments))
        elif kind == "message" and done:
            parts = item.get("content") or ()
            text = "".join(part["text"] for part in parts if part.get("type") in _TEXT)
            logprobs = [token for part in parts for token in part.get("logprobs") or ()]
            yield from self._text(output, _rest(text, output.text), logprobs[output.logprobs :])
            refusal = "".join(part["refusal"] for part in parts if part.get("type") == _REFUSAL)
            yield from self._refusal(output, _rest(refusal, output.refusal))
        elif kind == "reasoning" and done and not output.thoughts:
            said = [*(item.get("content") or ()), *(item.get("summary") or ())]
            yield from self._thought(output, "".join(part.get("text") or "" for part in said))

    def _begin_call(self, output: _Output, item: Mapping[str, Any]) -> Iterator[Piece]:
        if output.place is not None:
            return
        output.place, self._calls = self._calls, self._calls + 1
        chosen = str(item.get("call_id") or "") or invented_id(calls_before(self.request) + output.place)
        yield Piece(tokens=1, calls=(CallPiece(output.place, chosen, str(item["name"])),))

    def _arguments(self, output: _Output, more: str) -> Iterator[Piece]:
        if output.place is None:
            raise ValueError("arguments of a call that has not begun")
        output.arguments += more
        if more:
            yield Piece(tokens=1, calls=(CallPiece(output.place, arguments=more),))

    def _text(self, output: _Output, more: str, logprobs: Sequence[Mapping[str, Any]] | None) -> Iterator[Piece]:
        if not isinstance(more, str):
            raise TypeError(f"a text that is a {type(more).__name__}")
        values = tuple(float(token["logprob"]) for token in logprobs or ())
        output.text += more
        output.logprobs += len(values)
        if more or values:
            piece = Piece(more, tokens=len(values) or 1, logprobs=values)
            yield dataclasses.replace(piece, top=tuple(map(_top, logprobs or ()))) if self.request.top_logprobs else piece

    def _refusal(self, output: _Output, more: str) -> Iterator[Piece]:
        output.refusal += more
        if more:
            self._refused = True
            yield Piece(tokens=1, said=more)

    def _thought(self, output: _Output, more: str) -> Iterator[Piece]:
        output.thoughts += more
        if more:
            yield Piece(tokens=1, thoughts=more)

    def _fail(self, said: Mapping[str, Any]) -> None:
        """Raise what the server says went wrong."""
        code, message = str(said.get("code") or "an error"), str(said.get("message") or "no reason given")
        text = f"{self.model}: {code}: {message:.300}"
        if code in _AGAIN or (code.isdigit() and int(code) >= 500):
            raise make_unavailable(text, may_have_cost=True)
        failed = ModelError(text)
        failed.may_have_cost = True
        raise failed


def _top(token: Mapping[str, Any]) -> tuple[Alternative, ...]:
    return tuple(Alternative(str(one["token"]), float(one["logprob"])) for one in token.get("top_logprobs") or ())


def _rest(whole: str, so_far: str) -> str:
    """What of a text has not come yet. Where the two differ, what has come stays: it was handed out."""
    return whole[len(so_far) :] if whole.startswith(so_far) else ""
