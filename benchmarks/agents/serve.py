"""Answers of a type, tools by grammar, and what is served: on Gemma 3 270M, which was made to continue text and to obey nobody.

Each pair is of one model, one prompt and one seed: ours is held by the grammar, the baseline is what the same model writes where it
is only asked. The weights are those of the extra `local`.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, Literal

import msgspec

import headway as hw
from benchmarks.methods.row import Held, Pair, Row
from headway import models
from headway.models.local.prompt import write_plainly

ASKED = 6  # questions of a seed
COUNTRIES = ("Italy", "Mali", "Peru", "Japan", "Kenya", "Chile", "Norway", "Egypt")
ANSWER, SERVED = "tests/models/asking/test_answer.py", "tests/models/test_serve_tools.py"
GRAMMAR, EMBEDDED = "tests/models/test_local_tools.py", "tests/models/test_serve_embeddings.py"


@dataclass
class Claim:
    """What an atlas says of a country."""

    country: Literal["Italy", "Mali", "Peru", "Japan", "Kenya", "Chile", "Norway", "Egypt"]
    people: Annotated[int, msgspec.Meta(ge=1_000, le=2_000_000_000)]
    landlocked: bool


TOOLS = tuple(
    models.ToolSpec(
        name,
        description,
        {
            "type": "object",
            "properties": {"country": {"enum": list(COUNTRIES)}},
            "required": ["country"],
            "additionalProperties": False,
        },
    )
    for name, description in (("area", "The area of a country in km2."), ("people", "How many people live in a country."))
)


class Asked:
    """A local model that is only asked: what it should write is told in the prompt, and nothing holds it."""

    price = models.FREE
    abilities = frozenset({"tools"})

    def __init__(self, model: models.Local) -> None:
        self.model, self.name = model, f"{model.name}, only asked"

    async def stream(self, request: models.Request) -> AsyncGenerator[models.Piece, None]:
        async for piece in self.model.stream(replace(request, prompt=write_plainly(request), tools=(), tool_choice="auto")):
            yield piece


@cache
def gemma() -> models.Local:
    """One slot, so that a seed gives the same sample every time."""
    return models.Local(slots=1, context=1024)


def run(program: Callable[[], Any]) -> Any:
    """Run it as the program of a run that keeps nothing."""
    return hw.run(hw.task(name="benchmarks.serve")(program), store=None, progress=False)


def measure_answers(seed: int) -> Pair:
    """The share of first answers that are of their type."""
    drawn = random.Random(seed)
    questions = [f"How many people live in {drawn.choice(COUNTRIES)}, and is it landlocked?" for _ in range(ASKED)]

    async def program() -> Pair:
        form = models.form_of(Claim)
        told = f"Answer with JSON alone, of this JSON schema:\n{json.dumps(form.schema.schema)}"
        shares = []
        for schema in (form.schema, None):
            right = 0
            for at, question in enumerate(questions):
                asked = [models.Message("user", f"{question}\n\n{told}")]
                reply = await models.sample(gemma(), asked, schema=schema, max_tokens=60, seed=seed * ASKED + at)
                right += _is_of(form, reply.text, tolerant=schema is None)
            shares.append(right / len(questions))
        return Pair(*shares)

    return Pair(*run(program))


def _is_of(form: models.Form[Any], text: str, *, tolerant: bool) -> bool:
    try:
        (form.read_tolerant if tolerant else form.read)(text)
    except models.FormError:
        return False
    return True


def measure_calls(seed: int) -> Pair:
    """The share of turns that ask for a tool which there is, with arguments of its schema."""
    drawn = random.Random(seed)
    questions = [f"What is the area of {drawn.choice(COUNTRIES)}?" for _ in range(ASKED)]

    async def program() -> Pair:
        held = asked_alone = 0
        for at, question in enumerate(questions):
            options: dict[str, Any] = {"max_tokens": 60, "seed": seed * ASKED + at}
            prompt = [models.Message("user", question)]
            reply = await models.sample(gemma(), prompt, tools=TOOLS, tool_choice="required", parallel_tool_calls=False, **options)
            held += bool(reply.samples[0].calls) and all(_is_call(call.name, call.arguments) for call in reply.samples[0].calls)
            reply = await models.sample(Asked(gemma()), prompt, tools=TOOLS, **options)
            asked_alone += _has_call(reply.text)
        return Pair(held / len(questions), asked_alone / len(questions))

    return Pair(*run(program))


def _is_call(name: str, arguments: str) -> bool:
    try:
        given = json.loads(arguments)
    except ValueError:
        return False
    return name in {tool.name for tool in TOOLS} and any(given == {"country": country} for country in COUNTRIES)


def _has_call(text: str) -> bool:
    """Whether a text begins with such a call, as it was asked for: a list, or the object alone."""
    start = min((at for at in (text.find("["), text.find("{")) if at >= 0), default=-1)
    try:
        found, _ = json.JSONDecoder().raw_decode(text[start:]) if start >= 0 else (None, 0)
    except ValueError:
        return False
    calls = found if isinstance(found, list) else [found]
    return bool(calls) and all(
        isinstance(call, dict) and _is_call(str(call.get("tool")), json.dumps(call.get("arguments"))) for call in calls
    )


ROWS: list[Row | Held] = [
    Row(
        method="Structured answers by grammar",
        function="headway.models.structured.answering.answer",
        item="models",
        claim="",
        shows="Gemma 270M, which obeys nobody, answers in the type more often than when it is told the form",
        baseline="the same model, told the schema in the prompt, read with tolerance",
        unit="share of first answers that are of their type",
        measure=measure_answers,
        compare="difference",
        seeds=3,
        reached=lambda low, high: low > 0.0,
        test=f"{GRAMMAR}::test_an_answer_has_its_type_by_grammar",
    ),
    Row(
        method="Tools by grammar",
        function="headway.models.local.model.Local",
        item="models",
        claim="llama.cpp ignores tools where a template knows none",
        shows="Gemma 270M makes valid calls more often than when it is told how",
        baseline="the same model and the same words about the tools, without the grammar",
        unit="share of turns with a valid call",
        measure=measure_calls,
        compare="difference",
        seeds=3,
        reached=lambda low, high: low > 0.0,
        test=f"{GRAMMAR}::test_a_call_that_must_be_made_is_one_of_those_offered_with_arguments_of_its_schema",
    ),
    Held(
        item="models",
        promise="an answer of a type is held by server, grammar or prompt, read by the type, and mended once by a call of its own",
        tests=(
            f"{ANSWER}::test_a_model_that_can_be_held_to_a_schema_is",
            f"{ANSWER}::test_another_one_is_told_the_form_in_the_prompt",
            f"{ANSWER}::test_a_wrong_answer_is_shown_to_the_model_once",
            f"{ANSWER}::test_each_attempt_is_a_call_of_its_own_and_paid",
            f"{ANSWER}::test_it_is_found_again_with_its_type",
            f"{ANSWER}::test_no_bound_is_overdrawn_by_the_second_attempt",
            "tests/models/test_forms.py::test_every_value_of_a_type_is_written_by_its_schema_and_read_back",
        ),
    ),
    Held(
        item="models",
        promise="Needle asks for several tools at once, in a process that is killed when nobody waits for it, its telemetry off",
        tests=(
            "tests/models/test_needle.py::test_it_asks_for_several_tools_at_once_and_ends_with_what_they_answered",
            "tests/models/test_needle.py::test_a_request_that_is_stopped_kills_its_process_and_the_next_has_a_new_one",
        ),
    ),
    Held(
        item="models",
        promise="a refusal, an answer that was cut off and one that is of no form are said as what they are",
        tests=(f"{ANSWER}::test_what_is_no_answer_is_said_as_what_it_is",),
    ),
    Held(
        item="models",
        promise="what a model can't do is refused before anything is sent; nothing is ignored",
        tests=(
            f"{ANSWER}::test_what_a_model_can_t_do_is_refused_before_anything_is_sent",
            f"{GRAMMAR}::test_what_llama_cpp_would_ignore_is_refused",
            f"{GRAMMAR}::test_pictures_and_sounds_are_refused",
            f"{SERVED}::test_a_model_without_tools_says_so",
        ),
    ),
    Held(
        item="models",
        promise="`headway serve` answers tools, schemas and embeddings: to the real client, to ours and to plain HTTP",
        tests=(
            f"{SERVED}::test_calls_are_served_as_the_protocol_says_them",
            f"{SERVED}::test_a_stream_of_calls_names_each_first_and_then_tells_its_arguments",
            f"{SERVED}::test_the_real_client_gets_calls_and_goes_on_with_their_answers",
            f"{SERVED}::test_our_own_client_gets_calls_and_tells_what_was_asked",
            f"{SERVED}::test_a_form_reaches_the_model",
            f"{SERVED}::test_a_gguf_model_is_served_with_tools",
            f"{EMBEDDED}::test_vectors_are_served_as_the_protocol_says_them",
        ),
    ),
    Held(
        item="models",
        promise="Clone What You Can't Steal's defence: at most five likeliest tokens a place, and no probing by a bias of tokens",
        tests=(
            f"{SERVED}::test_no_more_than_the_likeliest_few_tokens_are_told",
            f"{SERVED}::test_nobody_probes_by_a_bias_of_tokens",
        ),
    ),
    Held(
        item="models",
        promise="malformed tools, schemas that lead elsewhere, bodies of 10 MB and bombs of depth are a 400 in one sentence",
        tests=(
            f"{SERVED}::test_a_bad_request_is_refused_in_one_sentence",
            f"{SERVED}::test_a_body_that_would_keep_the_server_busy_is_refused",
        ),
    ),
]
