"""The base of every event, and the sinks that receive them.

Events are small frozen structs with a wall-clock time. They are made only while somebody listens. A sink is any callable that takes
an event; it must not block, and an exception it raises ends its subscription with a warning, never the run.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=True):
    """Something that happened, at the wall-clock time `at` (seconds since 1970)."""

    at: float


Sink = Callable[[Event], None]
