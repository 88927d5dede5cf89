"""Reads a plan while a planner writes it: numbered lines, each a call of a tool.

    1. lookup("Italy", "area")
    2. lookup("France", "area")
    3. compare($1, $2)
    join()

A line is a step as soon as it has ended; the planner may still be writing the next. What it refers to (`$1`, `${1}`, also inside of
a text) are the steps that it needs, so lines that need nothing of each other run side by side. `join()` ends the plan; what comes
after it is not read. Thoughts (`Thought: …`), blank lines and fences of code are passed over.

A line that can't be read is refused at once, in words that the planner can mend it by, and nothing of it becomes a step:
`LineError`. The steps before it stand. Arguments are data (`literals`). This file must never evaluate a planner's text, nor run a
tool.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headway.errors import UsageError
from headway.methods.edits import Add, Node, after
from headway.methods.plan.literals import BadArguments, Ref, Template, read_arguments, refs_in
from headway.near import near_sentence
from headway.tools.results import show
from headway.tools.tool import Tool

_LINE = re.compile(r"\s*\$?([0-9]{1,9})\s*[.):]\s*(.*)", re.DOTALL)
_CALL = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)\s*\((.*)\)\s*(?:#.*)?", re.DOTALL)
_JOIN = re.compile(r"\s*(?:\$?[0-9]{1,9}\s*[.):]\s*)?join\s*\((.*)", re.DOTALL)
_BEGUN = re.compile(r"\s*(?:[0-9]+|j|jo|joi|join)\s*")  # a line that goes on
_PASSED_OVER = re.compile(r"\s*(?:(?:thought|thoughts|plan)\b\s*:.*|```.*|#.*|)", re.IGNORECASE | re.DOTALL)
_MARKS = re.compile(r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'" + r"|[\"'()\[\]{}]")
_SHOWN = 80
HOW = '`1. tool("text", 2, $3)` on a line of its own, and join() on the last line'


class LineError(UsageError):
    """Raised for a line that is no step of a plan. Its text is for the planner, to write the rest again.

    Attributes:
        line: what the planner wrote; empty where it wrote too little.
    """

    def __init__(self, said: str, line: str = "") -> None:
        super().__init__(said, line)  # both, so that it survives pickling
        self.line = line

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class Use:
    """What a step of such a plan does: it calls a tool.

    Attributes:
        tool: the tool's name.
        arguments: its arguments by name: data, `Ref`s and `Template`s.
        said: the call as the planner wrote it, for people and for the planner itself. It makes no two steps differ.
    """

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    said: str = field(default="", compare=False)

    def fill(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments with results in the place of references.

        Args:
            results: what steps gave, by id.

        Returns:
            The arguments by name. A reference alone is the very result; inside of a text it is put in as the text that a model is
            shown of it. What a result says is never read for references.

        Raises:
            KeyError: there is no result for a reference.

        Example:
            >>> Use("ask", {"text": Template(("the area of ", Ref("1"))), "of": Ref("2")}).fill({"1": "Rome", "2": [41.9, 12.5]})
            {'text': 'the area of Rome', 'of': [41.9, 12.5]}
        """
        return {name: _fill(value, results) for name, value in self.arguments.items()}


def _fill(value: Any, results: Mapping[str, Any]) -> Any:
    if isinstance(value, Ref):
        return results[value.step]
    if isinstance(value, Template):
        return "".join(part if isinstance(part, str) else _as_text(results[part.step]) for part in value.parts)
    if isinstance(value, Mapping):
        return {name: _fill(each, results) for name, each in value.items()}
    return [_fill(each, results) for each in value] if isinstance(value, list | tuple) else value


def _as_text(value: Any) -> str:
    shown = show(value)
    return shown if isinstance(shown, str) else "".join(getattr(part, "text", "") for part in shown)


class PlanReader:
    """Turns a planner's text into steps, line by line.

    Args:
        tools: what a line may call.
        known: ids of steps that are there already. A line may refer to them, and must not take their numbers.
        lost: those of them that have no result, because they failed or never began. A line must not refer to them.

    Attributes:
        joined: whether join() has come.
        fault: the line that is wrong, where there is one.

    Example:
        >>> from headway import tools
        >>> @tools.tool
        ... async def area(country: str) -> float:
        ...     '''The area of a country.'''
        >>> reader = PlanReader([area])
        >>> reader.feed('1. area("It')
        []
        >>> [step] = reader.feed('aly")\\n2. area(France)\\n')
        >>> step.node.does.arguments
        {'country': 'Italy'}
        >>> print(reader.fault)
        Line 2, area(France): France is no data: put a text in quotes, "France".
    """

    def __init__(self, tools: Sequence[Tool], known: Collection[str] = (), lost: Collection[str] = ()) -> None:
        for each in tools:
            if not isinstance(each, Tool):
                raise UsageError(f"a plan calls tools, not {each!r:.80}: make it one with tools.tool(…)")
        self._tools = {each.name: each for each in tools}
        self._known = dict.fromkeys(known)
        self._lost = frozenset(lost)
        self._new = 0  # how many steps were read
        self._line: list[str] = []  # what has come of a line
        self._open: list[str] = []  # the lines of a step whose brackets are open
        self.joined = False
        self.fault: LineError | None = None

    @property
    def done(self) -> bool:
        """Whether nothing more is read: after join(), and after a fault."""
        return self.joined or self.fault is not None

    def feed(self, text: str) -> list[Add[Use]]:
        """Read a piece of the plan.

        Args:
            text: what the planner has written since.

        Returns:
            The steps whose lines have ended in it; see `fault`, too.
        """
        steps: list[Add[Use]] = []
        *ended, begun = text.split("\n")
        for piece in ended:
            self._line.append(piece)
            line = "".join(self._line)
            self._line.clear()
            steps += self._try(line)
        self._line.append(begun)
        return steps

    def end(self) -> list[Add[Use]]:
        """The planner has written all: read the last line, and see whether the plan is whole.

        Returns:
            The step that only its end has ended, if any; see `fault`, too.
        """
        steps = self._try("".join(self._line), last=True)
        self._line.clear()
        if not self.done and self._open:
            line = "\n".join(self._open)
            self.fault = LineError(f"The plan stops in the middle of a line: {_shorten(line)}. Write the line whole.", line)
        elif not self.done and not self._new and not self._known:
            self.fault = LineError(f"The plan is empty. Write {HOW}.")
        elif not self.done:
            self.fault = LineError("The plan ends without join(). Write the lines that are missing, and join() on the last line.")
        return steps

    def _try(self, line: str, *, last: bool = False) -> list[Add[Use]]:
        if self.done:
            return []
        try:
            step = self._read(line.rstrip("\r"), last=last)
        except LineError as error:
            self.fault = error
            return []
        if step is None:
            return []
        self._known[step.node.id] = None
        self._new += 1
        return [step]

    def _read(self, line: str, *, last: bool) -> Add[Use] | None:
        """The step that a line ends, if any."""
        begins = _LINE.fullmatch(line) or _JOIN.fullmatch(line)
        if self._open:
            if begins:
                raise _refuse_line("\n".join(self._open), "it never ends, a bracket is open")
            self._open.append(line)
        elif _PASSED_OVER.fullmatch(line):
            return None
        elif (join := _JOIN.fullmatch(line)) is not None:
            if last and not join[1].strip():
                self._open.append(line)
            elif not join[1].lstrip().startswith(")"):
                raise _refuse_line(line, "join() takes nothing: it waits for all steps")
            else:
                self.joined = True
            return None
        elif not begins:
            if not (last and _BEGUN.fullmatch(line)):
                raise LineError(f"{_shorten(line)} is no line of a plan. Write {HOW}; thoughts begin with Thought:.", line)
            self._open.append(line)
            return None
        else:
            self._open.append(line)
        whole = "\n".join(self._open)
        if not _is_closed(whole, last=last):
            return None
        self._open.clear()
        return self._read_step(whole)

    def _read_step(self, line: str) -> Add[Use]:
        number, call = _LINE.fullmatch(line).groups()  # type: ignore[union-attr]  # it began so
        id = number.lstrip("0") or "0"
        found = _CALL.fullmatch(call.strip())
        if found is None:
            raise _refuse_line(line, f"a line is a number and one call of a tool. Write {HOW}")
        name, inside = found.groups()
        if id in self._known:
            raise _refuse_line(line, f"there is a line {id} already. Number the lines on from {self._next()}")
        if name not in self._tools:
            raise _refuse_line(line, f"there is no tool {name!r:.60}; {near_sentence(name, self._tools)}")
        try:
            placed, named = read_arguments(inside)
            arguments = _name_arguments(self._tools[name], placed, named)
        except BadArguments as error:
            raise _refuse_line(line, str(error)) from None
        needed = tuple(dict.fromkeys(refs_in(arguments)))
        for each in needed:
            if each not in self._known:
                raise _refuse_line(line, _say_missing(id, each))
            if each in self._lost:
                raise _refuse_line(line, f"${each} has no result: it failed, or what it needs did")
        return Add(Node(id, Use(name, arguments, call.strip()), after(*needed)))

    def _next(self) -> int:
        return 1 + max((int(id) for id in self._known if id.isdecimal()), default=0)


async def read_plan(
    pieces: AsyncIterator[str], tools: Sequence[Tool], known: Collection[str] = (), lost: Collection[str] = ()
) -> AsyncGenerator[Add[Use], None]:
    """Read a plan while it streams: each step is given when its line has ended.

    Args:
        pieces: what the planner writes, as it writes it. It is left when join() has come.
        tools: what a line may call.
        known: ids of steps that are there already.
        lost: those of them that have no result.

    Yields:
        The steps, each an edit that adds it to a plan.

    Raises:
        LineError: a line can't be read; the steps before it were given.

    Source:
        The format of LLMCompiler: Kim et al., arXiv 2312.04511. It departs in refusing what can't be read, which the public code
        passes over, and in reading arguments as data without evaluating them.
    """
    reader = PlanReader(tools, known, lost)
    try:
        async for piece in pieces:
            for step in reader.feed(piece):
                yield step
            if reader.done:
                break
    finally:
        if (close := getattr(pieces, "aclose", None)) is not None:
            await close()
    for step in reader.end():
        yield step
    if reader.fault is not None:
        raise reader.fault


def _is_closed(line: str, *, last: bool) -> bool:
    """Whether all brackets of a line are closed. Raises LineError for a text that is not: texts end on their line."""
    depth = 0
    opened = False
    for mark in _MARKS.finditer(line):
        if mark[0] in ('"', "'"):
            if last:
                return False
            raise _refuse_line(line, f"a text is not closed: {line[mark.start() : mark.start() + 40]!r}")
        if mark[0] in "([{":
            depth, opened = depth + 1, True
        elif mark[0] in ")]}":
            depth -= 1
            if opened and depth == 0:
                return True
    return depth <= 0 and (opened or not last)


def _name_arguments(tool: Tool, placed: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by name. Raises BadArguments where the tool takes others."""
    schema = tool.spec.parameters
    names = list(schema.get("properties", {}))
    in_place, placed = _gather_list(schema, placed)
    if len(placed) > len(in_place):
        takes = f"takes {', '.join(names)}" if names else "takes no arguments"
        raise BadArguments(f"{tool.name} got {len(placed)} arguments, and {takes}")
    arguments = dict(zip(in_place, placed, strict=False))
    for name, value in named.items():
        if name in arguments:
            raise BadArguments(f"{name} is given twice, by its place and by its name")
        if name not in names:
            raise BadArguments(f"{tool.name} takes no {name!r:.40}; {near_sentence(name, names)}")
        arguments[name] = value
    if missing := [name for name in schema.get("required", ()) if name not in arguments]:
        raise BadArguments(f"{tool.name} needs {', '.join(missing)}, too")
    return arguments


def _gather_list(schema: Mapping[str, Any], placed: Sequence[Any]) -> tuple[list[str], Sequence[Any]]:
    """The names of arguments by place, and the arguments. Where there are more than the tool takes, those too many are items of the
    one list that it takes, so `largest($1, $2, $3)` means `largest([$1, $2, $3])`; what must follow the list follows it."""
    properties = schema.get("properties", {})
    names = list(properties)
    lists = [place for place, each in enumerate(properties.values()) if each.get("type") == "array"]
    if len(placed) <= len(names) or len(lists) != 1:
        return names, placed
    at = lists[0]
    behind = [name for name in names[at + 1 :] if name in schema.get("required", ())]
    end = len(placed) - len(behind)
    return [*names[: at + 1], *behind], [*placed[:at], list(placed[at:end]), *placed[end:]]


def _say_missing(id: str, missing: str) -> str:
    if missing == id:
        return "it refers to itself"
    what = "a later line" if len(missing) < 10 and int(missing) > int(id) else "no line"
    shown = missing[:12]
    return f"${shown} is {what}: a line refers to lines before it. (The text ${shown} is written $${shown}.)"


def _refuse_line(line: str, why: str) -> LineError:
    found = _LINE.fullmatch(line)
    where = f"Line {found[1]}, {_shorten(found[2])}" if found else _shorten(line)
    return LineError(f"{where}: {why}{'' if why.endswith(('.', '?', ')')) else '.'}", line)


def _shorten(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "…"
