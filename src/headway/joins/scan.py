"""All prefixes of a fold, in logarithmic depth, made of ordinary calls.

Write `a · b` for `fn(a, b)`. The prefix of length m is `x[0] · x[1] · … · x[m-1]`. With an associative `fn` it may be bracketed in
any way, so it is made of aligned blocks: block (level, j) folds the 2^level items from j·2^level on, of two blocks of the level
below. The prefix of length m, whose lowest set bit is 2^level, is

    the prefix of length m - 2^level  ·  the block of 2^level items that ends at m

and is that block itself where m is a power of two (the network of Brent and Kung, "A regular layout for parallel adders", 1982).
For n items that are fewer than 2n calls, and no chain of more than 2·log2(n) of them. No call changes when items are appended:
blocks and prefixes depend only on the items before their end, and a call is named by what it asks. So a resumed program that has
more items than before makes the new calls only.

On a grid, let `beside(a, b)` join two pieces left and right, `above(a, b)` one on top of the other. Where both are associative and

    above(beside(a, b), beside(c, d)) == beside(above(a, c), above(b, d))          (the interchange law)

a rectangle may be cut in any way, and the fold of every rectangle that begins at the first corner is a scan of each row with
`beside`, and then of each column of what that gave with `above`. A linear recurrence on a grid (a state from the one to the left
and the one above) is of this kind. Its pieces map what enters a rectangle at its left and upper edges to what leaves it at the
others, so the parallel form equals the sequential one (pLSTM: Pöppel et al., arXiv 2506.11997, after the idea of: from the
abstract). The commonest case is one operator for both, associative and commutative: sums, maxima, unions.

Nothing here checks that an operator is associative. Floating-point sums are so only nearly, and round as the tree brackets them.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator, Iterable
from typing import Any, Generic, TypeVar

from headway.engine.handle import Handle
from headway.engine.tasks.callables import name_of
from headway.errors import UsageError
from headway.joins.base import Join, close_coroutines, in_run
from headway.joins.branches import Branch, Branches
from headway.joins.gather import gather
from headway.task import Task

T = TypeVar("T")


class Scan(Generic[T]):
    """The prefixes of a fold, which grows by `append`; made by `hw.scan`. Await it for all of them."""

    def __init__(self, fn: Callable[[T, T], Any], where: str = "hw.scan") -> None:
        self._fn = fn
        self._where = where
        self._prefixes: list[Any] = []  # values, or calls that give them
        self._blocks: list[Any] = []  # the newest aligned block of each level, where it is complete and has no pair yet
        self._calls: list[Any] = []
        self._outside: Branches | None = None

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._prefixes)

    def __getitem__(self, index: int) -> T | Handle[T]:
        """The prefix that ends with item `index`: a call, or a value where there was nothing to call."""
        prefix: T | Handle[T] = self._prefixes[index]
        return prefix

    def append(self, item: T | Handle[T]) -> Join[T]:
        """Add an item, and begin the calls that it needs: two on average, at most log2 of the number of items, plus one.

        Args:
            item: The item, or a call that gives it.

        Returns:
            The prefix that ends with it, to be awaited by whoever wants to.
        """
        self._add(item)
        prefix: Any = self._prefixes[-1]

        async def newest() -> T:
            found: T = await prefix if isinstance(prefix, Handle | Branch) else prefix
            return found

        return Join(newest)

    def _add(self, item: Any) -> None:
        block, level, length = item, 0, len(self._prefixes) + 1
        blocks = self._blocks
        while level < len(blocks) and blocks[level] is not _NO_BLOCK:
            block = self._fold(blocks[level], block)
            blocks[level] = _NO_BLOCK
            level += 1
        blocks[level:] = [block, *blocks[level + 1 :]]
        rest = length - (1 << level)
        self._prefixes.append(block if not rest else self._fold(self._prefixes[rest - 1], block))

    def extend(self, items: Iterable[T | Handle[T]]) -> None:
        """Add several items.

        Args:
            items: The items, or calls that give them.
        """
        for item in items:
            self._add(item)

    def _fold(self, left: Any, right: Any) -> Any:
        """One use of the operator."""
        waits = isinstance(left, Branch) or isinstance(right, Branch)
        made = self._fold_later(left, right) if waits else self._apply(left, right)
        if not inspect.isawaitable(made):
            return made
        if not isinstance(made, Handle):
            made = self._begin_outside(made)
        self._calls.append(made)
        return made

    def _begin_outside(self, made: Awaitable[T]) -> Branch[T]:
        """A coroutine of an async function, outside of a run."""
        if in_run():
            close_coroutines((made,))
            raise UsageError(f"{self._where}: {name_of(self._fn)} is async and no task, so nothing of it would be recorded: {_WAY}")
        self._outside = self._outside or Branches("scan")
        return self._outside.begin(made, len(self._calls))

    def _apply(self, left: Any, right: Any) -> Any:
        try:
            return self._fn(left, right)
        except TypeError as error:
            if not isinstance(self._fn, Task) and (isinstance(left, Handle) or isinstance(right, Handle)):
                given = f"{name_of(self._fn)} is no task, so it was given a call instead of its result"
                error.add_note(f"{self._where}: {given}: {_WAY}")
            raise

    async def _fold_later(self, left: Any, right: Any) -> T:
        """Outside of a run, where values do not come by handle."""
        left = await left if isinstance(left, Branch) else left
        right = await right if isinstance(right, Branch) else right
        made: Any = self._fn(left, right)
        folded: T = await made if inspect.isawaitable(made) else made
        return folded

    def __await__(self) -> Generator[Any, Any, list[T]]:
        return self._all().__await__()

    async def _all(self) -> list[T]:
        """All prefixes. On the first failure the calls that still run are cancelled and drained."""
        prefixes = list(self._prefixes)
        pending = [part for part in (*self._calls, *prefixes[:1]) if isinstance(part, Handle | Branch)]
        await gather(*pending)
        return [part.result() if isinstance(part, Handle | Branch) else part for part in prefixes]


_NO_BLOCK: Any = object()
_WAY = "decorate it with @hw.task"


def scan(fn: Callable[[T, T], T | Awaitable[T]], items: Iterable[T | Handle[T]] = ()) -> Scan[T]:
    """All prefixes of a fold with an associative operator, in logarithmic depth: `x0, x0·x1, x0·x1·x2, …`.

    Each use of the operator is a call, named by what it combines. So a prefix that is there is kept: `append` begins the calls that
    the new item needs and no other, and a resumed program that has more items than before makes the new calls only. Fewer than 2n
    calls for n items, in chains of at most 2·log2(n).

    Args:
        fn: the operator: a task of two arguments, or a plain function, which is called at once. Left comes first, so it need not be
            commutative; it must be associative, which nothing checks. Outside of a run any function, async or not.
        items: the items, or calls that give them.

    Returns:
        A `Scan`: await it for the list of all prefixes (the first is the first item itself); `scan[i]` is one of them, as a call
        that runs; `append` and `extend` add items.

    Raises:
        UsageError: in a run, `fn` is async and no task.

    Example:
        >>> @hw.task
        ... async def join(left: str, right: str) -> str:
        ...     return left + right
        >>> @hw.task
        ... async def story(chapters: list[str]) -> list[str]:
        ...     scan = hw.scan(join, chapters)
        ...     so_far = await scan  # the story up to each chapter
        ...     return [*so_far, await scan.append("d")]  # one prefix more
        >>> hw.run(story, ["a", "b", "c"], store=None)
        ['a', 'ab', 'abc', 'abcd']
    """
    if not callable(fn):
        raise UsageError(f"hw.scan(fn={fn!r:.100}): expected a task of two arguments, or a function")
    found: Scan[T] = Scan(fn)
    found.extend(items)
    return found


class GridScan(Generic[T]):
    """The folds of all rectangles that begin at the first corner of a grid; made by `hw.scan_grid`. Await it for all of them."""

    def __init__(self, beside: Callable[[T, T], Any], above: Callable[[T, T], Any]) -> None:
        self._beside = beside
        self._above = above
        self._rows: list[Scan[T]] = []
        self._columns: list[Scan[T]] = []

    def append(self, row: Iterable[T | Handle[T]]) -> None:
        """Add a row below, and begin the calls that it needs.

        Args:
            row: Its items, or calls that give them; as many as the other rows have.

        Raises:
            UsageError: The row is longer or shorter than the others.
        """
        row = list(row)
        if self._rows and len(row) != len(self._columns):
            raise UsageError(f"hw.scan_grid: a row of {len(row)} items, where the others have {len(self._columns)}")
        if not self._rows:
            self._columns = [Scan(self._above, "hw.scan_grid(above)") for _ in row]
        scan: Scan[T] = Scan(self._beside, "hw.scan_grid(beside)")
        scan.extend(row)
        self._rows.append(scan)
        for column, folded in zip(self._columns, scan._prefixes, strict=True):
            column.append(folded)

    def __getitem__(self, corner: tuple[int, int]) -> T | Handle[T]:
        """The fold of rows 0 to `corner[0]` and columns 0 to `corner[1]`, as a call, or a value where there was nothing to call."""
        row, column = corner
        return self._columns[column][row]

    def __await__(self) -> Generator[Any, Any, list[list[T]]]:
        return self._all().__await__()

    async def _all(self) -> list[list[T]]:
        """All folds, row by row."""
        columns = await gather(*(scan._all() for scan in (*self._rows, *self._columns)))
        return [list(row) for row in zip(*columns[len(self._rows) :], strict=True)]


def scan_grid(
    rows: Iterable[Iterable[T | Handle[T]]],
    *,
    beside: Callable[[T, T], T | Awaitable[T]],
    above: Callable[[T, T], T | Awaitable[T]],
) -> GridScan[T]:
    """The fold of every rectangle that begins at the first corner of a grid, in logarithmic depth.

    Two operators put rectangles together: `beside(left, right)` and `above(upper, lower)`. Both must be associative, and it must
    not matter in which order four are put together: `above(beside(a, b), beside(c, d)) == beside(above(a, c), above(b, d))`. Then
    the folds equal what a sequential recurrence over the grid gives. One commutative operator may serve as both.

    About 4·h·w calls for a grid of h rows and w columns, in chains of at most 2·log2(h) + 2·log2(w). `append` adds a row.

    Args:
        rows: the grid: rows of equal length, of items or of calls that give them.
        beside: a task of two arguments, or a plain function.
        above: the same.

    Returns:
        A `GridScan`: await it for the folds, row by row; `grid[i, j]` is one of them.

    Raises:
        UsageError: rows differ in length; or what `hw.scan` refuses.

    Example:
        >>> @hw.task
        ... async def add(left: int, right: int) -> int:
        ...     return left + right
        >>> @hw.task
        ... async def areas(costs: list[list[int]]) -> list[list[int]]:
        ...     return await hw.scan_grid(costs, beside=add, above=add)  # a summed-area table
        >>> hw.run(areas, [[1, 2], [3, 4]], store=None)
        [[1, 3], [4, 10]]
    """
    for name, fn in (("beside", beside), ("above", above)):
        if not callable(fn):
            raise UsageError(f"hw.scan_grid({name}={fn!r:.100}): expected a task of two arguments, or a function")
    grid: GridScan[T] = GridScan(beside, above)
    for row in rows:
        grid.append(row)
    return grid
