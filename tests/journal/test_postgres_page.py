"""What the page on Postgres tells users to type does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from postgres_server import binaries, shared_server
from test_guide import fits

PAGE = (Path(__file__).parents[2] / "docs" / "postgres.md").read_text()
BLOCK = re.compile(r"^```(sql|python|console|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HOST = "db.example.com"


@pytest.fixture
def server() -> Iterator[str]:
    """The host and port of the server, without what the page makes on it."""
    yield f"127.0.0.1:{shared_server().port}"
    with psycopg.connect(shared_server().url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS runs WITH (FORCE)")
        connection.execute("DROP ROLE IF EXISTS worker")


def test_every_command_of_the_page_does_what_it_says(server: str, tmp_path: Path) -> None:
    env = {**os.environ, "PATH": f"{binaries()}:{os.environ['PATH']}", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    tried = []

    def here(text: str) -> str:
        return text.replace(HOST, server).replace("/srv/headway", str(tmp_path / "srv"))

    def run(command: str) -> subprocess.CompletedProcess[str]:
        tried.append(command)
        whole = re.sub("^headway ", f"{sys.executable} -m headway ", here(command))
        return subprocess.run(whole, shell=True, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)

    for kind, text in BLOCK.findall(PAGE):
        if kind == "sql":
            with psycopg.connect(shared_server().url, autocommit=True) as connection:
                for statement in filter(None, map(str.strip, text.split(";"))):
                    connection.execute(statement)
        elif kind == "python":
            (tmp_path / "page.py").write_text(text)
        elif kind == "sh":
            for command in text.splitlines():
                if not command.startswith("pip "):  # it is installed
                    done = run(command)
                    assert done.returncode == 0, (command, done.stderr)
        else:
            for command, said in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                if command.startswith("export HEADWAY_STORE="):
                    env["HEADWAY_STORE"] = here(command.partition("=")[2].strip("'"))
                    continue
                done = run(command)
                at_risk = command == "headway doctor"  # the server of the tests does not wait for its disk
                assert done.returncode == (3 if at_risk else 0), (command, done.stdout, done.stderr)
                assert fits(done.stdout, said), f"{command}\nprints\n{done.stdout}\nand the page says\n{said}"
                assert "secret" not in done.stdout + done.stderr
    words = {" ".join(command.split()[:2]) for command in tried}
    assert words >= {"headway run", "headway ls", "headway store", "headway resume", "headway doctor", "headway gc"}
    assert {command.split()[0] for command in tried} >= {"pg_dump", "pg_restore"}
