"""What all tests share: runs on a virtual clock, in a store of their own."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
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


MOST_S = 86_400.0  # of a virtual clock, that a program of a test may wait
LAST = "tests/proof/"  # many short tests: they fill what is left of the time
SEED = "HEADWAY_PROOF_SEED"  # the long tests of random programs look at seeds from this number on


def pytest_configure(config: pytest.Config) -> None:
    """Take the seed from the code, so that a change looks at new programs, and the same code at the same ones each time."""
    os.environ[SEED] = os.environ.get(SEED) or str(_digest_code() % 1_000_000_000)


def _digest_code() -> int:
    found = hashlib.blake2b(digest_size=8)
    for path in sorted((Path(__file__).parents[1] / "src").rglob("*.py")):
        found.update(path.read_bytes())
    return int.from_bytes(found.digest())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.nodeid.startswith(LAST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from spread import Spread

    return Spread(config, log)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    ran = [report.nodeid for name in ("passed", "failed") for report in terminalreporter.stats.get(name, ())]
    if any("test_many_random_programs" in nodeid for nodeid in ran):
        seed = os.environ[SEED]
        terminalreporter.write_line(f"random programs: seeds from {seed} on ({SEED}={seed} repeats them)")


@pytest.fixture
def clock() -> testing.VirtualClock:
    """A clock on which nobody waits for ever: a program that does fails."""
    return testing.VirtualClock(most_s=MOST_S)


@pytest.fixture
def go(tmp_path: Path, clock: testing.VirtualClock) -> Callable[..., Any]:
    """Run a program on the virtual clock; the same store and run id each time, so a second call resumes."""

    def start(program: Any, *args: Any, **options: Any) -> Any:
        options.setdefault("store", tmp_path / "store")
        options.setdefault("run_id", "run")
        return testing.run(program, *args, clock=clock, **options)

    return start


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one, for what needs no disk: thousands of stores would wait for it long."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or shutil.disk_usage(memory).free < 1 << 28:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="headway-tests-", dir=memory) as folder:
        yield Path(folder)


class Crash(BaseException):
    """Stands for the death of the process: raised out of a sink, nothing after it is recorded."""
