"""A bug on purpose: a patch of Headway's source, and the instrument that must find it.

A bug is applied to the syntax of a module as a fresh interpreter imports it, so nothing on the disk changes, and every name that
other modules have imported is the broken one. It names the symbol that it breaks and the piece of code in it (anchors.py), never
a file or a line. A piece that does not occur exactly once means that the code has moved on and the bug with it: that is an error,
never a bug that was silently not applied. `python tests/proof/bugs.py --stale` lists all of those.

This file runs in both processes: `hunt` starts the other one, `main` is it. It must not import Headway before a bug is in place.
"""

from __future__ import annotations

import ast
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

from anchors import Package, Unfit, replace
from where import WHERE

HERE = Path(__file__).parent
MOST_S = 600.0  # a bug may hang what hunts it
MARGIN, LEAST = 5, 60  # how many times as many seeds as were needed may be needed one day; and how many at least
MOST_PLACES = 4  # that are named where a bug is stale
LOOK_S = 40.0  # of a core: how long `learn` looks for a bug


@dataclass(frozen=True)
class Edit:
    """One change of Headway: in what is defined as `symbol`, the code `old` occurs once and becomes `new` (anchors.py)."""

    symbol: str
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


def bug(name: str, symbol: str, old: str, new: str, *more: Edit, tests: str = "") -> Bug:
    return Bug(name, (Edit(symbol, old, new), *more), tests)


@dataclass(frozen=True)
class Caught:
    """What found a bug: the promise that was seen broken, where, and how many cases were looked at before."""

    by: str
    trouble: str = ""
    seed: int = -1
    cases: int = 0
    what: str = ""


class Stale(Exception):
    """A bug whose code is not in the source any more."""


# --- applying --------------------------------------------------------------------------------------------------------


@functools.cache
def _root() -> Path:
    found = importlib.util.find_spec("headway")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


@functools.cache
def _package() -> Package:
    return Package(_root())


def patched(broken: Bug) -> dict[str, ast.Module]:
    """The syntax of each module that the bug changes, by path. Raises Stale."""
    package, trees = _package(), dict[str, ast.Module]()
    for edit in broken.edits:
        try:
            module = package.find(edit.symbol)
            replace(trees.setdefault(module, package.parse(module)), edit.symbol.rpartition(":")[2], edit.old, edit.new)
        except Unfit as unfit:
            raise Stale(_why_stale(broken, edit, unfit)) from unfit
    patched = {str(package.path(module)): tree for module, tree in trees.items()}
    for path, tree in patched.items():
        compile(tree, path, "exec", dont_inherit=True)
    return patched


def _why_stale(broken: Bug, edit: Edit, unfit: Unfit) -> str:
    """For whoever has changed the code, and has to change the bug with it."""
    try:
        places = _package().places_of(edit.old)
    except Unfit:
        places = []
    found = f"It is in {', '.join(places[:MOST_PLACES])} now.\n" if places else "It is nowhere in Headway.\n"
    return (
        f"seeded bug {broken.name!r}, at {edit.symbol}: {unfit}\n{found}"
        f"The code has changed; change the bug with it. It looks for:\n{textwrap.indent(textwrap.dedent(edit.old).strip(), '    ')}"
    )


def stale(bugs: Iterable[Bug]) -> list[str]:
    """Why each of those that no longer fit the code, or the tests, does not."""
    reasons = []
    for each in bugs:
        try:
            patched(each)
        except Stale as gone:
            reasons.append(str(gone))
        file, _, test = each.tests.partition("::")
        path = HERE.parent / file
        if file and not (path.is_file() and (not test or f"def {test.partition('[')[0]}(" in path.read_text())):
            reasons.append(f"seeded bug {each.name!r}: there is no test tests/{each.tests}, which is to catch it")
    return reasons


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from a tree instead of its file."""

    def __init__(self, name: str, path: str, tree: ast.Module) -> None:
        super().__init__(name, path)
        self._tree = tree

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self._tree, self.path, "exec", dont_inherit=True)
        return code


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, trees: dict[str, ast.Module]) -> None:
        self._trees = trees

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        found = importlib.machinery.PathFinder.find_spec(name, path) if name.startswith("headway") else None
        if found is not None and found.origin in self._trees:
            found.loader = _Loader(name, found.origin, self._trees[found.origin])
        return found


def apply(broken: Bug) -> None:
    """From here on this interpreter imports the broken Headway."""
    trees = patched(broken)
    for name in [name for name in sys.modules if name.partition(".")[0] == "headway"]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Finder(trees))


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
    elif how == "again":
        caught = _by_simulator(*broken.place)
    else:
        caught = _anywhere()
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
    from far import FAR

    troubles = (*TROUBLES, *FAR)
    began, spent = time.process_time(), dict.fromkeys(troubles, 0.0)
    best: tuple[float, Caught] | None = None
    for seed in itertools.count():
        for trouble in troubles:
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
    code = pytest.main(["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", str(HERE.parent / broken.tests)], plugins=[seen])
    if not seen.names and code != pytest.ExitCode.OK:
        raise RuntimeError(f"pytest ended with {code} before a test failed")
    return Caught(f"test {seen.names[0].rpartition('::')[2]}", cases=seen.passed + 1) if seen.names else None


if __name__ == "__main__":
    main(*sys.argv[1:])
