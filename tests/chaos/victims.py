"""What the tests of this folder share: how a program is started, watched, stopped and killed, and what its store says after.

A victim is a program in the folder `programs`, started as `python VICTIM STORE RESULT RAN …`: it keeps its run, always called
"kills", in STORE, which is a folder or, in tests that are marked `on_postgres`, also the URL of a store in Postgres. It leaves its
result in RESULT and says what it does in RAN, one line `what key idempotency_key …` for each call.
What is checked of a run is read from its store, never asked of the code that wrote it in this process.

HEADWAY_CHAOS is a factor for how often everything is done; `make chaos` sets it.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import headway as hw
from headway.journal.open import open_store
from headway.journal.records import COSTED, Kind, Outcome, Row, Status
from headway.journal.recovery.recovered import decode_outcome

PROGRAMS = Path(__file__).parent / "programs"
RUN = "kills"
LIMIT_S = float(os.environ.get("CHAOS_LIMIT_S", "120"))  # nothing a test waits for may take longer
LOOK_S = 0.005


def often(count: int) -> int:
    """How often to do what the default suite does `count` times."""
    return max(1, round(count * float(os.environ.get("HEADWAY_CHAOS", "1"))))


class Victims:
    """Starts programs in a folder, and leaves none of them behind. `place` makes the URL of a store in Postgres from its name;
    without it the stores are in the folder."""

    def __init__(self, folder: Path, place: Callable[[str], str] | None = None) -> None:
        self.folder = folder
        self._place = place
        self._started: list[subprocess.Popen[bytes]] = []

    def store(self, name: str = "store") -> str:
        """What stands for a store on a command line."""
        return self._place(name) if self._place is not None else str(self.folder / name)

    def start(
        self, program: str, store: str, *arguments: object, name: str = "", env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a victim. Its files are called after `name`, by default after its store; what it says goes to NAME.err."""
        files = self.folder / (name or store)
        said = [self.store(store), f"{files}.result", f"{files}.ran", *map(str, arguments)]
        return self.launch([sys.executable, str(PROGRAMS / program), *said], Path(f"{files}.err"), env)

    def launch(self, command: list[str], err: Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        with err.open("ab") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, **(env or {})}, start_new_session=True)
        self._started.append(process)
        return process

    def said(self, name: str) -> str:
        file = self.folder / f"{name}.err"
        return file.read_text(errors="backslashreplace") if file.exists() else ""

    def result(self, name: str) -> str:
        return (self.folder / f"{name}.result").read_text()

    def lines(self, name: str, what: str = "") -> list[list[str]]:
        """What the victim said of its calls; of one kind only, where one is named."""
        return [line for line in read_lines(self.folder / f"{name}.ran") if not what or line[0] == what]

    def undisturbed(self, program: str, *arguments: object) -> str:
        """The result of a run that nobody disturbs."""
        process = self.start(program, "whole", *arguments)
        assert process.wait(LIMIT_S) == 0, self.said("whole")
        return self.result("whole")

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()


def read_lines(file: Path) -> list[list[str]]:
    """Whole lines of a file that is being written, in words."""
    if not file.exists():
        return []
    text = file.read_text()
    return [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]


# --- watching and hurting --------------------------------------------------------------------------------------------


def until(process: subprocess.Popen[bytes], condition: Callable[[], object], limit_s: float = LIMIT_S) -> bool:
    """Look until the condition holds; False where the process ended before."""
    for _ in range(int(limit_s / LOOK_S)):
        if condition():
            return True
        try:
            process.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            continue
        return bool(condition())
    raise AssertionError(f"what was waited for did not happen in {limit_s:g} s")


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_locked(store: Path) -> bool:
    """Whether somebody is in the middle of a write transaction."""
    with closing(sqlite3.connect(store / "journal.db", timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
        return False


# --- what a store says -----------------------------------------------------------------------------------------------


def rows(store: Path | str, run: str = RUN) -> list[Row]:
    """The rows of the run; none where there is no run yet."""
    if "://" not in str(store) and not (Path(store) / "journal.db").exists():
        return []
    with open_store(store) as opened:
        try:
            uid = opened.run(run).uid
        except hw.UnknownRun:
            return []
        return [row for _, row in opened.rows(uid)]


def of_kind(found: list[Row], kind: Kind) -> Iterator[Row]:
    return (row for row in found if row.kind & ~COSTED == kind)


def outcomes(found: list[Row]) -> Iterator[Outcome]:
    return (decode_outcome(row.body) for row in of_kind(found, Kind.OUTCOME))


def successes(found: list[Row]) -> Counter[str]:
    """How often the success of each call is recorded."""
    return Counter(row.key.hex() for row in of_kind(found, Kind.OUTCOME) if decode_outcome(row.body).status == Status.OK)


def check_recorded_once(found: list[Row]) -> None:
    twice = [key for key, times in successes(found).items() if times > 1]
    assert not twice, f"the success of these calls was recorded twice: {twice}"


def rejected(store: Path) -> list[tuple[int, bytes]]:
    """`(fence, key)` of the records that late drivers brought."""
    with closing(sqlite3.connect(store / "journal.db")) as connection:
        return connection.execute("SELECT fence, key FROM rejected ORDER BY id").fetchall()
