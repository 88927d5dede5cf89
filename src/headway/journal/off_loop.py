"""In debug mode, catches code that uses a store on the event loop's thread while the loop drives a run.

Nothing on the loop may wait for a store: a disk or a network that is slow for a moment would hold up every call of the run. Code
that breaks the rule works, and is slow where nobody looks, so while runs are debugged each store that may have to wait (the one in
memory never does) asks here before it does anything. A run is debugged where HEADWAY_DEBUG is set, where its loop is in asyncio's
debug mode, under `hw.testing` and in the simulator.

Watching is by thread, not by store: code of a call that opens the same folder a second time holds the loop up just as well.
Outside of debug mode a check costs a look at an empty dictionary.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from headway.errors import StoreOnLoop

_watched: dict[int, int] = {}  # thread: how many runs are driven on it
_JOURNAL = __name__.rpartition(".")[0]


def is_debugging() -> bool:
    """Whether HEADWAY_DEBUG asks for the checks of debug mode in every run."""
    return os.environ.get("HEADWAY_DEBUG", "") not in ("", "0")


@contextmanager
def watch_thread(wanted: bool) -> Iterator[None]:
    """Refuse every use of a store on this thread meanwhile, if `wanted`."""
    if not wanted:
        yield
        return
    thread = threading.get_ident()
    _watched[thread] = _watched.get(thread, 0) + 1
    try:
        yield
    finally:
        _unwatch(thread)


def _unwatch(thread: int) -> None:
    left = _watched.pop(thread, 1) - 1  # a fork has forgotten it
    if left:
        _watched[thread] = left


@contextmanager
def as_beside() -> Iterator[None]:
    """Let stores be used meanwhile: for a simulator, which has one thread for what would have threads of their own."""
    kept = _watched.pop(threading.get_ident(), 0)
    try:
        yield
    finally:
        if kept:
            _watched[threading.get_ident()] = kept


class Named(Protocol):
    """A store, or a part of one, for messages."""

    @property
    def url(self) -> str:
        """How a user names it."""


def check_thread(store: Named) -> None:
    """Called by a store before it reads or writes.

    Raises:
        StoreOnLoop: this is the thread of a loop whose run is debugged.
    """
    if _watched and threading.get_ident() in _watched:
        raise StoreOnLoop(_say(store.url, sys._getframe(1)))


def _say(url: str, frame: FrameType) -> str:
    """Names the method of the store, the function of `hw.` if one led to it, and the line that called."""
    asked = ""
    while frame.f_back is not None and (_module(frame).startswith(_JOURNAL) or _module(frame) == "contextlib"):
        asked = asked if frame.f_code.co_name.startswith("_") else frame.f_code.co_name
        frame = frame.f_back
    line = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    outer, function = frame, ""
    while outer.f_back is not None and _module(outer).startswith("headway."):
        function, outer = outer.f_code.co_name, outer.f_back
    instead = f"await asyncio.to_thread({function or asked}, …), or call it in a task with pool='thread'"
    if function and not _module(outer).startswith("asyncio"):
        line = f"{outer.f_code.co_filename}:{outer.f_lineno}, through {function}"
    return (
        f"{asked or 'opening it'} of the store {url} was called on the event loop's thread (at {line}): every call of the run "
        f"would wait for the store. {instead[0].upper()}{instead[1:]}"
    )


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


os.register_at_fork(after_in_child=_watched.clear)
