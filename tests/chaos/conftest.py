"""Programs to be killed: started in a folder of their own, and gone after the test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from victims import PROGRAMS, Victims

sys.path.append(str(PROGRAMS))  # tests read the constants of some


@pytest.fixture
def victims(tmp_path: Path) -> Iterator[Victims]:
    started = Victims(tmp_path)
    yield started
    started.end()
