"""The arguments of a job as bytes for another process: pickled, with large buffers aside."""

from __future__ import annotations

import pickle

from headway.errors import UsageError
from headway.pools.base import Job


def pickle_arguments(job: Job) -> tuple[bytes, list[memoryview]]:
    """`(args, kwargs)` of a job; large buffers stay outside and are not copied. Raises UsageError, naming what can't be sent."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        head = pickle.dumps((tuple(job.args), dict(job.kwargs)), protocol=5, buffer_callback=buffers.append)
        return head, [buffer.raw() for buffer in buffers]
    except (MemoryError, OSError):
        raise
    except Exception as error:
        raise UsageError(
            f"{_culprit(job)} of {job.facts.task} cannot be sent to a worker process: {error}. "
            f'Pass plain data and make it there, or use pool="thread"'
        ) from error


def _culprit(job: Job) -> str:
    named = [*((f"argument {i}", value) for i, value in enumerate(job.args, 1)), *job.kwargs.items()]
    for name, value in named:
        try:
            pickle.dumps(value, protocol=5, buffer_callback=lambda _: None)
        except Exception:  # this is the one that could not be sent
            return f"{name} ({type(value).__name__})"
    return "an argument"
