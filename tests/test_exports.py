"""The public names, so that one appears or goes only on purpose."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import types

import pytest

import headway
from headway import errors

NAMES = [
    "CallView",
    "Collection",
    "CopiedCollection",
    "CopiedRun",
    "CopyProgress",
    "CopyReport",
    "FailedAttempt",
    "GridScan",
    "Group",
    "Handle",
    "Happened",
    "Hired",
    "MemoryStore",
    "Order",
    "PostgresStore",
    "PlannedCall",
    "QueueView",
    "ResumePlan",
    "Retry",
    "RunSummary",
    "RunView",
    "Scan",
    "ScheduleView",
    "Settled",
    "Snapshot",
    "SqliteStore",
    "Stream",
    "StreamItem",
    "Task",
    "Waiting",
    "WorkerView",
    "add_schedule",
    "aenqueue",
    "anytime",
    "aresult_of",
    "aresume",
    "aresume_all",
    "arun",
    "as_completed",
    "budget",
    "call",
    "cancel",
    "carry",
    "charge",
    "checkpoints",
    "collection",
    "copy_runs",
    "deadline",
    "enqueue",
    "events",
    "fork",
    "gather",
    "gather_affordable",
    "group",
    "limit",
    "map",
    "now",
    "pause_queue",
    "pause_schedule",
    "progress",
    "queues",
    "race",
    "random",
    "ref",
    "register",
    "remaining",
    "remove_schedule",
    "result_of",
    "resume",
    "resume_all",
    "resume_queue",
    "resume_schedule",
    "retry_stuck",
    "run",
    "runs",
    "schedules",
    "set_queue",
    "set_result",
    "scan",
    "scan_grid",
    "settle",
    "shielded",
    "signal",
    "sleep",
    "start",
    "stopping",
    "task",
    "testing",
    "time_left",
    "unkeyed",
    "view",
    "wait",
    "wait_event",
    "workers",
]


LATER = {"Checkpoints", "testing", "PostgresStore", "copy_runs", "CopyReport", "CopiedRun", "CopiedCollection", "CopyProgress"}
"""Imported when they are asked for."""


def test_every_public_name_is_there_and_no_other():
    found = {name for name, value in vars(headway).items() if not name.startswith(("_", "@")) and not _is_a_room(name, value)}
    found -= {"TYPE_CHECKING", "Any", "importlib"}
    raised = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, BaseException)}
    assert found - LATER == {*NAMES, *raised} - LATER
    assert {*headway.__all__} == {*NAMES, *raised, "Checkpoints"}


def _is_a_room(name: str, value: object) -> bool:
    """A folder or file of the package that somebody has imported, and that is no public name."""
    return isinstance(value, types.ModuleType) and value.__name__ == f"headway.{name}" and name != "events"


def test_a_star_import_brings_every_public_name():
    names: dict[str, object] = {}
    exec("from headway import *", names)
    assert names.keys() - {"__builtins__"} == {*headway.__all__}
    assert {*headway.__all__} <= {*dir(headway)}


def test_checkpoints_are_imported_when_they_are_asked_for():
    code = "import sys, headway; print({'numpy', 'xxhash'} & {*sys.modules}, headway.Checkpoints.__name__, 'xxhash' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set() Checkpoints True\n"
    with pytest.raises(AttributeError, match="has no attribute 'Checkpoint'"):
        _ = headway.Checkpoint


def test_the_simulator_is_imported_when_it_is_asked_for():
    code = "import sys, headway; print('headway.sim' in sys.modules, headway.testing.__name__, 'headway.sim' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False headway.testing True\n"


@pytest.mark.parametrize("missing", ["numpy", "xxhash"])
def test_checkpoints_without_their_extra_say_what_to_install(missing):
    code = f"""
import sys
sys.modules[{missing!r}] = None
from headway import *
import headway as hw
try:
    Checkpoints("runs")
except hw.UsageError as error:
    print(error)
@hw.task
async def train() -> str:
    try:
        hw.checkpoints()
    except hw.UsageError as error:
        return str(error)
print(hw.run(train, store="store", progress=False))
"""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.stdout == f"hw.Checkpoints needs {missing}: pip install 'headway[numpy]'\n" * 2, done.stderr


def test_every_error_says_when_it_is_raised():
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, BaseException):
            assert value.__doc__
            assert len(value.__doc__) > 20


def test_everything_public_is_documented():
    for name in NAMES:
        assert getattr(headway, name).__doc__, name
