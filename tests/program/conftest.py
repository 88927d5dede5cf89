"""What the tests of programs share: empty notes, and runs that end."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from notes import RAN, SWITCH


@pytest.fixture(autouse=True)
def _empty_notes() -> Iterator[None]:
    RAN.clear()
    SWITCH.clear()
    yield
    RAN.clear()
    SWITCH.clear()


@pytest.fixture
def soon(go: Callable[..., Any]) -> Callable[..., Any]:
    """As `go`, and what would wait for ever fails after an hour of the virtual clock."""
    return functools.partial(go, deadline_s=3600)
