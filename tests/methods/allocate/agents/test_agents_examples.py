"""The examples of the agents run, those of their page too, and its table names what there is."""

from __future__ import annotations

import asyncio
import doctest
import importlib
import pkgutil
import re
from pathlib import Path
from random import Random

import pytest

import headway as hw
from headway.methods import allocate
from headway.methods.allocate import agents
from headway.methods.graph import Graph, Node, after
from headway.methods.records import Action, Candidate, Observation, State, Verdict, View

MODULES = [module.name for module in pkgutil.iter_modules(agents.__path__, "headway.methods.allocate.agents.")]
NAMES = {
    "asyncio": asyncio,
    "hw": hw,
    "allocate": allocate,
    "agents": agents,
    "Graph": Graph,
    "Node": Node,
    "after": after,
    "Random": Random,
}
NAMES |= {each.__name__: each for each in (Action, Candidate, Observation, State, Verdict, View)}


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_run(module):
    tried = doctest.testmod(importlib.import_module(module), extraglobs=NAMES, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried.attempted
    assert not tried.failed


PAGE = (Path(__file__).parents[4] / "docs" / "allocate-agents.md").read_text()


def test_the_examples_of_the_page_print_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = "".join(re.findall(r"^```python run\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    exec(compile(code, "docs/allocate-agents.md", "exec"), {"__name__": "docs_agents"})
    assert capsys.readouterr().out.splitlines() == re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)


def test_the_table_of_the_page_names_what_there_is():
    named = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert len(named) == 9
    assert all(callable(getattr(agents, name)) for name in named)
