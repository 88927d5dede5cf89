"""Further fields are part of what is asked, headers are not: they may be secret."""

from __future__ import annotations

import pickle

import pytest

import headway as hw
from headway import models
from headway.models.base import identity_of

HI = [models.Message("user", "Hi")]


@hw.task
async def ask(model: models.Endpoint, extra: dict[str, int], headers: dict[str, str]) -> str:
    return (await models.sample(model, HI, extra=extra, headers=headers)).text


def test_headers_are_sent_and_a_request_s_own_take_the_place_of_the_endpoint_s(misbehaving):
    model = models.Endpoint("fine-headers", base_url=misbehaving.url, headers={"X-Team": "red", "authorization": "Basic hunter22"})
    hw.run(ask, model, {}, {"x-team": "blue", "x-trace": "7"}, store=None)
    (asked,) = misbehaving.log("fine-headers", "asked")
    assert (asked["headers"]["x-team"], asked["headers"]["x-trace"]) == ("blue", "7")
    assert asked["key"].endswith("Basic hunter22"), "the client's own header gives way"


def test_a_header_is_no_part_of_the_key_and_a_further_field_is(misbehaving, tmp_path):
    model = models.Endpoint("fine-keyed", base_url=misbehaving.url, headers={"x-secret": "hunter21"})
    lives = iter([{"x-secret": "hunter22"}, {"x-secret": "hunter23"}])

    @hw.task(name="keyed")
    async def program() -> int:
        headers = next(lives)
        await models.sample(model, HI, headers=headers)
        if headers["x-secret"] == "hunter22":
            raise RuntimeError("a crash")
        before = len(misbehaving.log("fine-keyed", "asked"))
        await models.sample(model, HI, headers=headers, extra={"top_k": 1})
        return before

    with pytest.raises(RuntimeError):
        hw.run(program, store=tmp_path / "store", run_id="run")
    assert hw.run(program, store=tmp_path / "store", run_id="run") == 1, "another header asks for the same"
    assert len(misbehaving.log("fine-keyed", "asked")) == 2, "another field does not"
    written = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert b"hunter2" not in written


def test_what_headers_hold_is_hidden_in_errors(misbehaving):
    model = models.Endpoint("echoes-headers", base_url=misbehaving.url, headers={"Authorization": "Bearer hunter21"})
    with pytest.raises(hw.ModelError) as raised:
        hw.run(ask, model, {}, {}, store=None)
    assert "hunter2" not in str(raised.value)
    assert "***" in str(raised.value)
    with pytest.raises(hw.ModelError) as raised:
        hw.run(ask, models.Endpoint("echoes-more", base_url=misbehaving.url), {}, {"authorization": "Bearer hunter22"}, store=None)
    assert "hunter2" not in str(raised.value)


def test_deployments_that_are_asked_in_different_ways_are_different_models():
    def made(**options: object) -> models.Endpoint:
        return models.Endpoint("qwen3", base_url="http://localhost:8000/v1", **options)  # type: ignore[arg-type]

    plain = identity_of(made())
    assert plain == ("model", "qwen3", "localhost:8000/v1") == identity_of(made(headers={"x": "y"}))
    others = [
        made(extra={"top_k": 1}),
        made(extra={"top_k": 2}),
        made(api="responses"),
        made(thoughts="reasoning"),
        made(continuing="last"),
    ]
    others += [made(alias="a"), made(alias="a", extra={"top_k": 1})]
    found = [repr(identity_of(one)) for one in others] + [repr(plain)]
    assert len({*found}) == len(found)


def test_an_endpoint_goes_to_another_process_with_all_that_it_is():
    model = models.Endpoint(
        "qwen3", base_url="http://h/v1", api="responses", extra={"a": 1}, headers={"x": "y"}, thoughts="reasoning"
    )
    again = pickle.loads(pickle.dumps(model))
    assert identity_of(again) == identity_of(model)
    assert again.__reduce__()[1] == model.__reduce__()[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"api": "completions"}, "api='completions'): 'chat' or 'responses'"),
        ({"extra": {"temperature": 1}}, "say it with temperature="),
        ({"headers": {"x": "hunter2\n"}}, "the header x"),
        ({"thoughts": "content"}, "thoughts='content'"),
        ({"continuing": "maybe"}, "continuing='maybe'"),
    ],
)
def test_an_endpoint_s_options_are_checked(options, said):
    with pytest.raises(hw.UsageError) as raised:
        models.Endpoint("qwen3", base_url="http://h/v1", **options)
    assert said in str(raised.value)
    assert "hunter2" not in str(raised.value)
