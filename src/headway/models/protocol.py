"""The OpenAI protocol as who asks sees it: requests to bodies, events to pieces, failures to errors worth a retry or not."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Iterator, Mapping
from typing import Any

from headway.errors import ModelError, ModelUnavailable
from headway.models.base import Finish, Piece, Request, Usage

AGAIN = (408, 429)
OUT_OF_MONEY = "insufficient_quota"  # a 429 that no waiting mends
SHOWN = 300  # characters of what a server said
_THOUGHTS = ("reasoning_content", "reasoning")  # where servers put what a model thinks: no part of the answer, but paid
_TRANSPORTS = ("httpx", "httpx2", "httpcore")


def request_body(model: str, request: Request, *, of_openai: bool) -> dict[str, Any]:
    """A request as the protocol says it. OpenAI's own server has another name for `max_tokens` in chats, and some of its models
    refuse a `top_p` even of 1, which is their default; other servers have other defaults, so they are told."""
    chat = not isinstance(request.prompt, str)
    body: dict[str, Any] = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": request.temperature,
        "max_completion_tokens" if chat and of_openai else "max_tokens": request.max_tokens,
    }
    if isinstance(request.prompt, str):
        body["prompt"] = request.prompt
    else:
        body["messages"] = [{"role": message.role, "content": message.content} for message in request.prompt]
    if request.top_p < 1 or not of_openai:
        body["top_p"] = request.top_p
    if request.n > 1:
        body["n"] = request.n
    if request.stop:
        body["stop"] = list(request.stop)
    if request.seed is not None:
        body["seed"] = request.seed
    if request.logprobs:
        body["logprobs"] = True if chat else 1
    return body


def pieces_in(chunk: Any, request: Request, model: str) -> Iterator[Piece]:
    """The pieces of one event. Raises ModelError where it is not one of the protocol."""
    try:
        pieces = [_piece(choice) for choice in chunk.choices]
        usage = getattr(chunk, "usage", None)
        if usage is not None:
            read, written = int(usage.prompt_tokens), int(usage.completion_tokens)
            if min(read, written) < 0:
                raise ValueError(f"a usage of {read} and {written} tokens")
            pieces.append(Piece(usage=Usage(read, written)))
        if any(not 0 <= piece.index < request.n for piece in pieces):
            raise ValueError(f"a sample beyond the {request.n} that were asked for")
    except (AttributeError, TypeError, ValueError) as error:
        raise asks_badly(model, f"an event is not of its kind ({error})") from None
    yield from pieces


def _piece(choice: Any) -> Piece:
    text = choice.delta.content if hasattr(choice, "delta") else choice.text
    thought = any(getattr(choice.delta, name, None) for name in _THOUGHTS) if hasattr(choice, "delta") else False
    logprobs = _logprobs(choice.logprobs) if getattr(choice, "logprobs", None) is not None else ()
    tokens = len(logprobs) or (1 if text or thought else 0)
    return Piece(str(text or ""), int(choice.index), finish_of(choice.finish_reason), tokens, logprobs)


def _logprobs(given: Any) -> tuple[float, ...]:
    if (content := getattr(given, "content", None)) is not None:  # of a chat
        return tuple(float(token.logprob) for token in content)
    return tuple(float(value) for value in given.token_logprobs or () if value is not None)


def finish_of(reason: str | None) -> Finish | None:
    """Why a sample ended, in our words."""
    if reason is None:
        return None
    return "length" if reason == "length" else "filter" if reason == "content_filter" else "stop"


# --- failures --------------------------------------------------------------------------------------------------------


def asks_badly(model: str, what: str) -> ModelError:
    """What a server did that another attempt would not mend."""
    return ModelError(f"{model}: the server does not speak the OpenAI protocol: {what}")


def model_error(model: str, error: Exception) -> ModelError | None:
    """What an exception of the client means; None where it is not one that talking to a server explains."""
    import openai

    said = (getattr(error, "message", None) or str(error) or type(error).__name__)[:SHOWN]
    if isinstance(error, openai.APIStatusError):
        said = _said(error.status_code, said, error.body)
        return _status_error(model, error.status_code, error.code, said, error.response.headers)
    if isinstance(error, openai.APITimeoutError):
        return _unavailable(f"{model}: the server said nothing in time", may_have_cost=not _was_unsent(error))
    if isinstance(error, openai.APIConnectionError) or type(error).__module__.partition(".")[0] in _TRANSPORTS:
        why = str(error.__cause__ or error) or "closed"
        return _unavailable(f"{model}: the connection failed: {why[:SHOWN]}", may_have_cost=not _was_unsent(error))
    if isinstance(error, openai.APIResponseValidationError | ValueError):
        return asks_badly(model, said)
    if isinstance(error, openai.APIError):  # an error in the middle of a stream
        status = int(error.code) if str(error.code).isdigit() else 500  # type: ignore[arg-type]
        return _status_error(model, status, error.code, said, {})
    return None


def _said(status: int, message: str, body: object) -> str:
    """What a server said of an error: its message, or all that it said where that is not in OpenAI's form."""
    told = message.removeprefix(f"Error code: {status}").removeprefix(" - ") or str(body or "no reason given")
    return told[:SHOWN]


def _was_unsent(error: Exception) -> bool:
    """Whether the connection failed before there was one."""
    return type(error.__cause__ or error).__name__.startswith("Connect")


def _status_error(model: str, status: int, code: str | None, said: str, headers: Mapping[str, str]) -> ModelError:
    text = f"{model}: {status}: {said}"
    if (status not in AGAIN and status < 500) or code == OUT_OF_MONEY:
        refused = ModelError(text)
        refused.status = status
        return refused
    return _unavailable(text, status=status, retry_after_s=retry_after(headers, time.time()))


def _unavailable(
    text: str, *, status: int | None = None, retry_after_s: float = 0.0, may_have_cost: bool = False
) -> ModelUnavailable:
    error = ModelUnavailable(text)
    error.status, error.retry_after_s, error.may_have_cost = status, retry_after_s, may_have_cost
    return error


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Seconds for which a server asks to be left alone: `retry-after-ms`, or `retry-after` in seconds or as a date.

    >>> retry_after({"retry-after": "7"}, 0.0), retry_after({"retry-after-ms": "250"}, 0.0), retry_after({}, 0.0)
    (7.0, 0.25, 0.0)
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "")
        try:
            return max(0.0, float(value) * unit)
        except ValueError:
            continue
    date = email.utils.parsedate_tz(headers.get("retry-after", ""))
    try:
        return max(0.0, email.utils.mktime_tz(date) - now) if date is not None else 0.0
    except (ValueError, OverflowError):  # no date that there is
        return 0.0
