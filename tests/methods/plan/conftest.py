"""Lets the tests in this folder import what they share, and ask a real server that plays what it is told."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture(scope="session")
def player() -> Iterator[Any]:
    """A server of the OpenAI protocol that plays the events in its prompt, to models whose name begins with `plays`."""
    sys.path.insert(0, str(MODELS))
    try:
        import servers
    finally:
        sys.path.remove(str(MODELS))
    server = servers.start(str(MODELS / "misbehaving.py"), lines=1)
    yield server
    servers.stop(server)
