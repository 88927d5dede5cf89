"""UnifiedMLLM: each marked task goes to its expert while the model is writing, and what is no task is text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from threads import BEGUN, Continues

import headway as hw
from headway import ModelError, UsageError
from headway.methods.plan import Marked, Routed, Unified, unified

DONE: list[Marked] = []


@hw.task
async def segment(marked: Marked) -> str:
    DONE.append(marked)
    await hw.sleep(1.0)
    return f"mask of {marked.text}"


@hw.task
async def edit(marked: Marked) -> str:
    DONE.append(marked)
    raise ModelError("no paint")


EXPERTS = {"segment": segment, "edit": edit}


@pytest.fixture(autouse=True)
def _empty() -> None:
    BEGUN.clear()
    DONE.clear()


@pytest.fixture
def route(go: Callable[..., Any]) -> Callable[..., Unified]:
    def run(text: str, experts: Any = EXPERTS, *, rest_s: float = 0.0, prompt: Any = "Look.", **options: Any) -> Unified:
        @hw.task(name="unified.tests.route")
        async def program() -> Unified:
            return await unified(Continues(lambda _: text, rest_s=rest_s), prompt, experts, **options)

        found: Unified = go(program, store=None)
        return found

    return run


def test_each_task_goes_to_its_expert_with_its_regions(route):
    text = "A <segment>red cup<region>1,2,3,4</region> <region>5,6,7,8</region></segment> here."
    answer = route(text)
    assert [Marked("segment", "red cup", ("1,2,3,4", "5,6,7,8"))] == DONE
    assert answer.text == text
    assert [part if isinstance(part, str) else part.value for part in answer.parts] == ["A ", "mask of red cup", " here."]


def test_an_expert_starts_while_the_model_is_writing(route, clock):
    began = clock.now
    route("<segment>cup</segment> and four more words", rest_s=1.0)
    assert clock.now - began == pytest.approx(5), "one second of the expert lies within the five of the model"


def test_an_expert_that_fails_leaves_its_reason_and_the_others_go_on(route):
    answer = route("<edit>sky</edit><segment>sea</segment>")
    assert answer.routed == [
        Routed(Marked("edit", "sky"), None, "ModelError: no paint"),
        Routed(Marked("segment", "sea"), "mask of sea"),
    ]


def test_an_error_that_is_not_named_fails_the_program(route):
    with pytest.raises(ModelError):
        route("<edit>sky</edit>", errors=ZeroDivisionError)


def test_a_task_that_nobody_does_is_text(route):
    answer = route("<paint>sky</paint> <b>x</b>")
    assert (answer.parts, DONE) == (("<paint>sky</paint> <b>x</b>",), [])


def test_a_task_that_the_answer_ends_in_is_named_and_given_to_nobody(route):
    answer = route("<segment>cup</segment> <segment>half a")
    assert (answer.unclosed, len(DONE)) == (("segment",), 1)
    assert answer.text == "<segment>cup</segment> <segment>half a"
    cut = route("<segment>a b c d</segment>", tokens=2)
    assert (cut.unclosed, cut.routed, cut.spent.total) == (("segment",), [], 2)


def test_a_task_within_a_task_is_its_experts_business(route):
    route("<segment>all of <edit>this</edit></segment>")
    assert [Marked("segment", "all of <edit>this</edit>")] == DONE


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"experts": {}}, "unified: experts={}"),
        ({"experts": None}, "unified: experts=None"),
        ({"experts": {"segment": 3}}, r"unified: experts\['segment'\]=3"),
        ({"experts": {"a b": segment}}, "without brackets"),
        ({"region": "segment"}, "there is an expert of that name"),
        ({"tokens": 0}, "unified: tokens=0"),
        ({"prompt": ""}, "unified: prompt=''"),
        ({"errors": 3}, "errors=3"),
        ({"sampling": {"n": 2}}, "unified: sampling has n"),
    ],
)
def test_senseless_settings_are_refused_before_anything_is_asked(route, options, says):
    with pytest.raises(UsageError, match=says):
        route("x", **options)
    assert BEGUN == []
