"""Programs to be killed: started in a folder of their own, and gone after the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from victims import Victims


@pytest.fixture
def victims(tmp_path: Path) -> Iterator[Victims]:
    started = Victims(tmp_path)
    yield started
    started.end()
