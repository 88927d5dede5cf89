"""The API reference has a place for every public name, and names nothing that is not there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

import headway

PAGES = sorted((Path(__file__).parent.parent / "docs" / "reference").glob("*.md"))
ENTRIES = [name for page in PAGES for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)]


def find(name: str) -> object:
    """What an entry names: a module, or an object of one."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, last = name.rpartition(".")
        return getattr(importlib.import_module(module), last)


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_names_something_that_is_there(name: str) -> None:
    assert find(name) is not None


def test_every_public_name_has_an_entry() -> None:
    found = [find(name) for name in ENTRIES]
    shown = {id(each) for each in found}
    rooms = {each.__name__ for each in found if isinstance(each, ModuleType)}
    missing = []
    for name in headway.__all__:
        value = getattr(headway, name)
        if isinstance(value, ModuleType) or id(value) in shown or id(type(value)) in shown or value.__module__ in rooms:
            continue
        missing.append(name)
    assert not missing, "add these to docs/reference"


def test_every_page_is_in_the_navigation() -> None:
    settings = (Path(__file__).parent.parent / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if f"reference/{page.name}" not in settings] == []
