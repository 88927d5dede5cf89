"""What the tasks of a test note and are told. The lists are emptied before and after each test (conftest.py).

Tasks that several tests use stand at the top of a file, so they cannot take a fixture. Nothing here may be used by a task of
another process: it would see lists of its own.
"""

from __future__ import annotations

from typing import Any

RAN: list[Any] = []  # what ran, in order
SWITCH: dict[str, Any] = {}  # what a test tells its tasks, and they each other
