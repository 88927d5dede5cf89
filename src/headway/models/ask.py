"""A call of a model is a task: named by what it asks, journaled, paid from the budget, retried, stopped for real.

    reply = await models.sample(model, "Why is the sky blue?", n=4, max_tokens=200)     # a call; `hw.gather` and `hw.race` take it
    async for piece in models.stream(model, "Tell me a story"): ...                     # the same call, as it is made

Before it starts a call reserves the tokens (and, where the model has a price, the money) that it can cost at most; afterwards it is
charged what was really read and written. A stopped call is charged what was counted until then; a stopped call of a `BatchModel` is
charged its reservation. Requests to a `BatchModel` that are made at the same time are answered together; each stays a call of its
own.

Temporary errors (`ModelUnavailable`) are retried, after the time that the server asks for. A call's key is made of its request and
the model's identity (`identity_of`), so two deployments of one name are two models. A server's API key is no part of the key and is
never written to the journal.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Unpack

from headway.context import stopping
from headway.engine.call import current
from headway.engine.handle import Handle
from headway.engine.outcomes.retry import Retry
from headway.errors import ModelError, UsageError
from headway.models.abilities import check_abilities
from headway.models.base import (
    BatchModel,
    Model,
    ModelFault,
    Piece,
    Reply,
    Request,
    Usage,
    answers_singly,
    answers_together,
    identity_of,
)
from headway.models.checks.bounds import prompt_bound, sound_bound
from headway.models.collect import ReplyCollector, check_samples, is_count
from headway.models.condensed import Condensed, condense
from headway.models.limits import LimitedModel
from headway.models.prices import Price, price_of
from headway.models.requests import Prompt, Sampling, make_request
from headway.models.retrying import PATIENT as PATIENT
from headway.models.retrying import retry_of
from headway.scopes.budget import bounds, charge
from headway.task import Task, task

AnyModel = Model | BatchModel | LimitedModel

BATCH = 64
LINGER_S = 0.002


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A call of a model: what names it (the model's name and identity, and what is asked), and what is needed to make it."""

    name: str
    identity: object
    asked: Request | Condensed
    request: Request = field(compare=False, repr=False)
    model: Model | BatchModel = field(compare=False, repr=False)
    prompt_bound: int = field(compare=False, repr=False)
    prompt_counted: bool = field(compare=False, repr=False)
    price: Price | None = field(compare=False, repr=False)
    sound: int = field(default=0, compare=False, repr=False)
    listener: Callable[[Piece], None] | None = field(default=None, compare=False, repr=False)

    def __headway_label__(self) -> str:
        prompt = self.request.prompt
        text = prompt if isinstance(prompt, str) else prompt[-1].text
        return f"{self.name}, {text if len(text) <= 32 else '…' + text[-31:]!r}" + f", n={self.request.n}" * (self.request.n > 1)

    @property
    def bound(self) -> Usage:
        """The tokens that it costs at most."""
        return Usage(self.prompt_bound, self.request.n * self.request.max_tokens, audio=min(self.sound, self.prompt_bound))

    @property
    def reserved(self) -> dict[str, float]:
        """The same by unit."""
        amounts: dict[str, float] = {"tokens": self.bound.tokens}
        if self.price is not None:
            amounts["money"] = self.price.at_most(self.bound)
        return amounts

    def amounts(self, usage: Usage, assumed: int = 0) -> dict[str, float]:
        """What these tokens cost, by unit. Those that nobody has counted are `assumed_tokens` besides."""
        amounts: dict[str, float] = {"tokens": usage.tokens}
        if assumed:
            amounts["assumed_tokens"] = assumed
        if self.price is not None:
            if self.sound and not usage.audio:  # the server does not say how much of it was sound
                usage = dataclasses.replace(usage, audio=min(self.sound, usage.read))
            amounts["money"] = self.price.of(usage)
        return amounts


def sample(model: AnyModel, prompt: Prompt, **options: Unpack[Sampling]) -> Handle[Reply]:
    """Ask a model. A call of the current run, to be awaited; outside of a run just the reply, to be awaited as well.

    Args:
        model: an `Endpoint`, a `Local`, or anything like `Model` or `BatchModel`.
        prompt: text to continue, or the messages of a conversation (`Message`, or dictionaries with `role` and `content`).
        **options: see `Sampling`.

    Returns:
        The call. Its result is a `Reply`. It reserves `tokens` (and `money`) before it starts and is charged what it used.

    Raises:
        UsageError: at the call, for options that make no sense, and under a bound of `money` for a model without a price.
        ModelError: on await. The model refused the request or does not speak the protocol.
        ModelUnavailable: on await. It could not be had, also after `PATIENT.attempts` attempts.

    Example:
        >>> from headway import models
        >>> class Parrot:
        ...     name = "parrot"
        ...     async def stream(self, request):
        ...         for index in range(request.n):
        ...             yield models.Piece(request.prompt.upper(), index, "stop", tokens=2)
        >>> @hw.task
        ... async def program() -> list[str]:
        ...     reply = await models.sample(Parrot(), "hello", n=2, max_tokens=4, seed=1)
        ...     return [one.text for one in reply.samples]
        >>> hw.run(program, store=None)
        ['HELLO', 'HELLO']
    """
    return begin(model, make_request(prompt, **options))


def begin(
    model: AnyModel, request: Request, *, listener: Callable[[Piece], None] | None = None, unless: Callable[[], bool] | None = None
) -> Handle[Reply]:
    """Make the call of a model, with what it can cost at most reserved.

    `listener` gets each piece as it is made. The call is tried again as the model says, `unless` there is a reason not to.
    """
    if isinstance(model, LimitedModel):
        with model.scope():
            return begin(model.model, request, listener=listener, unless=unless)
    if (prepare := getattr(model, "prepare", None)) is not None:
        request = prepare(request)
    asked = _describe(model, request, listener)
    if current.get() is None:
        return _ask_outside(asked)  # type: ignore[return-value]  # outside of a run a coroutine serves as a handle
    cost = tuple(asked.reserved.items())
    retry = retry_of(model)
    if answers_together(model) and not (listener is not None and answers_singly(model)):
        return _find_batch_task(cost, retry)(asked)
    if unless is None:
        return _find_task(cost, retry)(asked)
    again = dataclasses.replace(retry, on=lambda error: retry.wants(error) and not unless())
    return ask_one.options(cost=dict(cost), retry=again)(asked)


@lru_cache(maxsize=256)  # many requests have the same bound, and making a task takes as long as a short call
def _find_batch_task(cost: tuple[tuple[str, float], ...], retry: Retry) -> Task[[ModelCall], Reply]:
    return ask_together.options(cost=dict(cost), retry=retry)


@lru_cache(maxsize=256)
def _find_task(cost: tuple[tuple[str, float], ...], retry: Retry) -> Task[[ModelCall], Reply]:
    return ask_one.options(cost=dict(cost), retry=retry)


def _describe(model: Model | BatchModel, request: Request, listener: Callable[[Piece], None] | None) -> ModelCall:
    if not (answers_together(model) or answers_singly(model)) or isinstance(model, type):
        raise UsageError(f"{model!r} is no model: it has neither stream(request) nor sample_batch(requests, stopping)")
    check_abilities(model, request)
    price = price_of(model)
    if price is None and bounds("money"):
        raise UsageError(
            f"{model.name} has no price, so a bound of money can't hold for it: give it one, as in "
            "models.Endpoint(…, price=models.Price(0.15, 0.60)) (US dollars per million tokens read, written)"
        )
    bound, counted = prompt_bound(model, request)
    return ModelCall(
        model.name, identity_of(model), condense(request), request, model, bound, counted, price, sound_bound(request), listener
    )


async def _ask_outside(asked: ModelCall) -> Reply:
    """Without a run: the same request, made once."""
    if answers_together(asked.model):
        (found,) = await asyncio.to_thread(_answer_all, asked.model, [asked.request], lambda _: False)
        if isinstance(answer := _answer(asked.name, found, asked.request), Exception):
            raise answer
        return answer
    return await ask_one.fn(asked)  # type: ignore[no-any-return]  # checked above


# --- the two tasks ---------------------------------------------------------------------------------------------------


@task(name="models.sample")
async def ask_one(asked: ModelCall) -> Reply:
    """One request to a model that answers requests one at a time."""
    assert answers_singly(asked.model)
    unseen = bool(getattr(asked.model, "works_unseen", False))
    made = ReplyCollector(
        asked.request.n, asked.prompt_bound, prompt_counted=asked.prompt_counted, unseen=unseen, request=asked.request
    )
    spent: tuple[Usage, int] | None = None
    try:
        async with aclosing(open_stream(asked.model, asked.request)) as pieces:
            async for piece in pieces:
                made.add(piece)
                if asked.listener is not None:
                    asked.listener(piece)
        return made.reply(asked.name)
    except ModelError as error:
        if not made.begun:
            spent = made.unsaid(asked.bound.written) if error.may_have_cost else (Usage(0, 0), 0)
        raise
    except BaseException as error:  # it is stopped, and its server may have worked in silence
        if unseen and not made.begun and (isinstance(error, ModelFault) or not isinstance(error, UsageError)):
            spent = made.unsaid(asked.bound.written)
        raise
    finally:
        charge(**asked.amounts(*(spent or (made.usage, made.assumed))))


def open_stream(model: Model, request: Request) -> AsyncGenerator[Piece, None]:
    """What a model makes of a request. Raises ModelFault where that is no async generator."""
    pieces: Any = model.stream(request)
    if not (hasattr(pieces, "__aiter__") and hasattr(pieces, "aclose")):
        if inspect.iscoroutine(pieces):
            pieces.close()
        raise ModelFault(
            f"{model.name}: stream(request) gave a {type(pieces).__name__}, not an async generator: "
            "write it as an async def that yields models.Piece"
        )
    return pieces  # type: ignore[no-any-return]  # checked above


@task(name="models.sample_batch", batch=BATCH, linger_s=LINGER_S, batches=1, retry=PATIENT)
def ask_together(asked: list[ModelCall]) -> list[Reply]:
    """Requests to models that answer several at a time: one batch for each model, and one at a time, for it has all processors."""
    answers: list[Any] = [None] * len(asked)
    for places in _group_by_model(asked).values():
        model: Any = asked[places[0]].model
        requests = [asked[place].request for place in places]
        found = _answer_all(model, requests, lambda at, places=places: stopping(places[at]))  # type: ignore[misc]
        for place, answer in zip(places, found, strict=True):
            charge(place, **asked[place].amounts(Usage(0, 0) if isinstance(answer, Exception) else answer.usage))
            answers[place] = _answer(model.name, answer, asked[place].request)
    return answers


def _group_by_model(asked: Sequence[ModelCall]) -> dict[int, list[int]]:
    """The places of the requests to each model object."""
    places: dict[int, list[int]] = {}
    for place, one in enumerate(asked):
        places.setdefault(id(one.model), []).append(place)
    return places


def _answer_all(model: BatchModel, requests: list[Request], stopping: Callable[[int], bool]) -> list[Reply | Exception]:
    """The replies. Where the batch fails, each request by itself, so that only the one that is to blame does."""
    try:
        replies = model.sample_batch(requests, stopping)
    except Exception as error:
        if len(requests) == 1:
            return [error]
        return [
            answer
            for at, request in enumerate(requests)
            for answer in _answer_all(model, [request], lambda _, at=at: stopping(at))  # type: ignore[misc]
        ]
    if not isinstance(replies, list | tuple) or len(replies) != len(requests):
        got = f"{len(replies)} replies" if isinstance(replies, list | tuple) else f"a {type(replies).__name__}"
        wrong = ModelFault(
            f"{model.name}: sample_batch got {len(requests)} requests and returned {got}; it must return a list of as many replies"
        )
        return [wrong] * len(requests)
    return [_check_reply(model, request, reply) for request, reply in zip(requests, replies, strict=True)]


def _check_reply(model: BatchModel, request: Request, reply: object) -> Reply | Exception:
    """A reply, or what is wrong with it."""
    if isinstance(reply, Exception):
        return reply
    if not isinstance(reply, Reply):
        return ModelFault(f"{model.name}: sample_batch gave {reply!r:.80} for a request; it must give a models.Reply for each")
    if len(reply.samples) != request.n:
        return ModelFault(f"{model.name}: sample_batch gave {len(reply.samples)} samples to a request for n={request.n}")
    for place, one in enumerate(reply.samples):
        if not isinstance(one.text, str) or not is_count(one.tokens):
            return ModelFault(
                f"{model.name}: sample_batch gave sample {place} text={one.text!r:.80} and tokens={one.tokens!r:.80}; it must be a "
                "text, and a whole number from 0 on"
            )
    for name in ("prompt_tokens", "cached_tokens", "reasoning_tokens", "stored_tokens"):
        if not is_count(value := getattr(reply, name)):
            return ModelFault(f"{model.name}: sample_batch gave {name}={value!r:.80}; it must be a whole number from 0 on")
    return reply


def _answer(name: str, found: Reply | Exception, request: Request) -> Reply | Exception:
    """A reply with an answer in it, or the error of one in which there is none. It is paid all the same."""
    if isinstance(found, Exception):
        return found
    try:
        check_samples(name, found.samples, request)
    except ModelError as error:
        return error
    return found
