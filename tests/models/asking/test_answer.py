"""An answer of a type: held to the form or told it, read, mended once, and found again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest

import headway as hw
from headway import models
from headway.observe.reading import read_run

ASKED = [models.Message("user", "Which city is the capital of Italy?")]
CALL, ANSWER = models.ToolCall("c", "f", "{}"), models.Message("tool", "1", call_id="c")
RIGHT = '{"name": "Rome", "people": 2746984}'
WRONG = '{"name": "Rome", "people": "many"}'


@dataclass
class City:
    name: str
    people: int


class Told:
    """Says what it was given to say, one text a request. It can't be held to a schema."""

    price = models.FREE

    def __init__(self, *texts: str, finish: str = "stop", said: str = "", name: str = "told") -> None:
        self.name, self.texts, self.finish, self.said = name, list(texts), finish, said
        self.asked: list[models.Request] = []

    def __headway_key__(self) -> object:
        return ("model", self.name)

    async def stream(self, request: models.Request) -> AsyncGenerator[models.Piece, None]:
        self.asked.append(request)
        text = self.texts.pop(0)
        yield models.Piece(text, finish=self.finish, tokens=len(text.split()), said=self.said)  # type: ignore[arg-type]
        yield models.Piece(usage=models.Usage(10, 5))


class Held(Told):
    """One that can."""

    abilities = frozenset({"schema"})


def ask(go, model, **options):
    @hw.task
    async def program() -> City:
        return await models.answer(model, ASKED, City, **options)

    return go(program)


def test_a_model_that_can_be_held_to_a_schema_is(go):
    model = Held(RIGHT)
    assert ask(go, model, max_tokens=50, seed=1) == City("Rome", 2746984)
    (request,) = model.asked
    assert request.prompt == tuple(ASKED)
    assert (request.schema.name, request.schema.strict, request.max_tokens, request.seed) == ("City", True, 50, 1)


def test_another_one_is_told_the_form_in_the_prompt(go):
    model = Told(f"Of course!\n```json\n{RIGHT}\n```")
    assert ask(go, model) == City("Rome", 2746984)
    (request,) = model.asked
    assert request.schema is None
    told = request.prompt[-1].text
    assert told.startswith(ASKED[0].text)
    assert json.loads(told.rpartition("\n")[2])["required"] == ["name", "people"]


@pytest.mark.parametrize("model", [Held(WRONG, RIGHT), Told(WRONG, RIGHT)])
def test_a_wrong_answer_is_shown_to_the_model_once(go, model):
    assert ask(go, model) == City("Rome", 2746984)
    _, second = model.asked
    assert [message.role for message in second.prompt] == ["user", "assistant", "user"]
    assert second.prompt[1].text == WRONG
    assert "Expected `int`, got `str` - at `$.people`" in second.prompt[2].text
    assert second.schema == model.asked[0].schema


def test_each_attempt_is_a_call_of_its_own_and_paid(go, tmp_path):
    model = Held(WRONG, RIGHT)

    @hw.task
    async def program() -> float:
        with hw.budget(tokens=2000) as spent:
            await models.answer(model, ASKED, City)
        return spent.spent["tokens"]

    assert go(program) == 30
    with hw.SqliteStore(tmp_path / "store") as store:
        tasks = [call.task for call in read_run(store, "run").calls.values()]
    assert (tasks.count("models.answer"), tasks.count("models.sample")) == (1, 2)


def test_it_is_found_again_with_its_type(go):
    model = Held(WRONG, RIGHT)
    assert ask(go, model) == ask(go, model) == City("Rome", 2746984)
    assert len(model.asked) == 2


def test_a_run_that_was_stopped_between_the_attempts_pays_for_the_second_alone(go):
    model = Held(WRONG)
    with pytest.raises(IndexError):  # it has nothing more to say
        ask(go, model)
    model.texts.append(RIGHT)
    model.asked.clear()
    assert ask(go, model) == City("Rome", 2746984)
    assert len(model.asked) == 1


def test_no_bound_is_overdrawn_by_the_second_attempt(go):
    model = Held(WRONG, RIGHT)

    @hw.task
    async def program() -> str:
        with hw.budget(calls=2):  # the answer, and one request
            try:
                await models.answer(model, ASKED, City)
            except hw.BudgetExceeded:
                return "stopped"
        return "went on"

    assert go(program) == "stopped"
    assert len(model.asked) == 1


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Held(WRONG, WRONG), r"held gave no City in two attempts: it wrote .*many.*Expected `int`.*may ignore schemas"),
        (Told(WRONG, "no"), r"told gave no City in two attempts: it wrote 'no', and Input data was truncated"),
        (Held(RIGHT[:12], finish="length"), r"cut off at max_tokens=256: give it more. It began '{\"name\": \"Ro'"),
        (Held(RIGHT[:12], finish="filter"), "a content filter of the server cut the answer off"),
        (Held("", finish="refusal", said="I'd rather not"), "refused to answer: I'd rather not"),
        (Held("", finish="tool", said="search{}"), "asked for a tool instead of answering"),
    ],
)
def test_what_is_no_answer_is_said_as_what_it_is(go, model, said):
    model.name = type(model).__name__.lower()
    with pytest.raises(hw.ModelError, match=said):
        ask(go, model)
    assert len(model.asked) == 1 + ("two attempts" in said)


def test_an_answer_that_was_whole_when_its_tokens_ended_counts(go):
    assert ask(go, Held(RIGHT, finish="length")) == City("Rome", 2746984)


def test_a_text_is_continued_and_the_fault_is_part_of_it(go):
    model = Told("forty-two", "42")

    @hw.task
    async def program() -> int:
        return await models.answer(model, "6 * 7 =", int)

    assert go(program) == 42
    first, second = model.asked
    assert first.prompt.startswith("6 * 7 =\n\nAnswer with JSON alone")
    assert second.prompt.startswith(first.prompt + "forty-two\n\nThat is not what was asked for")


def test_two_types_of_one_schema_are_two_answers(go):
    @dataclass
    class Town:
        name: str
        people: int

    Town.__name__, Town.__doc__ = City.__name__, City.__doc__
    wanted: list[type] = [City, Town]
    model = Held(RIGHT, RIGHT)

    @hw.task
    async def program() -> str:
        made = await models.answer(model, ASKED, wanted.pop(0))
        if wanted:
            raise LookupError("after the call")
        return type(made).__qualname__.rpartition(".")[2]

    with pytest.raises(LookupError):
        go(program)
    assert go(program) == "Town"


def test_outside_of_a_run_it_is_just_the_value():
    async def program() -> City:
        return await models.answer(Told(WRONG, RIGHT), ASKED, City)

    assert asyncio.run(program()) == City("Rome", 2746984)


def test_a_limited_model_answers_too(go):
    assert ask(go, models.limit_model(Held(RIGHT), 1)) == City("Rome", 2746984)


@pytest.mark.parametrize("options", [{"n": 2}, {"stop": "."}, {"tools": ()}, {"schema": int}])
def test_options_that_leave_no_whole_answer_are_refused(options):
    with pytest.raises((hw.UsageError, TypeError)):
        models.answer(Held(RIGHT), ASKED, City, **options)


# --- what a model can't do -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "options", "said"),
    [
        (ASKED, {"schema": City}, "told can't be held to a schema: models.answer tells it"),
        (ASKED, {"tools": [models.ToolSpec("f")]}, "told takes no tools"),
        ([*ASKED, models.Message("assistant", calls=(CALL,)), ANSWER], {}, "told takes no tools, nor messages about them"),
        ([models.Message("user", (models.Image(b"png"),))], {}, "told sees no images"),
        ([models.Message("user", (models.Audio(b"wav"),))], {}, "told hears no sounds"),
        (ASKED, {"top_logprobs": 2}, "told does not tell the likeliest tokens"),
        ([*ASKED, models.Message("assistant", "It")], {"continues": True}, "told does not go on"),
        (ASKED, {"extra": {"top_k": 1}}, "told takes no extra fields"),
        (ASKED, {"headers": {"a": "b"}}, "told is asked without headers"),
    ],
)
def test_what_a_model_can_t_do_is_refused_before_anything_is_sent(go, prompt, options, said):
    model = Told(RIGHT)

    @hw.task
    async def program(streamed: bool) -> None:
        if streamed:
            await anext(models.stream(model, prompt, **options))
        else:
            await models.sample(model, prompt, **options)

    for streamed in (False, True):
        with pytest.raises(hw.UsageError, match=said):
            go(program, streamed, store=None)
    assert model.asked == []


def test_it_is_refused_outside_of_a_run_as_well():
    model = Told(RIGHT)

    async def program() -> None:
        await anext(models.stream(model, ASKED, schema=City))

    with pytest.raises(hw.UsageError, match="can't be held"):
        asyncio.run(program())
    with pytest.raises(hw.UsageError, match="can't be held"):
        models.sample(model, ASKED, schema=City)
    assert model.asked == []


def test_a_type_is_a_schema_of_a_sample(go):
    model = Held(RIGHT)

    @hw.task
    async def program() -> str:
        return (await models.sample(model, ASKED, schema=City)).text

    assert go(program) == RIGHT
    assert model.asked[0].schema == models.form_of(City).schema
