"""The executor of plans: reads edits as they come, starts what may start, and tells planners what happened.

One loop reads everything: the items of the planners' streams and the ends of the steps, in the order that the journal keeps. So a
resumed plan applies the same edits between the same ends, and starts the same steps. All that it knows follows from what the loop
was handed. It never looks at a clock and draws nothing itself.

The work for an edit or an end depends on what it touches, and not on the size of the plan. Only asking a planner again looks at all
that has happened, because the planner does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from headway.context import random
from headway.engine.call import current
from headway.engine.handle import Handle
from headway.engine.streaming.stream import StreamItem
from headway.errors import UsageError
from headway.joins.group import group
from headway.methods import settings
from headway.methods.graph import Add, Edit, EditRefused, Graph, Need, Rewire, Trace
from headway.methods.plan.asking import Planners, Replan, ask_planner, check_planners, check_replan
from headway.methods.plan.records import Asked, Edited, Ended, Executed, Failure, Happening, Planned, Refused, Started
from headway.methods.protocols import Planner, Policy, check_actions
from headway.methods.records import Action, Observation, Running, View
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failures
from headway.scopes.budget import remaining
from headway.scopes.deadline import time_left
from headway.task import Task

Q = TypeVar("Q")
W = TypeVar("W")
T = TypeVar("T")

Choices: TypeAlias = Sequence[str] | Mapping[str, Sequence[str]] | Callable[[Any], Sequence[str]]
Test: TypeAlias = Callable[[Any], bool]

AnyPlanner: TypeAlias = Planner[Q, W] | Task[..., Any]

MOST_STEPS = 100_000
"""How many steps a plan may have, where the caller does not say."""


async def execute(
    step: Callable[..., Awaitable[T]],
    *,
    graph: Graph[W] | None = None,
    goal: Q | None = None,
    planner: AnyPlanner[Q, W] | Sequence[AnyPlanner[Q, W]] = (),
    replan: Replan = "never",
    rounds: int = 8,
    policy: Policy | None = None,
    choices: Choices | None = None,
    tests: Mapping[str, Test] | None = None,
    errors: Errors = SAMPLE_ERRORS,
    hold: bool = False,
    most_steps: int = MOST_STEPS,
) -> Executed[W, T]:
    """Execute a plan while it is being planned.

    A step starts as soon as what it needs has ended as it must. An edit is applied as soon as the planner has said it; one that
    needs a step which is not there yet waits for that step until the planners have spoken. An edit that is refused changes nothing
    else.

    Args:
        step: does the work of a step: `step(does, given)`, with the results of the steps that it needs, by id (a `Failure` for one
            that failed, where the need allows it). With `choices`, `step(does, given, choice)`. Usually a task; in a run it returns
            the handle of a call.
        graph: the plan that is there to begin with.
        goal: what planners are told.
        planner: edits the plan: an async generator of edits or of lists of edits (which are applied together or not at all), best a
            task. Several planners edit at once; their edits are applied in the order in which they come.
        replan: when planners are asked again: "never"; when nothing is left to run ("done"), until none of them changes anything;
            or after each "step" that ends. What ends while they speak is told together when they are asked next.
        rounds: how often planners are asked at most, the first time included.
        policy: decides which of the steps that may start do, and how. Without one, all do, the first choice of each.
        choices: how a step may be done: the same for all, by id, or a function of what it does.
        tests: what the conditions mean that needs name: a function of the result of the step that is needed.
        errors: what a step, or a planner, may fail with without failing the program.
        hold: whether no step starts while a planner speaks.
        most_steps: how large the plan may become.

    Returns:
        Results and failures by step, the plan as it was in the end, and what happened.

    Raises:
        UsageError: a senseless argument, a need with an unknown condition, a planner that yields what is no edit, or a plan
            that has grown past `most_steps`.
        Exception: what a step or a planner raises that `errors` does not name; the rest is stopped.

    Example:
        >>> from headway.methods import plan
        >>> from headway.methods.graph import Add, Node, after
        >>> @hw.task
        ... async def look_up(does: str, given: dict[str, int]) -> int:
        ...     return sum(given.values()) + len(does)
        >>> @hw.task
        ... async def planner(goal: str, trace: Trace[str]) -> AsyncIterator[Edit[str]]:
        ...     yield Add(Node("1", "Rome"))
        ...     yield Add(Node("2", "Paris"))           # 1 runs already
        ...     yield Add(Node("sum", "", after("1", "2")))
        >>> @hw.task
        ... async def program() -> int:
        ...     ran = await plan.execute(look_up, goal="how long are the names?", planner=planner)
        ...     return ran.results["sum"]
        >>> hw.run(program, store=None)
        9

    Source:
        The streaming plans of LLMCompiler (Kim et al., arXiv 2312.04511), and the plans of UFO³ that are edited while they run
        (Zhang et al., arXiv 2511.11332), with one order of edits and ends that is recorded.
    """
    settings.function("execute", step=step)
    settings.function("execute", optional=True, policy=policy)
    settings.at_least_one("execute", rounds=rounds, most_steps=most_steps)
    execution: _Execution[W, T] = _Execution(
        step,
        Graph() if graph is None else _check_graph(graph),
        Planners(goal, check_planners(planner), rounds, check_replan(replan)),
        _Rules(policy, choices, dict(tests or {}), Failures(errors), hold, most_steps),
    )
    return await execution.run()


@dataclass(frozen=True, slots=True)
class _Rules:
    """What holds for all steps of one plan."""

    policy: Policy | None
    choices: Choices | None
    tests: Mapping[str, Test]
    failures: Failures
    hold: bool
    most_steps: int

    def holds(self, need: Need, results: Mapping[str, Any]) -> bool:
        return need.step in results and bool(self.tests[need.test](results[need.step]))

    def choices_of(self, id: str, does: Any) -> Sequence[str]:
        known = self.choices
        if known is None:
            return ("",)
        if isinstance(known, Mapping):
            found: Any = known.get(id, ("",))
        else:
            found = known(does) if callable(known) else known
        if isinstance(found, str) or not isinstance(found, Sequence) or not found or not all(isinstance(one, str) for one in found):
            raise UsageError(f"execute: choices={found!r:.80} of step {id!r}: a list of at least one name")
        return found


class _Execution(Generic[W, T]):
    """One plan: what has ended, what may start, what runs."""

    def __init__(self, step: Callable[..., Awaitable[T]], graph: Graph[W], planners: Planners, rules: _Rules) -> None:
        self.step, self.graph, self.planners, self.rules = step, graph, planners, rules
        self.started: set[str] = set()
        self.ended: dict[str, bool] = {}
        self.results: dict[str, T] = {}
        self.failed: dict[str, str] = {}
        self.running: dict[Any, tuple[str, str]] = {}  # by the handle of the call: the step, and how it is done
        self.held: list[tuple[int, tuple[Edit[W], ...]]] = []  # what waits for a step to be there
        self.log: list[Happening] = []
        self._check_tests([need for node in graph for need in node.needs])
        self.ready: dict[str, None] = dict.fromkeys(self._find_ready(None))

    async def run(self) -> Executed[W, T]:
        parts: Any
        async with group() as parts:
            self._go_on(parts)
            async for part in parts:
                if isinstance(part, StreamItem):
                    self._take_edits(self.planners.speaking[part.stream], part.value)
                elif part in self.planners.speaking:
                    self._end_planner(part)
                else:
                    self._end_step(part)
                self._go_on(parts)
        skipped = tuple(node.id for node in self.graph if node.id not in self.ended) if len(self.ended) < len(self.graph) else ()
        return Executed(self.graph, self.results, self.failed, skipped, tuple(self.log))

    def _go_on(self, parts: Any) -> None:
        """Start what may start, and ask the planners where that is due."""
        if self.planners.replan == "step" or not self.planners.turn:
            self._ask(parts)
        if not (self.rules.hold and self.planners.speaking):
            self._start(parts)
        self._ask(parts)

    # --- planners ----------------------------------------------------------------------------------------------------

    def _ask(self, parts: Any) -> None:
        planners = self.planners
        if not planners.are_due(idle=not self.running):
            return
        planners.turn += 1
        fresh, planners.fresh, planners.changed = tuple(planners.fresh), [], False
        refused, planners.refused = planners.refused, [[] for _ in planners.given]
        ended = tuple(Observation(id, ok=ok) for id, ok in self.ended.items())
        for place, planner in enumerate(planners.given):
            said = tuple(refused[place]) if refused else ()
            trace = Trace(self.graph, frozenset(self.started), ended, dict(self.results), dict(self.failed), said, fresh)
            stream: Any = planner(planners.goal, trace) if isinstance(planner, Task) else ask_planner(planner, planners.goal, trace)
            planners.speaking[parts.read(stream)] = place
            self.log.append(Asked(place, planners.turn, fresh))

    def _take_edits(self, planner: int, said: Any) -> None:
        """Apply the edits that a planner has said; those that need what is not there are held."""
        edits = tuple(said) if isinstance(said, list | tuple) else (said,)
        self._check_tests([need for edit in edits for need in _needs_of(edit)])
        missing = self._missing(edits)
        if missing:
            self.held.append((planner, edits))
        elif self._apply(planner, edits) and self.held:
            self._apply_held()

    def _apply(self, planner: int, edits: tuple[Edit[W], ...]) -> bool:
        try:
            graph = self.graph.apply(edits, self.started)
        except EditRefused as refusal:
            self.planners.refused[planner].append(str(refusal))
            self.planners.changed = True
            self.log.append(Refused(planner, edits, str(refusal)))
            return False
        if len(graph) > self.rules.most_steps:
            raise UsageError(
                f"execute: the plan has grown past {self.rules.most_steps} steps. Does the planner stop? Where so many are meant, "
                "raise most_steps="
            )
        self.graph = graph
        self.planners.changed = True
        self.log.append(Edited(planner, edits))
        touched = [edit.node.id if isinstance(edit, Add) else edit.id for edit in edits]
        for id in touched:
            self.ready.pop(id, None)
        self.ready.update(dict.fromkeys(self._find_ready(touched)))
        return True

    def _missing(self, edits: Sequence[Edit[W]]) -> set[str]:
        """The steps that edits need and that are neither there nor added by them."""
        added = {edit.node.id for edit in edits if isinstance(edit, Add)}
        return {need.step for edit in edits for need in _needs_of(edit) if need.step not in added and need.step not in self.graph}

    def _apply_held(self) -> None:
        """Apply what was held, as far as what it needs has come."""
        went_on = True
        while went_on:
            went_on, held, self.held = False, self.held, []
            for planner, edits in held:
                if self._missing(edits):
                    self.held.append((planner, edits))
                else:
                    went_on = self._apply(planner, edits) or went_on

    def _end_planner(self, stream: Any) -> None:
        planner, error = self.planners.speaking.pop(stream), stream.exception()
        if error is not None and not self.rules.failures.allows(error):
            raise error
        self.log.append(Planned(planner, describe(error)))
        if self.planners.speaking:
            return
        held, self.held = self.held, []
        for planner, edits in held:  # nobody is left who could add what they need: refused, with the reason
            self._apply(planner, edits)

    # --- steps -------------------------------------------------------------------------------------------------------

    def _find_ready(self, among: Sequence[str] | None) -> tuple[str, ...]:
        def holds(need: Need) -> bool:
            return self.rules.holds(need, self.results)

        return self.graph.ready(self.ended, started=self.started, among=among, holds=holds)

    def _start(self, parts: Any) -> None:
        for action in self._choose():
            node = self.graph[action.step]
            given = {need.step: self._given(need) for need in node.needs}
            more = () if self.rules.choices is None else (action.choice,)
            call = self.step(node.does, given, *more)
            if current.get() is not None and not isinstance(call, Handle):
                close = getattr(call, "close", None)
                if close is not None:
                    close()
                raise UsageError(f"execute: step= returned {type(call).__name__}, no call of a task: decorate it with @hw.task")
            handle: Any = parts.add(call)
            self.running[handle] = action.step, action.choice
            self.started.add(action.step)
            del self.ready[action.step]
            self.log.append(Started(action.step, action.choice, getattr(handle, "key", "")))

    def _given(self, need: Need) -> Any:
        return self.results[need.step] if need.step in self.results else Failure(need.step, self.failed[need.step])

    def _choose(self) -> tuple[Action, ...]:
        """What starts now."""
        policy = self.rules.policy
        if not self.ready:
            return ()
        if policy is None:
            return tuple(Action(id, self.rules.choices_of(id, self.graph[id].does)[0]) for id in self.ready)
        ready = self.graph.ready(self.ended, started=self.started, among=self.ready, holds=lambda need: True)
        view = View(
            ready,
            {id: tuple(self.rules.choices_of(id, self.graph[id].does)) for id in ready},
            tuple(Running(Action(step, choice), 0.0, {}) for step, choice in self.running.values()),
            tuple(Observation(id, ok=ok) for id, ok in self.ended.items()),
            remaining(),
            time_left(),
        )
        name = getattr(policy, "name", None) or getattr(policy, "__name__", type(policy).__name__)
        actions = check_actions(name, view, policy(view, random()))
        if several := next((action for action in actions if action.count > 1), None):
            raise UsageError(f"policy {name!r}: {several.count} samples of step {several.step!r}: a step of a plan is done once")
        return actions

    def _end_step(self, handle: Any) -> None:
        (id, _), error = self.running.pop(handle), handle.exception()
        if error is not None and not self.rules.failures.allows(error):
            raise error
        self.ended[id] = error is None
        if error is None:
            self.results[id] = handle.result()
        else:
            self.failed[id] = describe(error)
        self.log.append(Ended(id, describe(error)))
        self.planners.fresh.append(id)
        self.ready.update(dict.fromkeys(self._find_ready(self.graph.dependents(id))))

    def _check_tests(self, needs: Sequence[Need]) -> None:
        for need in needs:
            if need.test and need.test not in self.rules.tests:
                known = ", ".join(sorted(self.rules.tests)) or "none"
                raise UsageError(f"execute: a step needs {need.step!r} on the condition {need.test!r}; tests= has: {known}")


def describe(error: BaseException | None) -> str:
    """An error as a line; empty for none."""
    return "" if error is None else f"{type(error).__name__}: {error}"


def _needs_of(edit: object) -> tuple[Need, ...]:
    return edit.node.needs if isinstance(edit, Add) else edit.needs if isinstance(edit, Rewire) else ()


def _check_graph(graph: Any) -> Any:
    if not isinstance(graph, Graph):
        raise UsageError(f"execute: graph={graph!r:.80}: a methods.graph.Graph")
    return graph
