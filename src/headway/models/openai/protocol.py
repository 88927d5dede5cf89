"""The client's side of `/completions` and `/chat/completions`: turns requests into bodies, and events into pieces.

Servers differ in what they send, and an answer that was paid is not thrown away for it: whatever can be understood is. What can't
is a ModelError in the server's words. `calls` reads what is asked of tools, `usage` what was counted, `failures` what went wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from headway.errors import UsageError
from headway.models.base import Alternative, Finish, Piece, Request
from headway.models.messages import Schema, ToolSpec
from headway.models.openai.calls import CallReader, readers_of
from headway.models.openai.conversation import say_messages
from headway.models.openai.failures import make_protocol_error, make_unavailable
from headway.models.openai.strict import strict_form
from headway.models.openai.usage import usage_in

Document = dict[str, Any]
Continuing = Literal["flags", "prefix", "last"]
"""How a server is told to go on with an assistant's message: by flags beside the messages (vLLM, SGLang, `headway serve`), by
`prefix` in the message (Mistral, DeepSeek), or by nothing but its place (llama.cpp, Ollama)."""

_THOUGHTS = ("reasoning_content", "reasoning")  # where servers put what a model thinks: no part of the answer, but paid
_THINKING = ("thinking", "redacted_thinking", "reasoning")  # the same, as parts of a content
_SAYING: Mapping[str, Literal["text", "refusal"]] = {"text": "text", "output_text": "text", "refusal": "refusal"}
_FINISHES: Mapping[str, Finish] = {
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"), "length"),
    **dict.fromkeys(("content_filter", "content_filtered", "safety", "recitation", "prohibited_content"), "filter"),
    **dict.fromkeys(("blocklist", "spii", "image_safety"), "filter"),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call", "malformed_function_call"), "tool"),
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence", "stop_token", "completed"), "stop"),
    "refusal": "refusal",
}
"""Why a sample ended, by the servers' words; every other one is taken for "stop" where there is a text."""
_GOES_ON = ("", "null", "none")  # as such a word: the sample has not ended
BROKEN = ("error", "abort", "aborted", "cancelled", "failed", "timeout", "insufficient_system_resource")
"""As such a word: the server could not go on."""


# --- requests --------------------------------------------------------------------------------------------------------


def request_body(
    model: str, request: Request, *, of_openai: bool, thoughts: str = "", continuing: Continuing = "flags"
) -> Document:
    """A request as the protocol says it. OpenAI's own server has another name for `max_tokens` in chats, and some of its models
    refuse a `top_p` even of 1, which is their default; other servers have other defaults, so they are told.

    Args:
        model: its name at the server.
        request: what is asked.
        of_openai: whether the server is OpenAI's own.
        thoughts: the field in which the server wants an assistant's thoughts back; empty where it wants none.
        continuing: how the server is told to go on with an assistant's message.

    Returns:
        The body, in which `request.extra` is.

    Raises:
        UsageError: the server can't do what is asked.
    """
    chat = not isinstance(request.prompt, str)
    body: Document = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": request.temperature,
        "max_completion_tokens" if chat and of_openai else "max_tokens": request.max_tokens,
    }
    if isinstance(request.prompt, str):
        body["prompt"] = request.prompt
    else:
        body["messages"] = say_messages(request.prompt, thoughts=thoughts, of_openai=of_openai)
    if request.top_p < 1 or not of_openai:
        body["top_p"] = request.top_p
    if request.n > 1:
        body["n"] = request.n
    if request.stop:
        body["stop"] = list(request.stop)
    if request.seed is not None:
        body["seed"] = request.seed
    if request.logprobs or request.top_logprobs:
        body["logprobs"] = True if chat else max(1, request.top_logprobs)
    if request.top_logprobs and chat:
        body["top_logprobs"] = request.top_logprobs
    _say_schema(body, request, model, of_openai)
    _say_tools(body, request, of_openai)
    if request.continues:
        _say_continuing(body, model, of_openai, continuing)
    return body | dict(request.extra)


def _say_schema(body: Document, request: Request, model: str, of_openai: bool) -> None:
    if request.schema is None:
        return
    if of_openai and isinstance(request.prompt, str):
        raise UsageError(f"{model}: OpenAI's servers hold no text that they continue to a schema: ask with messages")
    form = say_schema(request.schema, of_openai=of_openai)
    body["response_format"] = {"type": "json_schema", "json_schema": form}


def say_schema(schema: Schema, *, of_openai: bool) -> Document:
    """The form of an answer: its name, its schema, and whether it is held to."""
    return {
        "name": schema.name,
        "schema": strict_form(schema.schema, f"the schema {schema.name}", needed=of_openai)
        if schema.strict
        else dict(schema.schema),
        "strict": schema.strict,
    }


def _say_tools(body: Document, request: Request, of_openai: bool) -> None:
    """Tools, and what may be chosen of them. Servers other than OpenAI's know no list of those allowed: they are told of no
    others."""
    choice, tools = request.tool_choice, request.tools
    if not tools:
        return
    if isinstance(choice, tuple) and not of_openai:
        tools = tuple(tool for tool in tools if tool.name in choice)
        choice = "auto"
    body["tools"] = [{"type": "function", "function": say_tool(tool, of_openai=of_openai)} for tool in tools]
    if isinstance(choice, tuple):
        named = [{"type": "function", "function": {"name": name}} for name in choice]
        body["tool_choice"] = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": named}}
    elif choice in ("none", "required"):
        body["tool_choice"] = choice
    elif choice != "auto":
        body["tool_choice"] = {"type": "function", "function": {"name": choice}}
    if not (request.parallel_tool_calls and of_openai):  # elsewhere the default is not always to allow it
        body["parallel_tool_calls"] = request.parallel_tool_calls


def say_tool(tool: ToolSpec, *, of_openai: bool) -> Document:
    """What a server is told of a tool."""
    parameters = strict_form(tool.parameters, f"the tool {tool.name}", needed=of_openai) if tool.strict else dict(tool.parameters)
    strict = {"strict": True} if tool.strict else {}
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "parameters": parameters, **strict}


def _say_continuing(body: Document, model: str, of_openai: bool, continuing: Continuing) -> None:
    if of_openai:
        raise UsageError(f"{model}: OpenAI's servers can't go on with an assistant's message (continues=True); ask without it")
    if continuing == "flags":
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    elif continuing == "prefix":
        body["messages"][-1]["prefix"] = True


# --- events ----------------------------------------------------------------------------------------------------------


class EventReader:
    """Reads the events of one request.

    Args:
        model: its name, for errors.
        request: what was asked.
    """

    def __init__(self, model: str, request: Request) -> None:
        self._model, self._request = model, request
        self._calls: Sequence[CallReader] = readers_of(request)
        self._begun = request.prompt[-1].text if request.continues and not isinstance(request.prompt, str) else ""
        self.answered = False
        """Whether an event was one of samples. Servers send others between them (`{"type": "ping"}`)."""

    def read(self, event: Any) -> list[Piece]:
        """The pieces of one event, or of a whole answer.

        Args:
            event: JSON, as it came.

        Returns:
            Its pieces; none for an event of another kind.

        Raises:
            ModelError: it is not one of the protocol.
            ModelUnavailable: the server could not go on.
        """
        choices = (event.get("choices") if isinstance(event, Mapping) else None) or ()
        self.answered = self.answered or (isinstance(event, Mapping) and event.get("choices") is not None)
        try:
            if broken := [reason for choice in choices if str(reason := choice.get("finish_reason")).lower() in BROKEN]:
                raise make_unavailable(f"{self._model}: the server ended a sample with {broken[0]!r}", may_have_cost=True)
            pieces = [self._piece(choice) for choice in choices]
            if isinstance(event, Mapping) and (usage := usage_in(event.get("usage"))) is not None:
                pieces.append(Piece(usage=usage))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise make_protocol_error(self._model, f"an event is not of its kind ({error})") from None
        return pieces

    def _piece(self, choice: Mapping[str, Any]) -> Piece:
        """What an event, or a whole answer, says of one sample."""
        index = int(choice["index"])
        if not 0 <= index < self._request.n:
            raise ValueError(f"a sample beyond the {self._request.n} that were asked for")
        whole = not choice.get("delta")
        said: Mapping[str, Any] = choice.get("delta") or choice.get("message") or {}
        parts = list(_parts(said.get("content") if said or "text" not in choice else choice["text"]))
        text, refused, thoughts = ("".join(part for kind, part in parts if kind == wanted) for wanted in _KINDS)
        if whole and self._begun:  # llama.cpp repeats what it goes on with, but not in a stream
            text = text.removeprefix(self._begun)
        thoughts += next((str(said[name]) for name in _THOUGHTS if said.get(name)), "")
        calls = self._calls[index].read(said, whole=whole)
        reason = choice.get("finish_reason")
        finish, instead = finish_of(reason), ""
        if refusal := refused or said.get("refusal"):
            finish, instead = "refusal", str(refusal)
        elif finish == "stop" and self._calls[index].any:
            finish = "tool"
        elif finish and str(reason).lower() not in _FINISHES:
            instead = f"it ended for {reason!r}"
        logprobs, top = _logprobs(choice.get("logprobs"))
        thought = thoughts or any(kind == "thought" for kind, _ in parts)
        tokens = len(logprobs) or (1 if text or thought or instead or calls else 0)
        return Piece(
            text, index, finish, tokens, logprobs, None, instead, calls, thoughts, top if self._request.top_logprobs else ()
        )


def words_in(event: Any) -> str:
    """What a server said, as JSON."""
    return json.dumps(event, ensure_ascii=False)


_KINDS = ("text", "refusal", "thought")


def _parts(content: Any) -> Iterator[tuple[Literal["text", "thought", "refusal"], str]]:
    """What a content says, part by part. It is a text or a list of parts. Raises TypeError for what holds anything else."""
    if content is None or isinstance(content, str):
        yield "text", content or ""
        return
    if not isinstance(content, list):
        raise TypeError(f"a content that is a {type(content).__name__}")
    for part in content:
        named = part.get("type") if isinstance(part, Mapping) else None
        if named in _THINKING:
            yield "thought", _thoughts_in(part)
            continue
        kind = _SAYING.get(named) if isinstance(named, str) else None
        if kind is None:
            raise TypeError(f"a part of a content that is {named!r:.80}")
        said = part.get(kind)
        if not isinstance(said, str):
            raise TypeError(f"a part of a content whose {kind} is a {type(said).__name__}")
        yield kind, said


def _thoughts_in(part: Mapping[str, Any]) -> str:
    """The text of a part that holds thoughts; empty where it is hidden."""
    said = part.get("thinking") or part.get("reasoning") or part.get("text") or ""
    if isinstance(said, list):
        return "".join(_thoughts_in(inner) if isinstance(inner, Mapping) else "" for inner in said)
    return said if isinstance(said, str) else ""


def _logprobs(given: Any) -> tuple[tuple[float, ...], tuple[tuple[Alternative, ...], ...]]:
    """The log-probabilities of the tokens, and of those that were likeliest at their places."""
    if not given:
        return (), ()
    if (content := given.get("content")) is not None:  # of a chat
        values = tuple(float(token["logprob"]) for token in content)
        return values, tuple(tuple(map(_alternative, token.get("top_logprobs") or ())) for token in content)
    values = tuple(float(value) for value in given.get("token_logprobs") or () if value is not None)
    top = [one or {} for one in given.get("top_logprobs") or ()]
    return values, tuple(tuple(Alternative(token, float(value)) for token, value in one.items()) for one in top)


def _alternative(given: Mapping[str, Any]) -> Alternative:
    return Alternative(str(given["token"]), float(given["logprob"]))


def finish_of(reason: str | None) -> Finish | None:
    """Why a sample ended, in our words; None where it has not."""
    if reason is None or reason.lower() in _GOES_ON:
        return None
    return _FINISHES.get(reason.lower(), "stop")
