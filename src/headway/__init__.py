"""Headway runs parallel AI programs that never lose progress."""

import importlib
from typing import TYPE_CHECKING, Any

from headway import events
from headway.by_hand import set_result as set_result
from headway.collection import Collection as Collection
from headway.collection import Snapshot as Snapshot
from headway.collection import collection as collection
from headway.context import call as call
from headway.context import checkpoints as checkpoints
from headway.context import now as now
from headway.context import progress as progress
from headway.context import random as random
from headway.context import sleep as sleep
from headway.context import stopping as stopping
from headway.context import wait_event as wait_event
from headway.engine.dispatch.launch import Happened as Happened
from headway.engine.dispatch.order import Order as Order
from headway.engine.dispatch.order import Waiting as Waiting
from headway.engine.handle import Handle as Handle
from headway.engine.identity.signature import unkeyed as unkeyed
from headway.engine.outcomes.retry import Retry as Retry
from headway.engine.replay.dry_run import PlannedCall as PlannedCall
from headway.engine.replay.dry_run import ResumePlan as ResumePlan
from headway.engine.streaming.stream import Stream as Stream
from headway.engine.streaming.stream import StreamItem as StreamItem
from headway.errors import ArgumentChanged as ArgumentChanged
from headway.errors import BudgetExceeded as BudgetExceeded
from headway.errors import CallCancelled as CallCancelled
from headway.errors import CallError as CallError
from headway.errors import CallExited as CallExited
from headway.errors import CallTimeout as CallTimeout
from headway.errors import CheckpointConflict as CheckpointConflict
from headway.errors import CheckpointDamaged as CheckpointDamaged
from headway.errors import CheckpointError as CheckpointError
from headway.errors import CheckpointMismatch as CheckpointMismatch
from headway.errors import CycleError as CycleError
from headway.errors import DeadlineExceeded as DeadlineExceeded
from headway.errors import ForeignHandle as ForeignHandle
from headway.errors import HeadwayError as HeadwayError
from headway.errors import InputFailed as InputFailed
from headway.errors import Interrupted as Interrupted
from headway.errors import ItemChanged as ItemChanged
from headway.errors import LayoutError as LayoutError
from headway.errors import LeaseLost as LeaseLost
from headway.errors import ModelError as ModelError
from headway.errors import ModelUnavailable as ModelUnavailable
from headway.errors import NoCanonicalForm as NoCanonicalForm
from headway.errors import NoCheckpoint as NoCheckpoint
from headway.errors import NotDecodable as NotDecodable
from headway.errors import NotEncodable as NotEncodable
from headway.errors import NotInRun as NotInRun
from headway.errors import NoWinner as NoWinner
from headway.errors import PoolFailed as PoolFailed
from headway.errors import QueueFull as QueueFull
from headway.errors import RemoteError as RemoteError
from headway.errors import ResourceUnavailable as ResourceUnavailable
from headway.errors import RunCancelled as RunCancelled
from headway.errors import RunError as RunError
from headway.errors import RunMismatch as RunMismatch
from headway.errors import RunOwned as RunOwned
from headway.errors import SaveFailed as SaveFailed
from headway.errors import SourceChanged as SourceChanged
from headway.errors import StoreDamaged as StoreDamaged
from headway.errors import StoreError as StoreError
from headway.errors import StoreFull as StoreFull
from headway.errors import StoreNotReplicated as StoreNotReplicated
from headway.errors import StoreOnLoop as StoreOnLoop
from headway.errors import StoreVersion as StoreVersion
from headway.errors import ToolArgumentsError as ToolArgumentsError
from headway.errors import ToolUnavailable as ToolUnavailable
from headway.errors import UnknownRun as UnknownRun
from headway.errors import UsageError as UsageError
from headway.errors import WorkerDied as WorkerDied
from headway.errors import WrongArguments as WrongArguments
from headway.joins.base import Settled as Settled
from headway.joins.completed import as_completed as as_completed
from headway.joins.gather import gather as gather
from headway.joins.gather import gather_affordable as gather_affordable
from headway.joins.gather import settle as settle
from headway.joins.group import Group as Group
from headway.joins.group import group as group
from headway.joins.map import map as map
from headway.joins.race import race as race
from headway.joins.scan import GridScan as GridScan
from headway.joins.scan import Scan as Scan
from headway.joins.scan import scan as scan
from headway.joins.scan import scan_grid as scan_grid
from headway.joins.wait import wait as wait
from headway.journal.codec.declared import register as register
from headway.journal.memory import MemoryStore as MemoryStore
from headway.journal.sqlite.store import SqliteStore as SqliteStore
from headway.pools.agents.hired import Hired as Hired
from headway.pools.carrying import carry as carry
from headway.resume import aresume as aresume
from headway.resume import aresume_all as aresume_all
from headway.resume import resume as resume
from headway.resume import resume_all as resume_all
from headway.run import arun as arun
from headway.run import run as run
from headway.scopes.anytime import anytime as anytime
from headway.scopes.budget import budget as budget
from headway.scopes.budget import charge as charge
from headway.scopes.budget import remaining as remaining
from headway.scopes.deadline import deadline as deadline
from headway.scopes.deadline import time_left as time_left
from headway.scopes.limit import limit as limit
from headway.scopes.shield import shielded as shielded
from headway.service.enqueue import aenqueue as aenqueue
from headway.service.enqueue import enqueue as enqueue
from headway.service.queues import QueueView as QueueView
from headway.service.queues import WorkerView as WorkerView
from headway.service.queues import pause_queue as pause_queue
from headway.service.queues import queues as queues
from headway.service.queues import resume_queue as resume_queue
from headway.service.queues import retry_stuck as retry_stuck
from headway.service.queues import set_queue as set_queue
from headway.service.queues import workers as workers
from headway.service.results import aresult_of as aresult_of
from headway.service.results import result_of as result_of
from headway.service.schedules import ScheduleView as ScheduleView
from headway.service.schedules import add_schedule as add_schedule
from headway.service.schedules import pause_schedule as pause_schedule
from headway.service.schedules import remove_schedule as remove_schedule
from headway.service.schedules import resume_schedule as resume_schedule
from headway.service.schedules import schedules as schedules
from headway.service.starting import start as start
from headway.steer import cancel as cancel
from headway.steer import fork as fork
from headway.steer import signal as signal
from headway.task import Task as Task
from headway.task import ref as ref
from headway.task import task as task
from headway.view import CallView as CallView
from headway.view import FailedAttempt as FailedAttempt
from headway.view import RunSummary as RunSummary
from headway.view import RunView as RunView
from headway.view import runs as runs
from headway.view import view as view

if TYPE_CHECKING:
    from headway import testing as testing
    from headway.checkpoint.checkpoints import Checkpoints as Checkpoints
    from headway.journal.copying.report import CopiedCollection as CopiedCollection
    from headway.journal.copying.report import CopiedRun as CopiedRun
    from headway.journal.copying.report import CopyProgress as CopyProgress
    from headway.journal.copying.report import CopyReport as CopyReport
    from headway.journal.copying.runs import copy_runs as copy_runs
    from headway.journal.postgres.store import PostgresStore as PostgresStore

__version__ = "0.1.0"
__all__ = [
    "add_schedule",
    "aenqueue",
    "anytime",
    "aresult_of",
    "aresume",
    "aresume_all",
    "ArgumentChanged",
    "arun",
    "as_completed",
    "budget",
    "BudgetExceeded",
    "call",
    "CallCancelled",
    "CallError",
    "CallExited",
    "CallTimeout",
    "CallView",
    "cancel",
    "carry",
    "charge",
    "CheckpointConflict",
    "CheckpointDamaged",
    "CheckpointError",
    "CheckpointMismatch",
    "Checkpoints",
    "checkpoints",
    "collection",
    "Collection",
    "CopiedCollection",
    "CopiedRun",
    "copy_runs",
    "CopyProgress",
    "CopyReport",
    "CycleError",
    "deadline",
    "DeadlineExceeded",
    "enqueue",
    "events",
    "FailedAttempt",
    "ForeignHandle",
    "fork",
    "gather",
    "gather_affordable",
    "GridScan",
    "Group",
    "group",
    "Handle",
    "Hired",
    "Happened",
    "HeadwayError",
    "InputFailed",
    "Interrupted",
    "ItemChanged",
    "LayoutError",
    "LeaseLost",
    "limit",
    "map",
    "MemoryStore",
    "ModelError",
    "ModelUnavailable",
    "NoCanonicalForm",
    "NoCheckpoint",
    "NotDecodable",
    "NotEncodable",
    "NotInRun",
    "now",
    "Order",
    "NoWinner",
    "pause_queue",
    "pause_schedule",
    "PlannedCall",
    "PoolFailed",
    "PostgresStore",
    "progress",
    "QueueFull",
    "queues",
    "QueueView",
    "race",
    "random",
    "ref",
    "register",
    "remaining",
    "RemoteError",
    "remove_schedule",
    "ResourceUnavailable",
    "result_of",
    "resume",
    "resume_all",
    "resume_queue",
    "resume_schedule",
    "ResumePlan",
    "Retry",
    "retry_stuck",
    "run",
    "RunCancelled",
    "RunError",
    "RunMismatch",
    "RunOwned",
    "runs",
    "RunSummary",
    "RunView",
    "SaveFailed",
    "schedules",
    "ScheduleView",
    "set_queue",
    "set_result",
    "scan",
    "Scan",
    "scan_grid",
    "settle",
    "shielded",
    "Settled",
    "signal",
    "sleep",
    "start",
    "SourceChanged",
    "Snapshot",
    "SqliteStore",
    "stopping",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "StoreNotReplicated",
    "StoreOnLoop",
    "StoreVersion",
    "Stream",
    "StreamItem",
    "Task",
    "task",
    "testing",
    "time_left",
    "ToolArgumentsError",
    "unkeyed",
    "ToolUnavailable",
    "UnknownRun",
    "UsageError",
    "view",
    "wait",
    "wait_event",
    "Waiting",
    "WorkerDied",
    "workers",
    "WorkerView",
    "WrongArguments",
]

_LATER = {
    "CopiedCollection": "headway.journal.copying.report",
    "CopiedRun": "headway.journal.copying.report",
    "copy_runs": "headway.journal.copying.runs",
    "CopyProgress": "headway.journal.copying.report",
    "CopyReport": "headway.journal.copying.report",
    "PostgresStore": "headway.journal.postgres.store",
}
"""Where names are that few programs use."""


def __getattr__(name: str) -> Any:
    """What is imported when it is first used: `Checkpoints` needs numpy and xxhash, `testing` brings the simulator, and
    few programs use what is in `_LATER`."""
    if name == "Checkpoints":
        try:
            from headway.checkpoint.checkpoints import Checkpoints
        except ModuleNotFoundError as error:
            return _needs_numpy(error)
        return Checkpoints
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    if name == "testing":
        return importlib.import_module("headway.testing")
    raise AttributeError(f"module 'headway' has no attribute {name!r}")


def _needs_numpy(error: ModuleNotFoundError) -> Any:
    """In the place of `Checkpoints` where an extra is missing: it says so when it is used, so that a star import still works."""
    from headway.extras import EXTRAS, missing

    library = error.name or ""
    if library not in EXTRAS:
        raise error

    def checkpoints(*_: object, **__: object) -> Any:
        raise missing("hw.Checkpoints", library)

    return checkpoints


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
