"""What is checked of runs of `programs/tills.py`: their store in Postgres, their till, and what their drivers said."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import tills
from victims import Victims, check_recorded_once, read_lines, successes

from headway.errors import UnknownRun
from headway.journal.postgres.store import PostgresStore
from headway.journal.records import COSTED, Kind, Row
from headway.journal.recovery.recovered import decode_charge, decode_outcome

OWNED_BY_ANOTHER = 3


class Till:
    """One run of the program, with its store, its till and its drivers."""

    def __init__(self, url: str, folder: Path, size: int, run: str = tills.RUN) -> None:
        self.url, self.size, self.run = url, size, run
        self.result = folder / f"{run}.result"
        self.ran = folder / f"{run}.ran"

    def start(self, victims: Victims, name: str, **env: object) -> subprocess.Popen[bytes]:
        """Start a driver; what it says goes to NAME.err."""
        arguments = [self.url, str(self.result), str(self.ran), str(self.size)]
        program = str(Path(tills.__file__))
        return victims.launch(
            [sys.executable, program, *arguments], victims.folder / f"{name}.err", {key: str(value) for key, value in env.items()}
        )

    def lines(self, what: str = "") -> list[list[str]]:
        """What drivers said; of one kind only, where one is named."""
        return [line for line in read_lines(self.ran) if not what or line[0] == what]

    def paid(self) -> set[str]:
        """Keys of what was paid."""
        folder = self.ran.parent / f"{self.ran.name}.till"
        return {file.name for file in folder.iterdir() if not file.suffix} if folder.exists() else set()

    def rows(self, store: PostgresStore) -> list[Row]:
        try:
            uid = store.run(self.run).uid
        except UnknownRun:
            return []
        return [row for _, row in store.rows(uid)]

    def check(self, store: PostgresStore) -> None:
        """All that must be true of a run that has ended."""
        rows = self.rows(store)
        found, spent = ast.literal_eval(self.result.read_text())
        assert found == tills.expected(self.size), f"{self.run} ended with {found}"
        assert spent == add_up(rows), f"{self.run} spent {spent}, its rows say {add_up(rows)}"
        assert self.size <= spent <= len(self.lines("step")), f"{self.run} spent {spent} on {self.size} steps"
        check_recorded_once(rows)
        assert store.run(self.run).status == "done"
        reported = max((int(line[1]) for line in self.lines("durable")), default=0)  # workers of the service report to nobody
        assert reported <= len(rows), f"{reported} rows were reported as durable, {len(rows)} are there"
        payments = -(-self.size // tills.EVERY)
        assert len(self.paid()) == payments, f"{len(self.paid())} payments instead of {payments}"
        asked = {line[2].replace("/", "_") for line in self.lines("pay")}
        assert asked == self.paid()

    def check_nothing_again(self, before: Counter[str], told: int) -> None:
        """Nothing that was recorded before may have begun after so many lines."""
        again = {line[1] for line in self.lines()[told:] if line[0] in ("step", "pay")} & before.keys()
        assert not again, f"recorded calls ran again: {again}"


def add_up(rows: list[Row]) -> float:
    """What the steps of a run cost, from its rows alone: of each call what the last row about it says. A step that was killed when
    its charge was durable and its end was not is charged again, since it ran again."""
    cost: dict[bytes, float] = {}
    for row in rows:
        if row.kind == Kind.CHARGE | COSTED:
            cost[row.key] = decode_charge(row.body).cost.get("steps", 0.0)
        elif row.kind == Kind.OUTCOME | COSTED:
            cost[row.key] = decode_outcome(row.body).cost.get("steps", 0.0)
    return sum(cost.values())


def recorded(till: Till, store: PostgresStore) -> Counter[str]:
    return successes(till.rows(store))
