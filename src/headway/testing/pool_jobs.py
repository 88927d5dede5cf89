"""The jobs that check a pool (`check_pool.py`). The pool's workers import this module."""

from __future__ import annotations

import contextvars
import os
import time
from pathlib import Path
from typing import Any

from headway.pools.carrying import carry
from headway.pools.current import worker_call

caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="nobody")
carry(caller)


def double(x: int) -> int:
    return 2 * x


def fail(text: str) -> None:
    raise ValueError(text)


def hold(mark: str) -> str:
    """Say that the code runs, wait until it may end, and say that it has."""
    path = Path(mark)
    path.touch()
    while path.with_suffix(".hold").exists():
        time.sleep(0.01)
    path.with_suffix(".over").touch()
    return path.name


def append(items: list[int]) -> int:
    items.append(7)
    return len(items)


def kind_of(thing: object) -> str:
    return type(thing).__name__


def ask() -> list[Any]:
    """What the code is told of its call."""
    call = worker_call()
    assert call is not None
    call.charge({"tokens": 3.0}, None)
    return [call.facts.task, call.facts.attempt, call.remaining()]


def tag() -> str:
    return caller.get()


def die(driver: int) -> str:
    if os.getpid() == driver:
        return "in the driver"
    os._exit(7)
