"""What all tests share: runs on a virtual clock, in a store of their own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from headway import testing

# A slow machine is no failure: timing is asserted nowhere.
settings.register_profile("headway", settings.get_profile("ci" if os.environ.get("CI") else "default"), deadline=None)
settings.load_profile("headway")

# A store that is used on the thread of an event loop is an error, also in the processes that tests start.
os.environ["HEADWAY_DEBUG"] = "1"

# Nor is the width of a terminal, which whoever started the tests may have said.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)


@pytest.fixture
def clock() -> testing.VirtualClock:
    return testing.VirtualClock()


@pytest.fixture
def go(tmp_path: Path, clock: testing.VirtualClock) -> Callable[..., Any]:
    """Run a program on the virtual clock; the same store and run id each time, so a second call resumes."""

    def start(program: Any, *args: Any, **options: Any) -> Any:
        options.setdefault("store", tmp_path / "store")
        options.setdefault("run_id", "run")
        return testing.run(program, *args, clock=clock, **options)

    return start


class Crash(BaseException):
    """Stands for the death of the process: raised out of a sink, nothing after it is recorded."""
