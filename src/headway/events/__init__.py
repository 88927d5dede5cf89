"""The one stream of what the runtime does. Progress and the JSONL sink are built on it.

`runs`, `calls` and `checkpoints` define the events; import them from here. In files they are told apart by their class names, so
no two events may share one.
"""

from headway.events.base import Event as Event
from headway.events.base import Sink as Sink
from headway.events.calls import CallCharged as CallCharged
from headway.events.calls import CallEnded as CallEnded
from headway.events.calls import CallProgress as CallProgress
from headway.events.calls import CallRetrying as CallRetrying
from headway.events.calls import CallReused as CallReused
from headway.events.calls import CallSpawned as CallSpawned
from headway.events.calls import CallStarted as CallStarted
from headway.events.calls import CallWaits as CallWaits
from headway.events.calls import CancelRequested as CancelRequested
from headway.events.checkpoints import CheckpointDiffers as CheckpointDiffers
from headway.events.checkpoints import CheckpointEvent as CheckpointEvent
from headway.events.checkpoints import CheckpointFailed as CheckpointFailed
from headway.events.checkpoints import CheckpointLoaded as CheckpointLoaded
from headway.events.checkpoints import CheckpointPhase as CheckpointPhase
from headway.events.checkpoints import CheckpointSaved as CheckpointSaved
from headway.events.checkpoints import CheckpointSkipped as CheckpointSkipped
from headway.events.runs import BatchStarted as BatchStarted
from headway.events.runs import BudgetChanged as BudgetChanged
from headway.events.runs import BudgetOpened as BudgetOpened
from headway.events.runs import Committed as Committed
from headway.events.runs import DeadlineOpened as DeadlineOpened
from headway.events.runs import RunEnded as RunEnded
from headway.events.runs import RunStarted as RunStarted
from headway.events.runs import Warned as Warned
from headway.events.runs import WorkerEnded as WorkerEnded
from headway.events.runs import WorkerStarted as WorkerStarted

AnyEvent = (
    RunStarted
    | RunEnded
    | CallSpawned
    | CallReused
    | CallStarted
    | CallRetrying
    | CallCharged
    | CallProgress
    | CallWaits
    | CancelRequested
    | CallEnded
    | BudgetOpened
    | BudgetChanged
    | DeadlineOpened
    | BatchStarted
    | WorkerStarted
    | WorkerEnded
    | Committed
    | CheckpointPhase
    | CheckpointSaved
    | CheckpointSkipped
    | CheckpointFailed
    | CheckpointDiffers
    | CheckpointLoaded
    | Warned
)
