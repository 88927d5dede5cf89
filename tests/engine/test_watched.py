"""Versions that count more than the task's own source: helpers and constants, named or followed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import headway as hw

PROGRAM = """
import headway as hw
import helpers
from helpers import clean

PROMPT = "be brief"
RULES = ("one", 2)
count = 0

class Judge:
    def score(self, text):
        return len(clean(text))

def inner(text):
    return text + PROMPT

@hw.task
def another(text):
    return text

@hw.task(name="{name}", on_change="rerun", watch={watch})
def ask(text):
    global count
    count += 1
    another
    return [RULES, Judge().score(inner(text)), helpers.shorten(text)]
"""
HELPERS = """
LIMIT = 10
OTHER = 3

def clean(text):
    return text.strip()[:LIMIT]

def shorten(text):
    return text[:5]

def unused(text):
    return text
"""


@pytest.fixture
def version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bytes]:
    """The version of the task in a program that was edited like this, as a new process would compute it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    numbers = iter(range(1000))

    def compute(watch: str, *edits: tuple[str, str]) -> bytes:
        texts = {"watching": PROGRAM.format(name=f"ask {next(numbers)}", watch=watch), "helpers": HELPERS}
        for old, new in edits:
            assert any(old in text for text in texts.values())
            texts = {name: text.replace(old, new) for name, text in texts.items()}
        for name, text in texts.items():
            sys.modules.pop(name, None)
            (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True
        import linecache

        linecache.clearcache()
        found: ModuleType = importlib.import_module("watching")
        return bytes(found.ask.spec.version)

    return compute


@pytest.mark.parametrize(
    ("edit", "counts"),
    [
        (('"be brief"', '"be long"'), True),
        (('("one", 2)', '("one", 3)'), True),
        (("LIMIT = 10", "LIMIT = 11"), True),
        (("text.strip()", "text.lstrip()"), True),
        (("text[:5]", "text[:6]"), True),
        (("len(clean", "1 + len(clean"), True),
        (("return text + PROMPT", "return PROMPT + text"), True),
        (("OTHER = 3", "OTHER = 4"), False),
        (("def unused(text):\n    return text", "def unused(text):\n    return text * 2"), False),
        (("def another(text):\n    return text", "def another(text):\n    return text * 2"), False),
        (("count = 0", "count = 5"), False),
        (("def inner(text):", "def inner(text):\n    # a remark"), False),
    ],
)
def test_deep_follows_what_the_code_names_and_nothing_else(version, edit, counts):
    assert (version('"deep"') != version('"deep"', edit)) is counts


def test_a_list_counts_what_it_names(version):
    watch = "[clean, PROMPT, Judge]"
    before = version(watch)
    assert version(watch) == before
    for edit in (("text.strip()", "text.lstrip()"), ('"be brief"', '"be long"'), ("len(clean", "1 + len(clean")):
        assert version(watch, edit) != before
    for edit in (("LIMIT = 10", "LIMIT = 11"), ("return text + PROMPT", "return PROMPT + text")):
        assert version(watch, edit) == before


def test_without_watch_only_the_own_source_counts(version):
    assert version("None") == version("None", ('"be brief"', '"be long"'))
    assert version("None") != version("None", ("count += 1", "count += 2"))


def test_a_changed_constant_has_results_made_again(go):
    ran: list[str] = []

    def with_prompt(prompt: str) -> Any:
        @hw.task(name="watched.ask", on_change="rerun", watch=[prompt])
        async def ask(text: str) -> str:
            ran.append(prompt)
            return f"{prompt} {text}"

        @hw.task(name="watched.program", version="1")
        async def program() -> str:
            return await ask("why?")

        return program

    assert go(with_prompt("brief")) == go(with_prompt("brief")) == "brief why?"
    assert go(with_prompt("long")) == "long why?"
    assert ran == ["brief", "long"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"watch": "shallow"}, "deep"),
        ({"watch": 3}, "deep"),
        ({"watch": [sys]}, "is the module sys"),
        ({"watch": [object()]}, r"watch\[0\]"),
        ({"watch": [1], "version": "2"}, "give one of them"),
    ],
)
def test_what_can_not_be_watched_is_refused(options: dict[str, Any], says: str):
    with pytest.raises(hw.UsageError, match=says):

        @hw.task(**options)
        async def wrong() -> None: ...
