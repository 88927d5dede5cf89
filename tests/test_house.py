"""The house stands: lower floors never import higher ones, no module imports itself by way of others, rooms stay small."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
TESTS = Path(__file__).parent
FLOORS: tuple[tuple[str, ...], ...] = (  # from the ground up; rooms on one floor may know each other
    ("errors", "near", "extras", "values"),
    ("storage", "ipc"),
    ("journal",),
    ("events",),
    ("pools",),
    ("engine",),
    ("task", "joins", "scopes", "relay", "collection", "context", "run", "steer", "resume", "by_hand", "view", "observe"),
    ("service",),
    ("checkpoint", "models", "train"),
    ("tools",),
    ("methods",),
    ("reference",),
    ("integrations",),
    ("bench",),
    ("sim", "testing"),
    ("cli", "__main__"),
)
FACE = {"headway"}  # `headway/__init__.py` offers names of all floors, and everybody may use it as users do
DOORS = {  # imports that run upwards on purpose, each inside of a function and only when it is called
    ("context", "checkpoint"): "hw.checkpoints() is part of the face; a program that saves nothing loads none of it",
}
MOST_LINES = 410
MOST_LINES_OF_TESTS = 600
MOST_FILES = 13
MOST_FILES_OF_TESTS = 18


@cache
def modules() -> dict[str, Path]:
    """Every module of the package, by its dotted name."""
    found = {}
    for path in SRC.rglob("*.py"):
        name = ".".join(path.relative_to(SRC).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imports_of(name: str, *, types: bool) -> Iterator[tuple[str, bool]]:
    """What a module imports of the package, and whether only inside of a function. `types`: also for type checkers alone."""
    yield from _imports_in(ast.parse(modules()[name].read_text()), types, False)


def _imports_in(node: ast.AST, types: bool, inside: bool) -> Iterator[tuple[str, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test) and not types:
            continue
        if isinstance(child, ast.ImportFrom) and child.module and child.module.partition(".")[0] == "headway":
            for alias in child.names:
                full = f"{child.module}.{alias.name}"
                yield (full if full in modules() else child.module), inside
        elif isinstance(child, ast.Import):
            yield from ((alias.name, inside) for alias in child.names if alias.name.partition(".")[0] == "headway")
        yield from _imports_in(child, types, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def room_of(module: str) -> str:
    """The first part of a name below the package; the package itself for its face."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


@pytest.mark.parametrize("module", sorted(modules()))
def test_no_module_imports_a_higher_floor(module: str) -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    room = room_of(module)
    if room in FACE:
        return
    assert room in floor, f"{module}: say in FLOORS on which floor {room!r} is"
    for other, inside in imports_of(module, types=False):
        there = room_of(other)
        if there in FACE or (inside and (room, there) in DOORS):
            continue
        assert floor[there] <= floor[room], f"{module} imports {other}, which is on a higher floor"


def test_no_module_imports_itself_by_way_of_others() -> None:
    edges = {module: {other for other, inside in imports_of(module, types=False) if not inside} for module in modules()}
    done: set[str] = set()

    def follow(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way[way.index(module) :], module))
        if module not in done:
            for other in sorted(edges[module] - {module}):
                follow(other, (*way, module))
            done.add(module)

    for module in sorted(modules()):
        follow(module, ())


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_file_says_what_it_is_for_and_stays_short(module: str) -> None:
    source = modules()[module].read_text()
    assert ast.get_docstring(ast.parse(source)), f"{module} does not say what it is for"
    assert source.count("\n") <= MOST_LINES, f"{module} has outgrown {MOST_LINES} lines: what does it really do?"


def test_a_folder_holds_about_a_dozen_files() -> None:
    for folder in {path.parent for path in modules().values()}:
        files = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(files) <= MOST_FILES, f"{folder.relative_to(SRC)} holds {len(files)} files: which rooms are in it?"


def test_a_folder_of_tests_is_about_one_subject() -> None:
    for folder in {path.parent for path in TESTS.rglob("*.py")}:
        files = [path.name for path in folder.glob("*.py") if path.name != "conftest.py"]
        assert len(files) <= MOST_FILES_OF_TESTS, f"{folder.relative_to(TESTS)} holds {len(files)} files: which subjects are in it?"


def test_files_of_tests_say_what_they_are_for_stay_short_and_have_names_of_their_own() -> None:
    files = sorted(TESTS.rglob("*.py"))
    for path in files:
        source = path.read_text()
        assert ast.get_docstring(ast.parse(source)), f"{path} does not say what it is for"
        assert source.count("\n") <= MOST_LINES_OF_TESTS, (
            f"{path} has outgrown {MOST_LINES_OF_TESTS} lines: which subjects are in it?"
        )
    names = [path.name for path in files if path.name != "conftest.py"]  # pytest imports them by name alone
    assert len(names) == len(set(names)), sorted({name for name in names if names.count(name) > 1})


def test_no_file_of_tests_is_named_as_a_package_that_tests_import() -> None:
    """A folder of programs may be on the path: `agents.py` in one hid the package `agents` from all that ran after it."""
    packages = set(packages_distributions()) | sys.stdlib_module_names
    assert not {path.stem for path in TESTS.rglob("*.py")} & packages
