"""The server's side of the OpenAI protocol: turns replies and pieces into documents, and errors into error documents.

Pure functions.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.errors import ModelError, UsageError
from headway.models.base import Alternative, CallPiece, ModelFault, Piece, Reply, Sample, Usage
from headway.models.openai.conversation import say_call
from headway.models.serving.bodies import Document, Kind

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
        said = {"text": one.text} if self.kind == "text" else {"message": _message(one)}
        ended = finish(one.finish, called=bool(one.calls))
        return {"index": index, **said, "logprobs": self._logprobs(one.text, one.logprobs, one.top), "finish_reason": ended}

    def opening(self, n: int) -> list[Document]:
        """The chunks with which a chat begins: who speaks."""
        if self.kind == "text":
            return []
        delta = {"role": "assistant", "content": ""}
        return [self.document([{"index": at, "delta": delta, "finish_reason": None}], chunk=True) for at in range(n)]

    def chunk(self, piece: Piece, *, called: bool = False) -> Document:
        """A piece as an event of a stream. `called`: whether its sample has asked for a tool that its client offers."""
        said = {"text": piece.text} if self.kind == "text" else {"delta": _delta(piece, called=called)}
        logprobs = self._logprobs(piece.text, piece.logprobs, piece.top)
        ended = finish(piece.finish, called=called)
        return self.document([{"index": piece.index, **said, "logprobs": logprobs, "finish_reason": ended}], chunk=True)

    def _logprobs(self, text: str, values: tuple[float, ...], top: tuple[tuple[Alternative, ...], ...]) -> Document | None:
        """Log-probabilities. Their tokens' own texts are known only where a piece is one token."""
        if not values:
            return None
        texts = [text] if len(values) == 1 else [""] * len(values)
        if self.kind == "text":
            others = [{one.token: one.logprob for one in place} for place in top] or None
            return {"tokens": texts, "token_logprobs": list(values), "top_logprobs": others, "text_offset": None}
        told = [[_likely(one) for one in place] for place in top] or [[] for _ in values]
        tokens = zip(texts, values, told, strict=True)
        return {"content": [{"token": said, "logprob": value, "bytes": None, "top_logprobs": top} for said, value, top in tokens]}


def _likely(one: Alternative) -> Document:
    return {"token": one.token, "logprob": one.logprob, "bytes": list(one.token.encode())}


def _message(one: Sample) -> Document:
    """A sample as an assistant's message."""
    made: Document = {"role": "assistant", "content": one.text}
    if one.calls:
        made |= {"content": one.text or None, "tool_calls": [say_call(call) for call in one.calls]}
    elif instead := _instead(one):
        made["refusal"] = instead
    return made | ({"reasoning_content": one.thoughts} if one.thoughts else {})


def _delta(piece: Piece, *, called: bool) -> Document:
    """What is new of an assistant's message."""
    made: Document = {"content": piece.text} if piece.text else {}
    if piece.thoughts:
        made["reasoning_content"] = piece.thoughts
    if piece.calls:
        made["tool_calls"] = [_call_delta(call) for call in piece.calls]
    elif not called and (instead := _instead(piece)):
        made["refusal"] = instead
    return made


def _call_delta(call: CallPiece) -> Document:
    """What is new of a call. Who it is goes before its arguments."""
    function = {"name": call.name, "arguments": call.arguments} if call.name else {"arguments": call.arguments}
    return {"index": call.place, **({"id": call.id, "type": "function"} if call.id else {}), "function": function}


def finish(reason: str | None, *, called: bool = False) -> str | None:
    """Why a sample ended, in the protocol's words. It has none for a refusal, a field of its own; and a tool that was asked
    for behind this server is none that its client could run."""
    if called and reason in ("stop", "tool"):
        return "tool_calls"
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
