"""Where a store is: one answer for every way to name one. A name that means no place is refused, and nothing is made."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

import headway as hw
from headway.cli.app import app
from headway.errors import StoreError
from headway.journal.open import find_store, open_existing, open_store, open_to_read
from headway.journal.place import name_place
from headway.journal.upkeep.doctor import examine
from headway.journal.upkeep.repair import repair

URLS = [
    "mysql://host/headway",
    "s3://bucket/runs",
    "s3:/bucket/runs",
    Path("s3://bucket/runs"),
    "sqlite:///journal.db",
    "sqlite:journal.db",
    "redis://",
    "REDIS://x",
    "file:///tmp/store",
    "https://example.com/store",
    "git+ssh://example.com/store",
]


@hw.task
async def one() -> int:
    return 1


WAYS = {
    "run": lambda store: hw.run(one, store=store, progress=False),
    "arun": lambda store: asyncio.run(hw.arun(one, store=store, progress=False)),
    "resume": lambda store: hw.resume("sky", store=store),
    "dry run": lambda store: hw.resume("sky", store=store, dry_run=True),
    "fork": lambda store: hw.fork("sky", at="00", store=store),
    "cancel": lambda store: hw.cancel("sky", store=store),
    "signal": lambda store: hw.signal("sky", "go", store=store),
    "open_store": open_store,
    "open_existing": open_existing,
    "open_to_read": open_to_read,
    "find_store": find_store,
    "SqliteStore": hw.SqliteStore,
    "examine": examine,
    "repair": lambda store: repair(store, now=0.0),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("url", URLS, ids=str)
def test_a_url_is_no_folder_of_that_name(here, way, url):
    with pytest.raises(StoreError, match=r"there are no stores of the kind '.*': a store is a folder") as caught:
        WAYS[way](url)
    assert ":memory:" in str(caught.value)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        "ls",
        "show sky",
        "doctor",
        "doctor --repair",
        "gc",
        "resume sky",
        "fork sky --at 0",
        "cancel sky",
        "signal sky go",
        "run p.py:main",
    ],
)
def test_a_url_on_the_command_line_or_in_the_environment_is_refused(here, monkeypatch, command):
    (here / "p.py").write_text("import headway as hw\n@hw.task\nasync def main() -> int:\n    return 1\n")
    answer = CliRunner().invoke(app, [*command.split(), "--store", "s3://bucket"])
    assert (answer.exit_code, "no stores of the kind 's3'" in answer.stderr) == (3, True), answer.stderr
    monkeypatch.setenv("HEADWAY_STORE", "mysql://host/x")
    answer = CliRunner().invoke(app, command.split())
    assert (answer.exit_code, "no stores of the kind 'mysql'" in answer.stderr) == (3, True), answer.stderr
    assert [path.name for path in here.iterdir() if path.name != "__pycache__"] == ["p.py"]


@pytest.mark.parametrize("wrong", ["", "  ", ":mem:", ":memory", b"store", 7, True, {"url": "x"}, "a\0b"])
def test_what_names_no_place_is_refused_in_a_sentence(here, wrong):
    for way in ("run", "cancel", "open_store"):
        with pytest.raises(StoreError, match="store="):
            WAYS[way](wrong)
    assert list(here.iterdir()) == []


def test_a_folder_with_such_a_name_can_be_meant(here):
    with open_store("./s3:/bucket") as store:
        assert store.folder == here / "s3:" / "bucket"
    assert name_place("C:/runs") == Path("C:/runs")
    assert name_place("runs:v1/sky") == Path("runs:v1/sky")


def test_a_tilde_is_the_home_folder_everywhere(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here / "home"))
    assert hw.run(one, store="~/store", run_id="sky", progress=False) == 1
    assert [path.name for path in here.iterdir()] == ["home"]
    assert hw.run(one, store=Path("~/store"), run_id="sky", progress=False) == 1
    assert examine("~/store").runs == 1
    assert "sky" in CliRunner().invoke(app, ["ls", "--store", "~/store"]).stdout
    assert [path.name for path in here.iterdir()] == ["home"]
    with pytest.raises(StoreError, match="no such home folder"):
        open_store("~nobody-of-this-name/store")


def test_memory_and_none_stay_what_they_are(here):
    assert hw.run(one, store=":memory:", progress=False) == hw.run(one, store=None, progress=False) == 1
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("runs/stroe", "runs/store"),
        ("runs/store/journal.db", "runs/store"),
        ("project", "project/.headway"),
        ("runs/Store", "runs/store"),
    ],
)
def test_a_store_that_is_not_there_is_not_made_and_near_ones_are_named(here, asked, meant):
    for folder in ("runs/store", "project/.headway"):
        open_store(folder).close()
    before = sorted(here.rglob("*"))
    for look in (open_existing, open_to_read, lambda store: hw.cancel("sky", store=store)):
        with pytest.raises(StoreError, match=f"there is no store '{asked}' here; did you mean '{meant}'"):
            look(asked)
    answer = CliRunner().invoke(app, ["doctor", "--store", asked])
    assert (answer.exit_code, f"did you mean '{meant}'" in answer.stderr) == (3, True), answer.stderr
    assert sorted(here.rglob("*")) == before


def test_a_store_further_up_is_named(here, monkeypatch):
    open_store(".headway").close()
    (here / "src").mkdir()
    monkeypatch.chdir(here / "src")
    with pytest.raises(StoreError, match=rf"did you mean '{here}/.headway'"):
        open_to_read()
