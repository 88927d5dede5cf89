"""Renders the catalogues from docstrings, rows and kept results, so that nothing on their pages is typed by hand.

`docs/methods.md` says of each method what its paper claims, what we compare it with, what was measured and where it departs.
`docs/results/compute.md` has every row with its interval, seeds and test, and whether it is reached; `docs/results/agents.md` has
the same of the catalogue of agents.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.agents import AGENTS
from benchmarks.methods import METHODS
from benchmarks.methods.catalogue import Catalogue
from benchmarks.methods.row import Interval, Pair, Row, compare, interval
from benchmarks.sides import ROOT
from benchmarks.tables import number

CATALOGUE = ROOT / "docs" / "methods.md"
COMPUTE = ROOT / "docs" / "results" / "compute.md"
AGENTS_PAGE = ROOT / "docs" / "results" / "agents.md"

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

COMPUTE_HEAD = """# Results: compute where it pays

Each row is a property that a method must show, with the test that holds it. Ours is compared with the baseline seed by seed; the
last columns have the mean of that comparison, its 95 % interval (Student's t over seeds), and whether the property is reached by
the bound of the interval. Made by `python -m benchmarks.methods --write-docs`.
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


@dataclass(frozen=True)
class Result:
    """What a row gave, seed by seed, when, at which commit, and on which machine."""

    pairs: dict[int, Pair]
    when: str
    commit: str
    machine: str

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        return cls({int(seed): Pair(*pair) for seed, pair in data["pairs"].items()}, data["when"], data["commit"], data["machine"])

    def to_json(self) -> dict[str, Any]:
        pairs = {str(seed): list(pair) for seed, pair in self.pairs.items()}
        return {"when": self.when, "commit": self.commit, "machine": self.machine, "pairs": pairs}


def load(folder: Path) -> dict[str, Result]:
    """The kept results by the names of their rows; none where there are no files."""
    files = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return {name: Result.from_json(data) for file in files for name, data in file.items()}


def keep(results: Mapping[str, Result], catalogue: Catalogue) -> None:
    """Write the results of the rows that there are: a file for each module, a line for each row."""
    folder = catalogue.results
    folder.mkdir(parents=True, exist_ok=True)
    for module, rows in catalogue.rows_by_module().items():
        names = sorted(row.name for row in rows if isinstance(row, Row) and row.name in results)
        lines = [f"{json.dumps(name)}: {json.dumps(results[name].to_json())}" for name in names]
        path = folder / f"{module}.json"
        if lines:
            path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        else:
            path.unlink(missing_ok=True)


def write_methods() -> list[Path]:
    """Render the pages of the catalogue of methods; their paths."""
    return _write({CATALOGUE: catalogue(), COMPUTE: compute()})


def write_agents() -> list[Path]:
    """Render the page of the catalogue of agents; its path."""
    return _write({AGENTS_PAGE: agents()})


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
    for room, title in METHODS.rooms:
        methods = _by_method(row for row in rows if row.item == room)
        if not methods:
            continue
        lines += [f"## {title}", ""]
        for method, of in methods.items():
            lines += [f"### {method}", "", *_about(of), ""]
            lines += ["| must hold | baseline | ours | baseline | compared | |", "|---|---|---:|---:|---:|---|"]
            lines += [f"| {row.shows} ({row.unit}) | {row.baseline} | {' | '.join(figures_of(row, results))} |" for row in of]
            lines += [""]
    return "\n".join(lines).rstrip() + "\n"


def compute() -> str:
    """The page of all rows of methods."""
    return _all_rows(METHODS, COMPUTE_HEAD)


def agents() -> str:
    """The page of all rows of agents."""
    return _all_rows(AGENTS, AGENTS_HEAD)


def _all_rows(catalogue: Catalogue, head: str) -> str:
    """The page of all rows, and of the promises that tests alone hold."""
    rows, held = catalogue.all_rows()
    results = load(catalogue.results)
    reached = sum(_is_reached(row, results) is True for row in rows)
    machines = ", ".join(dict.fromkeys(found.machine for found in results.values()))
    said = f"{len(rows)} rows, {reached} reached; {len(held)} promises without a number. Measured on {machines}."
    lines = [head, said, ""]
    for room, title in catalogue.rooms:
        of = [row for row in rows if row.item == room]
        promises = [each for each in held if each.item == room]
        if of or promises:
            lines += [f"## {title}", ""]
        if of:
            lines += ["| row | baseline | ours | baseline's | ours / baseline's or difference | | seeds | measured | test |"]
            lines += ["|---|---|---:|---:|---:|---|---:|---|---|", *(_row(row, results) for row in of), ""]
        if promises:
            lines += ["| promise | tests |", "|---|---|"]
            lines += [f"| {each.promise} | {'<br>'.join(f'`{test}`' for test in each.tests)} |" for each in promises] + [""]
    return "\n".join(lines).rstrip() + "\n"


def figures_of(row: Row, results: Mapping[str, Result]) -> tuple[str, str, str, str]:
    """Ours, the baseline's, their comparison, and whether the property is reached, as text."""
    pairs = _pairs(row, results)
    if not pairs:
        return "", "", "", "not measured"
    ours, baseline, compared = interval([a for a, _ in pairs]), interval([b for _, b in pairs]), compare(row, pairs)
    sign = "×" if row.compare == "ratio" else ""
    reached = "reached" if row.reached(compared.low, compared.high) else "*not reached*" + (f": {row.reason}" if row.reason else "")
    return _show(ours), _show(baseline), _show(compared, sign), reached


def _row(row: Row, results: Mapping[str, Result]) -> str:
    found = results.get(row.name)
    measured = f"{found.when[:10]}, {found.commit}" if found else ""
    cells = [f"{row.method}: {row.shows} ({row.unit})", row.baseline, *figures_of(row, results)]
    return f"| {' | '.join(cells)} | {len(row.numbers)} | {measured} | `{row.test}` |"


def _is_reached(row: Row, results: Mapping[str, Result]) -> bool | None:
    if not (pairs := _pairs(row, results)):
        return None
    return row.reached(*compare(row, pairs)[1:])


def _pairs(row: Row, results: Mapping[str, Result]) -> list[Pair]:
    """What was measured on all of its seeds; nothing where some are missing."""
    found = results.get(row.name)
    if found is None or any(seed not in found.pairs for seed in row.numbers):
        return []
    return [found.pairs[seed] for seed in row.numbers]


def _show(found: Interval, sign: str = "") -> str:
    if found.low == found.high:
        return f"{_number(found.mean)}{sign}"
    return f"{_number(found.mean)}{sign} [{_number(found.low)}, {_number(found.high)}]"


def _number(value: float) -> str:
    if abs(value) < 1:
        return f"{value:.3f}"
    return f"-{number(-value)}" if value < 0 else number(value)


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
    """The object of a dotted name."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for name in parts[cut:]:
            found = getattr(found, name)
        return found
    raise LookupError(f"{dotted}: there is no such module")
