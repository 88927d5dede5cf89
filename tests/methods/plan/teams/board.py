"""Workers on the virtual clock who share a list of items: how much of what they write has another one written, too?

A worker takes an item that it sees nobody at, by chance, and writes it in pieces. Each item takes as many tokens as it takes. Who
looks up and sees that another one has the same item notices it every other time, and always when asked.
"""

from __future__ import annotations

import random
import re
from typing import Literal

import headway as hw
from headway.methods.plan import teams

ITEMS = 24
WORKERS = 4
Sees = Literal["all", "finished", "nothing"]


def length(seed: int, item: int) -> int:
    """How many tokens an item takes."""
    return random.Random(f"length {seed} {item}").randrange(40, 240)


@hw.task(name="board.write")
async def write(seed: int, sight: teams.Sight) -> teams.Wrote:
    """Write on: a token is a dot, and the first of a step names its item."""
    rng = random.Random(f"write {seed} {sight.worker} {sight.turn}")
    mine = item_of(sight.own)
    finished, begun = {item_of(step.text) for step in sight.history}, {item_of(step.text) for step in sight.others}
    if mine is None:
        free = [item for item in range(ITEMS) if item not in finished | begun]
        if not free:
            if len(finished) == ITEMS:
                return teams.Wrote("", 0, "done")
            await hw.sleep(sight.poll * 0.02)
            return teams.Wrote("", 0, "open")
        mine = rng.choice(free)
    elif mine in finished or (mine in begun and (sight.check or rng.random() < 0.5)):
        return teams.Wrote("", 0, "drops")
    left = length(seed, mine) - sight.own.count(".")
    written = min(left, sight.poll)
    await hw.sleep(written * rng.uniform(0.01, 0.03))
    text = "" if sight.own else f"[{mine}]"
    return teams.Wrote(text + "." * written, written, "ended" if written == left else "open")


def item_of(text: str) -> int | None:
    """Which item a text is about."""
    found = re.match(r"\[(\d+)\]", text)
    return int(found[1]) if found else None


class Worker:
    """A worker who sees some of the board."""

    def __init__(self, seed: int, sees: Sees) -> None:
        self.seed, self.sees = seed, sees

    async def __call__(self, question: str, sight: teams.Sight) -> teams.Wrote:
        history = sight.history if self.sees != "nothing" else tuple(step for step in sight.history if step.worker == sight.worker)
        others = sight.others if self.sees == "all" else ()
        seen = teams.Sight(sight.worker, sight.turn, history, others, sight.own, sight.check, sight.poll)
        return await write(self.seed, seen)


@hw.task(name="board.work")
async def work(seed: int, poll: int, sees: Sees) -> teams.Board:
    return await teams.hogwild("all items", [Worker(seed, sees)] * WORKERS, poll=poll, check_after=64, turns=20_000)


def repeated(board: teams.Board, seed: int) -> float:
    """The share of tokens that were written in vain, until each item was finished once."""
    useful = total = 0
    found: set[int | None] = set()
    for step in board.history:
        total += step.text.count(".")
        if item_of(step.text) not in found:
            found.add(item_of(step.text))
            useful += step.text.count(".")
        if len(found) == ITEMS:
            break
    total += sum(step.text.count(".") for step in board.dropped)
    return 1 - useful / total


def rate(seed: int, poll: int, sees: Sees = "all") -> float:
    """The share that is repeated, in a run of its own."""
    return repeated(hw.testing.run(work, seed, poll, sees, store=None), seed)
