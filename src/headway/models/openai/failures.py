"""What goes wrong with a server, as errors that say whether to ask again, and without secrets."""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping, Sequence

from headway.errors import ModelError, ModelUnavailable

AGAIN = (408, 429)
OUT_OF_MONEY = "insufficient_quota"  # a 429 that waiting does not fix
SHOWN = 300  # characters of what a server said
LONG_S = 60.0  # a pause long enough to mention
GATEWAYS = (408, 502, 504, 520, 522, 524, 598, 599)  # a proxy does not know whether the server behind it works on
UNWORKED = (429, 503, 529)  # a server that is too busy has not begun
_TRANSPORTS = ("httpx", "httpx2", "httpcore")
_LIKE_A_KEY = re.compile(r"\b(?:(bearer\s+)|(?:sk|gsk|hf|xai|pk)[-_])[\w.\-]{12,}", re.IGNORECASE)


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
        return make_unavailable(f"{model}: the server said nothing in time", may_have_cost=not _was_unsent(error))
    if isinstance(error, openai.APIConnectionError) or type(error).__module__.partition(".")[0] in _TRANSPORTS:
        why = str(error.__cause__ or error) or "closed"
        return make_unavailable(
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
    return make_unavailable(text, status=status, retry_after_s=rest_s, may_have_cost=status in GATEWAYS)


def make_unavailable(
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
