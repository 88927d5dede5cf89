"""Every example in a docstring runs, and shows something: it calls what it defines.

Examples run in an empty folder, with `hw` at hand. Those of the search methods need parts that add; they run beside these parts, in
`methods/search/test_search_examples.py`, those of agents in `methods/allocate/agents/test_agents_examples.py`.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import headway as hw

SOURCE = Path(hw.__file__).parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
ELSEWHERE = ("headway.methods.search.", "headway.methods.allocate.agents.")


def modules_with_examples() -> list[str]:
    names = []
    for file in sorted(SOURCE.rglob("*.py")):
        if ">>>" in file.read_text(encoding="utf-8"):
            parts = ("headway", *file.relative_to(SOURCE).with_suffix("").parts)
            names.append(".".join(parts).removesuffix(".__init__"))
    return names


MODULES = modules_with_examples()


def examples_of(module_name: str) -> list[doctest.DocTest]:
    """The examples of a module, each with `hw` and the module's own names."""
    module = importlib.import_module(module_name)
    found = doctest.DocTestFinder(exclude_empty=True).find(module, module_name, extraglobs={"hw": hw})
    return [each for each in found if each.examples]


def written_in(module_name: str) -> set[str]:
    """The names of what has an example, as the source has them."""
    file = importlib.import_module(module_name).__file__
    assert file is not None
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    return {f"{module_name}.{name}".rstrip(".") for name, text in _docstrings(tree, "") if ">>>" in text}


def _docstrings(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield name, ast.get_docstring(node) or ""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _docstrings(child, f"{name}.{child.name}".lstrip("."))


def only_defines(example: doctest.DocTest) -> bool:
    """Whether an example defines something and never calls it."""
    statements = [each for step in example.examples for each in ast.parse(step.source).body]
    plain = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    return all(isinstance(each, plain) for each in statements)


@pytest.mark.parametrize("module_name", [name for name in MODULES if not name.startswith(ELSEWHERE)])
def test_the_examples_of_a_module_run(module_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = examples_of(module_name)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    for example in examples:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            runner.run(example, out=said.append)
    assert not said, "".join(said)
    assert {re.sub(r"<locals>\.", "", each.name) for each in examples} == written_in(module_name), "not every example was found"


@pytest.mark.parametrize("module_name", MODULES)
def test_an_example_calls_what_it_defines(module_name: str) -> None:
    assert [each.name for each in examples_of(module_name) if only_defines(each)] == []


@pytest.mark.parametrize(
    ("text", "idle"),
    [(">>> def f(): ...\n", True), (">>> def f(): ...\n>>> f()\n", False), (">>> import os\n>>> class A: ...\n", True)],
)
def test_an_idle_example_is_known_from_one_that_runs(text: str, idle: bool) -> None:
    assert only_defines(doctest.DocTestParser().get_doctest(text, {}, "made", None, None)) is idle


def test_an_example_that_prints_something_else_fails() -> None:
    said: list[str] = []
    example = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "made", None, None)
    assert doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(example, out=said.append).failed == 1
    assert said
