"""What the numbers were measured on, with the two physical costs that no durable runtime can go below: an fsync and a
commit."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter


@dataclass(frozen=True)
class Machine:
    cpu: str
    cores: int
    memory_gb: float
    system: str
    filesystem: str
    python: str
    sqlite: str
    fsync_us: float  # append 4 KiB to a file and fsync it
    commit_us: float  # a transaction of one row in SQLite: WAL, synchronous=FULL
    load: float  # other work while measuring makes every number worse

    def lines(self) -> list[str]:
        return [
            f"{self.cpu}, {self.cores} cores, {self.memory_gb:.0f} GB; {self.system}, {self.filesystem}",
            f"Python {self.python}, SQLite {self.sqlite}; load average at the start {self.load:.1f}",
            f"append 4 KiB and fsync: {self.fsync_us:,.0f} µs; "
            f"SQLite transaction of one row (WAL, synchronous=FULL): {self.commit_us:,.0f} µs",
        ]


def describe(folder: Path) -> Machine:
    """Name this machine and measure its disk in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return Machine(
        cpu=_cpu(),
        cores=os.cpu_count() or 0,
        memory_gb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
        system=f"{platform.system()} {platform.machine()}",
        filesystem=_filesystem(folder),
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        fsync_us=_fsync_us(folder),
        commit_us=_commit_us(folder),
        load=os.getloadavg()[0],
    )


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
    model = facts.get("model name", platform.machine())
    return f"{model} (family {facts.get('cpu family', '?')}, model {facts.get('model', '?')})"


def _filesystem(folder: Path) -> str:
    done = subprocess.run(["df", "--output=fstype", str(folder)], capture_output=True, text=True, check=False, env={"LC_ALL": "C"})
    return done.stdout.split()[-1] if done.returncode == 0 else "unknown file system"


def _fsync_us(folder: Path, repeats: int = 200) -> float:
    page = os.urandom(4096)
    times = []
    with TemporaryDirectory(dir=folder) as place:
        handle = os.open(Path(place) / "page", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        for _ in range(repeats):
            began = perf_counter()
            os.write(handle, page)
            os.fsync(handle)
            times.append(perf_counter() - began)
        os.close(handle)
    return median(times) * 1e6


def _commit_us(folder: Path, repeats: int = 200) -> float:
    times = []
    with TemporaryDirectory(dir=folder) as place:
        database = sqlite3.connect(Path(place) / "one.sqlite", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE one (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
        for _ in range(repeats):
            row = (os.urandom(16), os.urandom(64))
            began = perf_counter()
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT INTO one VALUES (?, ?)", row)
            database.execute("COMMIT")
            times.append(perf_counter() - began)
        database.close()
    return median(times) * 1e6
