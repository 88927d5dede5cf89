"""Sokoban: push every box onto a goal. Boxes cannot be pulled, so a wrong push may be for ever.

The boxes are the bits of one number. Both searches throw away a push that brings a box to a square from which it gets to
no goal any more. A node is a square on which the player stands, whichever search puts him there.

`breadth_first` thinks in steps: every step is a move, and the solution has the fewest of them. `fewest_pushes` thinks in
pushes: for each state it floods the part of the room where the player can walk, takes all pushes from there, and looks first at
the states whose boxes are nearest to goals (A*). It sees far fewer states and pays far more for each.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from itertools import count

from strategies.nodes import Nodes

State = tuple[int, int]  # the player's square, the boxes
NO_WAY = 10**6


@dataclass(frozen=True)
class Room:
    ways: dict[str, int]  # letter of a step, and how far that is in squares
    free: frozenset[int]  # squares without a wall
    goals: int
    distance: dict[int, int]  # from a square to the nearest goal in pushes, NO_WAY where a box would be lost

    def lost(self, square: int) -> bool:
        """Whether a box on this square (perhaps a wall) never gets to a goal."""
        return self.distance.get(square, NO_WAY) == NO_WAY

    def pushes_at_least(self, boxes: int) -> int:
        return sum(distance for square, distance in self.distance.items() if boxes >> square & 1)


def parse(question: str) -> tuple[Room, State]:
    """The room, and where the player and the boxes are."""
    rows = [line.split() for line in question.split("Here is your puzzle:\n")[1].splitlines() if line.strip()]
    width = len(rows[0])
    squares = dict(enumerate(square for row in rows for square in row))
    ways = {"U": -width, "D": width, "L": -1, "R": 1}
    free = frozenset(at for at, square in squares.items() if square != "+")
    goals = [at for at, square in squares.items() if square in "X$%"]
    boxes = sum(1 << at for at, square in squares.items() if square in "@$")
    player = next(at for at, square in squares.items() if square in "*%")
    return Room(ways, free, sum(1 << at for at in goals), _distances(free, goals, ways)), (player, boxes)


def _distances(free: frozenset[int], goals: list[int], ways: dict[str, int]) -> dict[int, int]:
    """Pull a box backwards from the goals: it moves to where the player stood, and the player needs a square behind."""
    distance = dict.fromkeys(free, NO_WAY) | dict.fromkeys(goals, 0)
    queue = deque(goals)
    while queue:
        at = queue.popleft()
        for step in ways.values():
            before = at - step
            if before in free and before - step in free and distance[before] == NO_WAY:
                distance[before] = distance[at] + 1
                queue.append(before)
    return distance


def breadth_first(question: str, nodes: Nodes) -> str | None:
    """The solution with the fewest steps."""
    room, start = parse(question)
    came_from: dict[State, tuple[State, str] | None] = {start: None}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        nodes.expand()
        player, boxes = state
        if boxes == room.goals:
            return _answer(came_from, state)
        for letter, step in room.ways.items():
            to = player + step
            if to not in room.free:
                continue
            after = (to, boxes)
            if boxes >> to & 1:
                beyond = to + step
                if room.lost(beyond) or boxes >> beyond & 1:
                    continue
                after = (to, boxes ^ (1 << to | 1 << beyond))
            if after not in came_from:
                came_from[after] = (state, letter)
                queue.append(after)
    return None


def fewest_pushes(question: str, nodes: Nodes) -> str | None:
    """A*: the solution with the fewest pushes."""
    room, start = parse(question)
    order = count()  # the older one of two states that look the same goes first
    came_from: dict[State, tuple[State, str] | None] = {start: None}
    pushes = {start: 0}
    seen: set[State] = set()  # with the player at the first square of the part of the room that he can reach
    queue = [(0, next(order), start)]
    while queue:
        _, _, state = heapq.heappop(queue)
        player, boxes = state
        if boxes == room.goals:
            return _answer(came_from, state)
        walks = _walks(room, player, boxes, nodes)
        if (min(walks), boxes) in seen:
            continue
        seen.add((min(walks), boxes))
        for at, walk in walks.items():
            for letter, step in room.ways.items():
                to, beyond = at + step, at + 2 * step
                if not boxes >> to & 1 or boxes >> beyond & 1 or room.lost(beyond):
                    continue
                after = (to, boxes ^ (1 << to | 1 << beyond))
                if pushes[state] + 1 < pushes.get(after, NO_WAY):
                    pushes[after] = pushes[state] + 1
                    came_from[after] = (state, walk + letter)
                    heapq.heappush(queue, (pushes[after] + room.pushes_at_least(after[1]), next(order), after))
    return None


def _walks(room: Room, player: int, boxes: int, nodes: Nodes) -> dict[int, str]:
    """Each square that the player can reach without a push, and the steps that lead there."""
    walks = {player: ""}
    queue = deque([player])
    while queue:
        at = queue.popleft()
        nodes.expand()
        for letter, step in room.ways.items():
            to = at + step
            if to in room.free and to not in walks and not boxes >> to & 1:
                walks[to] = walks[at] + letter
                queue.append(to)
    return walks


def _answer(came_from: dict[State, tuple[State, str] | None], state: State) -> str:
    steps = []
    while step := came_from[state]:
        state, letters = step
        steps.append(letters)
    return "".join(reversed(steps))
