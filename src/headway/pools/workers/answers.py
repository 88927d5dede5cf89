"""A worker's last word on its job, as an answer."""

from __future__ import annotations

from headway.journal.codec import codec
from headway.pools.base import Answer
from headway.pools.workers import messages


def read_value(done: messages.Done, fd: int | None, *, pickled: bool) -> Answer:
    """The value of a job that has returned, or why it can't be read."""
    try:
        head, buffers = messages.unpack_shared(done.payload, fd)
        own = messages.unpack_private(done.payload, fd)[1] if buffers else []
        value = codec.decode(head, own, pickle=pickled)
    except Exception as error:
        return Answer(error=error)
    return Answer(value=value, encoded=codec.Encoded(head, tuple(buffers)))


def read_error(failed: messages.Failed, pid: int) -> Answer:
    """The error of a job that has failed."""
    error = codec.decode_error(failed.error, remote=True)
    if failed.error.trace.startswith(("Traceback", "…")):
        codec.add_note(error, f"in worker process {pid}:\n{failed.error.trace.rstrip()}")
    return Answer(error=error, origins=tuple(failed.origins))
