"""The proof proves: bugs that are put into Headway on purpose, one at a time, and what catches each.

    python tests/proof/bugs.py [WORD …]             those whose name holds every WORD; ends with 1 where a bug is not caught
    python tests/proof/bugs.py --learn [WORD …]     look everywhere, and write down where each is found soonest
    python tests/proof/bugs.py --write-docs         and list them in docs/proof.md
    python tests/proof/bugs.py --write-docs --new   only those that are not listed there yet
    python tests/proof/bugs.py --stale [WORD …]     hunt nothing; list those whose code or tests have changed, and where it went

A proof that finds nothing says something only if it would have found what is there to find. Each bug here is one that a reader
could write, and several are ones that this proof found. One that is not caught is a hole in the random programs, in what is
done to them or in what is asked of them: close the hole, never drop the bug.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from known.bugs_of_allocation import OF_ALLOCATION
from known.bugs_of_calls import OF_CALLS
from known.bugs_of_checkpoints import OF_CHECKPOINTS
from known.bugs_of_frameworks import OF_FRAMEWORKS
from known.bugs_of_guards import OF_GUARDS
from known.bugs_of_joins import OF_JOINS
from known.bugs_of_methods import OF_METHODS
from known.bugs_of_pools import OF_POOLS
from known.bugs_of_replays import OF_REPLAYS
from known.bugs_of_searches import OF_SEARCHES
from known.bugs_of_serving import OF_SERVING
from known.bugs_of_stops import OF_STOPS
from known.bugs_of_streams import OF_STREAMS
from known.bugs_of_the_store import OF_THE_STORE
from known.bugs_of_the_wire import OF_THE_WIRE
from known.bugs_of_tools import OF_AGENTS, OF_TOOLS
from known.bugs_of_waits import OF_WAITS
from known.bugs_of_what_is_kept import OF_WHAT_IS_KEPT
from known.plans.bugs_of_lines import OF_LINES
from known.plans.bugs_of_memory import OF_MEMORY
from known.plans.bugs_of_planners import OF_PLANNERS
from known.plans.bugs_of_plans import OF_PLANS
from known.plans.bugs_of_tables import OF_TABLES
from known.plans.bugs_of_tags import OF_TAGS
from known.plans.bugs_of_teams import OF_TEAMS
from known.stores.bugs_of_far_stores import OF_FAR_STORES
from rich.console import Console
from rich.table import Table
from seeded import Bug, Caught, hunt, stale
from where import WHERE

OF_ABOUT_PLANS: tuple[Bug, ...] = (
    *OF_PLANS,
    *OF_LINES,
    *OF_TAGS,
    *OF_TABLES,
    *OF_MEMORY,
    *OF_TEAMS,
    *OF_PLANNERS,
)
KNOWN: tuple[Bug, ...] = (
    *OF_CALLS,
    *OF_REPLAYS,
    *OF_JOINS,
    *OF_GUARDS,
    *OF_STOPS,
    *OF_THE_STORE,
    *OF_FAR_STORES,
    *OF_STREAMS,
    *OF_WAITS,
    *OF_WHAT_IS_KEPT,
    *OF_POOLS,
    *OF_CHECKPOINTS,
    *OF_METHODS,
    *OF_ALLOCATION,
    *OF_TOOLS,
    *OF_SERVING,
    *OF_AGENTS,
    *OF_SEARCHES,
    *OF_FRAMEWORKS,
    *OF_THE_WIRE,
    *OF_ABOUT_PLANS,
)
OF_ROOMS = frozenset(
    bug.name
    for bug in (
        *(*OF_ALLOCATION, *OF_SEARCHES, *OF_TOOLS, *OF_AGENTS, *OF_GUARDS, *OF_SERVING, *OF_THE_WIRE, *OF_FRAMEWORKS),
        *OF_FAR_STORES,
        *OF_ABOUT_PLANS,
    )
)
"""Bugs of what stands on the engine, and of far stores: each run of the tests looks for a part of them, `make prove` for all."""
BUGS = tuple(bug for bug in KNOWN if bug.tests or bug.name in WHERE)
HOLES = tuple(bug for bug in KNOWN if bug not in BUGS)
"""Bugs that nothing has caught yet: `--learn` looks for them."""
PAGE = Path(__file__).parents[2] / "docs" / "proof.md"
QUICK = (  # caught by the first cases
    "the rows of a group are written in another order",
    "a blob is written after the row that names it",
    "a row counts as durable when it is queued",
    "a budget is looked at when a call starts, and nothing is reserved",
    "a call ends before its children",
    "what is recorded of calls is never looked up",
)


def main(words: list[str], how: str, docs: bool, new: bool) -> int:
    """Hunt all of them, on all cores, and print a table. Returns how many were not caught."""
    wanted = [bug for bug in (KNOWN if how == "learn" else BUGS) if all(word in bug.name for word in words)]
    listed = _listed() if new else {}
    wanted = [bug for bug in wanted if bug.name not in listed]
    table = Table("bug", "caught by", "in", "cases", title="Seeded bugs", title_justify="left")
    missed, found = 0, dict(WHERE)
    rows: list[tuple[str, str]] = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for bug, caught in zip(wanted, threads.map(functools.partial(hunt, how=how), wanted), strict=True):
            missed += caught is None
            if caught is not None and not bug.tests:
                found[bug.name] = (caught.trouble, caught.seed)
            rows.append((bug.name, caught.by if caught is not None else "nothing"))
            table.add_row(bug.name, *_cells(caught), style="bold red" if caught is None else None)
    Console(width=160).print(table)
    if docs and not missed:
        _write_page(listed | dict(rows))
    if how == "learn":
        _note(found)
    return missed


def list_stale(words: list[str]) -> int:
    """Say of each bug that no longer fits the code why. Returns how many reasons there are."""
    reasons = stale(bug for bug in KNOWN if all(word in bug.name for word in words))
    print("\n\n".join([*reasons, f"{len(reasons)} stale of {len(KNOWN)} seeded bugs" if reasons else "no seeded bug is stale"]))
    return len(reasons)


def _listed() -> dict[str, str]:
    """The bugs that docs/proof.md lists, and what it says caught each."""
    listed = PAGE.read_text().partition("<!-- bugs -->")[2].partition("<!-- /bugs -->")[0]
    return dict(re.findall(r"^\| (.+) \| (.+) \|$", listed, re.MULTILINE))


def _write_page(caught: dict[str, str]) -> None:
    """The list of bugs in docs/proof.md: those that there are."""
    before, _, rest = PAGE.read_text().partition("<!-- bugs -->")
    rows = [(bug.name, caught[bug.name]) for bug in BUGS if bug.name in caught]
    lines = "".join(f"| {bug} | {by} |\n" for bug, by in rows)
    made = f"<!-- bugs -->\n{len(rows)} bugs, each caught:\n\n| bug | caught by |\n|---|---|\n{lines}<!-- /bugs -->"
    PAGE.write_text(before + made + rest.partition("<!-- /bugs -->")[2])


def _note(found: dict[str, tuple[str, int]]) -> None:
    """Write down where each was found."""
    lines = "".join(f'    "{bug.name}": ("{found[bug.name][0]}", {found[bug.name][1]}),\n' for bug in KNOWN if bug.name in found)
    path = Path(__file__).parent / "where.py"
    path.write_text(f"{WHERE_SAYS}\nWHERE: dict[str, tuple[str, int]] = {{\n{lines}}}\n")


WHERE_SAYS = '''"""Where each seeded bug was found, so that it is looked for there: the trouble, and the first seed.

Written by `python tests/proof/bugs.py --learn [WORD …]`; to be written again when the random programs change much.
"""
'''


def _cells(caught: Caught | None) -> tuple[str, str, str]:
    if caught is None:
        return "NOTHING", "", ""
    return caught.by, f"{caught.trouble}, seed {caught.seed}" if caught.trouble else "", str(caught.cases)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Bugs that are put into Headway on purpose, and what catches each.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only those whose name holds every WORD")
    parser.add_argument("--learn", action="store_true", help="look everywhere, and write down where each is found soonest")
    parser.add_argument("--write-docs", action="store_true", help="list them in docs/proof.md, where all were caught")
    parser.add_argument("--new", action="store_true", help="only those that docs/proof.md does not list")
    parser.add_argument("--stale", action="store_true", help="hunt nothing; list those whose code or tests have changed")
    asked = parser.parse_args()
    if asked.stale:
        sys.exit(1 if list_stale(asked.words) else 0)
    if asked.write_docs and asked.words:
        parser.error("--write-docs lists all of them: leave out " + " ".join(asked.words))
    sys.exit(1 if main(asked.words, "learn" if asked.learn else "again", asked.write_docs, asked.new) else 0)
