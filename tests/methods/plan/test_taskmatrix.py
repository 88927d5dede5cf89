"""TaskMatrix.AI: the few APIs that fit a request are selected, called while they are planned, and their makers hear what failed."""

from __future__ import annotations

from typing import Any

import pytest
from planning import DONE, Speaks, double, fail, pay, rest

import headway as hw
from headway import UsageError
from headway.methods.plan import Api, Feedback, Platform, Served, last_result, task_matrix
from headway.models import Request

APIS = [
    Api(double, [("What is two times seven?", "double(7)")], "Its result is a number."),
    Api(rest, [("Sleep for a while.", 'rest("a", 3)')]),
    Api(fail, [("Break down in the rain.", 'fail("rain")')]),
    Api(pay),
]


@pytest.fixture(autouse=True)
def _empty() -> None:
    DONE.clear()


def carry_out(go: Any, request: str, *plans: str, **options: Any) -> tuple[Served, Speaks]:
    said = iter(plans)

    def speak(asked: Request) -> str:
        return "1. Twice of it.\n2. Sleep." if "Outline" in str(asked.prompt[-1]) else next(said)

    model = Speaks(speak)

    @hw.task
    async def program() -> Served:
        return await task_matrix(request, model, Platform(APIS), join=last_result, **options)

    return go(program, store=None), model


def test_what_fits_the_request_or_its_outline_is_selected_and_documented(go):
    made, model = carry_out(go, "Double seven, and rest.", '1. double(7)\n2. rest("a", 1)\njoin()', k=2)
    assert (made.answer, made.feedback, set(made.selected)) == ([14, "a"], (), {"double", "rest"})
    assert made.outline == ("1. Twice of it.", "2. Sleep.")
    rules = model.asked[1].prompt[0].text
    assert "What is two times seven? -> double(7)\n  Its result is a number." in rules
    assert "pay(" not in rules
    assert "The outline:\n1. Twice of it." in rules


def test_what_fails_is_told_to_the_model_and_to_the_maker_of_the_api(go):
    made, model = carry_out(go, "Break down, then double", '1. fail("rain")\njoin()', "2. double(2)\njoin()", "x", outline=False)
    assert (made.answer, made.ran.why) == (None, "forced")
    assert made.feedback == (Feedback("fail", 'fail("rain")', "fail failed: ValueError: rain"),)
    assert "Line 1 failed: fail failed: ValueError: rain" in model.asked[1].prompt[1].text


@pytest.mark.parametrize(
    ("request_", "options", "says"),
    [("", {}, "request=''"), ("x", {"k": 0}, "task_matrix: k=0"), ("x", {"attempts": 0}, "task_matrix: attempts=0")],
)
def test_senseless_settings_are_refused_before_anything_is_asked(go, request_, options, says):
    with pytest.raises(UsageError, match=says):
        carry_out(go, request_, **options)
    with pytest.raises(UsageError, match=r"a list of plan.Api, at least one"):
        Platform([])


def test_a_request_that_no_api_fits_is_refused(go):
    with pytest.raises(UsageError, match="no API fits 'xyzzy'"):
        carry_out(go, "xyzzy", outline=False)
