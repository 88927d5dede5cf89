"""One tree of exceptions. Each class says when it is raised; each message says what happened, where and what to do next.

`HeadwayError` is the root. Four branches, by who has to act:

- `UsageError`: the program asked for something that cannot work. Fix the program. Never retried.
- `CallError`: one call could not give a result although the program is right.
- `RunError`: a run cannot start, go on or end.
- `StoreError`: what is remembered cannot be read or written.
"""

from __future__ import annotations


class HeadwayError(Exception):
    """The root of everything that Headway raises by itself."""


# --- the program is wrong: never retried -----------------------------------------------------------------------------


class UsageError(HeadwayError):
    """The program asked for something that cannot work; a retry would fail the same way."""


class NoCanonicalForm(UsageError, TypeError):
    """An argument has no canonical form, so the call cannot be named by what it asks. Raised at the call."""


class WrongArguments(UsageError, TypeError):
    """A task was called with arguments that its signature does not take. Raised at the call."""


class NotEncodable(UsageError, TypeError):
    """A value cannot be encoded for the journal; the message says which part of it. Fails that call at once."""


class NotDecodable(UsageError, TypeError):
    """A recorded value names a type that this program does not declare. Register the type or annotate the task."""


class ArgumentChanged(UsageError, ValueError):
    """An argument of a call was changed before the call had ended, by the task or by code that shares the object.

    A replay returns the recorded result and can't repeat the change, so the call fails. What it failed with besides is the
    `__cause__`.

    Attributes:
        value: what the call would have returned.
        unseen: whether the call was stopped (cancelled, a lost race, a deadline above it). Nobody looks at its error, so the call
            that made it fails with it as well.
    """

    value: object = None
    unseen: bool = False


class ItemChanged(UsageError, ValueError):
    """A stream ran again, after a crash or a failure, and yielded something else than it had handed out before."""


class ForeignHandle(UsageError, ValueError):
    """A handle of another run was passed to a call or awaited."""


class CycleError(UsageError, ValueError):
    """Calls would wait for each other without end (through `ref`, an argument or an await)."""


class NotInRun(UsageError, RuntimeError):
    """Something that needs a run (`hw.sleep`, `hw.remaining`, …) was used outside of one."""


class ResourceUnavailable(UsageError, ValueError):
    """A call needs more of a named resource than the run has, or than its waiting ancestors leave free."""


class StoreOnLoop(UsageError, RuntimeError):
    """A store was used on the event loop's thread, and everything else on the loop would have waited for it.

    Raised in debug mode only: `HEADWAY_DEBUG=1`, asyncio's debug mode, `hw.testing`. Use the store in another thread:
    `await asyncio.to_thread(hw.view, …)`.
    """


# --- one call could not give a result --------------------------------------------------------------------------------


class CallError(HeadwayError):
    """One call ended without a result for a reason outside of its own code."""


class CallTimeout(CallError, TimeoutError):
    """A call took longer than the `timeout=` of its task."""


class DeadlineExceeded(CallError, TimeoutError):
    """The deadline of an enclosing scope passed before the work under it ended."""


class BudgetExceeded(CallError):
    """A reservation would overdraw a budget, or the budget's scope is closed. The money was not spent."""


class CallCancelled(CallError):
    """Somebody waits for the result of a call that was cancelled."""


class NoWinner(CallError):
    """A race ended without a winner although a contestant succeeded: `accept` took none of the results."""


class InputFailed(CallError):
    """A call got a handle as an argument and that call failed; its error is the `__cause__`."""


class CallExited(CallError):
    """The code of a call raised something that is no `Exception`. That ends the call, not the run.

    It called `sys.exit`, or raised KeyboardInterrupt, GeneratorExit, a failure of pytest, a cancellation that nobody asked for.
    `__cause__` is what was raised.
    """


class WorkerDied(CallError):
    """The process that ran a call ended without an answer (crash, out of memory, `os._exit`)."""


class RemoteError(CallError):
    """An exception from a worker whose class is not loaded here.

    It has the name and the text of the original, and is also a kind of what the original was a kind of, as far as that is loaded:
    `except ValueError` catches it too.
    """


class ModelError(CallError):
    """A language model gave no reply, and asking again would not help: it refused the request, or does not speak the protocol.

    Attributes:
        status: the HTTP status that it answered with, where it answered.
        may_have_cost: whether it may have worked on the request all the same. It is then booked at its reservation.
    """

    status: int | None = None
    may_have_cost: bool = False


class ModelUnavailable(ModelError):
    """A language model gave no reply this time: a rate limit, a timeout, a broken connection, a fault of its server.

    Attributes:
        retry_after_s: how long it asked to be left alone, in seconds; a retry waits at least as long.
    """

    retry_after_s: float = 0.0


class ToolArgumentsError(CallError, ValueError):
    """The arguments that a model wrote for a tool can't be taken. The text is for the model: what is wrong, and what is allowed."""


class ToolUnavailable(CallError):
    """A tool could not be reached this time: its server could not be opened, or its connection broke."""


# --- a run cannot start, go on or end --------------------------------------------------------------------------------


class RunError(HeadwayError):
    """A run cannot start, go on or end."""


class PoolFailed(RunError):
    """A pool that somebody brought did not do what a pool does. That ends the run; what is finished is journaled.

    It could not start, answered twice, or failed when it was asked for free slots. A resume goes on with the run.
    """


class UnknownRun(RunError, KeyError):
    """The store has no run of this name."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class RunMismatch(RunError, ValueError):
    """The run id was used before for another task or other arguments."""


class RunOwned(RunError):
    """Another live process drives this run; the message says who, since when and how to take over."""


class RunCancelled(RunError):
    """The run was cancelled, here or from another process."""


class QueueFull(RunError):
    """A queue has as many jobs as it may; the run was not enqueued."""


class SourceChanged(RunError):
    """The source of a task with `on_change="ask"` differs from the one that made a recorded result."""


class Interrupted(RunError):
    """The run was stopped with Ctrl-C or SIGTERM; what is finished is journaled. The message says how to go on.

    A loop over the steps of a training raises it too, when another rank got SIGTERM.
    """


# --- what is remembered cannot be read or written --------------------------------------------------------------------


class StoreError(HeadwayError):
    """What is remembered cannot be read or written."""


class StoreVersion(StoreError):
    """The store was written by a version with another schema."""


class StoreDamaged(StoreError):
    """A record or a blob does not have the bytes that were written."""


class StoreFull(StoreError, OSError):
    """The disk (or quota) is full, or the disk refuses to write. What was committed before is safe."""


class StoreNotReplicated(StoreError):
    """A commit is on one server alone, although standbys were to have it: it is not reported as durable."""


class LeaseLost(StoreError):
    """Another driver took this run over; what this one writes from now on is rejected."""


# --- what a checkpoint holds cannot be read, written or fitted --------------------------------------------------------


class CheckpointError(StoreError):
    """A checkpoint could not be saved or loaded. Nothing of the caller's state was changed unless the message says so."""


class NoCheckpoint(CheckpointError, FileNotFoundError):
    """There is no checkpoint to load, or not the one that was asked for."""


class CheckpointDamaged(CheckpointError):
    """Bytes of a checkpoint are missing or not what was written; the message names the tensor, the file and the block."""


class CheckpointMismatch(CheckpointError, ValueError):
    """The state and the checkpoint don't fit: a tensor is missing, unexpected, or of another shape or type."""


class CheckpointConflict(CheckpointError):
    """Somebody else saves to the same root: the newest checkpoint there is not the one that this save is based on."""


class SaveFailed(CheckpointError):
    """A checkpoint was not saved. The earlier ones are as they were."""


class LayoutError(UsageError, ValueError):
    """A declared layout does not fit the state: a rule that matches nothing, a tensor without one, sizes that don't add up."""
