"""What is known of the items of one call: those that this process has handed out, and who reads them. Kept by `streams` alone."""

from __future__ import annotations

import asyncio
from typing import Any

from headway.journal.decisions import Item


class Feed:
    """What a stream has handed out, and who reads it. `items` are those that this process knows; those of a call that is answered
    from the journal are looked up there, as far as `recorded`."""

    __slots__ = (
        "by_hand",
        "counted",
        "generation",
        "items",
        "kept",
        "listeners",
        "read",
        "readers",
        "recorded",
        "rests",
        "room",
        "runs",
        "unbounded",
        "was_read",
    )

    def __init__(self) -> None:
        self.generation = 0
        self.items: list[Item] = []
        self.kept: dict[int, tuple[memoryview, ...]] = {}  # the blobs of items that may not be in the store yet
        self.recorded = 0
        self.read = 0  # how many the reader that is farthest has taken
        self.readers: dict[object, Any] = {}  # loops that are open, and the calls whose they are
        self.listeners: list[asyncio.Future[None]] = []  # who waits for the next item
        self.room: asyncio.Future[None] | None = None  # the code, which waits for readers
        self.runs = False  # its code has begun in this process
        self.rests = False  # its code began in an earlier life, and waits until somebody wants more than that handed out
        self.unbounded = False  # it need not wait for readers
        self.counted = False  # somebody waits for its end, so that it goes on when its readers leave
        self.was_read = False
        self.by_hand = False  # the result was given by hand and has no items
