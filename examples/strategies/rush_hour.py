"""Rush Hour: slide the cars until the red one, A, stands at the exit.

A state is where each car stands along its lane. The board gives the rest: where a lane begins, which way it goes, how long the
car is, where the walls are.

`breadth_first` visits every state that takes so many moves before any that takes one more: its solution is the shortest, and it
sees most of the states there are. `best_first` is A* with double weight on its estimate, the cars in the red one's way:
it sees fewer states, pays more for each, and its solution may be longer. Any solution counts.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from strategies.nodes import Nodes

SIZE = 6
State = tuple[int, ...]  # per car, in the order of the letters: the offset of its first cell in its lane
Move = tuple[int, int]  # car, steps


@dataclass(frozen=True)
class Car:
    start: int  # the first cell of its lane
    stride: int  # from one cell of the lane to the next: 1 across, SIZE down
    length: int


@dataclass(frozen=True)
class Board:
    cars: tuple[Car, ...]
    walls: int  # as a bit for each cell

    def mask(self, car: int, offset: int) -> int:
        one = self.cars[car]
        return sum(1 << (one.start + one.stride * (offset + step)) for step in range(one.length))


def parse(question: str) -> tuple[Board, State]:
    """The board and where the cars stand on it."""
    text = "".join(question.split("Board:\n")[1].split())
    cars, state = [], []
    for letter in sorted(set(text) - {".", "x"}):
        cells = [cell for cell, occupant in enumerate(text) if occupant == letter]
        stride = cells[1] - cells[0]
        row, column = divmod(cells[0], SIZE)
        start, offset = (row * SIZE, column) if stride == 1 else (column, row)
        cars.append(Car(start, stride, len(cells)))
        state.append(offset)
    walls = sum(1 << cell for cell, occupant in enumerate(text) if occupant == "x")
    return Board(tuple(cars), walls), tuple(state)


def breadth_first(question: str, nodes: Nodes) -> str | None:
    """The solution with the fewest moves."""
    board, start = parse(question)
    masks = _masks(board)
    came_from: dict[State, tuple[State, Move] | None] = {start: None}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        nodes.expand()
        if _solved(state):
            return _answer(came_from, state)
        for move, after in _moves(masks, board.walls, state):
            if after not in came_from:
                came_from[after] = (state, move)
                queue.append(after)
    return None


def best_first(question: str, nodes: Nodes) -> str | None:
    """A solution along the states that look nearest to the exit."""
    board, start = parse(question)
    masks = _masks(board)
    came_from: dict[State, tuple[State, Move] | None] = {start: None}
    moves_to = {start: 0}
    order = count()  # the older one of two states that look the same goes first
    queue = [(0, next(order), start)]
    done: set[State] = set()
    while queue:
        _, _, state = heapq.heappop(queue)
        if state in done:
            continue
        done.add(state)
        nodes.expand()
        if _solved(state):
            return _answer(came_from, state)
        for move, after in _moves(masks, board.walls, state):
            if after not in moves_to or moves_to[state] + 1 < moves_to[after]:
                moves_to[after] = moves_to[state] + 1
                came_from[after] = (state, move)
                heapq.heappush(queue, (moves_to[after] + 2 * _estimate(masks, after), next(order), after))
    return None


def _masks(board: Board) -> list[list[int]]:
    """For each car and each offset, the cells it covers."""
    return [[board.mask(car, offset) for offset in range(SIZE - one.length + 1)] for car, one in enumerate(board.cars)]


def _moves(masks: list[list[int]], walls: int, state: State) -> Iterator[tuple[Move, State]]:
    taken = walls
    for car, offset in enumerate(state):
        taken |= masks[car][offset]
    for car, offset in enumerate(state):
        others = taken & ~masks[car][offset]
        for way in (-1, 1):
            to = offset + way
            while 0 <= to < len(masks[car]) and not masks[car][to] & others:
                yield (car, to - offset), (*state[:car], to, *state[car + 1 :])
                to += way


def _solved(state: State) -> bool:
    return state[0] == SIZE - 2


def _estimate(masks: list[list[int]], state: State) -> int:
    way = 0
    for offset in range(state[0] + 1, SIZE - 1):
        way |= masks[0][offset]
    way &= ~masks[0][state[0]]
    return (not _solved(state)) + sum(bool(masks[car][offset] & way) for car, offset in enumerate(state) if car)


def _answer(came_from: dict[State, tuple[State, Move] | None], state: State) -> str:
    moves = []
    while step := came_from[state]:
        state, (car, steps) = step
        moves.append(f"{chr(ord('A') + car)}{steps:+d}")
    return " ".join(reversed(moves))
