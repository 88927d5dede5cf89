"""The reservation holds for all that is read: tools, calls, schemas, pictures, sounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway import models
from headway.models import Audio, Image, Message, Schema, Text, ToolCall, ToolSpec
from headway.models.checks.bounds import AUDIO, IMAGE, ROUND_THE_TOOLS, prompt_bound, sound_bound
from headway.models.requests import make_request

HI = [Message("user", "Hi")]
MODEL = models.Endpoint("m", base_url="http://h/v1", price=models.FREE)
COUNTING = models.Endpoint("m", base_url="http://h/v1", price=models.FREE, count=lambda prompt: 7)


def bound(prompt: Any = HI, **options: Any) -> int:
    return prompt_bound(MODEL, make_request(prompt, **options))[0]


def test_a_conversation_of_text_costs_its_bytes_and_what_stands_around_them():
    assert bound([Message("user", "Hi"), Message("assistant", "Ho ü")]) == (2 + 8) + (5 + 8) + 32
    assert bound("Hi") == 2 + 8


def test_names_thoughts_and_answers_of_tools_are_read_too():
    plain = [Message("user", "Hi"), Message("assistant", "", (ToolCall("a", "f", "{}"),)), Message("tool", "", call_id="a")]
    more = [
        Message("user", "Hi", name="Ada"),
        Message("assistant", "", (ToolCall("a", "f", "{}"),), thoughts="hmm"),
        Message("tool", "xy", call_id="a", name="f"),
    ]
    assert bound(more) - bound(plain) == 3 + 3 + 2 + 1
    longer = [plain[0], Message("assistant", "", (ToolCall("a", "f", '{"k": 1}'),)), plain[2]]
    assert bound(longer) > bound(plain)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.sampled_from([None, 2, 4]), st.booleans())
def test_a_catalogue_costs_no_more_however_a_template_prints_it(value, indent, escaped):
    """A token is at least a byte, and a line break with the blanks that follow it is one or two tokens."""
    parameters = {"type": "object", "properties": {}, "default": value}
    printed = json.dumps(parameters, indent=indent, ensure_ascii=escaped)
    lines = [line.strip() for line in printed.splitlines()]
    tokens = sum(len(line.encode()) for line in lines) + 2 * (len(lines) - 1)
    assert tokens <= bound(tools=[ToolSpec("f", "", parameters)]) - bound() - ROUND_THE_TOOLS
    assert tokens <= bound(schema=Schema("f", parameters)) - bound()


def test_pictures_and_sounds_cost_what_is_said():
    assert bound([Message("user", (Text("Hi"), Image(b"x")))]) == bound() + IMAGE
    sound = [Message("user", (Text("Hi"), Audio(b"x" * 2001)))]
    assert bound(sound) == bound() + 2001 // AUDIO + 1
    assert sound_bound(make_request(sound)) == 2001 // AUDIO + 1


def test_what_a_model_counts_is_its_prompt_and_the_tools_come_on_top():
    assert prompt_bound(COUNTING, make_request(HI)) == (7, True)
    tools, counted = prompt_bound(COUNTING, make_request(HI, tools=[ToolSpec("f")]))
    assert (tools, counted) == (7 + bound(tools=[ToolSpec("f")]) - bound(), False)


def test_a_catalogue_that_does_not_fit_the_budget_is_refused_before_anything_is_sent(misbehaving):
    model = models.Endpoint("fine-catalogue", base_url=misbehaving.url, price=models.FREE)

    @hw.task
    async def program() -> None:
        with hw.budget(tokens=1000):
            await models.sample(model, HI, max_tokens=10)
            await models.sample(model, HI, max_tokens=10, tools=[ToolSpec("f", "what it does")])

    with pytest.raises(hw.BudgetExceeded):
        hw.run(program, store=None)
    assert len(misbehaving.log("fine-catalogue", "asked")) == 1


SOUND = models.Price(1_000_000, 1_000_000, audio=3_000_000)


@pytest.mark.parametrize(
    ("details", "money"),
    [({"audio_tokens": 2}, 7 + 2 * 2 + 3), ({}, 7 + 2 * 7 + 3)],
)
def test_sound_is_charged_at_its_price_also_where_the_server_does_not_say_how_much_it_was(misbehaving, details, money):
    from documents import chunk, counted

    said = [chunk("42", "stop"), counted(prompt_tokens=7, completion_tokens=3, prompt_tokens_details=details)]
    model = models.Endpoint(f"plays-sound-{money}", base_url=misbehaving.url, price=SOUND)
    prompt = [Message("user", json.dumps(said)), Message("user", (Audio(b"x" * 1000),))]

    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(money=1e9) as spent:
            await models.sample(model, prompt, max_tokens=20)
        return spent.spent

    assert hw.run(program, store=None)["money"] == money
