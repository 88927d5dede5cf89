"""Where code runs, as the engine sees it: a pool takes jobs, one per free slot, and answers each exactly once.

The engine keeps the queue and the order; a pool keeps only slots. What kind of pool it is stands in its `traits`: the checks of
tasks, the engine and the simulator go by those, and never by a pool's name. A pool is honest about cancelling: it says at once what
it can do, and gives a slot back no earlier than the code has ended.

`Pool` is what somebody who brings one writes. `FullPool` is what the engine works with: the pools of this package are such, and
`guard.Guarded` makes one of anybody's.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from headway.errors import UsageError
from headway.journal.codec.codec import Encoded
from headway.journal.records import Amounts
from headway.journal.store import Buffer

Cancel = Literal["cooperative", "killed", "abandoned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a pool asks of the tasks that name it, and what it promises about their calls.

    Example:
        >>> Traits(imports=True, copies=True, cancel="killed").asks
        False
    """

    imports: bool = False
    """It finds the function by its module and name, so a task must be a function at the top level of a module."""
    copies: bool = False
    """The code gets copies of the arguments, which must be picklable, and what it changes in them nobody sees."""
    asks: bool = False
    """The code runs in `Job.context`, in this process: it may make calls, wait for them, and open budgets and deadlines."""
    relays: bool = False
    """The code runs elsewhere and may make calls all the same: the pool passes on what it asks of its run (`Job.on_ask`)."""
    lends: bool = False
    """A job that waits for other calls lends its slot to them (`FullPool.lend`)."""
    cancel: Cancel = "abandoned"
    """What becomes of code that is cancelled: it stops where it looks for it, is killed wherever it is, or goes on unheard."""
    members: str = ""
    """The need that says on how many members one job runs at once; empty where a job has one. Rank 0's result is the job's."""
    batches: bool = True
    """It takes batch tasks."""
    takes_async: bool = False
    """It takes `async def`."""
    attempts: int = 1
    """How many attempts a call has whose worker died, where its task says nothing of `retry=`."""
    needs: Mapping[str, Callable[[Any], str]] = field(default_factory=dict)
    """The options of tasks that only this pool has. Each function says what is wrong with a value, and "" where nothing is."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a job needs of its pool besides a slot: values of the options in `Traits.needs`.

    Attributes:
        options: names and values, sorted.

    Example:
        >>> Demand.of({"processes": 2}).get("processes")
        2
    """

    options: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Demand:
        """Make one of options by name.

        Args:
            options: values by name.

        Returns:
            The demand.

        Raises:
            UsageError: a value can't be compared with others by a hash.
        """
        made = cls(tuple(sorted(options.items())))
        for name, value in made.options:
            try:
                hash(value)
            except TypeError:
                raise UsageError(f"needs[{name!r}] = {value!r:.100}: give a number, a text or a tuple of such") from None
        return made

    def get(self, name: str, default: Any = None) -> Any:
        """Look an option up.

        Args:
            name: its name.
            default: what to return where it is not given.

        Returns:
            Its value.
        """
        return dict(self.options).get(name, default)


A_SLOT = Demand()

Word = Callable[[bytes, Sequence[Buffer]], None]
"""Takes a message between the code of a job and its run: a head, and the large buffers that it refers to. What it says is no matter
of the pool's (`headway.relay`)."""


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """How another process finds a function: by module and qualified name, or by a program's file.

    Attributes:
        module: the module's name.
        qualname: the qualified name in it.
        path: the program's file, where the module is a program.
        digest: of the code of its file, where the other process is on another machine and must have the same.
    """

    module: str
    qualname: str
    path: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Seat:
    """A member's place among those that run one call together, and how they find each other.

    Attributes:
        rank: its number, from 0.
        size: how many there are.
        meeting: the file by which they find each other, or "tcp://host:port" of rank 0; "tcp://host" tells rank 0 to open that.
        local_rank: its number among those on its machine; -1 where that is its rank.
        local_size: how many there are on its machine; 0 where all are.
        gpus: the names of the graphics processors that its machine has for this gang.
    """

    rank: int
    size: int
    meeting: str
    local_rank: int = -1
    local_size: int = 0
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What `hw.call()` answers.

    Attributes:
        key: the call's key, hexadecimal.
        task: its task.
        attempt: the number of the attempt, from 1.
        idempotency_key: the same for every attempt of this call and different in every run.
        run_id: the run.
        deadline: when the innermost deadline passes, in seconds since 1970; None without one.
        allowance: what was left in the budgets when the call started, by unit.
        files: the folder of what the call keeps beside its result; empty where the store has no place for it.
        seat: rank and size in a gang; None outside of one.
    """

    key: str
    task: str
    attempt: int
    idempotency_key: str
    run_id: str
    deadline: float | None = None  # wall clock
    allowance: Amounts = field(default_factory=dict)  # what was left in the budgets when the call started
    files: str = ""  # the folder of what the call keeps beside its result; empty where the store has no place for it
    seat: Seat | None = None  # where several members run the call


@dataclass(slots=True, eq=False)
class Job:
    """One attempt of one call (or of a batch), to be run once.

    A pool calls `on_done` when the code has ended, and `on_charge` when it hears that the code has spent something. Where its
    traits say `relays` it calls `on_ask` with each message in which the code asks something of its run.

    Attributes:
        fn: the function.
        args: its arguments; of a batch the list of items.
        kwargs: its arguments by name.
        facts: what `hw.call()` answers in the code.
        on_done: to be called once, with the answer.
        on_charge: to be called with what was spent, and for which item of a batch.
        ref: how another process finds the function, where the pool asks for that.
        context: the context variables to run in.
        pickled: whether the task stores its result with pickle.
        need: what the job needs besides a slot.
        items: how many items a batch has; None where it is none.
        on_left: set for a job that is abandoned: called when its code has ended after all.
        around: what the function runs inside of, in its worker: it is called with the facts and with a function that runs the
            job's.
        on_ask: to be called with a message of the code's, with what takes messages to the code, and with what says by its name
            whether the code may ask for a task (None where it may ask for all). None where the job can't ask.
        on_begun: to be called when the code begins, where that is later than `submit`.
    """

    fn: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    facts: CallFacts
    on_done: Callable[[Answer], None]
    on_charge: Callable[[Amounts, int | None], None]
    ref: FunctionRef | None = None
    context: contextvars.Context | None = None
    pickled: bool = False
    need: Demand = A_SLOT
    items: int | None = None
    on_left: Callable[[], None] | None = None
    around: FunctionRef | None = None
    on_ask: OnAsk | None = None
    on_begun: Callable[[], None] | None = None


class OnAsk(Protocol):
    """Takes what the code of a job asks of its run. Called on the loop's thread, in the order in which the code asked."""

    def __call__(self, head: bytes, buffers: Sequence[Buffer], reply: Word, allow: Callable[[str], bool] | None = None, /) -> None:
        """Take one message. `reply` and `allow` count as the first message had them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a job ended: a value, or an error.

    Attributes:
        value: what the code returned.
        error: what it raised.
        encoded: the value in its encoding, where the pool had to encode it anyway.
        cancelled: whether it was stopped.
        origins: the numbers, as the run gave them to the code, of errors that the error is or was raised because of.
    """

    value: Any = None
    error: BaseException | None = None
    encoded: Encoded | None = None
    cancelled: bool = False
    origins: tuple[int, ...] = ()


class Pool(Protocol):
    """Slots for code. `hw.run(…, pools={"box": MyPool()})` brings one, `@hw.task(pool="box")` names it.

    Making a pool starts nothing; `start` does. It is started and closed once per run, and may be started again afterwards. All
    methods are called on the event loop's thread, and must not block it. `Job.on_done` may be called from any thread.
    """

    @property
    def traits(self) -> Traits:
        """What the pool asks of tasks and promises about their calls."""

    def free(self, need: Demand, /) -> int:
        """Say how many jobs of a need the pool can take now. Before `start`: how many when nothing runs.

        Args:
            need: what each of them needs.

        Returns:
            How many.
        """

    def submit(self, job: Job, /) -> None:
        """Start a job, and answer it by `job.on_done` when its code has ended, however it ended. Called while `free` > 0.

        Where calls of unequal needs are promised a slot at once, it may be called a little early: keep the job until it fits. What
        this raises is the call's error.

        Args:
            job: the job.
        """

    def cancel(self, job: Job, /) -> bool:
        """Stop the code of a job.

        Args:
            job: the job.

        Returns:
            True where it will stop soon, and is answered then. False where it can't be stopped: nobody waits for it any more, and
            it is answered when it has ended, whatever it came to.
        """

    def start(self, on_free: Callable[[], None], emit: Callable[[Any], None] | None, /) -> None:
        """Begin to work for a run.

        Args:
            on_free: to be called when slots become free for another reason than a job's end.
            emit: takes events.
        """

    async def close(self) -> None:
        """End everything, also where `start` was never called. Jobs that still run are answered as cancelled.

        No process, thread or connection of it may be left, but for code that can't be stopped.
        """


class FullPool(Pool, Protocol):
    """A pool as the engine works with it. Callbacks run on the loop's thread, and never from inside a method.

    A job that is cancelled is answered with `cancelled=True`; at once where `cancel` returned False, and then `Job.on_left` is
    called when its code has ended.
    """

    def lend(self, slots: int, /) -> None:
        """Let others use the slots of jobs that only wait for other jobs; take them back with a negative number. Nothing where
        jobs can't wait for others."""

    def announce_end(self) -> None:
        """Tell the code of jobs in other processes that the run was told to end, and stops them soon (`run_is_ending`)."""
