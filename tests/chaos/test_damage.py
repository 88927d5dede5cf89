"""A store with a flipped bit, a cleared page or a missing end anywhere: a resume says what is wrong, or gives the right result.

Never a wrong result, another exception, a crash or a hang; and never an outcome recorded twice. Where the store says that it is
damaged, `headway doctor --repair` is asked to help, and the same holds for the resume after it. Stores of a run that was killed
(everything in the log; half of it in the log) and of one that ended (everything in the pages) are damaged in each of their parts.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from victims import LIMIT_S, PROGRAMS, often

import headway as hw

Damage = tuple[str, int, int, int]  # file, place, mask, bytes to clear (-1: all that follow)
PAGE, HEADER, LOG_HEADER, FRAME = 4096, 100, 32, 24
DATABASE, LOG = "journal.db", "journal.db-wal"


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Stores to be damaged, and the result of the run."""
    folder = tmp_path_factory.mktemp("stores")
    program = [sys.executable, str(PROGRAMS / "damaged.py"), "make"]
    for name, stop in [("ended", 0), ("killed", 50)]:
        code = subprocess.run([*program, folder / name, folder / f"{name}.result", str(stop)], timeout=LIMIT_S).returncode
        assert code == (-signal.SIGKILL if stop else 0)
    assert (folder / "killed" / LOG).stat().st_size > 10 * PAGE
    closed = shutil.copytree(folder / "killed", folder / "closed")
    with hw.SqliteStore(closed) as store:
        assert store.run("kills").nrows > 80
    assert not (closed / LOG).exists()
    return {"folder": folder, "result": (folder / "ended.result").read_text()}


def hurt(stores: dict[str, Any], name: str, damages: list[Damage], scratch: Path) -> list[dict[str, Any]]:
    """What a resume of the store ended with, for each damage."""
    shutil.copytree(stores["folder"] / name, scratch / name)
    (scratch / "damages").write_text(json.dumps(damages))
    command = [sys.executable, str(PROGRAMS / "damaged.py"), "hurt", scratch / name, scratch / "damages", scratch / "ends"]
    process = subprocess.run(command, timeout=LIMIT_S + 45 * len(damages), capture_output=True)
    assert process.returncode == 0, process.stderr.decode()
    ends: list[dict[str, Any]] = json.loads((scratch / "ends").read_text())
    assert len(ends) == len(damages)
    return ends


def lies(end: dict[str, Any], expected: str) -> str:
    """What is wrong with how a resume ended; nothing where it may end so."""
    if "wrong" in end:
        return str(end["wrong"])
    if "error" in end:
        kind, _, text = end["error"].partition(": ")
        named = any(word in text for word in ("journal.db", "run ", "blob ", "call ", "cached result", "signal "))
        return "" if named and kind != "LeaseLost" else f"an error that does not say what is damaged: {end['error']}"
    return "" if end["result"] == expected else f"a wrong result: {end['result']:.200}"


def check(stores: dict[str, Any], name: str, damages: list[Damage], scratch: Path) -> list[dict[str, Any]]:
    ends = hurt(stores, name, damages, scratch)
    found = []
    for end in ends:
        for when, part in (("", end), (" after the repair", end.get("repaired"))):
            if part is not None and (lie := lies(part, stores["result"])):
                found.append(f"{end['damage']}{when}: {lie}")
    assert not found, f"{len(found)} of {len(ends)} resumes of {name!r}:\n" + "\n".join(found)
    return ends


# --- where -----------------------------------------------------------------------------------------------------------


def flips(file: str, places: Iterator[int] | range, drawn: random.Random) -> list[Damage]:
    return [(file, place, 1 << drawn.randrange(8), 0) for place in places]


def in_pages(store: Path, each: int, drawn: random.Random) -> list[Damage]:
    """In every page of the database: in its b-tree header and cell pointers, and in its cells."""
    damages = []
    for page in range((store / DATABASE).stat().st_size // PAGE):
        start, first = page * PAGE, HEADER if page == 0 else 0
        damages += flips(DATABASE, (start + first + drawn.randrange(40) for _ in range(each)), drawn)
        damages += flips(DATABASE, (start + drawn.randrange(first, PAGE) for _ in range(2 * each)), drawn)
    return damages


def in_log(store: Path, each: int, drawn: random.Random) -> list[Damage]:
    """In the header of the log, and of every frame in its header and its page."""
    damages = flips(LOG, range(0, LOG_HEADER, max(1, 8 // each)), drawn)
    for start in range(LOG_HEADER, (store / LOG).stat().st_size - PAGE, PAGE + FRAME):
        damages += flips(LOG, (start + drawn.randrange(FRAME) for _ in range(each)), drawn)
        damages += flips(LOG, (start + FRAME + drawn.randrange(PAGE) for _ in range(each)), drawn)
    return damages


def cuts(store: Path, file: str, count: int, drawn: random.Random) -> list[Damage]:
    """The file ends at a page, near one, or anywhere."""
    size = (store / file).stat().st_size
    places = [0, 1, HEADER - 1, HEADER, size - 1, *(PAGE * page for page in range(1, size // PAGE))]
    places += [drawn.randrange(size) for _ in range(len(places))]
    return [(file, place, 0, -1) for place in sorted(drawn.sample(places, min(count, len(places))))]


def clear_pages(store: Path) -> list[Damage]:
    return [(DATABASE, at, 0, PAGE) for at in range(0, (store / DATABASE).stat().st_size, PAGE)]


def in_blobs(store: Path, drawn: random.Random) -> list[Damage]:
    damages: list[Damage] = []
    for path in sorted(store.glob("blobs/??/*")):
        file, size = str(path.relative_to(store)), path.stat().st_size
        damages += [(file, drawn.randrange(size), 1 << drawn.randrange(8), 0), (file, drawn.randrange(size), 0, -1)]
    return damages


def some(damages: list[Damage], count: int, drawn: random.Random) -> list[Damage]:
    return damages if len(damages) <= count else drawn.sample(damages, count)


# --- the tests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ended", "closed", "killed"])
def test_a_resume_of_a_damaged_store_says_so_or_is_right(stores, scratch, name):
    drawn, store = random.Random(name), stores["folder"] / name
    damages = flips(DATABASE, range(drawn.randrange(9), HEADER, 9), drawn) + some(in_pages(store, 1, drawn), 16, drawn)
    damages += cuts(store, DATABASE, 4, drawn)
    if name == "killed":
        damages += some(in_log(store, 1, drawn), 12, drawn) + cuts(store, LOG, 6, drawn)
    ends = check(stores, name, damages, scratch)
    assert any("error" in end for end in ends)
    assert any("result" in end for end in ends)


@pytest.mark.parametrize("name", ["ended", "closed"])
def test_a_resume_that_needs_a_damaged_blob_says_so_and_is_right_after_the_repair(stores, scratch, name):
    ends = check(stores, name, in_blobs(stores["folder"] / name, random.Random(name)), scratch)
    for end in ends:
        assert "error" not in end or end["error"].startswith("StoreDamaged: blob")
        assert "error" not in end or end["repaired"].get("result") == stores["result"]
    assert any("error" in end for end in ends) == (name == "closed"), "who needs the blobs of a run that has ended?"


@pytest.mark.long
@pytest.mark.parametrize("part", ["header", "pages", "cleared pages", "cuts"])
@pytest.mark.parametrize("name", ["ended", "closed", "killed"])
def test_no_damage_of_the_database_is_followed_by_anything_else(stores, scratch, name, part):
    drawn, store, times = random.Random(name + part), stores["folder"] / name, often(1)
    damages = {
        "header": lambda: [damage for _ in range(times) for damage in flips(DATABASE, range(HEADER), drawn)],
        "pages": lambda: in_pages(store, 2 * times, drawn),
        "cleared pages": lambda: clear_pages(store),
        "cuts": lambda: cuts(store, DATABASE, 20 * times, drawn),
    }[part]()
    check(stores, name, damages, scratch)


@pytest.mark.long
def test_no_damage_of_the_log_is_followed_by_anything_else(stores, scratch):
    drawn, store, times = random.Random("log"), stores["folder"] / "killed", often(1)
    check(stores, "killed", in_log(store, times, drawn) + cuts(store, LOG, 30 * times, drawn), scratch)
