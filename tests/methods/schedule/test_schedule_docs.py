"""The examples of `docs/schedule.md` run as they are there and print what it says; its tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headway.methods import schedule
from headway.methods.schedule import rules

PAGE = (Path(__file__).parents[3] / "docs" / "schedule.md").read_text()
REFERENCE = (Path(__file__).parents[3] / "docs" / "reference" / "schedule.md").read_text()


def test_the_examples_print_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ortools")
    code = "".join(re.findall(r"^```python run\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    exec(compile(code, "docs/schedule.md", "exec"), {"__name__": "docs_schedule"})
    assert capsys.readouterr().out.splitlines() == re.findall(r"^ *print\(.*?\)  # (.*)$", code, re.MULTILINE)


def test_the_table_names_every_rule() -> None:
    table = PAGE.partition("| rule | first |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([A-Z_]+)`", table)) == {name for name in vars(rules) if name.isupper() and name != "RULES"}


def test_every_public_name_has_an_entry_in_the_reference() -> None:
    offered = {name for name, value in vars(schedule).items() if callable(value) and not name.startswith("_")}
    assert offered == set(re.findall(r"^::: headway\.methods\.schedule\.(\w+)$", REFERENCE, re.MULTILINE))
