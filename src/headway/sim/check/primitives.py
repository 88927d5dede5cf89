"""Locks, semaphores, events and queues of asyncio that a program keeps in its modules.

A program that is resumed is a new process, in which they are new and bound to no loop. A check lives many lives in one process, so
it makes them new for each.
"""

from __future__ import annotations

import asyncio
import copy
import sys
from collections.abc import Callable
from typing import Any

_KINDS = (asyncio.Lock, asyncio.Semaphore, asyncio.Event, asyncio.Condition, asyncio.Queue)


class Primitives:
    """Those in the module of a function, as they are now."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        module = sys.modules.get(fn.__module__)
        found = [value for value in vars(module).values() if isinstance(value, _KINDS)] if module is not None else []
        self._as_new = [(primitive, {name: copy.copy(value) for name, value in vars(primitive).items()}) for primitive in found]

    def renew(self) -> None:
        for primitive, state in self._as_new:
            vars(primitive).clear()
            vars(primitive).update({name: copy.copy(value) for name, value in state.items()}, _loop=None)
