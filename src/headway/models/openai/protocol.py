"""The client's side of the OpenAI protocol: turns requests into bodies, events into pieces, and failures into errors that say
whether to retry."""

from __future__ import annotations

import email.utils
import json
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from headway.errors import ModelError, ModelUnavailable
from headway.models.base import Finish, Piece, Request, Usage

AGAIN = (408, 429)
OUT_OF_MONEY = "insufficient_quota"  # a 429 that waiting does not fix
SHOWN = 300  # characters of what a server said
LONG_S = 60.0  # a pause long enough to mention
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
GATEWAYS = (408, 502, 504, 520, 522, 524, 598, 599)  # a proxy does not know whether the server behind it works on
UNWORKED = (429, 503, 529)  # a server that is too busy has not begun
_TRANSPORTS = ("httpx", "httpx2", "httpcore")
_LIKE_A_KEY = re.compile(r"\b(?:(bearer\s+)|(?:sk|gsk|hf|xai|pk)[-_])[\w.\-]{12,}", re.IGNORECASE)


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
    """The pieces of one event, or of a whole answer. Raises ModelError where it is not one of the protocol."""
    choices = chunk.choices if has_choices(chunk) else ()
    try:
        if broken := [choice.finish_reason for choice in choices if str(choice.finish_reason).lower() in BROKEN]:
            raise _make_unavailable(f"{model}: the server ended a sample with {broken[0]!r}", may_have_cost=True)
        pieces = [_piece(choice) for choice in choices]
        if (usage := usage_in(getattr(chunk, "usage", None))) is not None:
            pieces.append(Piece(usage=usage))
        if any(not 0 <= piece.index < request.n for piece in pieces):
            raise ValueError(f"a sample beyond the {request.n} that were asked for")
    except (AttributeError, TypeError, ValueError) as error:
        raise make_protocol_error(model, f"an event is not of its kind ({error})") from None
    yield from pieces


def has_choices(chunk: Any) -> bool:
    """Whether an event, or a whole answer, is one of samples. Servers send others between them (`{"type": "ping"}`)."""
    return getattr(chunk, "choices", None) is not None


def words_in(chunk: Any) -> str:
    """What a server said, as JSON."""
    return json.dumps(chunk, default=lambda part: part.to_dict() if hasattr(part, "to_dict") else vars(part), ensure_ascii=False)


def usage_in(given: Any) -> Usage | None:
    """What a server counted, as far as it says so.

    Servers send it early, late, in parts, as nulls and as nonsense. An answer is worth more than its bill, so what can't be used is
    passed over, and the pieces are counted instead.
    """
    read, written = _first(given, "prompt_tokens", "input_tokens"), _first(given, "completion_tokens", "output_tokens")
    details = _field(given, "prompt_tokens_details") or _field(given, "input_tokens_details")
    found, put = _first(given, "cache_read_input_tokens"), _first(given, "cache_creation_input_tokens")
    cached = _first(details, "cached_tokens") or _first(given, "prompt_cache_hit_tokens") or found
    stored = _first(details, "cache_write_tokens", "cache_creation_tokens") or put
    total = _first(given, "total_tokens")
    if found + put and (found + put > read or total == read + written + found + put or not _first(given, "prompt_tokens")):
        read += found + put  # some count the cache beside the prompt, some within it
    if total > read > 0:
        written = max(written, total - read)  # some leave thoughts out of what was written
    if not read + written:
        return None
    thought = _field(given, "completion_tokens_details") or _field(given, "output_tokens_details")
    cached = min(cached, read)
    return Usage(read, written, cached, min(_first(thought, "reasoning_tokens"), written), min(stored, read - cached))


def _field(given: Any, name: str) -> Any:
    """A part of what a server sent, which the client gives as objects where it knows the part and as dictionaries where not."""
    return given.get(name) if isinstance(given, Mapping) else getattr(given, name, None)


def _first(given: Any, *names: str) -> int:
    """The first of these fields that is a count, 0 where none is."""
    for name in names:
        value = _field(given, name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf and value == int(value):
            return int(value)
    return 0


def _piece(choice: Any) -> Piece:
    """What an event, or a whole answer, says of one sample."""
    said = getattr(choice, "delta", None) or getattr(choice, "message", None)
    parts = list(_parts(choice.text if said is None else said.content))
    text, refused = ("".join(part for kind, part in parts if kind == wanted) for wanted in ("text", "refusal"))
    thought = any(kind == "thought" for kind, _ in parts) or any(getattr(said, name, None) for name in _THOUGHTS)
    finish, instead = finish_of(choice.finish_reason), ""
    if tools := _tools_in(said):
        finish, instead = "tool", tools
    elif refusal := refused or getattr(said, "refusal", None):
        finish, instead = "refusal", str(refusal)
    elif finish and choice.finish_reason.lower() not in _FINISHES:
        instead = f"it ended for {choice.finish_reason!r}"
    logprobs = _logprobs(choice.logprobs) if getattr(choice, "logprobs", None) is not None else ()
    tokens = len(logprobs) or (1 if text or thought or instead else 0)
    return Piece(text, int(choice.index), finish, tokens, logprobs, said=instead)


def _parts(content: Any) -> Iterator[tuple[Literal["text", "thought", "refusal"], str]]:
    """What a content says, part by part. It is a text or a list of parts. Raises TypeError for what holds anything else."""
    if content is None or isinstance(content, str):
        yield "text", content or ""
        return
    if not isinstance(content, list):
        raise TypeError(f"a content that is a {type(content).__name__}")
    for part in content:
        named = _field(part, "type")
        if named in _THINKING:
            yield "thought", ""
            continue
        kind = _SAYING.get(named) if isinstance(named, str) else None
        if kind is None:
            raise TypeError(f"a part of a content that is {named!r:.80}")
        said = _field(part, kind)
        if not isinstance(said, str):
            raise TypeError(f"a part of a content whose {kind} is a {type(said).__name__}")
        yield kind, said


def _tools_in(said: Any) -> str:
    """The calls of tools in a message or a part of one: `search({"q": "sky"})`, or as much of it as there is."""
    calls = [getattr(call, "function", None) for call in getattr(said, "tool_calls", None) or ()]
    calls += [call for call in (getattr(said, "function_call", None),) if call is not None]
    return "".join(f"{getattr(call, 'name', None) or ''}{getattr(call, 'arguments', None) or ''}" or "a tool" for call in calls)


def _logprobs(given: Any) -> tuple[float, ...]:
    if (content := getattr(given, "content", None)) is not None:  # of a chat
        return tuple(float(token.logprob) for token in content)
    return tuple(float(value) for value in given.token_logprobs or () if value is not None)


def finish_of(reason: str | None) -> Finish | None:
    """Why a sample ended, in our words; None where it has not."""
    if reason is None or reason.lower() in _GOES_ON:
        return None
    return _FINISHES.get(reason.lower(), "stop")


# --- failures --------------------------------------------------------------------------------------------------------


def make_protocol_error(model: str, what: str) -> ModelError:
    """What a server did that another attempt would not mend. It has answered, so it may have worked."""
    error = ModelError(f"{model}: the server does not speak the OpenAI protocol: {what}")
    error.may_have_cost = True
    return error


def hide_secrets(text: str, secrets: Sequence[str] = ()) -> str:
    """A text without these secrets, and without what looks like a key, as far as it is shown. Errors are journaled and shown, and
    servers repeat in them what they were sent.

    >>> hide_secrets("no access for Bearer 0123456789abcdef or sk-proj-0123456789abcdef, not with hunter2", ["hunter2"])
    'no access for Bearer *** or ***, not with ***'
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return _LIKE_A_KEY.sub(lambda found: f"{found[1] or ''}***", text)[:SHOWN]


def model_error(model: str, error: Exception, secrets: Sequence[str] = ()) -> ModelError | None:
    """What an exception of the client means; None where it is not one that talking to a server explains. `secrets` are not
    repeated."""
    import openai

    said = getattr(error, "message", None) or str(error) or type(error).__name__
    if isinstance(error, openai.APIStatusError):
        said = hide_secrets(_quote(error.status_code, said, error.body), secrets)
        return _status_error(model, error.status_code, error.code, said, error.response.headers)
    if isinstance(error, openai.APITimeoutError):
        return _make_unavailable(f"{model}: the server said nothing in time", may_have_cost=not _was_unsent(error))
    if isinstance(error, openai.APIConnectionError) or type(error).__module__.partition(".")[0] in _TRANSPORTS:
        why = str(error.__cause__ or error) or "closed"
        return _make_unavailable(
            f"{model}: the connection failed: {hide_secrets(why, secrets)}", may_have_cost=not _was_unsent(error)
        )
    said = hide_secrets(said, secrets)
    if isinstance(error, openai.APIResponseValidationError | ValueError):
        return make_protocol_error(model, said)
    if isinstance(error, openai.APIError):  # an error in the middle of a stream
        status = int(error.code) if str(error.code).isdigit() else 500  # type: ignore[arg-type]  # digits, as the test says
        failed = _status_error(model, status, error.code, said, {})
        failed.may_have_cost = status >= 500 and status not in UNWORKED
        return failed
    return None


def _quote(status: int, message: str, body: object) -> str:
    """What a server said of an error: its message, or all that it said where that is not in OpenAI's form."""
    return message.removeprefix(f"Error code: {status}").removeprefix(" - ") or str(body or "no reason given")


def _was_unsent(error: Exception) -> bool:
    """Whether the connection failed before there was one: nobody was there, none was free, or what was to be sent can't be."""
    name = type(error.__cause__ or error).__name__
    return name.startswith("Connect") or name in ("PoolTimeout", "LocalProtocolError", "UnsupportedProtocol")


def _status_error(model: str, status: int, code: str | None, said: str, headers: Mapping[str, str]) -> ModelError:
    text, rest_s = f"{model}: {status}: {said}", retry_after(headers, time.time())
    if (status not in AGAIN and status < 500) or code == OUT_OF_MONEY:
        refused = ModelError(text)
        refused.status = status
        return refused
    if rest_s > LONG_S:
        text += f" (it asks to be left alone for {rest_s:,.0f} s)"
    return _make_unavailable(text, status=status, retry_after_s=rest_s, may_have_cost=status in GATEWAYS)


def _make_unavailable(
    text: str, *, status: int | None = None, retry_after_s: float = 0.0, may_have_cost: bool = False
) -> ModelUnavailable:
    error = ModelUnavailable(text)
    error.status, error.retry_after_s, error.may_have_cost = status, retry_after_s, may_have_cost
    return error


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Seconds for which a server asks to be left alone: `retry-after-ms`, or `retry-after` in seconds or as a date.
    A date is read by the server's own clock (`date`), and by ours where it does not tell.

    >>> retry_after({"retry-after": "7"}, 0.0), retry_after({"retry-after-ms": "250"}, 0.0), retry_after({}, 0.0)
    (7.0, 0.25, 0.0)
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        return seconds if 0.0 < seconds < math.inf else 0.0
    until = _date(headers.get("retry-after", ""))
    sent = _date(headers.get("date", ""))
    return max(0.0, until - (now if sent is None else sent)) if until is not None else 0.0


def _date(text: str) -> float | None:
    """Seconds since 1970 of a date in a header; None where it is no date."""
    try:
        found = email.utils.parsedate_tz(text)
        return None if found is None else float(email.utils.mktime_tz(found))
    except (ValueError, OverflowError):  # no real date
        return None
