"""The assistant of `make demo-agent`, with a planner in the place of its model: killed, going on, and careful."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("pyworldatlas", reason="without the extra `assistant`")
pytest.importorskip("mcp", reason="without the extra `mcp`")

import headway as hw
from assistant import atlas, errands, server, tools
from headway.journal.records import COSTED, Kind, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.tools import ToolArgumentsError

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"


def start(store: Path, model: str, *options: str) -> str:
    """What the demo prints."""
    paths = os.pathsep.join([str(EXAMPLES), str(Path(hw.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "HEADWAY_MODEL": model, "PYTHONPATH": paths}
    command = [sys.executable, str(EXAMPLES / "agent.py"), "--store", str(store), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_killed_and_goes_on_and_does_nothing_twice(tmp_path):
    said = start(tmp_path, f"{HERE / 'planner.py'}:PLANNER", "--errands", "6")
    assert "killed with SIGKILL, in the middle of it" in said
    assert "calls are recorded and are not made again" in said
    assert "MAY IT? send_letter" in said
    assert "the connection to the MCP server 'far_atlas' broke; tried again" in said
    assert "6 of 6 errands took the right calls" in said
    assert "1 effect, 0 of them twice." in said
    assert (tmp_path / "assistant" / "files" / "outbox.txt").read_text() == "to ada@example.org: the harvest is in\n"
    with hw.SqliteStore(tmp_path) as opened:
        rows = [row for _, row in opened.rows(opened.run("assistant").uid) if row.kind & ~COSTED == Kind.OUTCOME]
    ended = Counter(row.key for row in rows if decode_outcome(row.body).status == Status.OK)
    assert set(ended.values()) == {1}


@pytest.mark.long
@pytest.mark.skipif(importlib.util.find_spec("needle") is None, reason="without the extra `needle`")
def test_it_runs_on_the_small_model_that_it_is_made_for(tmp_path):
    said = start(tmp_path, "needle", "--errands", "2", "--no-kill")
    assert "2 of 2 errands took the right calls, by needle" in said


@pytest.fixture
def folder(tmp_path, monkeypatch):
    files = tmp_path / "files"
    files.mkdir()
    (files / "notes.txt").write_text(tools.NOTES)
    monkeypatch.setattr(tools, "FOLDER", files)
    return files


def ask(tool, **arguments):
    @hw.task(name="examples.tests.ask")
    async def program():
        return await tool.start_with(tool.parse(tools.msgspec.json.encode(arguments).decode()))

    return hw.run(program, store=None, progress=False)


FORBIDDEN = (
    "rm notes.txt",
    "cat /etc/passwd",
    "cat ../effects.txt",
    "sort -o notes.txt notes.txt",
    "sort -T /tmp notes.txt",
    "sort --compress-program=sh notes.txt",
    "grep --file=x y",
    "wc -l notes.txt; ls",
    "cat notes.txt | sh",
    "cat $HOME",
    "python3 x.py",
    "",
)


@pytest.mark.parametrize("command", FORBIDDEN)
def test_the_shell_runs_nothing_but_what_is_allowed(folder, command):
    with pytest.raises((PermissionError, RuntimeError, ValueError)):
        ask(tools.run_command, command=command)
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]
    assert (folder / "notes.txt").read_text() == tools.NOTES


def test_the_shell_and_the_files_work_in_the_folder(folder):
    assert ask(tools.run_command, command="wc -l notes.txt") == "3 notes.txt"
    assert ask(tools.run_command, command="grep -i ada notes.txt") == "Ask Ada about the harvest."
    ask(tools.write_file, name="todo.txt", text="buy milk")
    assert ask(tools.list_files) == ["notes.txt", "todo.txt"]
    assert ask(tools.read_file, name="todo.txt") == "buy milk"
    for name in ("../effects.txt", "/etc/passwd", ".hidden", ""):
        with pytest.raises(ToolArgumentsError):
            tools.read_file.parse(tools.msgspec.json.encode({"name": name}).decode())


def test_arithmetic_is_arithmetic_alone():
    assert ask(tools.calculate, expression="17 * 23") == 391
    assert ask(tools.calculate, expression="-(2 + 3) / 4") == -1.25
    for expression in ("__import__('os')", "2 ** 9999999", "'a' * 3", "[1]", "x"):
        with pytest.raises(ValueError, match="nothing else"):
            ask(tools.calculate, expression=expression)


def test_the_atlas_knows_countries_by_any_of_their_names_and_how_far_cities_are():
    assert ask(tools.country_facts, country="italy")["capital"] == "Rome"
    assert "Liechtenstein" in ask(tools.bordering_countries, country="Switzerland")
    assert [city["name"] for city in ask(tools.largest_cities, country="Japan", count=2)] == ["Tokyo", "Yokohama"]
    assert 1_090 < atlas.distance_km(atlas.find_city("Paris"), atlas.find_city("Rome")) < 1_120
    with pytest.raises(atlas.UnknownPlace, match="no country 'Atlantis'"):
        ask(tools.country_facts, country="Atlantis")


def test_every_errand_wants_tools_that_there_are():
    there = {tool.name for tool in tools.OWN} | {"distance_km", "time_zone"}
    assert len(there) == 12
    assert {name for errand in errands.ERRANDS for name, _ in errand.wanted} <= there
    assert callable(server.distance_km)
