"""Which model a recorded answer belongs to: two deployments of one name are two models, unless somebody says otherwise."""

from __future__ import annotations

import pickle
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

import headway as hw
from headway import models
from headway.models.base import identity_of
from headway.models.local.loading import fingerprint_of


class Own:
    """A model of a user's own."""

    def __init__(self, name: str, answer: str, key: str) -> None:
        self.name, self.answer, self.key, self.price = name, answer, key, models.FREE

    def __headway_key__(self) -> object:
        return ("model", self.name, self.key)

    async def stream(self, request: models.Request) -> AsyncGenerator[models.Piece, None]:
        yield models.Piece(self.answer, tokens=1, finish="stop")


class Crash(RuntimeError):
    pass


def reordered(run: dict[str, models.Model], tmp_path: Path) -> dict[str, str]:
    """What each of the models says in a life that asks them in the other order, after one that asked and crashed."""
    lives: list[int] = []

    @hw.task(name="which.compare")
    async def compare() -> dict[str, str]:
        lives.append(1)
        order = run if len(lives) == 1 else dict(reversed(run.items()))
        replies = await hw.gather(*(models.sample(model, "q", max_tokens=3) for model in order.values()))
        if len(lives) == 1:
            raise Crash
        return {name: reply.text for name, reply in zip(order, replies, strict=True)}

    with pytest.raises(Crash):
        hw.run(compare, store=tmp_path / "store", run_id="compare", progress=False)
    return hw.run(compare, store=tmp_path / "store", run_id="compare", progress=False)


def test_two_servers_of_one_model_name_are_not_answered_by_one_another(misbehaving, tmp_path):
    both = {
        where: models.Endpoint("where-swap", base_url=f"{misbehaving.url}/{where}", price=models.FREE) for where in ("fp16", "int4")
    }
    told = reordered(both, tmp_path)
    assert {where: text.split("/")[2] for where, text in told.items()} == {"fp16": "fp16", "int4": "int4"}
    assert len(misbehaving.log("where-swap", "asked")) == 2


def test_two_models_of_ones_own_are_told_apart_by_what_they_say_they_are(tmp_path):
    told = reordered({"a": Own("own", "from a", key="a"), "b": Own("own", "from b", key="b")}, tmp_path)
    assert told == {"a": "from a", "b": "from b"}


def test_limited_models_of_one_name_are_told_apart(tmp_path):
    told = reordered({at: models.limit_model(Own("own", f"from {at}", key=at), 1) for at in ("a", "b")}, tmp_path)
    assert told == {"a": "from a", "b": "from b"}
    assert identity_of(models.limit_model(Own("own", "", key="a"), 1)) == ("model", "own", "a")


def test_a_server_with_an_alias_may_move_and_one_without_is_asked_again(misbehaving, tmp_path):
    @hw.task(name="which.moving")
    async def program(alias: str | None) -> str:
        model = models.Endpoint(f"where-{alias}", base_url=f"{misbehaving.url}/{place[0]}", price=models.FREE, alias=alias)
        reply = await models.sample(model, "q", max_tokens=3)
        if place[0] == "here":
            raise Crash
        return reply.text.split("/")[2]

    ended = {}
    for alias in ("mine", None):
        place = ["here"]
        with pytest.raises(Crash):
            hw.run(program, alias, store=tmp_path / "store", run_id=str(alias), progress=False)
        place = ["there"]
        ended[alias] = hw.run(program, alias, store=tmp_path / "store", run_id=str(alias), progress=False)
    assert ended == {"mine": "here", None: "there"}


def test_what_an_endpoint_is_known_by_has_no_secrets_in_it_and_no_looks(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    same = ("http://host/v1", "HTTP://user:secret@HOST:80/v1/", "http://host/v1?api-key=secret", "http://host/v1#part")
    assert {identity_of(models.Endpoint("m", base_url=url)) for url in same} == {("model", "m", "host/v1")}
    others = ("http://host:8000/v1", "http://other/v1", "http://host/other/v1")
    assert len({identity_of(models.Endpoint("m", base_url=url)) for url in (*others, same[0])}) == 4
    by_default = models.Endpoint("m", api_key="secret")
    assert identity_of(by_default) == ("model", "m")
    assert identity_of(models.Endpoint("m", base_url="https://api.openai.com/v1", api_key="k")) == identity_of(by_default)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://proxy/v1")
    assert identity_of(by_default) == identity_of(models.Endpoint("m", base_url="http://proxy/v1"))


def test_an_endpoint_is_the_same_in_another_process():
    for options in ({}, {"alias": "mine"}):
        model = models.Endpoint("m", base_url="http://host:1/v1", **options)
        assert identity_of(pickle.loads(pickle.dumps(model))) == identity_of(model)


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "http://host:port/v1", "host"])
def test_a_base_url_that_is_no_address_is_refused(url):
    with pytest.raises(hw.UsageError, match="no address of a server: write http://host:8000/v1"):
        models.Endpoint("m", base_url=url)


def test_files_of_one_name_are_told_apart_by_what_is_in_them(tmp_path):
    large = bytearray(3_000_000)
    files = {}
    for kind, content in {
        "fp16": large,
        "int4": large[:-1],
        "tuned": large[:2_000_000] + b"\1" + large[2_000_001:],
        "again": large,
    }.items():
        (tmp_path / kind).mkdir()
        files[kind] = tmp_path / kind / "model.gguf"
        files[kind].write_bytes(content)
    prints = {kind: fingerprint_of(file) for kind, file in files.items()}
    assert prints["again"] == prints["fp16"]
    assert len(set(prints.values())) == 3
    pytest.importorskip("xllamacpp")
    known = {kind: identity_of(models.Local(file)) for kind, file in files.items()}
    assert known == {kind: ("model", "model", found) for kind, found in prints.items()}
    assert {identity_of(models.Local(file, name="mine")) for file in files.values()} == {("model", "mine")}
    assert identity_of(pickle.loads(pickle.dumps(models.Local(files["int4"])))) == known["int4"]
