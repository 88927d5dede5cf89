"""Handles of calls that code in a worker has made: the same face as on the driver, with the call itself out of reach."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from headway.engine.handle import Handle
from headway.errors import UsageError
from headway.journal.records import Amounts
from headway.relay import wire

if TYPE_CHECKING:
    from headway.relay.client import Client

T_co = TypeVar("T_co", covariant=True)
_ENDED = ("ok", "failed", "cancelled")


class RemoteHandle(Handle[T_co]):
    """A handle in a worker."""

    __slots__ = ("_client", "_hex", "_label", "_number", "_task")

    def __init__(self, client: Client, number: int, key: str, task: str, label: str) -> None:
        self._client = client
        self._number = number
        self._hex, self._task, self._label = key, task, label

    @property
    def key(self) -> str:
        return self._hex

    @property
    def _key(self) -> bytes:
        return bytes.fromhex(self._hex)

    @property
    def task(self) -> str:
        return self._task

    @property
    def label(self) -> str:
        return self._label

    @property
    def state(self) -> str:
        return self._look()[0]

    @property
    def cost(self) -> Amounts:
        return self._look()[1]

    def done(self) -> bool:
        return self.state in _ENDED

    def cancelled(self) -> bool:
        return self.state == "cancelled"

    def result(self) -> T_co:
        value: T_co = self._client.ask(wire.EndOfCall(self._number, error=False))
        return value

    def exception(self) -> BaseException | None:
        error: BaseException | None = self._client.ask(wire.EndOfCall(self._number, error=True))
        return error

    def cancel(self, reason: str = "") -> None:
        self._client.post(wire.CancelCall(self._number, reason))

    def __await__(self) -> Generator[Any, Any, T_co]:
        value: T_co = yield from self._client.later(wire.AwaitCall(self._number)).__await__()
        return value  # no sooner is this handle let go of, for the run forgets what nobody holds

    def __bool__(self) -> NoReturn:
        raise UsageError(
            f"{self._task}({self._label}) is a call, neither true nor false: write `await` before it to ask about its result "
            "(hw.wait(…) in a plain def), or `is None` to ask whether there is a handle"
        )

    def __repr__(self) -> str:
        return f"<{self._task}({self._label}) {self._hex[:8]}>"

    def _look(self) -> tuple[str, Amounts]:
        seen: tuple[str, Amounts] = self._client.ask(wire.LookAtCall(self._number))
        return seen
