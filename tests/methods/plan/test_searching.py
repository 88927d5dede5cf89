"""Rounds of parallel searches: all queries of a list at once, none twice, and an answer at the end."""

from __future__ import annotations

from typing import Any

import pytest
from planning import DONE, Speaks

import headway as hw
from headway import UsageError
from headway.methods.plan import HYBRID, PARALLEL, Searched, StepFailed, Tags, deep_search
from headway.methods.plan.searching import read_answer, read_queries

FACTS = {"a": "1", "b": "2", "c": "3"}


@pytest.fixture(autouse=True)
def _empty() -> None:
    DONE.clear()


@hw.task
async def look(query: str) -> str:
    DONE.append(query)
    await hw.sleep(2)
    if query not in FACTS:
        raise StepFailed(f"nothing about {query}")
    return FACTS[query]


def asks(tags: Tags, *queries: str) -> str:
    return f"Let me see. {tags.begin}{tags.between.join(queries)}"


def search(go: Any, tags: Tags, *turns: str, **options: Any) -> tuple[Searched, Speaks]:
    model = Speaks(lambda request: turns[min(str(request.prompt).count(tags.found_end) - 1, len(turns) - 1)])

    @hw.task
    async def program() -> Searched:
        return await deep_search("What?", model, look, tags=tags, errors=StepFailed, **options)

    return go(program, store=None), model


@pytest.mark.parametrize("tags", [HYBRID, PARALLEL], ids=["HybridDeepSearcher", "ParallelSearch"])
def test_queries_of_a_list_are_searched_at_once_and_a_repeated_one_is_not(go, clock, tags):
    begun = clock.now
    answer = f"So {tags.answer}6{tags.answer_end}."
    made, model = search(go, tags, asks(tags, "a", "b"), asks(tags, " A ", "c", "x"), answer)
    assert clock.now - begun == pytest.approx(4)
    assert (made.answer, made.why, made.calls, len(made.rounds)) == ("6", "answered", 4, 2)
    assert DONE == ["a", "b", "c", "x"]
    assert made.rounds[1].repeated == ("A",)
    assert f"{tags.found}\na: 1\nb: 2\n{tags.found_end}" in made.text
    assert "c: 3\nx: (failed: StepFailed: nothing about x)\nA: (asked before, see above)" in made.text
    assert all(request.stop == (tags.end,) for request in model.asked)


def test_when_the_rounds_are_used_up_the_model_must_answer(go):
    made, model = search(go, HYBRID, asks(HYBRID, "a"), asks(HYBRID, "b"), "42", rounds=2)
    assert (made.answer, made.why, len(made.rounds)) == ("42", "rounds", 2)
    assert str(model.asked[-1].prompt).endswith("\n\\boxed{")
    again, _ = search(go, HYBRID, asks(HYBRID, "a"), asks(HYBRID, "b"), "\\boxed{42}", rounds=2)
    assert again.answer == "42", "a model may write the mark once more"


def test_one_that_neither_searches_nor_answers_has_stopped(go):
    made, _ = search(go, HYBRID, "I don't know.")
    assert (made.answer, made.why, made.calls) == ("", "stopped", 0)


def test_a_list_of_nothing_new_costs_a_round_and_no_search(go):
    made, _ = search(go, HYBRID, asks(HYBRID, "a"), asks(HYBRID, "a"), asks(HYBRID, ""), "\\boxed{1}")
    assert (made.answer, made.calls, [each.queries for each in made.rounds]) == ("1", 1, [("a",), (), ()])
    assert "(no query)" in made.text


def test_a_second_model_condenses_what_was_found(go):
    async def condense(question: str, query: str, found: str) -> str:
        return f"{question} {query} is {found}"

    made, _ = search(go, HYBRID, asks(HYBRID, "a"), "\\boxed{1}", condense=condense)
    assert made.rounds[0].found == ("What? a is 1",)


def test_marks_are_read_wherever_a_server_leaves_them():
    assert read_queries(f"x {HYBRID.begin} a;\n b {HYBRID.end} more", HYBRID) == ["a", "b"]
    assert read_queries("none", HYBRID) is None
    assert read_queries(f"{HYBRID.begin}a{HYBRID.end}{HYBRID.found}", HYBRID) is None
    assert read_answer("\\boxed{1} or rather \\boxed{a{b}", HYBRID) == "a{b}"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rounds": 0}, "deep_search: rounds=0"),
        ({"condense": "x"}, "deep_search: condense='x'"),
        ({"prompt": 3}, "deep_search: prompt=3"),
        ({"sampling": {"stop": "x"}}, "sampling has stop"),
    ],
)
def test_senseless_settings_are_refused_before_anything_is_asked(go, options, says):
    with pytest.raises(UsageError, match=says):
        search(go, HYBRID, "x", **options)
    assert DONE == []
