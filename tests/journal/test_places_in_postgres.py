"""A store in Postgres is named by its URL wherever a store is named, and nothing ever shows its password."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

import headway as hw
from headway.cli.app import app
from headway.errors import StoreError
from headway.journal.open import find_store, open_existing, open_store, open_to_read
from headway.journal.place import show_place
from headway.journal.postgres.address import hide_password, parse_address
from postgres_server import shared_server

SECRET = "s3cr3t-w0rd"

PROGRAM = """
import headway as hw

@hw.task
async def double(x: int) -> int:
    return 2 * x

@hw.task
async def main(x: int) -> int:
    return await double(x)

@hw.task
async def fail() -> int:
    raise RuntimeError("no")
"""


@hw.task
async def double(x: int) -> int:
    return 2 * x


@hw.task
async def program(x: int) -> int:
    await hw.collection("seen", int).append(x)
    return await double(x)


@pytest.fixture
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a store that is not there yet, with a password in it (which the server does not ask for)."""
    schema = f"p{abs(hash(request.node.name)) % 10**12}"
    plain = shared_server().url
    yield f"{plain.replace('headway@', f'headway:{SECRET}@')}?schema={schema}"
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "p.py").write_text(PROGRAM)
    yield tmp_path
    sys.modules.pop("p", None)  # the next test's program has this name too


def command(*words: str) -> Result:
    answer = CliRunner().invoke(app, list(words))
    assert SECRET not in answer.output
    assert SECRET not in answer.stderr
    return answer


def test_every_function_takes_the_url(here, url):
    assert hw.runs(store=url) == []
    assert find_store(url) is None
    assert hw.run(program, 2, store=url, run_id="sky", progress=False) == 4
    assert asyncio.run(hw.arun(program, 2, store=url, run_id="sky", progress=False)) == 4
    assert hw.resume("sky", store=url) == 4
    assert hw.resume("sky", store=url, dry_run=True).rerun == ()
    (called,) = hw.view("sky", store=url).find("double")
    assert (called.arguments, called.value) == ({"x": 2}, 4)
    assert hw.resume(hw.fork("sky", at=called.key, store=url, new_id="other"), store=url) == 4
    with pytest.warns(RuntimeWarning, match="is done"):
        hw.signal("sky", "go", 1, store=url)
    with pytest.warns(RuntimeWarning, match="is done"):
        hw.cancel("sky", store=url)
    assert list(hw.collection("seen", int, store=url).read()) == [2]  # the fork asked nothing anew
    hw.set_result("sky", called.key, 40, store=url, force=True)
    assert hw.view("sky", store=url).find("double")[0].value == 40
    assert [run.run_id for run in hw.runs(store=url)] == ["sky", "other"]
    assert hw.resume_all(store=url)["sky"].value == 40
    assert hw.resume_all(store=url) == {}
    with hw.PostgresStore(url) as store:
        assert hw.run(program, 2, store=store, run_id="other", progress=False) == 4
    assert not (here / ".headway").exists()


def test_every_command_takes_the_url(here, url, monkeypatch):
    name = ["--store", url]
    answer = command("run", "p.py:main", "2", "--run-id", "sky", *name)
    assert answer.stdout == "4\n", (answer.stderr, answer.exception)
    monkeypatch.setenv("HEADWAY_STORE", url)
    assert command("run", "p.py:main", "2", "--run-id", "sky", "--json").exit_code == 0
    assert "sky" in command("ls").stdout
    assert command("ls", "--json").exit_code == 0
    assert "double(2)" in command("show", "sky").stdout
    assert command("show", "sky", "--json").exit_code == 0
    assert command("fork", "sky", "--at", "double", "--new-id", "fork").exit_code == 0
    assert command("resume", "fork", "--dry-run").exit_code == 0
    assert command("resume", "fork").stdout == "4\n"
    assert command("signal", "sky", "more", "5").exit_code == 0
    assert command("cancel", "sky").exit_code == 0
    assert command("set", "fork", "double", "5", "--force").exit_code == 0
    assert command("collection").exit_code == 0
    assert command("predict", "sky", "--workers", "2", "--trials", "2", "--json").exit_code == 0
    answer = command("run", "p.py:fail", "--run-id", "bad")
    assert (answer.exit_code, "resume with: headway resume bad --store 'postgresql://headway:***@" in answer.stderr) == (1, True)
    assert not (here / ".headway").exists()


@pytest.mark.parametrize(
    "words", ["ls", "show sky", "resume sky", "cancel sky", "signal sky go", "fork sky --at 0", "gc", "doctor"]
)
def test_a_database_without_a_store_stays_as_it_is(here, url, words):
    answer = command(*words.split(), "--store", url)
    assert (answer.exit_code, "there is no store in postgresql://headway:***@" in answer.stderr) == (3, True), answer.stderr
    for open_one in (open_existing, open_to_read):
        with pytest.raises(StoreError, match="there is no store in"):
            open_one(url)
    assert find_store(url) is None


# --- passwords ---------------------------------------------------------------------------------------------------------

WRONG = [
    f"postgresql://me:{SECRET}@127.0.0.1:1/headway",  # nobody answers
    f"postgresql://me:{SECRET}%zz@127.0.0.1/headway",
    f"postgresql://me:{SECRET}#x@127.0.0.1/headway",
    f"postgresql://me:{SECRET}/x@127.0.0.1/headway",
    f"postgresql://me:{SECRET}?x@127.0.0.1/headway",
    f"postgresql://me:{SECRET}@x@127.0.0.1/headway",
    f"postgresql://me:{SECRET}:x@127.0.0.1:1/headway",
    f"postgresql://127.0.0.1:1/headway?password={SECRET}",
    f"postgresql://127.0.0.1:1/headway?user=me&password={SECRET}&nosuch=1",
    f"postgresql://me:{SECRET}@127.0.0.1:x/headway",
    f"postgresql://me:{SECRET}@127.0.0.1/headway?schema=A-B",
    f"postgresql://me:{SECRET}@127.0.0.1/headway?listen=maybe",
    f"postgresql://me:{SECRET}@127.0.0.1/headway?blobs=beside",
    f"postgresql:/me:{SECRET}@127.0.0.1/headway",
    f"mysql://me:{SECRET}@127.0.0.1/headway",
    f"redis://:{SECRET}@127.0.0.1/0",
]


@pytest.mark.parametrize("wrong", WRONG)
def test_no_error_shows_a_password(here, monkeypatch, wrong):
    monkeypatch.setattr("headway.journal.postgres.database.OPENING_PATIENCE_S", 0.1)
    with pytest.raises(StoreError) as caught:
        open_store(wrong)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    answer = command("ls", "--store", wrong)
    assert answer.exit_code == 3
    assert "Traceback" not in answer.stderr
    assert SECRET not in command("ls", "--store", wrong, "--traceback").stderr
    assert [path.name for path in here.iterdir()] == ["p.py"]


def test_a_url_that_was_shown_says_where_to_put_the_password(url):
    shown = show_place(url)
    assert SECRET not in shown
    with pytest.raises(StoreError, match="is hidden: name it in the URL, in PGPASSWORD"):
        open_store(shown)


def test_an_address_shows_no_password_however_it_is_printed(url):
    address = parse_address(f"{url}&password={SECRET}")
    assert SECRET in address.conninfo
    assert SECRET not in f"{address} {address!r} {address.url}"
    assert hide_password(url) == parse_address(url).url


def test_a_path_is_no_url():
    with pytest.raises(StoreError, match="write the URL of a database as a text"):
        open_store(Path("postgresql://host/name"))


# --- beside it ---------------------------------------------------------------------------------------------------------


def test_importing_headway_loads_no_driver_of_postgres():
    code = "import sys, headway; print('psycopg' in sys.modules, headway.PostgresStore.__name__, 'psycopg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False PostgresStore False\n"


def test_large_values_go_where_the_argument_says_or_the_url(here, url):
    @hw.task
    async def large() -> bytes:
        return b"x" * (2 << 20)

    with pytest.raises(StoreError, match=r"too large for the database .* name a folder .* as in \?blobs="):
        hw.run(large, store=url, run_id="large", progress=False)
    with hw.PostgresStore(url, blobs=str(here / "one")) as store:
        assert len(hw.run(large, store=store, run_id="large", progress=False)) == 2 << 20
    assert len(hw.resume("large", store=f"{url}&blobs={here / 'one'}")) == 2 << 20
    assert [path.name for path in (here / "one").iterdir()] == ["blobs"]
