"""The narrow interfaces through which the engine's parts call those before and after them on a call's path.

A part that hands calls on knows one of these interfaces, not the object behind it. Mostly that is `lifecycle`.
"""

from __future__ import annotations

import contextvars
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from headway.engine.call import Batch, Call, Frame
from headway.engine.scopes.account import Account, Refusal
from headway.engine.scopes.bounds import Wanted
from headway.journal.codec.codec import Encoded
from headway.journal.records import Amounts
from headway.journal.recovery.recovered import Recorded
from headway.journal.store import Buffer
from headway.pools.base import CallFacts, Word


class Starts(Protocol):
    """Starts calls that have room."""

    def begin(self, call: Call) -> None:
        """There is room for the call."""

    def forbid(self, call: Call, error: BaseException) -> None:
        """A bound forbids the call to begin."""

    def refuse(self, call: Call, error: BaseException) -> None:
        """The call ends without having been started."""


class Ends(Protocol):
    """Hears how the code of calls goes."""

    def body_begun(self, call: Call) -> None:
        """The call's code begins now."""

    def body_ended(self, call: Call, value: Any, error: BaseException | None, encoded: Encoded | None = None) -> None:
        """The call's own code has ended, or will never run."""

    def timed_out(self, call: Call) -> None:
        """The call's timeout has passed."""


class Stopper(Protocol):
    """Stops calls."""

    def cancel(self, call: Call, reason: str, error: BaseException | None = None) -> None:
        """Ask a call to stop, with everything under it. `error` is what it ends with instead of being cancelled."""


class Host(Protocol):
    """Answers what the code of a job in a worker asks of its run."""

    def hear(self, head: bytes, buffers: Sequence[Buffer], /) -> None:
        """Take a message of the code."""

    def trace(self, error: BaseException, origins: Sequence[int], /) -> BaseException:
        """The error of the code, with what it was told in the place of what was made again of that."""

    def close(self) -> None:
        """The job has ended."""


Hosts = Callable[[Call, contextvars.Context, Word, Callable[[str], bool] | None], Host]


class Answers(Protocol):
    """Ends calls that did not run in this process."""

    def answer(self, call: Call, recorded: Recorded) -> None:
        """End the call with the result of an equal one."""

    def refuse(self, call: Call, error: BaseException) -> None:
        """End the call without an answer."""

    def start(self, call: Call) -> None:
        """Let a call go on that waited for an equal one and got nothing."""


class Jobs(Protocol):
    """Says what a worker needs to know of a call."""

    def arguments(self, call: Call) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """The call's arguments with results in the place of handles."""

    def facts(self, call: Call) -> CallFacts:
        """What the call's code may ask about it."""


class Charges(Protocol):
    """Books what code spends."""

    def charge(self, frame: Frame, amounts: dict[str, float]) -> None:
        """Book what a running call spent."""


class Batching(Protocol):
    """Gathers calls into batches."""

    def add(self, call: Call) -> None:
        """Put a call that may start into the open batch of its task."""

    def drop(self, call: Call) -> None:
        """A call of a running batch must stop."""

    def charge(self, batch: Batch, amounts: dict[str, float], item: int | None) -> None:
        """Book what a batch function spent."""


class Streaming(Protocol):
    """Hands out the items of streams."""

    def hand_out(self, call: Call, items: AsyncGenerator[Any, None]) -> Coroutine[Any, Any, int]:
        """Run a stream's code to its end; how many items there were."""


class Line(Protocol):
    """Where calls wait for a budget."""

    def ask(self, call: Call, account: Account, wanted: Amounts) -> Refusal | None:
        """Why a call that has room can't begin; None where it may reserve now. Where it `may_fit` it stands in line."""

    def settled(self, call: Call, account: Account) -> None:
        """A call gave back what it had reserved."""

    def changed(self) -> None:
        """Something was spent."""

    def leave(self, call: Call) -> bool:
        """The call asks for no budget any more; whether it stood in line."""

    def serve(self) -> None:
        """Let the calls go that can go on, and refuse those that never can."""

    def __bool__(self) -> bool:
        """Whether anybody waits."""


class Lender(Protocol):
    """Gets from the store what limits lack that processes share."""

    def look(self, wants: Sequence[Wanted]) -> None:
        """Calls have started or wait: ask, if there is a reason to."""


class Stopping(Ends, Stopper, Protocol):
    """Stops calls, and hears that their code is over."""


class Recalling(Protocol):
    """Stops calls again that an earlier life stopped."""

    def recall(self, call: Call) -> bool:
        """Stop the call if an earlier life did, and its code was undoing what it did; whether it was so."""
