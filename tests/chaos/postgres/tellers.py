"""What is checked of runs of `programs/tills.py`: their store in Postgres, their till, and what their drivers said."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import tills
from victims import Victims, check_recorded_once, read_lines, successes

from headway.errors import UnknownRun
from headway.journal.postgres.store import PostgresStore
from headway.journal.records import Row

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
        return {file.name for file in folder.iterdir()} if folder.exists() else set()

    def rows(self, store: PostgresStore) -> list[Row]:
        try:
            uid = store.run(self.run).uid
        except UnknownRun:
            return []
        return [row for _, row in store.rows(uid)]

    def check(self, store: PostgresStore) -> None:
        """All that must be true of a run that has ended."""
        rows = self.rows(store)
        found, expected = self.result.read_text(), tills.expected(self.size)
        assert found == expected, f"{self.run} ended with {found or 'nothing'}, undisturbed with {expected}"
        check_recorded_once(rows)
        assert store.run(self.run).status == "done"
        reported = max(int(line[1]) for line in self.lines("durable"))
        assert reported <= len(rows), f"{reported} rows were reported as durable, {len(rows)} are there"
        payments = -(-self.size // tills.EVERY)
        assert len(self.paid()) == payments, f"{len(self.paid())} payments instead of {payments}"
        asked = {line[2].replace("/", "_") for line in self.lines("pay")}
        assert asked == self.paid()

    def check_nothing_again(self, before: Counter[str], told: int) -> None:
        """Nothing that was recorded before may have begun after so many lines."""
        again = {line[1] for line in self.lines()[told:] if line[0] in ("step", "pay")} & before.keys()
        assert not again, f"recorded calls ran again: {again}"


def recorded(till: Till, store: PostgresStore) -> Counter[str]:
    return successes(till.rows(store))
