"""The example of `docs/models.md` runs as it is there and prints what it says; what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import headway as hw
from headway import models

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "models.md").read_text()


def test_the_example_prints_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python run\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for _ in range(2):
        exec(compile(code, "docs/models.md", "exec"), {"__name__": "docs_models"})
    assert capsys.readouterr().out.splitlines() == re.findall(r"^ *print\(.*\)  # (.*)$", code, re.MULTILINE)  # once


def test_the_names_of_the_page_are_there() -> None:
    for name in set(re.findall(r"`?models\.(\w+)", PAGE)) - {"md", "CountdownModel"}:
        assert getattr(models, name).__doc__, name
    for name in re.findall(r"`hw\.(\w+)`", PAGE):
        assert getattr(hw, name).__doc__, name
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (DOCS / link).exists()


def test_the_call_that_the_page_shows_is_the_one_there_is() -> None:
    (shown,) = re.findall(r"`sample\(model, prompt, (.*?)\)`", PAGE)
    defaults = {name: eval(value) for name, value in re.findall(r"(\w+)=([^,]+|\(\))(?:, |$)", shown)}
    assert defaults == {name: getattr(models.Request(prompt=""), name) for name in models.Sampling.__annotations__}


def test_every_public_name_is_documented() -> None:
    for name, value in vars(models).items():
        if not name.startswith("_") and isinstance(value, type):
            assert value.__doc__, name
