"""Sudoku: two classic ways to see one puzzle.

`fewest_candidates` sees cells: it fills the empty cell that has the fewest digits left. A node is cheap, and there may be many.
`exact_cover` sees rules too: every cell and every digit of a row, column or box is a constraint that exactly one placement
covers, and it branches on the constraint with the fewest placements left (Knuth, "Dancing links", 2000, arXiv cs/0011047, here
with sets for links). A node is expensive, and there are few.
"""

from __future__ import annotations

import re

from strategies.nodes import Nodes

DIGITS = range(9)
ALL = 0b111111111
Constraint = tuple[str, int, int]
Placement = tuple[int, int]  # cell, digit from 0 to 8


def parse(question: str) -> list[int | None]:
    """The 81 cells in reading order: a digit from 0 to 8 or None."""
    rows = re.findall(r"^(?:[1-9_] ){8}[1-9_]$", question, flags=re.MULTILINE)
    return [None if cell == "_" else int(cell) - 1 for row in rows for cell in row.split()]


def fewest_candidates(question: str, nodes: Nodes) -> str | None:
    """Backtracking over cells, the one with the fewest candidates first."""
    cells = parse(question)
    rows, columns, boxes = [ALL] * 9, [ALL] * 9, [ALL] * 9  # the digits that are still free, as bits

    def flip(cell: int, bit: int) -> None:
        rows[cell // 9] ^= bit
        columns[cell % 9] ^= bit
        boxes[_box(cell)] ^= bit

    empty = [cell for cell in range(81) if cells[cell] is None]
    for cell, digit in enumerate(cells):
        if digit is not None:
            flip(cell, 1 << digit)

    def candidates(cell: int) -> int:
        return rows[cell // 9] & columns[cell % 9] & boxes[_box(cell)]

    def fill() -> bool:
        nodes.expand()
        if not empty:
            return True
        cell = min(empty, key=lambda one: candidates(one).bit_count())
        empty.remove(cell)
        for digit in DIGITS:
            bit = 1 << digit
            if candidates(cell) & bit:
                flip(cell, bit)
                cells[cell] = digit
                if fill():
                    return True
                flip(cell, bit)
        cells[cell] = None
        empty.append(cell)
        return False

    return _answer(cells) if fill() else None


def exact_cover(question: str, nodes: Nodes) -> str | None:
    """Algorithm X on the constraint with the fewest placements left."""
    cells = parse(question)
    covers = {(cell, digit): _constraints(cell, digit) for cell in range(81) for digit in DIGITS}
    open_: dict[Constraint, set[Placement]] = {}
    for placement, constraints in covers.items():
        for constraint in constraints:
            open_.setdefault(constraint, set()).add(placement)

    def cover(placement: Placement) -> list[set[Placement]]:
        removed = []
        for constraint in covers[placement]:
            for rival in open_[constraint]:
                for other in covers[rival]:
                    if other != constraint:
                        open_[other].discard(rival)
            removed.append(open_.pop(constraint))
        return removed

    def uncover(placement: Placement, removed: list[set[Placement]]) -> None:
        for constraint in reversed(covers[placement]):
            open_[constraint] = removed.pop()
            for rival in open_[constraint]:
                for other in covers[rival]:
                    if other != constraint:
                        open_[other].add(rival)

    def fill() -> bool:
        nodes.expand()
        if not open_:
            return True
        narrowest = min(open_, key=lambda constraint: len(open_[constraint]))
        for placement in sorted(open_[narrowest]):
            removed = cover(placement)
            cells[placement[0]] = placement[1]
            if fill():
                return True
            uncover(placement, removed)
        return False

    for cell, digit in enumerate(cells):
        if digit is not None:
            cover((cell, digit))
    return _answer(cells) if fill() else None


def _box(cell: int) -> int:
    return cell // 27 * 3 + cell % 9 // 3


def _constraints(cell: int, digit: int) -> tuple[Constraint, ...]:
    row, column = divmod(cell, 9)
    return ("cell", row, column), ("row", row, digit), ("column", column, digit), ("box", _box(cell), digit)


def _answer(cells: list[int | None]) -> str:
    digits = [str(digit + 1) for digit in cells if digit is not None]
    return "\n".join(" ".join(digits[9 * row : 9 * row + 9]) for row in range(9))
