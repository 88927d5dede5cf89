"""Checkpoints of runs whose store is in Postgres: they are in the folder or object store that goes with it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest
from objectstores import BUCKET, s3_server
from typer.testing import CliRunner

import headway as hw
from headway.cli.app import app
from headway.errors import UsageError
from headway.journal.postgres.store import PostgresStore
from headway.journal.upkeep.doctor import examine
from headway.journal.upkeep.gc import gc
from headway.storage.opening import open_backend
from postgres_server import shared_server

LATER = time.time() + 7200


@hw.task(pool="thread")  # worker processes were begun before there was a server to tell them of
def train(total: int, dies_at: int) -> list[object]:
    state, done = {"w": np.zeros(3)}, []
    with hw.checkpoints() as ck:
        for step in ck.steps(state, total=total, every=2):
            if step == dies_at and hw.call().attempt == 1:
                raise OSError("out of luck")
            state["w"] += 1
            done.append(step)
            ck.wait()
    return [state["w"].tolist(), done]


@hw.task
async def large(size: int) -> bytes:
    return bytes(size)


@hw.task
async def program() -> list[object]:
    trained = await train.options(retry=hw.Retry(attempts=2, delay_s=0.01))(5, 3)
    return [*trained, len(await large(2 << 20))]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A store that has no place for files."""
    schema = f"c{hashlib.blake2b(str(tmp_path).encode(), digest_size=8).hexdigest()}"
    yield f"{shared_server().url}?schema={schema}"
    with psycopg.connect(shared_server().url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def test_without_a_place_one_sentence_says_what_to_add(url):
    @hw.task
    async def asks() -> object:
        return hw.checkpoints()

    with pytest.raises(UsageError, match=r"add one to the URL of a Postgres store \(\?blobs=/srv/headway or \?blobs=s3"):
        hw.run(asks, store=url, progress=False)


def listed(url: str) -> str:
    answer = CliRunner().invoke(app, ["ckpt", "ls", "sky", "--store", url])
    assert answer.exit_code == 0, answer.stderr
    return answer.stdout


def test_a_call_finds_its_checkpoints_in_the_folder_again(url, tmp_path):
    url = f"{url}&blobs={tmp_path / 'files'}"
    assert hw.run(program, store=url, run_id="sky", progress=False) == [[5.0] * 3, [2, 3, 4], 2 << 20]
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == ["blobs", "checkpoints"]
    assert "train" in listed(url)
    assert str(tmp_path / "files" / "checkpoints" / "sky") in listed(url)


def test_a_call_finds_its_checkpoints_in_an_object_store_again(url, tmp_path):
    with s3_server():
        place = f"s3://{BUCKET}/headway"
        url = f"{url}&blobs={place}"
        assert hw.run(program, store=url, run_id="sky", progress=False) == [[5.0] * 3, [2, 3, 4], 2 << 20]
        assert f"{place}/checkpoints/sky/" in listed(url)
        assert examine(url).whole
        (copied,) = hw.copy_runs(url, tmp_path / "folder").runs
        assert (copied.outcome, copied.why, copied.files > 2, copied.blobs) == ("copied", "", True, 1)
        assert hw.resume("sky", store=tmp_path / "folder")[2] == 2 << 20
        (saved,) = (path for path in (tmp_path / "folder" / "checkpoints" / "sky").iterdir() if path.is_dir())
        assert hw.Checkpoints(saved).verify().whole
        with PostgresStore(url) as store:
            assert gc(store, now=LATER).blobs == 0
            assert gc(store, now=LATER, delete_runs=["sky"]).blobs == 1
        assert list(open_backend(place).files("")) == []
