"""Saves through the helper process: begins a save, reports how far the copy is, reports that it is complete.

Nothing here waits for the disk. If the helper dies, its saves fail, each with an event that says why, and the next save starts a
new helper.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from headway.checkpoint.files.manifest import Phase
from headway.checkpoint.helper.messages import Abandon, Happened, Progress, Staged, WriterPlan
from headway.checkpoint.helper.process import HelperProcess
from headway.checkpoint.process.failpoints import reach
from headway.errors import SaveFailed

_END_TIMEOUT_S = 30.0


class Begun(NamedTuple):
    """A save that has begun: `image` is the shared memory that its file is to be copied to."""

    id: str
    image: memoryview
    helper: HelperProcess

    def progress(self, copied: int) -> None:
        """Tell the helper that the first `copied` bytes are final."""
        self.helper.send(Progress(self.id, copied))

    def staged(self, phases: tuple[Phase, ...] = ()) -> None:
        """Tell the helper that all bytes are in place and belong together. Nothing may write to the image any more."""
        reach("trainer:copied")
        self.helper.end_copy(Staged(self.id, phases))
        reach("trainer:staged")

    def abandon(self, reason: str) -> None:
        """Tell the helper that the image is of no use. Nothing may write to it any more. After `staged`: don't wait for other
        writers."""
        self.helper.end_copy(Abandon(self.id, reason))


class HelperClient:
    """One trainer process's helper. It starts with the first `prepare` or `begin`.

    Args:
        on_event: called in a thread of this client with what became of each save: `Written`, then `Durable`; or `Failed`.
        buffers: how many saves may be on their way at once. Memory for the second is taken only when it is needed.
        nice: the niceness of the helper, which gives way to the training.

    Example:
        client = HelperClient(on_event=print)
        begun = client.begin(plan)  # None: all buffers are in use, skip this one
        begun.image[:] = file_image
        begun.staged()
        client.close()
    """

    def __init__(self, on_event: Callable[[Happened], None], *, buffers: int = 2, nice: int = 10) -> None:
        self._on_event = on_event
        self._most = buffers
        self._nice = nice
        self._helper: HelperProcess | None = None
        self._starting = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The helper's process id, None while there is none."""
        return self._helper.pid if self._helper is not None and self._helper.usable else None

    def prepare(self, nbytes: int) -> None:
        """Allocate memory for a save of this size now. Raises SaveFailed if there is not enough."""
        helper = self._alive()
        buffer = helper.take_buffer(nbytes, 1)
        if buffer is not None:
            helper.give_back(buffer.number)

    def begin(self, plan: WriterPlan) -> Begun | None:
        """Begin a save; None if earlier ones still use all buffers. The caller must end it with `staged` or `abandon`.

        Raises SaveFailed if no helper can be started or there is not enough memory.
        """
        helper = self._alive()
        buffer = helper.take_buffer(plan.nbytes, self._most)
        if buffer is None:
            return None
        begun = Begun(plan.id, buffer.view(plan.nbytes), helper)
        helper.begin(plan, buffer)
        reach("trainer:begun")
        return begun

    def in_flight(self) -> list[str]:
        """List the saves that are neither durable nor failed."""
        return self._helper.in_flight() if self._helper is not None else []

    def wait_fewer(self, than: int, timeout_s: float | None = None) -> bool:
        """Wait until fewer saves are in flight. Return whether they are."""
        return self._helper is None or self._helper.wait_fewer(than, timeout_s)

    def close(self, timeout_s: float | None = None) -> list[str]:
        """Wait until all saves are durable or have failed, and let the helper end. Return those still in flight after `timeout_s`;
        the helper finishes those of them that are staged."""
        with self._starting:
            helper, self._helper = self._helper, None
        if helper is None:
            return []
        helper.wait_idle(timeout_s)
        left = helper.in_flight()
        helper.shut(0 if left else _END_TIMEOUT_S)
        return left

    def _alive(self) -> HelperProcess:
        with self._starting:
            if self._helper is None or not self._helper.usable:
                try:
                    self._helper = HelperProcess(self._on_event, self._nice)
                except OSError as error:
                    raise SaveFailed(f"no helper process could be started: {error}") from error
            return self._helper
