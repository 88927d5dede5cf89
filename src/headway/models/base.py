"""Defines a language model: a request goes in, samples and their cost come out.

    reply = await models.sample(model, "25 8 7 3 -> 82\\n", n=4, max_tokens=40, seed=1)
    reply.samples[0].text, reply.samples[0].tokens, reply.samples[0].logprob, reply.samples[0].finish

Records are frozen and hold nothing but data, so a call of a model is named by what it asks and can be found again. A model is
anything with a `name` and a `stream` of pieces (`Model`); one whose backend gains from larger batches has `sample_batch` instead
(`BatchModel`). This file does no I/O and knows no backend; `ask.py` makes a call of a model a task.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeGuard, runtime_checkable

from headway.errors import UsageError
from headway.models.messages import Message, Schema, ToolCall, ToolSpec

Finish = Literal["stop", "length", "filter", "refusal", "tool"]
"""Why a sample ended: the model or a stop string ended it, `max_tokens` did, or a provider's content filter; or the model refused,
or asked for tools. A reply in which no sample is an answer, or asks for a tool that was offered, is a ModelError."""


class ModelFault(UsageError):
    """A model broke the rules of its protocol. `status` tells a client of `headway serve` that its request is not to blame."""

    status = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a model is asked.

    Attributes:
        prompt: text to continue, or the messages of a conversation to answer.
        max_tokens: how long a sample may get.
        temperature: how far samples spread; 0 takes the likeliest token.
        top_p: the share of probability that is sampled from, from 0 to 1.
        stop: texts that end a sample; they are not part of it.
        seed: sample i of a request draws from (seed, i); None draws anew.
        n: how many samples.
        logprobs: whether each token's log-probability is wanted; `Sample.logprob` is their sum.
        tools: what the model may ask for.
        tool_choice: "auto", "none", "required" (at least one), the name of the tool that it must ask for, or the names of those
            that it may.
        parallel_tool_calls: whether it may ask for several at once.
        schema: the form of the answer.
        top_logprobs: how many of the likeliest tokens are wanted at each place, with their log-probabilities.
        continues: whether the sample goes on with the last message, an assistant's, instead of answering it.
        extra: further fields of the body, for servers that know them.
        headers: further headers. They may be secret, so they are no part of the key, and are not recorded.
    """

    prompt: str | tuple[Message, ...]
    max_tokens: int = 256
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1
    logprobs: bool = False
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str | tuple[str, ...] = "auto"
    parallel_tool_calls: bool = True
    schema: Schema | None = None
    top_logprobs: int = 0
    continues: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that a model might have written at a place.

    Attributes:
        token: its text.
        logprob: its log-probability, in nats.
    """

    token: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer.

    Attributes:
        text: what was written.
        tokens: how many tokens that is.
        finish: why it ended: "stop", "length", "filter", "refusal" or "tool".
        logprob: its log-probability in nats, the sum of `logprobs`; None where the backend does not say.
        logprobs: that of each token, in nats.
        said: what the model said instead, where this one among several samples is no answer: why it refused, or which tool it
            wants. Of an answer: why the server says it ended, where that is a word that nobody here knows.
        calls: what it asks of tools; the finish is "tool" then, or "length" where the last of them may be cut off.
        thoughts: what it thought, where the server tells.
        top: the likeliest tokens at each place, where they were wanted.
    """

    text: str
    tokens: int
    finish: Finish
    logprob: float | None = None
    logprobs: tuple[float, ...] = ()
    said: str = ""
    calls: tuple[ToolCall, ...] = ()
    thoughts: str = ""
    top: tuple[tuple[Alternative, ...], ...] = ()

    @property
    def message(self) -> Message:
        """It as a turn of the conversation, to go on from."""
        return Message("assistant", self.text, self.calls, thoughts=self.thoughts)


@dataclass(frozen=True, slots=True)
class Reply:
    """The samples of a request, and the tokens that were read for it.

    Attributes:
        samples: the answers.
        prompt_tokens: how many tokens were read.
        model: the model's name.
        cached_tokens: how many of `prompt_tokens` came from the provider's cache.
        reasoning_tokens: how many of those written were thoughts, and are part of no text.
        stored_tokens: how many of `prompt_tokens` were put into the provider's cache.
    """

    samples: tuple[Sample, ...]
    prompt_tokens: int
    model: str
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    stored_tokens: int = 0

    @property
    def text(self) -> str:
        """The text of the first sample."""
        return self.samples[0].text

    @property
    def tokens(self) -> int:
        """All tokens that were read and written."""
        return self.prompt_tokens + sum(sample.tokens for sample in self.samples)

    @property
    def usage(self) -> Usage:
        """The same, as they are paid for."""
        written = self.tokens - self.prompt_tokens
        return Usage(self.prompt_tokens, written, self.cached_tokens, self.reasoning_tokens, self.stored_tokens)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that were read (the prompt, once for all its samples) and written; 0 where the backend does not say.

    Attributes:
        read: tokens of the prompt.
        written: tokens of the samples.
        cached: how many of those read came from the provider's cache.
        reasoning: how many of those written were thoughts.
        stored: how many of those read were put into the provider's cache, which some charge for.
        audio: how many of those read were sound, which some charge for.
    """

    read: int
    written: int
    cached: int = 0
    reasoning: int = 0
    stored: int = 0
    audio: int = 0

    @property
    def tokens(self) -> int:
        """All of them, read and written."""
        return self.read + self.written

    def or_before(self, before: Usage | None) -> Usage:
        """What is said here, and of what is not said here, what was said before.

        Args:
            before: an earlier count of the same request.

        Returns:
            The count that knows more.
        """
        if before is None:
            return self
        read, written = (self if self.read else before), (self if self.written else before)
        return Usage(read.read, written.written, read.cached, written.reasoning, read.stored, read.audio)


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A part of what a model asks of a tool, as it is made.

    Attributes:
        place: which of its sample's calls it belongs to, from 0 on.
        id: the call's id, in its first part.
        name: the tool's name, in its first part.
        arguments: what is new of the arguments' JSON.
    """

    place: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a sample as it is made. What was counted when a request is cancelled is what it has cost.

    Attributes:
        text: what is new.
        index: the place of its sample among those of the request.
        finish: why the sample ended, in its last piece.
        tokens: how many tokens the text is.
        logprobs: their log-probabilities in nats, where wanted.
        usage: what the backend counted for the whole request so far, where it says so.
        said: what the model said instead of answering (why it refused, which tool it asked for), or why it ended.
        calls: what is new of what it asks of tools.
        thoughts: what is new of what it thinks.
        top: the likeliest tokens at each place of `logprobs`, where they were wanted.
    """

    text: str = ""
    index: int = 0
    finish: Finish | None = None
    tokens: int = 0
    logprobs: tuple[float, ...] = ()
    usage: Usage | None = None
    said: str = ""
    calls: tuple[CallPiece, ...] = ()
    thoughts: str = ""
    top: tuple[tuple[Alternative, ...], ...] = ()


@runtime_checkable
class Model(Protocol):
    """A language model that answers one request at a time.

    It may have `price` (a `Price`; else the list price counts), `count(prompt) -> int` (tokens of a prompt, at most) and `retry` (a
    `headway.Retry`: how often it is asked). What it can do besides answering text it says in `abilities`, a set of "tools",
    "schema", "images", "audio", "names", "top_logprobs", "continues", "extra", "headers"; what asks for more is refused unsent.
    With a `prepare(request)` it says what is asked, and recorded, instead of a request.
    With a `check(request)` it raises `UsageError` itself for what it can't do, before anything is reserved or sent.

    With `works_unseen = True` it says that its backend may work, and bill, without a piece that says so. What such a request has
    cost is known only when a piece says so (`Piece.usage`). Until then it is booked at what was counted, or at its reservation
    where nothing came, and marked as assumed.
    """

    @property
    def name(self) -> str:
        """What it is known by in records and prices, and in keys where it has no `__headway_key__()`.

        Two models of one name that answer differently need one, or each gets the other's recorded answers.
        """

    def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        """Make the samples. Closing the generator (so, cancelling the call) stops the work at the backend.

        Args:
            request: what is asked.

        Returns:
            The pieces, as they are made.
        """


@runtime_checkable
class BatchModel(Protocol):
    """A language model that is cheaper when several requests are answered together.

    One that has a `stream` as well, like that of `Model`, is asked by it where somebody listens (`models.stream`); without one, a
    stream has each sample in one piece.
    """

    @property
    def name(self) -> str:
        """What it is known by in records, prices and keys, as `Model.name`."""

    def sample_batch(self, requests: Sequence[Request], stopping: Callable[[int], bool]) -> list[Reply]:
        """Answer several requests. Runs in a thread, one batch at a time.

        Args:
            requests: what is asked.
            stopping: whether the request at a place is no longer wanted: its samples may then end where they are.

        Returns:
            The replies, in the order of the requests.
        """


def identity_of(model: Model | BatchModel) -> object:
    """What names a model in the keys of its calls: what it says itself (`__headway_key__`), else its name."""
    speaks = getattr(model, "__headway_key__", None)
    return ("model", model.name) if speaks is None else speaks()


def answers_together(model: object) -> TypeGuard[BatchModel]:
    """Whether a model answers several requests at a time: what `isinstance` says, which is slow for protocols."""
    return hasattr(model, "sample_batch")


def answers_singly(model: object) -> TypeGuard[Model]:
    """Whether a model answers requests one at a time."""
    return hasattr(model, "stream")
