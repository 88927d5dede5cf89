"""A program that is killed by tests: three parts edit a repository side by side, two of them the same line.

    python editing.py STORE REPOSITORY LOG [PAUSE_AT]

Says in LOG what it begins. At PAUSE_AT it waits until the others have gone on, says "paused", and waits to be killed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import headway as hw
from headway.methods.plan import teams

STORE, REPOSITORY, LOG, PAUSE_AT = (*sys.argv[1:], "")[:4]
PARTS = {"one": ("a", "first"), "two": ("b", "second"), "three": ("a", "first")}


def say(what: str) -> None:
    with Path(LOG).open("a") as log:
        log.write(what + "\n")
    if what == PAUSE_AT:
        while not {"look one", "look three"} <= {*Path(LOG).read_text().splitlines()}:  # effects: what they need is durable
            time.sleep(0.01)
        with Path(LOG).open("a") as log:
            log.write("paused\n")
        time.sleep(600)


@hw.task(effect=True)
def edit(part: str, folder: str) -> str:
    say(f"edit {part}")
    name, line = PARTS[part]
    path = Path(folder, name)
    path.write_text(path.read_text().replace(line, f"{line} by {part}"))
    say(f"edited {part}")
    return name


@hw.task(effect=True)
def look(part: str, folder: str) -> str:
    say(f"look {part}")
    return Path(folder, PARTS[part][0]).read_text()


@hw.task
async def work(part: str, folder: str) -> str:
    await edit(part, folder)
    return await look(part, folder)


@hw.task
async def program() -> list[str]:
    worked = await teams.in_worktrees(REPOSITORY, work, list(PARTS))
    say("merged")
    return [each.merge.how if each.merge is not None else each.error for each in worked]


if __name__ == "__main__":
    print(hw.run(program, store=STORE, run_id="edits", progress=False))
