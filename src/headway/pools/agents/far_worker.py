"""A worker process on another machine as its pool sees it: the same as one on this machine, at the end of a longer line.

Jobs, answers, charges, logs and interrupts are those of `RemoteWorker`. Only the process is not here: an agent starts it, kills it,
and says how it ended. A worker may be made before its agent has come; its job waits, as it does for a process that starts.
If the agent is lost, the worker has died, and so its job is answered: the retries of a dead worker are the same everywhere.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from headway.errors import WorkerDied
from headway.ipc.beside import BESIDE
from headway.journal.codec import codec
from headway.pools.agents import direct
from headway.pools.agents.direct import Stored
from headway.pools.agents.wire import frames
from headway.pools.agents.wire.frames import Frame, Link
from headway.pools.base import Answer, FunctionRef, Job
from headway.pools.program import code_digest, function_ref
from headway.pools.workers import messages
from headway.pools.workers.deaths import how_it_ended
from headway.pools.workers.worker_process import RemoteWorker

if TYPE_CHECKING:
    from headway.pools.agents.post import Post

KILL_S = 5.0
"""How long an agent may take to kill a worker before it counts as lost."""

_encode = msgspec.msgpack.Encoder().encode
_decode_stored = msgspec.msgpack.Decoder(Stored).decode
_decode = msgspec.msgpack.Decoder(messages.Message).decode


@functools.lru_cache(maxsize=1024)
def _digested(ref: FunctionRef) -> FunctionRef:
    """The function with the digest of its code, as it was when it was first used."""
    return dataclasses.replace(ref, digest=code_digest(ref))


class OnLine(Protocol):
    """What a worker needs of the agent that runs it."""

    link: Link
    name: str

    def send(self, kind: int, worker: int, body: bytes = b"", fd: int | None = None) -> None: ...
    def lose(self, why: str) -> None: ...


class _Outbox:
    """Where a worker's messages go: into the line, where there is one."""

    pending = False  # the line keeps what its socket does not take

    def __init__(self, worker: FarWorker) -> None:
        self._worker = worker

    def send(self, record: msgspec.Struct, fd: int | None = None) -> None:
        self._worker.put(frames.MESSAGE, _encode(record), fd)

    def flush(self) -> None:
        """Nothing: the line does that."""

    def close(self) -> None:
        """Nothing: the line belongs to the agent."""


class _Control:
    """The control socket of a worker on another machine."""

    def __init__(self, worker: FarWorker) -> None:
        self._worker = worker

    def send(self, data: bytes) -> int:
        self._worker.put(frames.CONTROL, data)
        return len(data)


class FarWorker(RemoteWorker):
    """One worker process at a post."""

    def __init__(
        self,
        post: Post,
        number: int,
        on_answer: Callable[[RemoteWorker, Job, Answer], None],
        on_end: Callable[[RemoteWorker, WorkerDied | None], None],
        emit: Callable[[Any], None] | None,
        *,
        pool: str = "process",
        on_ready: Callable[[], None] | None = None,
        on_meeting: Callable[[str], None] | None = None,
    ) -> None:
        self.post = post
        self._agent: OnLine | None = None
        self._holds_slot = False
        self._fetching: asyncio.Task[None] | None = None
        self._behind: list[Frame] = []  # what came after a result that is still read from the store
        super().__init__(number, on_answer, on_end, emit, pool=pool, on_ready=on_ready, on_meeting=on_meeting)
        self.owner = 0  # at the interpreter's end its agent kills it, when the connection ends

    # --- the line -----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._outbox, self._control = _Outbox(self), _Control(self)  # type: ignore[assignment]  # as far as a pool uses them
        self.post.enter(self)

    def begin(self, agent: OnLine) -> None:
        """The agent is there: have it start the process."""
        self._agent = agent
        self.put(frames.START)

    def put(self, kind: int, body: bytes = b"", fd: int | None = None) -> None:
        """Say something to the agent. Raises OSError where there is none."""
        if self._agent is None or self.ended.done():
            if fd is not None:
                os.close(fd)
            raise BrokenPipeError("the worker has no agent")
        self._agent.send(kind, self.number, body, fd)

    def take_frame(self, frame: Frame) -> None:
        """What the agent says of this worker."""
        if self.ended.done():
            if frame.fd is not None:
                os.close(frame.fd)
        elif self._fetching is not None:
            self._behind.append(frame)
        elif frame.kind == frames.MESSAGE:
            self._take_all([(_decode(frame.body), frame.fd)])
        elif frame.kind == frames.STARTED:
            self._pid = int(frame.body)
        elif frame.kind == frames.STORED:
            self._fetching = self._loop.create_task(self._fetch(_decode_stored(frame.body)))
        elif frame.kind == frames.EXITED:
            self._doomed = True
            self._finish(how_it_ended(int(frame.body)), None)
        elif frame.kind == frames.REFUSED:
            self._doomed = True
            self._finish("could not be started", OSError(f"{frame.body.decode()} (on {self.post.name})"))

    async def _fetch(self, stored: Stored) -> None:
        """Read a result from the store, off the loop, and answer the job."""
        pickled, blobs = self.job is not None and self.job.pickled, self.post.blobs
        try:
            found = await self._loop.run_in_executor(BESIDE, direct.fetch, blobs, stored)
            value = codec.decode(found.head, found.own, pickle=pickled)
            answer = Answer(value=value, encoded=codec.Encoded(found.head, tuple(found.buffers)))
        except Exception as error:  # also what the codec refuses
            answer = Answer(error=error)
        self._fetching = None
        self._answer(stored.number, answer)
        behind, self._behind = self._behind, []
        for frame in behind:
            self.take_frame(frame)

    def lose(self, why: str) -> None:
        """The agent is gone, or did not come."""
        if not self.ended.done():
            self._doomed, self._agent = True, None
            self._finish(f"was on {self.post.name}, which {why}", WorkerDied(f"{self.post.name} {why}") if not self.ready else None)

    # --- what differs for a process that is not here --------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        return not self._doomed

    def _refer(self, job: Job) -> FunctionRef:
        return _digested(job.ref or function_ref(job.fn))

    def assign(self, job: Job) -> None:
        super().assign(job)
        self.hold_slot()

    @property
    def stays(self) -> bool:
        """Whether it works for one call after another."""
        return self._pool == "process"

    def hold_slot(self) -> None:
        """Take a slot of the post, which is given back with the job's answer or the worker's end."""
        if not self._holds_slot:
            self._holds_slot = True
            self.post.take_slot()

    def _give_slot(self) -> None:
        if self._holds_slot:
            self._holds_slot = False
            self.post.give_slot()

    def _answer(self, serial: int, answer: Answer, *, last: bool = False) -> None:
        if self.job is not None and serial == self._serial and self._pool == "process" and not self._followers:
            self._give_slot()
        super()._answer(serial, answer, last=last)

    def _finish(self, why: str, cause: BaseException | None) -> None:
        self.post.leave(self)
        self._give_slot()
        super()._finish(why, cause)
        self._drop_waiting()

    def _explain_start(self, why: str, cause: BaseException | None) -> WorkerDied:
        return cause if isinstance(cause, WorkerDied) else super()._explain_start(why, cause)

    def dismiss(self) -> None:
        self._doomed = True
        if not self.ready or self.job is not None:
            self._cancelled = True
            self.kill()
            return
        with suppress(OSError):
            self.put(frames.LEAVE)
        self._killer = self._loop.call_later(KILL_S, self.kill)

    def kill(self) -> None:
        self._doomed = True
        if self.ended.done():
            return
        if self._agent is None:  # it has not come yet
            self._loop.call_soon(self.lose, "was not waited for any longer")
            return
        agent = self._agent
        try:
            self.put(frames.KILL)
        except OSError as error:
            agent.lose(f"can't be reached ({error})")
            return
        if self._killer is not None:
            self._killer.cancel()
        self._killer = self._loop.call_later(KILL_S, agent.lose, f"did not end a worker within {KILL_S:g} s")

    def _kill_group(self) -> None:
        self.kill()

    def _close_sockets(self) -> None:
        self._drop_waiting()
