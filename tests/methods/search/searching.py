"""The program that test_searches_survive kills. Not a test by itself.

    python searching.py STORE RESULT BEGAN

Appends the key of each call to BEGAN when its body begins; all that was found goes to RESULT.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3]))  # `benchmarks`, whose solvers it shares

import solvers
from solvers import METHODS, find

import headway as hw


class File(list[str]):
    """Writes what is appended to it, one whole line at a time."""

    def append(self, key: str) -> None:
        with Path(sys.argv[3]).open("a") as file:
            file.write(f"{key}\n")


@hw.task
async def all_of_them(question: str) -> list[str | None]:
    return [(await find(method, question)).answer for method in METHODS]


if __name__ == "__main__":
    solvers.STEP_S, solvers.BEGAN = 0.01, File()
    found = hw.run(all_of_them, "q6|", store=sys.argv[1], run_id="run", progress=False)
    Path(sys.argv[2]).write_text(repr(found))
