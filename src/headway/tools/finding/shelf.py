"""The tools of one conversation, which grow as the model finds more: at first there is one that looks in a toolbox.

    shelf = tools.Shelf(box, always=[clock])
    reply = await models.sample(model, messages, tools=shelf)
    results = await tools.run_calls(shelf, reply.samples[0].calls)      # what `find_tools` found is on the shelf now

What is found is part of a call's result, so a resumed run fills the shelf as it was before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, overload

from headway.engine.identity.signature import unkeyed
from headway.errors import UsageError
from headway.models.messages import ToolSpec
from headway.task import task
from headway.tools.finding.toolbox import Toolbox, _index, catalogue_tokens
from headway.tools.parameters import FunctionParameters, read_parameters
from headway.tools.results import ToolResult
from headway.tools.tool import AnyTool, Labels, Tool, tool

FIND = "find_tools"
_SAYS = """Look for tools that you don't have yet. Those that fit best are added to yours, and can be called from the next turn on.
Ask for one thing at a time, in a few words of what is to be done: "convert a currency", "distance between two cities"."""


@dataclass(frozen=True, slots=True)
class FoundTool:
    """A tool that was found, as a model is shown it.

    Attributes:
        name: its name.
        description: what it does.
    """

    name: str
    description: str


@task(name="tools.find")
async def _find_in(requests: list[str], k: int, box: Annotated[Toolbox, unkeyed]) -> list[FoundTool]:
    """The tools of a box that fit best."""
    found = await box.find([request for request in requests if request.strip()] or [" "], k)
    return [FoundTool(each.tool.name, each.tool.spec.description) for each in found]


def _signature(requests: list[str]) -> None:
    """What a model gives.

    Args:
        requests: what is to be done, each thing by itself.
    """


class _InBox:
    """The parameters of `find_tools`: the box itself is not the model's to give."""

    def __init__(self, box: Toolbox, k: int) -> None:
        self._box, self._k = box, k
        self._own: FunctionParameters = read_parameters(_signature, FIND, {"requests": "what is to be done, each thing by itself"})
        self.schema: Mapping[str, Any] = self._own.schema

    def parse(self, arguments: str) -> dict[str, Any]:
        return self._own.parse(arguments)

    def place(self, values: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (values["requests"], self._k, self._box), {}


class Shelf(Sequence[Tool]):
    """The tools that a conversation has: those it always has, one to find more, and what was found.

    Args:
        box: where `find_tools` looks.
        always: tools that are there from the beginning.
        k: how many tools one search adds at most.

    Raises:
        UsageError: two tools have one name.

    Example:
        >>> from headway import tools
        >>> async def area(country: str) -> float:
        ...     '''The area of a country.'''
        >>> shelf = tools.Shelf(tools.Toolbox([area]))
        >>> [each.name for each in shelf]
        ['find_tools']
    """

    def __init__(self, box: Toolbox, *, always: Sequence[AnyTool] = (), k: int = 5) -> None:
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise UsageError(f"tools.Shelf(k={k!r}): expected a whole number, at least 1")
        self.box = box
        parameters = _InBox(box, k)
        self.finder = Tool(ToolSpec(FIND, " ".join(_SAYS.split()), parameters.schema), Labels(), _find_in, parameters)
        self._tools = _index([self.finder, *(tool(each) for each in always)])
        if FIND in box:
            raise UsageError(f"tools.Shelf: a tool of the box is called {FIND}, which is the name of the one that finds tools")

    @overload
    def __getitem__(self, place: int) -> Tool: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Tool]: ...
    def __getitem__(self, place: int | slice) -> Tool | Sequence[Tool]:
        return list(self._tools.values())[place]

    def __len__(self) -> int:
        return len(self._tools)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    @property
    def catalogue_tokens(self) -> int:
        """How many tokens of a prompt its tools take at most."""
        return catalogue_tokens(list(self))

    def learn(self, results: Sequence[ToolResult]) -> None:
        """Put what was found on the shelf. `run_calls` does it.

        Args:
            results: those of a turn.
        """
        for result in results:
            if result.call.name == FIND and not result.is_error:
                for each in result.value:
                    if each.name in self.box:  # it may have gone since, in another version of the program
                        self._tools.setdefault(each.name, self.box[each.name])
