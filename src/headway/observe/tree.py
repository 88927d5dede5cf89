"""Draws the tree of a run's calls as lines of text, small enough to read whatever the size of the run.

Of many calls of one task under one parent only a few are shown; the rest is folded into one line that counts them. Levels are shown
as deep as fits on a screen or two. The calls that make up most of the critical path are always shown, because people look for
those. `select` decides which lines there are, as data; `draw` only paints them.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from headway.journal.records import Amounts
from headway.observe import words
from headway.observe.critical import CriticalPath
from headway.observe.recorded import Call, RecordedRun, State

LINES = 150
FOLD_ABOVE = 8  # siblings of one task that are all shown
FIRST_SHOWN = 3
ODD_SHOWN = 3  # of the failed, cancelled and open ones
TABLE_LINES = 2000  # more than these are not worth a table's layout
PATH_SHOWN = 12  # calls with the largest shares of the critical path, and who called them


class Line(NamedTuple):
    """One call; `guides` says, for each level above it, whether that level goes on below."""

    guides: tuple[bool, ...]
    call: Call
    hidden: int = 0  # calls below it that are not shown


class Fold(NamedTuple):
    """Calls of one task that are not shown one by one."""

    guides: tuple[bool, ...]
    task: str
    states: dict[State, int]
    seconds: float
    cost: Amounts

    @property
    def number(self) -> int:
        return sum(self.states.values())


class Options(NamedTuple):
    """What to show: everything, so many levels, only calls of one task (and who called them)."""

    everything: bool = False
    depth: int | None = None
    task: str = ""


def matches_task(name: str, wanted: str) -> bool:
    """Whether a user who says `search` means the task `sky.search`."""
    return name == wanted or name.endswith(f".{wanted}")


def select(recorded: RecordedRun, path: CriticalPath, options: Options = Options()) -> list[Line | Fold]:
    """The lines to show, top to bottom."""
    wanted = _callers_of(recorded, options.task) if options.task else None
    depth = options.depth
    if depth is None:
        depth = 1_000_000 if options.everything or wanted is not None else _depth_that_fits(recorded, path)
    is_strict = options.depth is not None
    return list(_Selection(recorded, path, depth, everything=options.everything, is_strict=is_strict, wanted=wanted).lines())


class _Selection:
    """`depth` levels below the root are shown; where it is not strict, the largest parts of the critical path are shown below
    it too."""

    def __init__(
        self,
        recorded: RecordedRun,
        path: CriticalPath,
        depth: int,
        *,
        everything: bool = False,
        is_strict: bool = False,
        wanted: set[bytes] | None = None,
    ) -> None:
        self.recorded = recorded
        self.depth = depth
        self.everything = everything
        self.notable = set() if is_strict else _largest_shares(recorded, path)
        self.wanted = wanted

    def lines(self) -> Iterator[Line | Fold]:
        stack: list[Line | Fold] = [Line((), self.recorded.calls[self.recorded.root])]
        while stack:
            line = stack.pop()
            if isinstance(line, Fold):
                yield line
                continue
            below = self._below(line)
            if below is None:
                yield line._replace(hidden=_number_below(self.recorded, line.call.key))
            else:
                yield line
                stack += reversed(below)

    def _below(self, line: Line) -> list[Line | Fold] | None:
        """The lines of a call's children, or None where they are not shown."""
        calls = self.recorded.calls_under(line.call.key)
        if self.wanted is not None:
            calls = [call for call in calls if call.key in self.wanted]
        if len(line.guides) >= self.depth:
            if not calls:
                return []
            if not any(call.key in self.notable for call in calls):
                return None
        found = calls if self.everything else self._folded(calls)
        last = len(found) - 1
        lines: list[Line | Fold] = []
        for i, item in enumerate(found):
            guides = (*line.guides, i < last)
            lines.append(Line(guides, item) if isinstance(item, Call) else item._replace(guides=guides))
        return lines

    def _folded(self, calls: list[Call]) -> list[Call | Fold]:
        """Calls as they began, with the many of one task folded behind the last one of it that is shown."""
        groups: dict[str, list[Call]] = {}
        for call in calls:
            groups.setdefault(call.task, []).append(call)
        shown: set[bytes] = set()
        folds: dict[bytes, Fold] = {}
        for task, group in groups.items():
            kept = self._kept(group)
            shown.update(call.key for call in kept)
            if len(kept) < len(group):
                folds[kept[-1].key] = fold(task, [call for call in group if call.key not in shown], self.recorded)
        found: list[Call | Fold] = []
        for call in calls:
            if call.key in shown:
                found.append(call)
            if call.key in folds:
                found.append(folds[call.key])
        return found

    def _kept(self, group: list[Call]) -> list[Call]:
        if len(group) <= FOLD_ABOVE:
            return group
        odd = 0
        kept = []
        for i, call in enumerate(group):
            if call.state is not State.OK and odd < ODD_SHOWN:
                odd += 1
                kept.append(call)
            elif i < FIRST_SHOWN or call.key in self.notable:
                kept.append(call)
        return kept


def fold(task: str, calls: list[Call], recorded: RecordedRun) -> Fold:
    """One line for many calls: how they ended, how long they took and what they cost, all together."""
    states: dict[State, int] = {}
    cost: Amounts = {}
    total = 0.0
    for call in calls:
        states[call.state] = states.get(call.state, 0) + 1
        began, ended = recorded.span(call)
        total += ended - began
        for unit, amount in call.cost.items():
            cost[unit] = cost.get(unit, 0.0) + amount
    return Fold((), task, states, total, cost)


def _callers_of(recorded: RecordedRun, task: str) -> set[bytes]:
    """The calls of a task, and all calls above them."""
    return _with_callers(recorded, (call.key for call in recorded.calls.values() if matches_task(call.task, task)))


def _largest_shares(recorded: RecordedRun, path: CriticalPath) -> set[bytes]:
    ranked = sorted((key for key, share in path.shares.items() if share > 0), key=lambda key: -path.shares[key])
    return _with_callers(recorded, ranked[:PATH_SHOWN])


def _with_callers(recorded: RecordedRun, keys: Iterable[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for key in keys:
        while key not in found:
            found.add(key)
            key = recorded.parent_of(key)
    return found


def _depth_that_fits(recorded: RecordedRun, path: CriticalPath) -> int:
    """The most levels that need no more than LINES lines, and at least one."""
    for depth in range(1, 1000):
        hidden = False
        for number, line in enumerate(_Selection(recorded, path, depth + 1).lines()):
            hidden = hidden or (isinstance(line, Line) and line.hidden > 0)
            if number >= LINES:
                return depth
        if not hidden:
            break
    return 1000


def _number_below(recorded: RecordedRun, key: bytes) -> int:
    number, stack = 0, [key]
    while stack:
        below = recorded.children.get(stack.pop(), ())
        number += len(below)
        stack += below
    return number


# --- painting ----------------------------------------------------------------------------------------------------------

MARKS = {
    State.OK: ("✓", "green"),
    State.FAILED: ("✗", "red"),
    State.CANCELLED: ("■", "magenta"),
    State.RETRYING: ("↻", "yellow"),
    State.OPEN: ("…", "blue"),
}


def draw(recorded: RecordedRun, path: CriticalPath, lines: list[Line | Fold], width: int) -> RenderableType:
    """The lines as a table: the tree, then time, share of the critical path, cost, and what came of it.

    `width` is that of the screen. A great many lines are laid out without colours, which takes seconds where a table takes minutes.
    """
    alike = _alike(lines, recorded)
    rows = [_cells(item, recorded, path, alike) for item in lines]
    has_cost = any(row[3].plain for row in rows)
    columns = [column for column in _COLUMNS if has_cost or column != "cost"]
    if not has_cost:
        rows = [[*row[:3], row[4]] for row in rows]
    if len(rows) > TABLE_LINES:
        return _Plain(columns, rows)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=False)
    for column, cells in zip(columns, _widths(columns, rows, width), strict=True):
        right = column in ("time", "critical")
        table.add_column(column, justify="right" if right else "left", no_wrap=True, overflow="ellipsis", width=cells)
    for row in rows:
        table.add_row(*row)
    return table


def _widths(columns: list[str], rows: list[list[Text]], width: int) -> list[int]:
    """Cells per column. Times are shown whole; the call and what came of it share what the costs leave of the screen."""
    longest = [max(len(column), *(row[place].cell_len for row in rows)) for place, column in enumerate(columns)]
    if "cost" in columns:
        longest[-2] = min(longest[-2], max(12, width // 5 + 2))
    numbers = longest[1:-1]
    left = max(24, width - sum(numbers) - 2 * len(columns))
    call = min(longest[0], max(left * 55 // 100, left - longest[-1]))
    return [call, *numbers, max(1, min(longest[-1], left - call))]


_COLUMNS = ("call", "time", "critical", "cost", "")
_CALL_WIDTH = 80


class _Plain:
    """Rows as lines of text."""

    def __init__(self, columns: list[str], rows: list[list[Text]]) -> None:
        self.rows = [columns] + [[cell.plain for cell in row] for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for call, time, critical, *rest in self.rows:
            yield Segment(f"{call:{_CALL_WIDTH}.{_CALL_WIDTH}}  {time:>12}  {critical:>8}  {'  '.join(rest)}".rstrip() + "\n")


def _alike(lines: Sequence[Line | Fold], recorded: RecordedRun) -> set[bytes]:
    """The calls whose lines read like that of another call of the same parent."""
    found: dict[tuple[bytes, str], list[bytes]] = {}
    for line in lines:
        if isinstance(line, Line):
            found.setdefault((recorded.parent_of(line.call.key), line.call.name), []).append(line.call.key)
    return {key for keys in found.values() if len(keys) > 1 for key in keys}


def _cells(item: Line | Fold, recorded: RecordedRun, path: CriticalPath, alike: Container[bytes]) -> list[Text]:
    return _fold_cells(item, recorded.names) if isinstance(item, Fold) else _call_cells(item, recorded, path, recorded.names, alike)


def _call_cells(
    line: Line, recorded: RecordedRun, path: CriticalPath, names: dict[str, str], alike: Container[bytes]
) -> list[Text]:
    call = line.call
    on_path = call.key in path.shares
    mark, style = MARKS[call.state]
    text = _guides(line.guides)
    text.append(f"{mark} ", style=style)
    name = f"{names[call.task]}({call.label})" if call.task else call.name
    text.append(words.clip(name, 200), style="bold yellow" if on_path else "")
    if call.key in alike:
        text.append(f"  {call.key.hex()[:8]}", style="dim")
    began, ended = recorded.span(call)
    share = path.fraction(call.key)
    critical = Text(f"{share:.0%}" if share >= 0.005 else "·", style="bold yellow") if on_path else Text("")
    return [text, Text(words.seconds(ended - began)), critical, Text(words.amounts(call.cost), style="dim"), _notes(line)]


def _notes(line: Line) -> Text:
    call, text = line.call, Text()
    if call.attempts > 1:
        text.append(f"{call.attempts} attempts  ", style="yellow")
    if line.hidden:
        text.append(f"{words.count(line.hidden, 'call')} below  ", style="dim")
    if call.state is State.OK:
        text.append(call.preview(), style="dim")
        if call.reason:
            text.append(f"  {words.clip(call.reason, 80)}", style="yellow")
    elif call.error is not None:
        text.append(f"{call.error.type.rpartition(':')[2]}: {words.clip(call.error.message, 120)}", style="red")
    elif call.state is State.CANCELLED:
        text.append(words.clip(call.reason, 120) or "cancelled", style="magenta")
    elif call.effect:
        text.append("an effect: it may have happened", style="yellow")
    return text


def _fold_cells(item: Fold, names: dict[str, str]) -> list[Text]:
    text = _guides(item.guides)
    states = ", ".join(f"{number:,} {state.said}" for state, number in item.states.items())
    task = f"{names[item.task]} " if item.task else ""
    text.append(f"… {item.number:,} more {task}calls: {states}", style="dim")
    cost = Text(words.amounts(item.cost), style="dim")
    return [text, Text(words.seconds(item.seconds), style="dim"), Text(""), cost, Text("all together", style="dim")]


def _guides(guides: tuple[bool, ...]) -> Text:
    if not guides:
        return Text()
    above = "".join("│  " if goes_on else "   " for goes_on in guides[:-1])
    return Text().append(above + ("├─ " if guides[-1] else "└─ "), style="dim")
