"""Judges a call before it is made and after: whether it can be done, and whether it was.

    safe = responsible(send, feasible=ask_model(small, "Can this be done as asked?"), complete=lambda text: "sent" in text)

A call that can't be done is not run, and one that was not done whole is run again or told. Each verdict is a recorded call and what
follows from it is a comparison with a threshold, so a resumed run takes the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar, overload

from headway.engine.handle import Handle
from headway.errors import CallError, UsageError
from headway.methods import settings
from headway.methods.guard.judges import Judge, Ruling, check_judge, rule
from headway.methods.guard.monitor import describe_step
from headway.task import Task, task
from headway.tools.parameters import Parameters
from headway.tools.results import Unshowable, cut, show
from headway.tools.tool import Tool, tool

P = ParamSpec("P")
R = TypeVar("R")

_MOST_SHOWN = 8 * 1024  # bytes of a result that a judge is shown


class Infeasible(CallError):
    """A call was judged to be impossible as it was asked, and was not run."""


class Incomplete(CallError):
    """A call was run, and judged not to have done all that was asked."""


@dataclass(frozen=True)
class _Work:
    """What is guarded, and by whom."""

    task: Task[..., Any]
    name: str
    feasible: Judge | None = field(compare=False)
    complete: Judge | None = field(compare=False)
    attempts: int
    threshold: float

    def __headway_key__(self) -> object:
        return ("responsible", self.task, self.name, self.attempts, self.threshold)


@overload
def responsible(
    work: Tool,
    *,
    feasible: Judge | None = None,
    complete: Judge | None = None,
    attempts: int = 1,
    threshold: float = 0.5,
) -> Tool: ...
@overload
def responsible(
    work: Task[P, R],
    *,
    feasible: Judge | None = None,
    complete: Judge | None = None,
    attempts: int = 1,
    threshold: float = 0.5,
) -> Callable[P, Handle[R]]: ...
def responsible(
    work: Any,
    *,
    feasible: Judge | None = None,
    complete: Judge | None = None,
    attempts: int = 1,
    threshold: float = 0.5,
) -> Any:
    """Judge each call of a tool or a task before it is made, and after.

    Args:
        work: the tool, the task, or a typed function, which becomes a tool.
        feasible: gives the probability that a call can be done as it is asked, from a text with its name and arguments.
        complete: gives the probability that it was done whole, from the same text and what it returned.
        attempts: how often a call is run at most that is not complete. Only what has no effect is run again.
        threshold: below which probability the answer is no.

    Returns:
        Of a tool a tool with the same name, whose model is told why a call was not run, or what it lacks. Of a task what is called
        as the task is, and raises `Infeasible` or `Incomplete` on await.

    Raises:
        UsageError: there is no judge, a number makes no sense, or an effect would be run again.

    Example:
        >>> from headway import models, tools
        >>> from headway.methods.guard import responsible
        >>> @tools.tool
        ... async def area(country: str) -> int:
        ...     '''The area of a country in km2.'''
        ...     return {"Italy": 302068}.get(country, 0)
        >>> safe = responsible(area, feasible=lambda text: "Atlantis" not in text, complete=lambda text: not text.endswith(" 0"))
        >>> @hw.task
        ... async def program() -> list[str]:
        ...     asked = ["Italy", "Atlantis", "Rome"]
        ...     calls = [models.ToolCall(each, "area", f'{{"country": "{each}"}}') for each in asked]
        ...     return [result.content for result in await tools.run_calls([safe], calls)]
        >>> for said in hw.run(program, store=None):
        ...     print(said)
        302068
        area failed: Infeasible: area was not run: it can't be done as asked
        area failed: Incomplete: area did not do all that was asked, in 1 attempt. It returned: 0

    Source:
        ResponsibleTA, arXiv 2306.01242: feasibility before, completeness after, and its security filter is `open_vault`. It
        departs: judges are any function or model, and an effect is never run again for being incomplete.
    """
    for judge in (feasible, complete):
        if judge is not None:
            check_judge("responsible", judge)
    if feasible is None and complete is None:
        raise UsageError("responsible: give feasible= or complete=: without a judge nothing is guarded")
    settings.at_least_one("responsible", attempts=attempts)
    settings.probability("responsible", threshold=threshold)
    plain = work if isinstance(work, Task) else tool(work)
    inner = plain if isinstance(plain, Task) else plain.task
    has_effect = inner.spec.effect or (isinstance(plain, Tool) and plain.labels.effect)
    if attempts > 1 and has_effect:
        raise UsageError(
            f"responsible: {plain.name} has an effect, and attempts={attempts} could do it {attempts} times: with attempts=1 an "
            "incomplete call is told"
        )
    guarded = _Work(inner, plain.name, feasible, complete, attempts, threshold)
    if isinstance(plain, Tool):
        return Tool(plain.spec, plain.labels, run_judged, _Placed(plain.parameters, guarded))

    def start(*args: Any, **kwargs: Any) -> Handle[Any]:
        about = describe_step(plain.name, dict(inner.spec.signature.text.bind(*args, **kwargs).arguments))
        return run_judged(guarded, about, args, kwargs)

    return start


class _Placed:
    """The tool's parameters, with what guards it before them."""

    def __init__(self, plain: Parameters, work: _Work) -> None:
        self._plain, self._work = plain, work
        self.identity = (*getattr(plain, "identity", ()), work)

    @property
    def schema(self) -> Mapping[str, Any]:
        return self._plain.schema

    def parse(self, arguments: str) -> dict[str, Any]:
        return self._plain.parse(arguments)

    def place(self, values: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, kwargs = self._plain.place(values)
        return (self._work, describe_step(self._work.name, values), args, kwargs), {}


@task(name="guard.responsible", label=lambda work, about, *_: about)
async def run_judged(work: _Work, about: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Judge, run, judge."""
    if work.feasible is not None and not is_yes(said := await rule(work.feasible, "feasible", about), work.threshold):
        raise Infeasible(f"{work.name} was not run: {said.why or 'it can' + chr(39) + 't be done as asked'}")
    shown, said = "", Ruling(1.0)
    for _ in range(work.attempts):
        value = await work.task(*args, **kwargs)
        if work.complete is None:
            return value
        shown = _show(value)
        said = await rule(work.complete, "complete", f"{about}\nIt returned: {shown}")
        if is_yes(said, work.threshold):
            return value
    tried = f"{work.attempts} attempt{'s' * (work.attempts > 1)}"
    why = f": {said.why}" if said.why else ""
    raise Incomplete(f"{work.name} did not do all that was asked, in {tried}{why}. It returned: {shown}")


def is_yes(ruling: Ruling, threshold: float) -> bool:
    """What follows from a ruling.

    >>> is_yes(Ruling(0.5), 0.5), is_yes(Ruling(0.4), 0.5)
    (True, False)
    """
    return ruling.probability >= threshold


def _show(value: Any) -> str:
    """A result as a judge is shown it."""
    if (says := getattr(value, "__headway_show__", None)) is not None:
        value = says()[0]
    try:
        content = show(value, _MOST_SHOWN)
    except Unshowable as error:
        return str(error)
    return (
        content if isinstance(content, str) else cut(" ".join(getattr(part, "text", "(no text)") for part in content), _MOST_SHOWN)
    )
