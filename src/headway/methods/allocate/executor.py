"""Runs a plan, or a map of independent items, under a policy.

    ran = await allocate.run_plan(graph, attempt, policy=allocate.Seq("small", 4), choices=("small", "large"), accept=is_right)
    ran.results, ran.stopped, [turn.actions for turn in ran.turns]

Whenever something that it started has ended, the policy is shown a `View` and answers with actions. Each is a call that races its
samples, and the attempts are calls of that call, as in any program. So all of it is journaled, budgeted and can be cancelled, and
the policy spends nothing by itself. A view is made of recorded facts alone, and an answer is recorded before anything is started. A
resumed run is told the same answers again, without asking the policy, also where its budget was raised since: what was decided
stays, and what is left now counts from the next turn on.

The executor must never start what a policy may not ask for, and never look at what a policy could not have seen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Any, Generic, TypeVar

from headway.context import now, random
from headway.engine.call import current
from headway.engine.handle import Handle
from headway.errors import BudgetExceeded, UsageError
from headway.joins.bound import bound_of
from headway.joins.group import Group, group
from headway.joins.recorded import name_decision, recall, record
from headway.journal.codec.codec import digest
from headway.journal.codec.declared import declare
from headway.journal.decisions import Chosen, Start
from headway.methods import settings
from headway.methods.allocate.batch import Batch, Rules, Samples, bounds_of_here, run_batch
from headway.methods.allocate.ran import Ended, Ran, Turn
from headway.methods.graph import Graph, Node
from headway.methods.protocols import Policy, check_actions
from headway.methods.records import Action, Observation, Running, View
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failures
from headway.scopes.anytime import Anytime, anytime
from headway.scopes.budget import remaining
from headway.scopes.deadline import time_left
from headway.task import Task

W = TypeVar("W")
T = TypeVar("T")

Choices = Sequence[str] | Mapping[str, Sequence[str]]

MOST_SAMPLES = 4096
"""How many samples one action may start."""


async def run_plan(
    graph: Graph[W],
    attempt: Callable[[W, str, int, dict[str, T]], Awaitable[T]],
    *,
    policy: Policy,
    choices: Choices = ("",),
    accept: Callable[[T], bool] | None = None,
    errors: Errors = SAMPLE_ERRORS,
    cancel: bool = True,
) -> Ran[str, T]:
    """Run a plan under a policy, inside the budgets and the deadline around it.

    A step is done once one of its samples succeeds. Then the other samples of it are stopped, and the steps that need it may start.
    A step that failed is ready again, and the policy decides whether it is worth another try. Reaching a bound is no error: what is
    done by then is returned.

    Args:
        graph: the plan. A step may need others to succeed; other needs make no sense where a failed step may be tried again.
        attempt: makes a sample: `attempt(does, choice, index, given)`. `given` has the results of the steps that it needs, by id;
            `index` counts the samples of a step with a choice. Usually a task.
        policy: decides what to start.
        choices: how a step may be done: the same for all steps, or by step.
        accept: whether a sample's result is good. Without it, a `Verdict` speaks for itself, False and None are failures, and
            everything else is good.
        errors: what an attempt may fail with without failing the run: that sample has not succeeded.
        cancel: whether a success stops the other samples of its step at once. Without it, a step is done when all of them ended.

    Returns:
        The results by step, why it ended, what was seen and what was decided.

    Raises:
        UsageError: a senseless argument, or a policy that answers what is not allowed; before anything of that answer is started.
        Exception: what an attempt raises that `errors` does not name; the rest is stopped.

    Example:
        >>> from headway.methods import allocate
        >>> from headway.methods.graph import after
        >>> @hw.task(cost={"tokens": 10})
        ... async def write(text: str, choice: str, index: int, given: dict[str, str]) -> str | None:
        ...     return "".join([*given.values(), text]) if choice == "large" or index == 2 else None
        >>> @hw.task
        ... async def program() -> tuple[str, str]:
        ...     plan = Graph((Node("head", "a"), Node("tail", "b", after("head"))))
        ...     with hw.budget(tokens=100):
        ...         ran = await allocate.run_plan(plan, write, policy=allocate.Seq("small", 2), choices=("small", "large"))
        ...     return ran.results["tail"], ran.stopped
        >>> hw.run(program, store=None)
        ('ab', 'done')

    Source:
        The loop of MCPP (Wang et al., arXiv 2605.06110): decide, run until a batch has ended, look, decide again. It departs in
        that the first success of a batch ends it, unless `cancel` says otherwise.
    """
    where = "run_plan"
    _check_parts(where, attempt, policy)
    _check_graph(graph)
    Failures(errors)  # refuses what are no errors
    rules = Rules(attempt, accept, errors, cancel)
    execution: _Execution[W, T] = _Execution(graph, rules, policy, _choices_of(where, graph, choices), is_map=False)
    return await execution.run()


async def run_map(
    attempt: Callable[[W, str, int], Awaitable[T]],
    items: Sequence[W],
    *,
    policy: Policy,
    choices: Choices = ("",),
    accept: Callable[[T], bool] | None = None,
    errors: Errors = SAMPLE_ERRORS,
    cancel: bool = True,
) -> Ran[int, T]:
    """Work on independent items under a policy, inside the budgets and the deadline around it.

    As `run_plan`, of steps that need nothing. The policy sees an item as the step "0", "1", … by its place.

    Args:
        attempt: makes a sample: `attempt(item, choice, index)`.
        items: what is worked on.
        policy: decides what to start.
        choices: how an item may be done: the same for all, or by place ("0", "1", …).
        accept: as in `run_plan`.
        errors: as in `run_plan`.
        cancel: as in `run_plan`.

    Returns:
        The results by place, why it ended, what was seen and what was decided.

    Raises:
        UsageError: as `run_plan`.
        Exception: as `run_plan`.

    Example:
        >>> from headway.methods import allocate
        >>> @hw.task
        ... async def guess(number: int, choice: str, index: int) -> bool:
        ...     return index == number
        >>> @hw.task
        ... async def program() -> tuple[dict[int, bool], str]:
        ...     ran = await allocate.run_map(guess, [0, 3], policy=allocate.Seq("", 2))
        ...     return ran.results, ran.stopped
        >>> hw.run(program, store=None)
        ({0: True, 1: True}, 'done')
    """
    where = "run_map"
    _check_parts(where, attempt, policy)
    if not isinstance(items, Sequence):
        raise UsageError(f"{where}: items={items!r:.80}: a list; the policy must know all of them to choose among them")
    graph = Graph(tuple(Node(str(place), item) for place, item in enumerate(items)))
    Failures(errors)  # refuses what are no errors
    rules = Rules(attempt, accept, errors, cancel)
    execution: _Execution[W, T] = _Execution(graph, rules, policy, _choices_of(where, graph, choices), is_map=True)
    ran = await execution.run()
    return Ran({int(id): value for id, value in ran.results.items()}, ran.stopped, ran.observations, ran.turns)


def _check_graph(graph: object) -> None:
    if not isinstance(graph, Graph):
        raise UsageError(f"run_plan: graph={graph!r:.80}: a methods.graph.Graph")
    for node in graph.nodes:
        for need in node.needs:
            if need.on == "failure" or need.test:
                raise UsageError(
                    f"run_plan: step {node.id!r} needs {need.step!r} on {need.test or need.on!r}: under a policy a failed step may "
                    "be tried again, so a step can only need others to succeed"
                )


def _choices_of(where: str, graph: Graph[Any], choices: object) -> dict[str, tuple[str, ...]]:
    """The choices of each step. Raises UsageError where a step has none."""
    known = choices if isinstance(choices, Mapping) else dict.fromkeys((node.id for node in graph.nodes), choices)
    found: dict[str, tuple[str, ...]] = {}
    for node in graph.nodes:
        names = known.get(node.id, ("",))
        if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
            raise UsageError(f"{where}: choices={names!r:.80} of step {node.id!r}: a list of names")
        if not names or len(set(names)) < len(names):
            raise UsageError(f"{where}: choices={names!r:.80} of step {node.id!r}: at least one name, and none twice")
        found[node.id] = tuple(names)
    if unknown := known.keys() - found.keys():
        raise UsageError(f"{where}: choices= names {min(unknown)!r}, which is no step")
    return found


class _Started:
    """A batch in flight."""

    def __init__(self, step: str, actions: Sequence[Action], at: float) -> None:
        self.step, self.actions, self.at = step, tuple(actions), at


class _Execution(Generic[W, T]):
    """One plan under one policy: what has ended, what is ready, what runs."""

    def __init__(
        self,
        graph: Graph[W],
        rules: Rules,
        policy: Policy,
        choices: Mapping[str, tuple[str, ...]],
        *,
        is_map: bool,
    ) -> None:
        self.graph, self.rules, self.policy, self.choices, self.is_map = graph, rules, policy, choices, is_map
        self.name = _name_of(rules.attempt)
        self.reserves = dict(rules.attempt.spec.cost) if isinstance(rules.attempt, Task) else {}
        self.places = {node.id: place for place, node in enumerate(graph.nodes)}
        self.ready: set[str] = set(graph.ready({}))
        self.ended: dict[str, bool] = {}
        self.running: dict[Handle[Batch], _Started] = {}
        self.results: dict[str, T] = {}
        self.observations: list[Observation] = []
        self.turns: list[Turn] = []
        self.made: dict[tuple[str, str], int] = {}
        self.gave_up, self.now = False, 0.0
        _declare_result(rules.attempt)

    async def run(self) -> Ran[str, T]:
        found: dict[str, T] = {}
        with anytime(found) as block:
            async with group() as calls:
                while len(self.ended) < len(self.graph):
                    self._start(calls, self._ask())
                    if not self.running:
                        self.gave_up = True
                        break
                    while not self._take(await anext(calls), block):
                        pass
        stopped: Ended = "gave up" if self.gave_up and block.stopped == "done" else block.stopped
        return Ran(found, stopped, tuple(self.observations), tuple(self.turns))

    # --- asking ------------------------------------------------------------------------------------------------------

    def _ask(self) -> tuple[Action, ...]:
        """What the policy starts now: as it is recorded, or asked, checked and recorded."""
        view, rng = self._look()
        frame = current.get()
        if frame is None:
            return self._note(view, self._choose(view, rng))
        running = [(each.action.step, each.action.choice, each.action.count) for each in view.running]
        known = digest(repr((len(self.turns), sorted(self.results), running)).encode())
        name = name_decision(frame, "policy", known)
        told = recall(frame, name, Chosen)
        actions = self._recall(told, view) if told is not None else None
        if actions is None:
            actions = self._choose(view, rng)
            if actions or view.running:  # giving up is asked again when the run goes on with more to spend
                starts = tuple(Start(each.step, each.choice, each.count, each.why) for each in actions)
                record(frame, name, Chosen(name_policy(self.policy), starts))
        return self._note(view, actions)

    def _look(self) -> tuple[View, Random]:
        """The view of now. Each of its parts is recorded, so that a resumed run sees the same."""
        at = self.now = now()
        ready = tuple(sorted(self.ready, key=self.places.__getitem__))
        running = tuple(
            Running(action, max(0.0, at - started.at), {unit: action.count * amount for unit, amount in self.reserves.items()})
            for started in self.running.values()
            for action in started.actions
        )
        choices = {step: self.choices[step] for step in ready}
        view = View(ready, choices, running, tuple(self.observations), remaining(), time_left())
        return view, random()

    def _choose(self, view: View, rng: Random) -> tuple[Action, ...]:
        actions = check_actions(name_policy(self.policy), view, self.policy(view, rng))
        for action in actions:
            if action.count > MOST_SAMPLES:
                raise UsageError(
                    f"policy {name_policy(self.policy)!r}: {action.count} samples of step {action.step!r} at once: "
                    f"at most {MOST_SAMPLES}"
                )
        return actions

    def _recall(self, told: Chosen, view: View) -> tuple[Action, ...] | None:
        """The recorded answer; None where the plan has changed, so that it is no answer any more."""
        actions = [Action(start.step, start.choice, start.count, start.why) for start in told.starts]
        try:
            return check_actions(told.policy, view, actions)
        except UsageError:
            return None

    def _note(self, view: View, actions: tuple[Action, ...]) -> tuple[Action, ...]:
        self.turns.append(Turn(actions, view.left, view.left_s))
        return actions

    # --- starting and taking -----------------------------------------------------------------------------------------

    def _start(self, calls: Group[Batch], actions: Sequence[Action]) -> None:
        steps: dict[str, list[Action]] = {}
        for action in actions:
            steps.setdefault(action.step, []).append(action)
        for step, of_step in steps.items():
            node = self.graph[step]
            given = None if self.is_map else {need.step: self.results[need.step] for need in node.needs}
            starts = tuple(self._number(action) for action in of_step)
            why = "; ".join(dict.fromkeys(action.why for action in of_step if action.why))
            call = run_batch(self.name, node.does, given, starts, self.rules, step, why)
            self.running[calls.add(call)] = _Started(step, of_step, self.now)
            self.ready.discard(step)

    def _number(self, action: Action) -> Samples:
        key = action.step, action.choice
        first = self.made.get(key, 0)
        self.made[key] = first + action.count
        return Samples(action.choice, first, action.count)

    def _take(self, handle: Handle[Batch], block: Anytime[str, T]) -> bool:
        """Take what a batch came to; whether the policy is to be asked."""
        started = self.running.pop(handle)
        error = handle.exception()
        batch = Batch(started.step, ()) if error is not None and bound_of(error) == "budget" else handle.result()
        self._observe(batch)
        if batch.ok:
            block.keep(started.step, batch.value)
            self.results[started.step] = batch.value
            self.ended[started.step] = True
            self.ready.update(self.graph.ready(self.ended, among=self.graph.dependents(started.step)))
            return True
        self.ready.add(started.step)  # it may be tried again
        if batch.samples:
            return True
        if self.running:
            return False  # nothing is had now; perhaps when what runs has settled
        bounds = batch.bounds or bounds_of_here()
        if bounds == bounds_of_here():
            refusal = error if isinstance(error, Exception) else BudgetExceeded(f"{started.step}: the budget refused every sample")
            raise refusal
        return True  # it was refused under bounds that somebody has changed since

    def _observe(self, batch: Batch) -> None:
        for sample in batch.samples:
            self.observations.append(Observation(batch.step, sample.choice, sample.ok, sample.cost, sample.seconds))


def _check_parts(where: str, attempt: object, policy: object) -> None:
    settings.function(where, attempt=attempt, policy=policy)
    if isinstance(policy, type):
        raise UsageError(f"{where}: policy={policy.__name__}: a policy, not its class: write {policy.__name__}(…)")


def name_policy(policy: object) -> str:
    """What a policy is called in messages and in the journal: its `name`, or that of its function or class."""
    named = getattr(policy, "name", None)
    return named if isinstance(named, str) else getattr(policy, "__name__", type(policy).__name__)


def _name_of(attempt: object) -> str:
    """What an attempt is named by in the names of its calls."""
    if isinstance(attempt, Task):
        return attempt.name
    function = getattr(attempt, "__func__", attempt)
    kind = type(attempt)
    return f"{getattr(function, '__module__', kind.__module__)}.{getattr(function, '__qualname__', kind.__qualname__)}"


def _declare_result(attempt: Any) -> None:
    """Declare the types that an attempt returns, as a task does that returns them itself: a batch's result holds them."""
    function = attempt.fn if isinstance(attempt, Task) else attempt
    for annotation in getattr(function, "__annotations__", {}).values():
        declare(annotation, getattr(function, "__globals__", {}))
