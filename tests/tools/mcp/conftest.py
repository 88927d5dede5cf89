"""A wild MCP server for each test, on the transports that it asks for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("mcp")
sys.path.insert(0, str(Path(__file__).parent))

from wild import Wild


@pytest.fixture(params=["stdio", "http", "in process"])
def wild(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Wild]:
    made = Wild(tmp_path, request.param)
    yield made
    made.stop()


@pytest.fixture
def make_wild(tmp_path: Path) -> Iterator[Callable[[str], Wild]]:
    made: list[Wild] = []

    def make(kind: str) -> Wild:
        made.append(Wild(tmp_path, kind))
        return made[-1]

    yield make
    for each in made:
        each.stop()
