"""The server's side of the OpenAI protocol: turns bodies into requests.

Pure functions. What this server, or the model behind it, can't do and that would change the answer is refused, in words. So is what
is known nowhere here, because it might.

**Log-probabilities.** A client gets at most `MOST_TOP` of the likeliest tokens at a place, and can't shift them (`logit_bias`).
With all of them, or with a bias that brings up one after another, it could compute the model's last layer ("Clone What You Can't
Steal"). This does not keep anybody from training on the texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from headway.errors import UsageError
from headway.models.abilities import Ability, abilities_of, needed_abilities
from headway.models.base import BatchModel, Model, Request
from headway.models.messages import Message, Schema, Text, ToolSpec
from headway.models.openai.conversation import read_message
from headway.models.requests import make_request
from headway.models.serving.schemas import check_schema
from headway.near import near_misses

Kind = Literal["text", "chat"]
Document = dict[str, Any]

MAX_TOKENS = 256  # where a request names no bound
MOST_SAMPLES = 128  # of a request, as at OpenAI
MOST_TOOLS = 128  # as at OpenAI
MOST_TOP = 5  # likeliest tokens at a place
_TAKEN = {"model", "n", "temperature", "top_p", "stop", "seed", "max_tokens", "logprobs", "stream", "stream_options"}
_OF_KIND = {
    "text": {"prompt"},
    "chat": {"messages", "max_completion_tokens", "tools", "tool_choice", "parallel_tool_calls", "response_format", "top_logprobs"}
    | {"continue_final_message", "add_generation_prompt"},
}
_HARMLESS = {  # what changes no answer
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prediction",
}
_REFUSED: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("functions", "logit_bias", "suffix", "echo", "presence_penalty", "frequency_penalty"), bool),
    **dict.fromkeys(("min_p", "min_tokens", "ignore_eos", "use_beam_search"), bool),
    **dict.fromkeys(("tools", "top_logprobs", "continue_final_message"), bool),
    **dict.fromkeys(("tool_choice", "function_call"), lambda value: value not in ("none", "auto")),
    **dict.fromkeys(("best_of", "repetition_penalty", "length_penalty"), lambda value: value != 1),
    "response_format": lambda value: value != {"type": "text"},
    "parallel_tool_calls": lambda value: not isinstance(value, bool),
    "modalities": lambda value: value != ["text"],
    "top_k": lambda value: value not in (0, -1),
    "add_generation_prompt": lambda value: value is not True,
}
"""What this server can't do (in a text that is continued, at least), and a test whether a value asks for it. A field that is named
nowhere here is refused, because it might change the answer."""
_WORDS: Mapping[Ability, str] = {
    "tools": "tools",
    "schema": "response_format",
    "images": "image_url",
    "audio": "input_audio",
    "names": "the name of a message",
    "top_logprobs": "top_logprobs",
    "continues": "continue_final_message",
}


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A request as a client made it, and how it wants the answer."""

    kind: Kind
    request: Request
    stream: bool = False
    usage: bool = False


class Refused(UsageError):
    """A request that this server can't answer; `status` and `code` say it to the client."""

    def __init__(self, message: str, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def read_request(kind: Kind, body: Any, model: Model | BatchModel) -> ClientRequest:
    """What a body asks for. Raises Refused and UsageError, in words for the client."""
    body = read_body(body, model.name)
    _check_names(kind, body)
    options = {name: body[name] for name in ("n", "temperature", "top_p", "stop", "seed") if name in body}
    bounds = [body[name] for name in ("max_completion_tokens", "max_tokens") if name in body]
    if len(bounds) == 2 and bounds[0] != bounds[1]:
        raise Refused(f"max_completion_tokens={bounds[0]!r} and max_tokens={bounds[1]!r}: they say the same; give one of them")
    if isinstance(n := body.get("n"), int) and n > MOST_SAMPLES:
        raise Refused(f"n={n!s:.20}: at most {MOST_SAMPLES} samples a request")
    logprobs, top = _read_logprobs(kind, body, able="top_logprobs" in abilities_of(model))
    request = make_request(
        _read_messages(body.get("messages")) if kind == "chat" else _read_text(body.get("prompt")),
        max_tokens=bounds[0] if bounds else MAX_TOKENS,
        logprobs=logprobs,
        top_logprobs=top,
        continues=kind == "chat" and _read_continues(body),
        **(_read_tools(body) if kind == "chat" else {}),
        schema=_read_format(body.get("response_format")) if kind == "chat" else None,
        **options,
    )
    if missing := [need for need in needed_abilities(request) if need not in abilities_of(model)]:
        word = "logprobs above 1" if kind == "text" else _WORDS[missing[0]]
        raise Refused(f"{word} is not supported by {model.name}, the model that is served here")
    asked = body.get("stream_options") or {}
    return ClientRequest(kind, request, bool(body.get("stream")), isinstance(asked, dict) and bool(asked.get("include_usage")))


def read_body(body: Any, model: str) -> Document:
    """A body's fields that say something. Raises Refused where it is none, or for another model."""
    if not isinstance(body, dict):
        raise Refused("the body is no JSON object")
    if body.get("model", model) != model:
        raise Refused(f"there is no model {body['model']!r:.80} here, but {model!r}", 404, "model_not_found")
    return {str(name): value for name, value in body.items() if value is not None}


def _check_names(kind: Kind, body: Document) -> None:
    """Raises Refused for what a body asks for and nobody here does."""
    for name, value in body.items():
        if name in _TAKEN | _OF_KIND[kind] | _HARMLESS:
            continue
        if name not in _REFUSED:
            raise Refused(f"{name} is not known here; {near_misses(name, _TAKEN | _OF_KIND[kind])}")
        if _REFUSED[name](value):
            why = ": it would let a client compute what the model keeps to itself" if name == "logit_bias" else ""
            raise Refused(f"{name} is not supported here{why}")


def _read_logprobs(kind: Kind, body: Document, *, able: bool) -> tuple[bool, int]:
    """Whether log-probabilities are wanted, and of how many of the likeliest tokens. In a text that is continued one number says
    both; 1 is taken for each token's own where the model tells no others."""
    logprobs, top = body.get("logprobs"), body.get("top_logprobs", 0)
    if kind == "text":
        if logprobs is not None and (not isinstance(logprobs, int) or not 0 <= logprobs <= MOST_TOP):
            raise Refused(f"logprobs={logprobs!r:.80}: a number from 0 to {MOST_TOP}")
        count = 0 if logprobs is None or isinstance(logprobs, bool) else logprobs
        return logprobs is not None and logprobs is not False, count if count > 1 or able else 0
    if not isinstance(top, int) or isinstance(top, bool) or not 0 <= top <= MOST_TOP:
        raise Refused(f"top_logprobs={top!r:.80}: a number from 0 to {MOST_TOP}")
    if logprobs not in (None, True, False):
        raise Refused(f"logprobs={logprobs!r:.80}: true or false")
    if top and not logprobs:
        raise Refused("top_logprobs needs logprobs=true")
    return bool(logprobs), top


def _read_text(prompt: Any) -> str:
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise Refused("prompt: one text, please (no tokens, and one request for each text)")
    return prompt


def _read_messages(given: Any) -> list[Message]:
    if not isinstance(given, list) or not given:
        raise Refused("messages: a list with at least one message")
    for one in given:
        if not isinstance(one, dict):
            raise Refused(f"messages: each is an object with a role and a content, not {one!r:.80}")
    return [_as_text(read_message({name: value for name, value in one.items() if value is not None})) for one in given]


def _as_text(message: Message) -> Message:
    """A content of texts alone is a text, which every model reads."""
    texts = not isinstance(message.content, str) and all(isinstance(part, Text) for part in message.content)
    return replace(message, content=message.text) if texts else message


def _read_continues(body: Document) -> bool:
    """Whether the sample goes on with the last message. The two flags that say so must agree."""
    wanted = body.get("continue_final_message", False)
    opened = body.get("add_generation_prompt", not wanted)
    if not isinstance(wanted, bool) or opened is not (not wanted):
        raise Refused("continue_final_message and add_generation_prompt: true and false, or false and true")
    return wanted


# --- tools and forms -------------------------------------------------------------------------------------------------


def _read_tools(body: Document) -> dict[str, Any]:
    """The options of a request that say what its model may ask for."""
    given, choice = body.get("tools", []), body.get("tool_choice", "auto")
    if not isinstance(given, list):
        raise Refused(f"tools: a list of tools, not {type(given).__name__}")
    if len(given) > MOST_TOOLS:
        raise Refused(f"tools: {len(given)} of them; at most {MOST_TOOLS} a request")
    parallel = body.get("parallel_tool_calls", True)
    if not isinstance(parallel, bool):
        raise Refused(f"parallel_tool_calls={parallel!r:.80}: true or false")
    tools = [_read_tool(one, place) for place, one in enumerate(given)]
    if not tools and choice == "required":
        raise Refused("tool_choice='required', and no tools to choose from")
    chosen, tools = _read_choice(choice, tools)
    return {"tools": tools, "tool_choice": chosen, "parallel_tool_calls": parallel}


def _read_tool(given: Any, place: int) -> ToolSpec:
    function = given.get("function") if isinstance(given, dict) else None
    if not isinstance(function, dict) or given.get("type", "function") != "function":
        raise Refused(f"tools[{place}]: {{'type': 'function', 'function': {{'name': …, 'parameters': …}}}}, not {given!r:.80}")
    if unknown := sorted(function.keys() - {"name", "description", "parameters", "strict"}):
        raise Refused(f"tools[{place}]: a function has a name, a description, parameters and strict, no {unknown[0]!r:.80}")
    name = function.get("name")
    parameters = function.get("parameters")
    schema = {"type": "object", "properties": {}} if parameters is None else check_schema(parameters, f"tools[{place}]")
    return ToolSpec(name, function.get("description") or "", schema, bool(function.get("strict")))  # type: ignore[arg-type]  # checked


def _read_choice(choice: Any, tools: list[ToolSpec]) -> tuple[Any, list[ToolSpec]]:
    """What may be chosen, and of which tools: "one of these" says the same as those alone, and "required"."""
    if isinstance(choice, str):
        if choice not in ("auto", "none", "required"):
            raise Refused(f"tool_choice={choice!r:.80}: 'auto', 'none', 'required', or a named function")
        return choice, tools
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind == "function":
        return _name_in(choice), tools
    allowed = choice.get("allowed_tools") if kind == "allowed_tools" else None
    if (
        not isinstance(allowed, dict)
        or not isinstance(allowed.get("tools"), list)
        or allowed.get("mode") not in ("auto", "required")
    ):
        raise Refused(f"tool_choice={choice!r:.80}: 'auto', 'none', 'required', a named function, or allowed_tools")
    names = tuple(map(_name_in, allowed["tools"]))
    if allowed["mode"] == "auto":
        return names, tools
    if unknown := [name for name in names if name not in {tool.name for tool in tools}]:
        raise Refused(f"tool_choice: there is no tool {unknown[0]!r:.80}")
    return "required", [tool for tool in tools if tool.name in names]


def _name_in(given: Any) -> str:
    function = given.get("function") if isinstance(given, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise Refused(f"tool_choice: {{'type': 'function', 'function': {{'name': …}}}}, not {given!r:.80}")
    return name


def _read_format(given: Any) -> Schema | None:
    """The form that an answer must have."""
    kind = given.get("type") if isinstance(given, dict) else None
    if given is None or kind == "text":
        return None
    if kind == "json_object":
        return Schema("object", {"type": "object"}, strict=False)
    form = given.get("json_schema") if kind == "json_schema" else None
    if not isinstance(form, dict) or "schema" not in form:
        raise Refused(f"response_format: text, json_object, or json_schema with a name and a schema, not {given!r:.80}")
    name = form.get("name", "answer")
    return Schema(name, check_schema(form["schema"], f"response_format {name!r:.80}"), bool(form.get("strict")))
