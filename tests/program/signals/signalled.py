"""Programs in a simulated world that are sent signals, alive or dead."""

from __future__ import annotations

import asyncio
from typing import Any

from notes import RAN

import headway as hw
from headway.context import encode_signal
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash


class Told:
    """A program in a simulated world, and signals sent to it: `(after, name, value)`, seconds from its first start."""

    def __init__(self, *sent: tuple[float, str, object]) -> None:
        self.history = History(1, STEADY)
        for after, name, value in sent:
            self.history.universe.at(after, lambda name=name, value=value: self.send(name, value))

    def send(self, name: str, value: object) -> None:
        universe = self.history.universe
        self.history.store.send_signal(self.history.run_id, name, encode_signal(value), universe.start + universe.now)

    def run(self, program: Any, *args: Any, **options: Any) -> Any:
        life = self.history.live(program, *args, **options)
        if life.ended:
            self.history.check()
        return life.value if life.error is None else life.error


def in_every_life(program: Any, *args: Any, sent: list[tuple[float, str, object]]) -> list[Any]:
    """What the program returns undisturbed, and when it died after each of its rows and was taken up again; each value once."""
    told, values = Told(*sent), []
    values.append(told.run(program, *args))
    for rows in range(1, len(told.history.rows())):
        RAN.clear()
        told = Told(*sent)
        told.run(program, *args, crash=Crash(rows, "after"))
        assert told.history.lives[-1].how == "died"
        if (value := told.run(program, *args)) not in values:
            values.append(value)
    return values


async def soon(name: str) -> Any:
    """What is in the queue; None where nothing is."""
    try:
        return await hw.wait_event(name, timeout=0.5)
    except TimeoutError:
        return None


@hw.task
async def ask(name: str) -> Any:
    return await hw.wait_event(name)


@hw.task
async def rest(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds
