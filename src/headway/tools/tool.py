"""A tool: a task that a model may ask for.

    @tools.tool
    async def area(country: str) -> float:
        '''The area of a country in km2.'''

    area.spec                       # what a model is told: name, description, JSON schema
    await area.start(models.ToolCall("call_1", "area", '{"country": "Italy"}'))

What a tool does is a call of its task, so it is recorded, paid for, retried and stopped as any other; its pool, cache and limits
are the task's. Its labels say what may go wrong when a model is let at it, for whoever guards the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, overload

from headway.engine.handle import Handle
from headway.engine.tasks.callables import name_of
from headway.errors import ToolArgumentsError, UsageError
from headway.models.messages import ToolCall, ToolSpec
from headway.task import Task, task
from headway.tools.docstring import read_docstring
from headway.tools.faults import is_answer
from headway.tools.parameters import Parameters, read_parameters, returns_bytes

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Labels:
    """What a tool does to the world, and the world to it.

    Attributes:
        effect: whether it changes the world.
        reads_untrusted: whether its results hold text that anybody may have written, such as a page of the web.
        needs_approval: whether a person is asked before each of its calls.
    """

    effect: bool = False
    reads_untrusted: bool = False
    needs_approval: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """A task that a model may ask for; made by `tool`.

    Attributes:
        spec: what a model is told of it.
        labels: what it does to the world.
        task: the task that does the work.
        parameters: how the task's arguments are read from a model's.
    """

    spec: ToolSpec
    labels: Labels
    task: Task[..., Any]
    parameters: Parameters
    _work: Task[..., Any] = field(init=False, repr=False)  # the task, whose failures are answers

    def __post_init__(self) -> None:
        object.__setattr__(self, "_work", Task(replace(self.task.spec, tells=is_answer)))

    @property
    def name(self) -> str:
        """What a model asks for it by."""
        return self.spec.name

    def parse(self, arguments: str) -> dict[str, Any]:
        """Read the arguments that a model wrote.

        Args:
            arguments: JSON.

        Returns:
            The arguments by name, of the types that the function's hints name.

        Raises:
            ToolArgumentsError: they are no JSON, or don't fit. Its text is for the model.
        """
        try:
            return self.parameters.parse(arguments)
        except ToolArgumentsError as error:
            raise ToolArgumentsError(f"{self.name}: {error}") from None

    def start(self, call: ToolCall) -> Handle[Any]:
        """Start what a model asked for. Nobody is asked for approval here; `run_calls` does that.

        Args:
            call: what the model asked.

        Returns:
            A call of the tool's task, a child of the current call.

        Raises:
            ToolArgumentsError: the arguments don't fit.
        """
        return self.start_with(self.parse(call.arguments))

    def start_with(self, values: dict[str, Any]) -> Handle[Any]:
        """Start it with arguments that were read before.

        Args:
            values: the arguments by name, as `parse` gives them.

        Returns:
            A call of the tool's task, a child of the current call.
        """
        args, kwargs = self.parameters.place(values)
        return self._work(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<tool {self.name}>"

    def __headway_key__(self) -> object:
        return ("tool", self.task, self.spec, *getattr(self.parameters, "identity", ()))


AnyTool = Tool | Task[..., Any] | Callable[..., Any]
"""What can be offered to a model: a tool, a task, or a typed function."""


@overload
def tool(
    fn: AnyTool,
    /,
    *,
    name: str = "",
    description: str = "",
    effect: bool | None = None,
    reads_untrusted: bool = False,
    needs_approval: bool = False,
    strict: bool = False,
) -> Tool: ...
@overload
def tool(
    *,
    name: str = "",
    description: str = "",
    effect: bool | None = None,
    reads_untrusted: bool = False,
    needs_approval: bool = False,
    strict: bool = False,
) -> Callable[[AnyTool], Tool]: ...
def tool(fn: AnyTool | None = None, /, **options: Any) -> Any:
    """Make a tool of a typed function or a task. Use it bare, `@tools.tool`, with options, or as a function.

    Args:
        fn: a function with type hints, a task, or a tool (which is returned as it is where nothing else is given).

    Keyword Args:
        name (str): what a model asks for it by: up to 64 of A-Z, a-z, 0-9, `_` and `-`. Default: the function's name.
        description (str): what it does, for the model. Default: the docstring up to its first section. What its section `Args` says
            describes the parameters.
        effect (bool): whether it changes the world. Default: what the task says. A plain function becomes a task with this effect.
        reads_untrusted (bool): whether its results hold text that anybody may have written.
        needs_approval (bool): whether a person is asked before each call.
        strict (bool): whether the server is to hold the model to the schema, where it can.

    Returns:
        The tool, or with options alone what makes one of a function.

    Raises:
        UsageError: a parameter has no type hint or no JSON schema, the name is none, or the result could not be shown to a model.

    Example:
        >>> from typing import Literal
        >>> from headway import tools
        >>> @tools.tool
        ... async def area(country: str, unit: Literal["km2", "mi2"] = "km2") -> float:
        ...     '''The area of a country.
        ...
        ...     Args:
        ...         country: its name in English.
        ...     '''
        ...     return 302_068.0
        >>> area.name, area.spec.parameters["properties"]["country"]
        ('area', {'description': 'its name in English.', 'type': 'string'})
        >>> area.parse('{"country": "Italy"}')
        {'country': 'Italy'}
    """
    if fn is None:
        return lambda function: _make_tool(function, **options)
    return _make_tool(fn, **options)


def _make_tool(
    fn: Any,
    *,
    name: str = "",
    description: str = "",
    effect: bool | None = None,
    reads_untrusted: bool = False,
    needs_approval: bool = False,
    strict: bool = False,
) -> Tool:
    if isinstance(fn, Tool):
        return _change_tool(fn, name, description, effect, Labels(False, reads_untrusted, needs_approval), strict)
    if not callable(fn):
        raise UsageError(f"tools.tool got {fn!r:.100}: expected a typed function or a task")
    called = _check_name(name or name_of(fn).rpartition(".")[2], given=bool(name))
    work = _as_task(fn, called, effect)
    said = read_docstring(work.fn.__doc__ or "")
    parameters = read_parameters(work.fn, called, said.parameters, batch=bool(work.spec.batch))
    spec = ToolSpec(called, description or said.text, parameters.schema, strict)
    labels = Labels(work.spec.effect if effect is None else effect, reads_untrusted, needs_approval)
    return Tool(spec, labels, work, parameters)


def _change_tool(old: Tool, name: str, description: str, effect: bool | None, more: Labels, strict: bool) -> Tool:
    """The tool with another name or description, or with more labels."""
    changed = replace(
        old.spec,
        name=_check_name(name, given=True) if name else old.name,
        description=description or old.spec.description,
        strict=strict or old.spec.strict,
    )
    labels = Labels(
        old.labels.effect if effect is None else effect,
        old.labels.reads_untrusted or more.reads_untrusted,
        old.labels.needs_approval or more.needs_approval,
    )
    _as_task(old.task, changed.name, effect)
    return old if (changed, labels) == (old.spec, old.labels) else replace(old, spec=changed, labels=labels)


def _check_name(name: str, *, given: bool) -> str:
    if _NAME.fullmatch(name):
        return name
    way = "" if given else ": give it one with name="
    raise UsageError(f"tools.tool: {name!r:.100} can't name a tool (up to 64 of A-Z, a-z, 0-9, _ and -){way}")


def _as_task(fn: Any, name: str, effect: bool | None) -> Task[..., Any]:
    """The task that does a tool's work."""
    if not isinstance(fn, Task):
        fn = task(name=None if hasattr(fn, "__qualname__") else name, effect=bool(effect))(fn)
    work: Task[..., Any] = fn
    if wrong := returns_bytes(work.fn):
        raise UsageError(
            f"tool {name}: it returns {wrong}, which no model can read: return text, or a models.Image or models.Audio"
        )
    if work.spec.streams:
        raise UsageError(f"tool {name}: it hands out items, and a model is given one result: let a task collect them")
    if effect and not work.spec.effect:
        raise UsageError(f"tool {name}: effect=True, but its task is none and could be run twice: write @hw.task(effect=True)")
    return work
