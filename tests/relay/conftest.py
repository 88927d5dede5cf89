"""Tests of calls from workers: the bodies' notes are taken anew for each."""

from __future__ import annotations

import bodies
import pytest


@pytest.fixture(autouse=True)
def _fresh_notes() -> None:
    bodies.DONE.clear()
