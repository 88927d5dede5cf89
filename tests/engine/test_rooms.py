"""The rooms of the engine don't lean on each other in a circle, not even for the names of types."""

import ast
import graphlib
from pathlib import Path

import headway.engine

SOURCE = Path(headway.engine.__file__).parents[2]


def imports() -> dict[str, set[str]]:
    """By module of the engine, the modules of the engine that it imports, at run time or for types."""
    files = {".".join(file.relative_to(SOURCE).with_suffix("").parts): file for file in (SOURCE / "headway/engine").rglob("*.py")}
    found: dict[str, set[str]] = {}
    for name, file in files.items():
        nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom) and node.module]
        named = {node.module for node in nodes} | {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}
        found[name] = {str(module) for module in named if module in files}
    return found


def test_no_modules_of_the_engine_import_each_other_in_a_circle():
    found = imports()
    assert found["headway.engine.engine"] >= {"headway.engine.lifecycle", "headway.engine.call"}
    list(graphlib.TopologicalSorter(found).static_order())


def test_no_part_of_the_engine_knows_the_whole_engine():
    known = {name for name, modules in imports().items() if "headway.engine.engine" in modules}
    assert known == {"headway.engine.drive", "headway.engine.world"}
