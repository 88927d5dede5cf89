"""The program of several processes that fill one memory. Not a test by itself.

    python rememberers.py STORE RESULT RAN RUN SIZE

Its run is called RUN. It says what it has found, and leaves the ids that it got and what each search said.
"""

from __future__ import annotations

import sys
from pathlib import Path

import headway as hw
from headway.methods.memory import Case, Memory

lessons = Memory("lessons")


@hw.task
def say(what: str) -> None:
    with Path(sys.argv[3]).open("a") as file:
        file.write(f"{what}\n")


@hw.task
async def main(size: int) -> list[tuple[str, int, int]]:
    who = sys.argv[4]
    said = []
    for number in range(size):
        id = await lessons.put(Case(f"lesson {number} of {who}", namespace=who))
        found = await lessons.search("lesson", k=2 * size, namespace=who)
        said.append((id, found.version, len(found)))
        if number == 1:
            await lessons.forget(said[0][0], namespace=who)
        await say(f"found {who} {number}")
    return said


if __name__ == "__main__":
    result = hw.run(main, int(sys.argv[5]), store=sys.argv[1], run_id=sys.argv[4], progress=False)
    Path(sys.argv[2]).write_text(repr(result))
