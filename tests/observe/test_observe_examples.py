from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["pictures.lanes", "progress", "sinks", "pictures.svg", "words"])
def test_the_examples_in_the_documentation_hold(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"headway.observe.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
