"""The examples of the agents run."""

from __future__ import annotations

import asyncio
import doctest
import importlib
import pkgutil
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
