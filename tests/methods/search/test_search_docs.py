"""The examples of `docs/search.md` run as they are there and print what it says; its tables name what there is."""

from __future__ import annotations

import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from headway.methods import search

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "search.md").read_text()


def test_the_examples_print_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = "".join(re.findall(r"^```python run\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    exec(compile(code, "docs/search.md", "exec"), {"__name__": "docs_search"})
    assert capsys.readouterr().out.splitlines() == re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)


def test_the_method_of_ones_own_works() -> None:
    code = PAGE.partition("## Your own")[2].partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(compile(code, "docs/search.md", "exec"), names)

    async def generate(question: str, index: int) -> search.Candidate:
        return search.Candidate("", "b" if index in (0, 1) else "a")

    found = asyncio.run(names["twice"]("q", generate, n=3))
    assert (found.answer, len(found.candidates)) == ("a", 6)


def test_the_tables_name_every_method_and_every_protocol() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    helpers = {
        "attempts",
        "certainty",
        "chance_of_ban",
        "choose",
        "choose_split",
        "cross_validate",
        "diagnose",
        "first_accepted",
        "fit",
        "fit_exponents",
        "fit_rag",
        "sequential_tokens",
        "tree_search",
        "verify_flexibly",
    }
    methods = {name for name, value in vars(search).items() if inspect.isfunction(value)} - helpers
    assert methods | {"Generator", "Stepper", "Scorer", "Verifier", "Embedder", "BatchGenerator"} == listed


def test_every_public_name_is_documented() -> None:
    for name, value in vars(search).items():
        if not name.startswith("_") and (inspect.isfunction(value) or inspect.isclass(value)):
            assert value.__doc__, name
            if inspect.iscoroutinefunction(value) and name not in ("attempts", "each", "first_accepted", "tree_search"):
                assert "Example:" in value.__doc__, name
