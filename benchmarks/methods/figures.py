"""What rows gave: kept in files, and as text with intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.methods.catalogue import Catalogue
from benchmarks.methods.row import Interval, Pair, Row, compare, interval
from benchmarks.tables import number


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


def figures_of(row: Row, results: Mapping[str, Result]) -> tuple[str, str, str, str]:
    """Ours, the baseline's, their comparison, and whether the property is reached, as text."""
    pairs = pairs_of(row, results)
    if not pairs:
        return "", "", "", "not measured"
    ours, baseline, compared = interval([a for a, _ in pairs]), interval([b for _, b in pairs]), compare(row, pairs)
    sign = "×" if row.compare == "ratio" else ""
    reached = "reached" if row.reached(compared.low, compared.high) else "*not reached*" + (f": {row.reason}" if row.reason else "")
    return show(ours), show(baseline), show(compared, sign), reached


def is_reached(row: Row, results: Mapping[str, Result]) -> bool | None:
    """Whether the property of a row holds by the bounds of its interval; None where it was not measured."""
    if not (pairs := pairs_of(row, results)):
        return None
    return row.reached(*compare(row, pairs)[1:])


def pairs_of(row: Row, results: Mapping[str, Result]) -> list[Pair]:
    """What was measured on all of its seeds; nothing where some are missing."""
    found = results.get(row.name)
    if found is None or any(seed not in found.pairs for seed in row.numbers):
        return []
    return [found.pairs[seed] for seed in row.numbers]


def show(found: Interval, sign: str = "") -> str:
    """A mean with its interval, as text."""
    if found.low == found.high:
        return f"{_number(found.mean)}{sign}"
    return f"{_number(found.mean)}{sign} [{_number(found.low)}, {_number(found.high)}]"


def _number(value: float) -> str:
    if abs(value) < 1:
        return f"{value:.3f}"
    return f"-{number(-value)}" if value < 0 else number(value)
