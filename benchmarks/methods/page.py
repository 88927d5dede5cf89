"""Renders the catalogues from docstrings, rows and kept results, so that nothing on their pages is typed by hand.

`docs/methods.md` says of each method what its paper claims, what we compare it with, what was measured and where it departs.
`docs/results/compute.md`, rendered by `compute`, has every row with its interval, seeds and test, and whether it is reached;
`docs/results/agents.md` has the same of the catalogue of agents, `docs/results/plans.md` of that of plans and memory,
`docs/results/scale.md` of that of many machines.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.agents import AGENTS
from benchmarks.methods import METHODS, ROOMS
from benchmarks.methods.compute import compute, list_room, render
from benchmarks.methods.figures import figures_of, is_reached, load
from benchmarks.methods.row import Row
from benchmarks.plans.asked import OVERVIEW
from benchmarks.scale_out import asked as scale_asked
from benchmarks.scale_out import capacity
from benchmarks.sides import ROOT

CATALOGUE = ROOT / "docs" / "methods.md"
COMPUTE = ROOT / "docs" / "results" / "compute.md"
AGENTS_PAGE = ROOT / "docs" / "results" / "agents.md"
PLANS_PAGE = ROOT / "docs" / "results" / "plans.md"
SCALE_PAGE = ROOT / "docs" / "results" / "scale.md"

CATALOGUE_HEAD = """# Catalogue of methods

What each paper claims, and what was measured here: our figure and that of the strongest simple baseline, the mean over seeds with
its 95 % interval. The workloads are small enough for two cores, so a figure says whether the property holds, and not how large the
effect is elsewhere. Papers and departures are taken from the docstrings, figures from `benchmarks/results/methods/`. Print it
again:

```
python -m benchmarks.methods                 # measure what has no figure yet; a killed measurement goes on
python -m benchmarks.methods ETS MCPP        # measure some again
python -m benchmarks.methods --write-docs    # these pages
```
"""


AGENTS_HEAD = """# Results: agents

Each row is a property that must be shown, with the test that holds it. Ours is compared with the baseline seed by seed, or round by
round where a time is measured; the last columns have the mean of that comparison, its 95 % interval (Student's t), and whether the
property is reached by the bound of the interval. What has no number is held by tests alone. Print it again:

```
python -m benchmarks.agents                  # measure what has no figure yet; a killed measurement goes on
python -m benchmarks.agents toolbox MCP      # measure some again
python -m benchmarks.agents --write-docs     # this page
```
"""


def write_methods() -> list[Path]:
    """Render the pages of the catalogue of methods; their paths."""
    return _write({CATALOGUE: catalogue(), COMPUTE: compute()})


def write_agents() -> list[Path]:
    """Render the page of the catalogue of agents; its path."""
    return _write({AGENTS_PAGE: agents()})


def write_plans() -> list[Path]:
    """Render the page of the catalogue of plans and memory; its path."""
    return _write({PLANS_PAGE: plans()})


def plans() -> str:
    """The page of all rows of plans and memory."""
    return render(OVERVIEW)


def write_scale() -> list[Path]:
    """Render the page of the catalogue of many machines, and the tables of what many runs need; their paths."""
    return _write({SCALE_PAGE: scale(), capacity.PAGE: capacity.page()})


def scale() -> str:
    """The page of all rows of many machines."""
    return render(scale_asked.OVERVIEW)


def agents() -> str:
    """The page of all rows of agents."""
    rows, held = AGENTS.all_rows()
    results = load(AGENTS.results)
    reached = sum(is_reached(row, results) is True for row in rows)
    machines = ", ".join(dict.fromkeys(found.machine for found in results.values()))
    said = f"{len(rows)} rows, {reached} reached; {len(held)} promises without a number. Measured on {machines}."
    lines = [AGENTS_HEAD, said, ""]
    for room, title in AGENTS.rooms:
        if any(each.item == room for each in (*rows, *held)):
            lines += list_room(title, room, rows, held, results)
    return "\n".join(lines).rstrip() + "\n"


def _write(texts: Mapping[Path, str]) -> list[Path]:
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return list(texts)


def catalogue() -> str:
    """The page for people: a section for each room, and in it one for each method."""
    rows, _ = METHODS.all_rows()
    results = load(METHODS.results)
    lines = [CATALOGUE_HEAD]
    for room in ROOMS:
        methods = _by_method(row for row in rows if row.item == room)
        if not methods:
            continue
        lines += [f"## {room.capitalize()}", ""]
        for method, of in methods.items():
            lines += [f"### {method}", "", *_about(of), ""]
            lines += ["| must hold | baseline | ours | baseline | compared | |", "|---|---|---:|---:|---:|---|"]
            lines += [f"| {row.shows} ({row.unit}) | {row.baseline} | {' | '.join(figures_of(row, results))} |" for row in of]
            lines += [""]
    return "\n".join(lines).rstrip() + "\n"


def _by_method(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.method, []).append(row)
    return found


def _about(rows: Sequence[Row]) -> list[str]:
    """The paper, its claim and the departures, for a page."""
    functions = dict.fromkeys(row.function for row in rows)
    claims = dict.fromkeys(row.claim for row in rows if row.claim)
    lines = [f"`{function.removeprefix('headway.')}`. {paper_of(function)}" for function in functions]
    lines += [f"Claims: {'; '.join(claims)}."] if claims else []
    departures = [said for function in functions for said in departures_of(function)]
    return ["  \n".join([*lines, *departures])]


def paper_of(function: str) -> str:
    """The source that a docstring names. Raises LookupError where it names none."""
    doc = inspect.getdoc(find(function)) or ""
    if (found := re.search(r"^Source:\n((?:    .*\n?)+)", doc, re.MULTILINE)) is None:
        raise LookupError(f"{function}: its docstring has no section Source")
    return " ".join(found[1].split())


def departures_of(function: str) -> list[str]:
    """The sentences of a docstring that say where it departs from the paper."""
    doc = " ".join((inspect.getdoc(find(function)) or "").split())
    return [said.strip() for said in re.findall(r"(?:^|(?<=[.!?:] ))(It departs[^.]*(?:\.(?! )[^.]*)*\.)(?= |$)", doc)]


def find(dotted: str) -> object:
    """The object of a dotted name: what its package offers by this name, before a module that is called alike."""
    parts = dotted.split(".")
    for cut in (*range(len(parts) - 1, 0, -1), len(parts)):
        try:
            found: object = import_module(".".join(parts[:cut]))
            for name in parts[cut:]:
                found = getattr(found, name)
        except (ModuleNotFoundError, AttributeError):
            continue
        return found
    raise LookupError(f"{dotted}: there is no such module")
