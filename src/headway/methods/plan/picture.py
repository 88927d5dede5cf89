"""When the steps of a plan ran, read from the journal, and a picture of it.

    ran = hw.run(research, question, run_id="sky")
    Path("plan.svg").write_text(plan.draw(ran, hw.view("sky")))

The log of a plan has no times. What has a time is in the journal: the calls of steps and planners, and each item that a planner
said. Both are found by the keys in the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headway.errors import UsageError
from headway.journal.decisions import Item
from headway.methods.graph import Add, Edit, Need, Remove, Replace, Rewire
from headway.methods.plan.records import Asked, Edited, Ended, Executed, Lost, Planned, Refused, Started
from headway.observe import words
from headway.observe.pictures.plan import Came, Mark, Step, draw_steps
from headway.view import CallView, RunView

_VERBS = {Add: "added", Replace: "replaced", Rewire: "rewired", Remove: "removed"}


def seconds_of(ran: Executed[Any, Any], view: RunView) -> dict[str, float]:
    """How long each step took.

    Args:
        ran: the plan as it ran.
        view: the run that it ran in (`hw.view`).

    Returns:
        Seconds by id, of the steps that ended; where a device was lost, of the last start.

    Example:
        >>> from headway.methods import plan
        >>> from headway.methods.graph import Graph, Node
        >>> @hw.task
        ... async def rest(does: float, given: dict[str, float]) -> float:
        ...     await hw.sleep(does)
        ...     return does
        >>> @hw.task
        ... async def program() -> plan.Executed[float, float]:
        ...     return await plan.execute(rest, graph=Graph((Node("a", 2.0), Node("b", 1.0))))
        >>> store = hw.MemoryStore()
        >>> ran = hw.testing.run(program, store=store, run_id="rest")
        >>> {id: round(took) for id, took in plan.seconds_of(ran, hw.view("rest", store=store)).items()}
        {'a': 2, 'b': 1}
    """
    calls = {call.key: call for call in view.calls}
    found = {each.step: calls[each.call] for each in ran.log if isinstance(each, Started) and each.call in calls}
    return {id: call.ended - call.started for id, call in found.items() if call.started is not None and call.ended is not None}


def draw(ran: Executed[Any, Any], view: RunView, *, title: str = "") -> str:
    """Draw a plan as it ran: its steps on an axis of time, what each needed, when it was planned, and what became of it.

    Args:
        ran: the plan as it ran.
        view: the run that it ran in (`hw.view`).
        title: what stands above it; the run's id and task by default.

    Returns:
        The text of an SVG file that needs nothing else.

    Raises:
        UsageError: the plan ran outside of this run.

    Example:
        >>> from headway.methods import plan
        >>> from headway.methods.graph import Graph, Node
        >>> @hw.task
        ... async def echo(does: str, given: dict[str, str]) -> str:
        ...     return does
        >>> @hw.task
        ... async def program() -> plan.Executed[str, str]:
        ...     return await plan.execute(echo, graph=Graph((Node("a", "hello"),)))
        >>> store = hw.MemoryStore()
        >>> ran = hw.run(program, store=store, run_id="echo")
        >>> plan.draw(ran, hw.view("echo", store=store))[:4]
        '<svg'
    """
    return _Reader(ran, view).draw(title or f"{view.run_id}: {view.task}")


class _Reader:
    """Puts the log of a plan and the times of its run together."""

    def __init__(self, ran: Executed[Any, Any], view: RunView) -> None:
        self.ran, self.calls = ran, {call.key: call for call in view.calls}
        self.recorded = view.recorded
        started = [each.call for each in ran.log if isinstance(each, Started | Asked)]
        if any(key not in self.calls for key in started):
            raise UsageError(f"draw: the plan did not run in {view!r}: give the view of the run that executed it")
        self.begins = min((self._began(self.calls[key]) for key in started), default=self.recorded.began)
        self.until = max((self._ended(self.calls[key]) for key in started), default=self.begins)

    def draw(self, title: str) -> str:
        """Go through the log once."""
        asked: dict[int, CallView] = {}
        spoken: list[tuple[float, float]] = []
        marks: list[Mark] = []
        added: dict[str, float] = {}
        does: dict[str, Any] = {node.id: node.does for node in self.ran.graph}
        runs: dict[str, tuple[CallView, str]] = {}
        removed: dict[str, float] = {}
        for each in self.ran.log:
            if isinstance(each, Asked):
                asked[each.planner] = call = self.calls[each.call]
                spoken.append((self._began(call), self._ended(call)))
            elif isinstance(each, Planned) and each.error:
                marks.append(Mark(self._ended(asked[each.planner]), "refused", f"the planner failed: {each.error}"))
            elif isinstance(each, Edited | Refused):
                at = self._said_at(asked[each.planner], each.item)
                if isinstance(each, Refused):
                    marks.append(Mark(at, "refused", each.why))
                    continue
                for edit in each.edits:
                    id = edit.node.id if isinstance(edit, Add) else edit.id
                    marks.append(Mark(at, _VERBS[type(edit)], id))
                    self._note(edit, id, at, added, does, removed)
            elif isinstance(each, Started):
                runs[each.step] = self.calls[each.call], each.choice
            elif isinstance(each, Lost):
                marks.append(Mark(self._ended(runs[each.steps[0]][0]), "refused", f"{each.choice} is lost: {each.why}"))
        needs = {
            node.id: {need.step: f"{need.on}{need.test and f', {need.test}'}" for need in node.needs} for node in self.ran.graph
        }
        ended = {each.step for each in self.ran.log if isinstance(each, Ended)}
        steps = [self._step(id, does[id], added, runs, needs.get(id, {}), removed, ended) for id in does]
        return draw_steps(title, steps, spoken, marks)

    def _note(
        self, edit: Edit[Any], id: str, at: float, added: dict[str, float], does: dict[str, Any], removed: dict[str, float]
    ) -> None:
        if isinstance(edit, Add):
            added[id] = at
            does.setdefault(id, edit.node.does)
            removed.pop(id, None)
        elif isinstance(edit, Remove):
            does.setdefault(id, "")
            removed[id] = at

    def _step(
        self,
        id: str,
        does: Any,
        added: Mapping[str, float],
        runs: Mapping[str, tuple[CallView, str]],
        needs: Mapping[str, str],
        removed: Mapping[str, float],
        ended: set[str],
    ) -> Step:
        call, choice = runs.get(id, (None, ""))
        failed = self.ran.failures.get(id, "")
        came: Came = "removed" if id in removed else "failed" if failed else "done" if id in ended else "skipped"
        planned = added.get(id, self.begins)
        if call is None:
            return Step(id, _say(does), came, planned, None, removed.get(id, self.until), needs, said=failed)
        said = failed or f"gave {words.clip(repr(self.ran.results.get(id)), 120)}"
        return Step(
            id, _say(does), came, min(planned, self._began(call)), self._began(call), self._ended(call), needs, choice, said
        )

    def _began(self, call: CallView) -> float:
        return call.started or call.ended or self.recorded.until

    def _ended(self, call: CallView) -> float:
        return call.ended or self.recorded.until

    def _said_at(self, call: CallView, item: int) -> float:
        """When a planner said something; of what is not recorded, when it began."""
        told = self.recorded.decisions.get(bytes.fromhex(call.key), ())
        return next((each.at for each in told if isinstance(each.told, Item) and each.told.number == item), self._began(call))


def _say_how(need: Need) -> str:
    return f"{need.on}, {need.test}" if need.test else need.on


def _say(does: Any) -> str:
    """What a step does, as it says itself, or as Python shows it."""
    says_itself = isinstance(does, str) or "__str__" in vars(type(does))
    return words.clip(str(does) if says_itself else repr(does), 120)
