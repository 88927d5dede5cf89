"""Lets a model write on until it closes a tag, and counts what that cost: on the longest way, and in all.

A text is continued with a call of the model whose stop texts are closing tags. Threads that write beside each other cost the
longest way the longest of them, and all of them in all. Everything that a thread decides it decides from recorded replies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from headway.engine.tasks.callables import describe_error
from headway.errors import UsageError
from headway.joins.bound import bound_of
from headway.joins.gather import settle
from headway.methods import settings
from headway.methods.plan.tags.reading import TagReader
from headway.methods.search.failures import Errors, Failures
from headway.models.ask import AnyModel, begin
from headway.models.base import identity_of
from headway.models.limits import LimitedModel
from headway.models.requests import Sampling, make_request

TAKEN = {"n", "seed", "stop", "max_tokens", "schema", "tools", "tool_choice", "continues"}
T = TypeVar("T")
Path = tuple[int, ...]


@dataclass(frozen=True)
class Spent:
    """Tokens that were written.

    Attributes:
        sequential: on the longest way from the beginning to the end, where nothing shortens the wait.
        total: in all.
    """

    sequential: int = 0
    total: int = 0

    def __add__(self, after: Spent) -> Spent:
        """This and then that."""
        return Spent(self.sequential + after.sequential, self.total + after.total)


def beside(branches: Iterable[Spent]) -> Spent:
    """What branches cost that write at the same time.

    >>> Spent(10, 10) + beside([Spent(5, 5), Spent(7, 20)])
    Spent(sequential=17, total=35)
    """
    each = list(branches)
    return Spent(max((one.sequential for one in each), default=0), sum(one.total for one in each))


class Branch(NamedTuple, Generic[T]):
    """What a branch gave, or why it failed."""

    value: T | None
    error: str


class Spares:
    """Which errors of a branch are told instead of raised.

    Args:
        errors: an exception class or several.

    Raises:
        UsageError: it names no exception classes.
    """

    def __init__(self, errors: Errors) -> None:
        Failures(errors)
        self._kinds = errors

    async def settle(self, begun: Sequence[Awaitable[T]]) -> list[Branch[T]]:
        """Wait for all branches.

        Returns:
            How each ended, in order.
        """
        found: list[Branch[T]] = []
        for end in await settle(*begun):
            if end.error is None:
                found.append(Branch(end.value, ""))
            elif bound_of(end.error) is None and isinstance(end.error, self._kinds):
                found.append(Branch(None, describe_error(end.error)))
            else:
                raise end.error
        return found


@dataclass(frozen=True)
class Writer:
    """A model, and how it is asked. The seed and a thread's path make the seed of each call."""

    model: AnyModel
    seed: int
    sampling: Sampling

    def __headway_key__(self) -> object:
        plain: Any = self.model
        while isinstance(plain, LimitedModel):
            plain = plain.model
        return ("writer", identity_of(plain), self.seed, dict(self.sampling))


@dataclass(frozen=True)
class Written:
    """What a model wrote in one go.

    Attributes:
        text: with the closing tag that ended it.
        closed: that tag's name; empty where the text ended without one.
        cut: whether it ran out of tokens.
        spent: what it cost.
    """

    text: str
    closed: str
    cut: bool
    spent: Spent


def make_writer(where: str, model: AnyModel, prompt: object, seed: int, sampling: Sampling | None) -> Writer:
    """A writer. Raises UsageError for a prompt that is no text, and for options that the method sets itself."""
    settings.whole_number(where, seed=seed)
    if not isinstance(prompt, str) or not prompt:
        raise UsageError(f"{where}: prompt={prompt!r:.80}: the text that the model continues")
    asked = sampling or Sampling()
    if taken := TAKEN & asked.keys():
        raise UsageError(f"{where}: sampling has {', '.join(sorted(taken))}, which it sets itself")
    make_request(prompt, **asked)
    return Writer(model, seed, asked)


async def write(
    writer: Writer, before: str, tags: Iterable[str], ends: Sequence[str], most: int, place: Path, *, within: Sequence[str] = ()
) -> Written:
    """Let the model go on.

    Args:
        writer: the model.
        before: what is there already.
        tags: the names that are tags.
        ends: the tags whose closing ends it. A model that stops by itself inside of one has closed it.
        most: tokens at most.
        place: whose text it is and which of its turns, which makes the seed.
        within: the blocks that are open before it, the innermost last.
    """
    stops = tuple(f"</{end}>" for end in ends)
    seed = derive_seed(writer.seed, place)
    reply = await begin(writer.model, make_request(before, **writer.sampling, stop=stops, max_tokens=most, seed=seed))
    sample = reply.samples[0]
    reader = TagReader(set(tags))
    reader.read("".join(f"<{tag}>" for tag in within) + sample.text)
    innermost = reader.open[-1] if reader.open else ""
    spent = Spent(sample.tokens, sample.tokens)
    if sample.finish == "length" or innermost not in ends:
        return Written(sample.text, "", sample.finish == "length", spent)
    return Written(f"{sample.text}</{innermost}>", innermost, False, spent)


def derive_seed(seed: int, place: Path) -> int:
    """The seed of a call, from that of the program and its place.

    >>> derive_seed(1, (0, 2)) == derive_seed(1, (0, 2)), derive_seed(1, (0, 2)) == derive_seed(1, (2, 0))
    (True, False)
    """
    return int.from_bytes(hashlib.blake2b(repr((seed, place)).encode(), digest_size=6).digest(), "big")
