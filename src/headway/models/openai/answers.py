"""The server's side of the OpenAI protocol: turns bodies into requests, replies and pieces into documents, errors into error
documents.

Pure functions. If a request asks for something that this server can't do and that would change the answer, it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from headway.errors import ModelError, UsageError
from headway.models.base import ModelFault, Piece, Reply, Request, Sample, Usage
from headway.models.messages import Message, Role
from headway.models.requests import make_request
from headway.near import near_misses

Kind = Literal["text", "chat"]
Document = dict[str, Any]

MAX_TOKENS = 256  # where a request names no bound
MOST_SAMPLES = 128  # of a request, as at OpenAI
_ROLES: Mapping[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_TAKEN = {"model", "n", "temperature", "top_p", "stop", "seed", "max_tokens", "logprobs", "stream", "stream_options"}
_OF_KIND = {"text": {"prompt"}, "chat": {"messages", "max_completion_tokens"}}
_HARMLESS = {  # what changes no answer
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "parallel_tool_calls",
    "prediction",
}
_REFUSED: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("tools", "functions", "logit_bias", "suffix", "echo", "presence_penalty", "frequency_penalty"), bool),
    **dict.fromkeys(("top_logprobs", "min_p", "min_tokens", "ignore_eos", "use_beam_search", "continue_final_message"), bool),
    **dict.fromkeys(("tool_choice", "function_call"), lambda value: value not in ("none", "auto")),
    **dict.fromkeys(("best_of", "repetition_penalty", "length_penalty"), lambda value: value != 1),
    "response_format": lambda value: value != {"type": "text"},
    "modalities": lambda value: value != ["text"],
    "top_k": lambda value: value not in (0, -1),
    "add_generation_prompt": lambda value: value is not True,
}
"""What this server can't do, and a test whether a value asks for it. A field that is named nowhere here is refused, because it
might change the answer."""


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


def read_request(kind: Kind, body: Any, model: str) -> ClientRequest:
    """What a body asks for. Raises Refused and UsageError, in words for the client."""
    if not isinstance(body, dict):
        raise Refused("the body is no JSON object")
    if body.get("model", model) != model:
        raise Refused(f"there is no model {body['model']!r} here, but {model!r}", 404, "model_not_found")
    body = {str(name): value for name, value in body.items() if value is not None}
    _check_names(kind, body)
    options = {name: body[name] for name in ("n", "temperature", "top_p", "stop", "seed") if name in body}
    bounds = [body[name] for name in ("max_completion_tokens", "max_tokens") if name in body]
    if len(bounds) == 2 and bounds[0] != bounds[1]:
        raise Refused(f"max_completion_tokens={bounds[0]!r} and max_tokens={bounds[1]!r}: they say the same; give one of them")
    logprobs = body.get("logprobs")
    if kind == "text" and logprobs not in (None, False, True, 0, 1):
        raise Refused(f"logprobs={logprobs!r}: of each token only its own log-probability is known here; ask for logprobs=1")
    if isinstance(n := body.get("n"), int) and n > MOST_SAMPLES:
        raise Refused(f"n={n!s:.20}: at most {MOST_SAMPLES} samples a request")
    request = make_request(
        _messages(body.get("messages")) if kind == "chat" else _text(body.get("prompt")),
        max_tokens=bounds[0] if bounds else MAX_TOKENS,
        logprobs=logprobs is not None and logprobs is not False,
        **options,
    )
    asked = body.get("stream_options") or {}
    return ClientRequest(kind, request, bool(body.get("stream")), isinstance(asked, dict) and bool(asked.get("include_usage")))


def _check_names(kind: Kind, body: Document) -> None:
    """Raises Refused for what a body asks for and nobody here does."""
    for name, value in body.items():
        if name in _REFUSED:
            if _REFUSED[name](value):
                raise Refused(f"{name} is not supported here")
        elif name not in _TAKEN | _OF_KIND[kind] | _HARMLESS:
            raise Refused(f"{name} is not known here; {near_misses(name, _TAKEN | _OF_KIND[kind])}")


def _text(prompt: Any) -> str:
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise Refused("prompt: one text, please (no tokens, and one request for each text)")
    return prompt


def _messages(given: Any) -> list[Message]:
    if not isinstance(given, list) or not given:
        raise Refused("messages: a list with at least one message")
    return [_message(one) for one in given]


def _message(given: Any) -> Message:
    role = _ROLES.get(str(given.get("role"))) if isinstance(given, dict) else None
    if role is None:
        raise Refused(f"messages: each has a role (system, user, assistant) and a content, not {given!r}")
    for name, value in given.items():
        if name not in ("role", "content", "refusal") and value:
            raise Refused(f"messages: {name} is not supported here; a message has a role and a content")
    content = given.get("content")
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        content = "".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str):
        raise Refused("messages: a content is text; images and sounds are not supported here")
    return Message(role, content)


# --- whole replies ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all documents of one answer have in common."""

    kind: Kind
    answer_id: str
    created: int
    model: str

    def document(self, choices: list[Document], usage: Usage | None = None, *, chunk: bool = False) -> Document:
        name = "text_completion" if self.kind == "text" else "chat.completion.chunk" if chunk else "chat.completion"
        made: Document = {"id": self.answer_id, "object": name, "created": self.created, "model": self.model, "choices": choices}
        if usage is not None:
            made["usage"] = usage_document(usage)
        return made

    def whole(self, reply: Reply) -> Document:
        """A reply in one document."""
        choices = [self._choice(one, index) for index, one in enumerate(reply.samples)]
        return self.document(choices, reply.usage)

    def _choice(self, one: Sample, index: int) -> Document:
        message = {"role": "assistant", "content": one.text} | ({"refusal": _instead(one)} if _instead(one) else {})
        said = {"text": one.text} if self.kind == "text" else {"message": message}
        return {"index": index, **said, "logprobs": self._logprobs(one.text, one.logprobs), "finish_reason": finish(one.finish)}

    def opening(self, n: int) -> list[Document]:
        """The chunks with which a chat begins: who speaks."""
        if self.kind == "text":
            return []
        delta = {"role": "assistant", "content": ""}
        return [self.document([{"index": at, "delta": delta, "finish_reason": None}], chunk=True) for at in range(n)]

    def chunk(self, piece: Piece) -> Document:
        """A piece as an event of a stream."""
        delta = ({"content": piece.text} if piece.text else {}) | ({"refusal": _instead(piece)} if _instead(piece) else {})
        said = {"text": piece.text} if self.kind == "text" else {"delta": delta}
        logprobs = self._logprobs(piece.text, piece.logprobs)
        choice = {"index": piece.index, **said, "logprobs": logprobs, "finish_reason": finish(piece.finish)}
        return self.document([choice], chunk=True)

    def _logprobs(self, text: str, values: tuple[float, ...]) -> Document | None:
        """Log-probabilities. Their tokens' own texts are known only where a piece is one token."""
        if not values:
            return None
        texts = [text] if len(values) == 1 else [""] * len(values)
        if self.kind == "text":
            return {"tokens": texts, "token_logprobs": list(values), "top_logprobs": None, "text_offset": None}
        tokens = zip(texts, values, strict=True)
        return {"content": [{"token": said, "logprob": value, "bytes": None, "top_logprobs": []} for said, value in tokens]}


def finish(reason: str | None) -> str | None:
    """Why a sample ended, in the protocol's words. It has none for a refusal, a field of its own; and a tool that was asked
    for behind this server is none that its client could run."""
    if reason in ("refusal", "tool"):
        return "stop"
    return "content_filter" if reason == "filter" else reason


def _instead(one: Sample | Piece) -> str:
    """What was said instead of an answer. Beside a text that has stopped it is why."""
    if one.finish == "stop" and one.text:
        return ""
    return f"it asked for a tool: {one.said}" if one.finish == "tool" else one.said


def usage_document(usage: Usage) -> Document:
    made: Document = {"prompt_tokens": usage.read, "completion_tokens": usage.written, "total_tokens": usage.tokens}
    if usage.cached or usage.stored:
        made["prompt_tokens_details"] = {"cached_tokens": usage.cached, "cache_write_tokens": usage.stored}
    if usage.reasoning:
        made["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return made


def models_document(model: str, created: int) -> Document:
    return {"object": "list", "data": [{"id": model, "object": "model", "created": created, "owned_by": "headway"}]}


# --- errors ----------------------------------------------------------------------------------------------------------


def error_of(error: Exception) -> tuple[int, Document]:
    """The status and the document that tell a client of an error: 400 for what is wrong with the request, 500 for what is wrong
    with the model that is served."""
    if isinstance(error, UsageError) and not isinstance(error, ModelFault):
        return _error(getattr(error, "status", 400), str(error), "invalid_request_error", getattr(error, "code", None))
    if isinstance(error, ModelError):
        return _error(error.status or 502, str(error), "upstream_error", None)
    return _error(500, f"{type(error).__name__}: {error}", "server_error", None)


def _error(status: int, message: str, kind: str, code: str | None) -> tuple[int, Document]:
    return status, {"error": {"message": message, "type": kind, "param": None, "code": code}}
