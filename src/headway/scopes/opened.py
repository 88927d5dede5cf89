"""What every scope is: a block that is opened with `with`, and that the calls made inside inherit."""

from __future__ import annotations

import contextlib
from contextvars import Token

from headway.engine.call import Frame, current
from headway.engine.scopes.bounds import Scope
from headway.errors import UsageError
from headway.relay import wire
from headway.relay.client import Block, asking

ASKED_ELSEWHERE = "ask in the code of a task, and hand the answer on"
BOUND_ELSEWHERE = "open it around the call of the task; hw.remaining() and hw.time_left() tell here what is left"


class Opened:
    """A `with` block that derives a scope from the one around it."""

    _token: Token[Frame | None] | None = None
    _block: Block | None = None  # where it was opened in a worker

    def _enter(self, frame: Frame, scope: Scope) -> None:
        self._run_in(frame._replace(scope=scope))

    def _run_in(self, inner: Frame) -> None:
        if self._token is not None:
            raise UsageError(f"{type(self).__name__} scope opened twice: make a new one for each with block")
        self._token = current.set(inner)

    def _open_in_worker(self, question: wire.Question) -> bool:
        """Open it on the driver's side, if this is a worker that can ask for it."""
        client = asking()
        if client is None:
            return False
        if self._block is not None:
            raise UsageError(f"{type(self).__name__} scope opened twice: make a new one for each with block")
        self._block = client.open(question)
        return True

    def _leave(self) -> None:
        if self._token is not None:
            with contextlib.suppress(ValueError):  # code that was left behind, and is freed in another context
                current.reset(self._token)
            self._token = None
