"""A bug on purpose: a patch of Headway's source, and the instrument that must find it.

A bug is applied to the text of a module as a fresh interpreter imports it, so nothing on the disk changes, and every name that
other modules have imported is the broken one. A text that does not occur exactly once means that the code has moved on and the
bug with it: that is an error, never a bug that was silently not applied.

This file runs in both processes: `hunt` starts the other one, `main` is it. It must not import Headway before a bug is in place.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

from where import WHERE

HERE = Path(__file__).parent
MOST_S = 600.0  # a bug may hang what hunts it
MARGIN, LEAST = 5, 60  # how many times as many seeds as were needed may be needed one day; and how many at least
LOOK_S = 40.0  # of a core: how long `learn` looks for a bug


@dataclass(frozen=True)
class Edit:
    """One change of a module under src/headway: `old` occurs in it exactly once."""

    module: str
    old: str
    new: str


@dataclass(frozen=True)
class Bug:
    """`name` says what is broken. The simulator must find it, in the trouble and within the seeds that `where` says; or else the
    tests `tests` of the other suites (a pytest node id below tests/) must."""

    name: str
    edits: tuple[Edit, ...]
    tests: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def place(self) -> tuple[str, int]:
        """The trouble in which it was found, and how many seeds may be looked at."""
        trouble, seed = WHERE[self.name]
        return trouble, max(LEAST, MARGIN * (seed + 1))


def bug(name: str, module: str, old: str, new: str, *more: Edit, tests: str = "") -> Bug:
    return Bug(name, (Edit(module, old, new), *more), tests)


@dataclass(frozen=True)
class Caught:
    """What found a bug: the promise that was seen broken, where, and how many cases were looked at before."""

    by: str
    trouble: str = ""
    seed: int = -1
    cases: int = 0
    what: str = ""


class Stale(Exception):
    """A bug whose text is not in the source any more."""


# --- applying --------------------------------------------------------------------------------------------------------


@functools.cache
def _root() -> Path:
    found = importlib.util.find_spec("headway")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def patched(broken: Bug) -> dict[str, str]:
    """The source of each module that the bug changes, by path. Raises Stale."""
    sources: dict[str, str] = {}
    for edit in broken.edits:
        path = str(_root() / edit.module)
        source = sources.get(path) or Path(path).read_text()
        if (times := source.count(edit.old)) != 1:
            raise Stale(
                f"seeded bug {broken.name!r}: its text occurs {times} times in {edit.module}, not once. "
                f"The code has changed; change the bug with it:\n{edit.old}"
            )
        sources[path] = source.replace(edit.old, edit.new)
    for path, source in sources.items():
        compile(source, path, "exec")
    return sources


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from a text instead of its file."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self._source, self.path, "exec", dont_inherit=True)
        return code


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = sources

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        found = importlib.machinery.PathFinder.find_spec(name, path) if name.startswith("headway") else None
        if found is not None and found.origin in self._sources:
            found.loader = _Loader(name, found.origin, self._sources[found.origin])
        return found


def apply(broken: Bug) -> None:
    """From here on this interpreter imports the broken Headway."""
    sources = patched(broken)
    for name in [name for name in sys.modules if name.partition(".")[0] == "headway"]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Finder(sources))


# --- hunting ---------------------------------------------------------------------------------------------------------


def hunt(broken: Bug, how: str = "again") -> Caught | None:
    """What catches the bug, looked for in a process of its own; None where nothing does. `how`: "again" where it was found
    before, "learn" everywhere. Raises Stale."""
    patched(broken)
    ran = subprocess.run(
        [sys.executable, "-m", "seeded", broken.name, how],
        capture_output=True,
        text=True,
        timeout=MOST_S,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(HERE), str(_root().parent)))},  # the Headway of this process
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"the hunt for seeded bug {broken.name!r} failed:\n{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}")
    answer = json.loads(ran.stdout.splitlines()[-1])
    return Caught(**answer) if answer else None


def main(name: str, how: str) -> None:
    from bugs import KNOWN

    broken = next(found for found in KNOWN if found.name == name)
    apply(broken)
    if broken.tests:
        caught = _by_tests(broken)
    else:
        caught = _by_simulator(*broken.place) if how == "again" else _anywhere()
    print(json.dumps(vars(caught) if caught is not None else None))


def _by_simulator(trouble: str, seeds: int) -> Caught | None:
    """Case after case until a promise is broken."""
    for seed in range(seeds):
        if (caught := _case(trouble, seed, seed + 1)) is not None:
            return caught
    return None


def _anywhere() -> Caught | None:
    """The trouble that breaks a promise soonest."""
    from explore import TROUBLES

    began, spent = time.process_time(), dict.fromkeys(TROUBLES, 0.0)
    best: tuple[float, Caught] | None = None
    for seed in itertools.count():
        for trouble in TROUBLES:
            since = time.process_time()
            if since - began > LOOK_S:
                return best[1] if best is not None else None
            if best is not None and spent[trouble] >= best[0]:
                continue
            caught = _case(trouble, seed, seed + 1)
            spent[trouble] += time.process_time() - since
            if caught is not None and (best is None or spent[trouble] < best[0]):
                best = (spent[trouble], caught)
        if best is not None and min(spent.values()) >= best[0]:
            return best[1]
    return None


def _case(trouble: str, seed: int, cases: int) -> Caught | None:
    from explore import explore

    from headway.sim.history import Violated

    try:
        explore(trouble, seed)
    except Violated as violated:
        return Caught(violated.found[0].promise, trouble, seed, cases, violated.found[0].what)
    return None


def _by_tests(broken: Bug) -> Caught | None:
    import pytest

    class Failures:
        def __init__(self) -> None:
            self.names: list[str] = []
            self.passed = 0

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                self.names.append(report.nodeid)
            self.passed += report.passed and report.when == "call"

    seen = Failures()
    pytest.main(["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", str(HERE.parent / broken.tests)], plugins=[seen])
    return Caught(f"test {seen.names[0].rpartition('::')[2]}", cases=seen.passed + 1) if seen.names else None


if __name__ == "__main__":
    main(*sys.argv[1:])
