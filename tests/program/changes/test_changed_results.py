"""Results that others share: a task that changes one is named, in a resumed run as well."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from changing import WAYS, Client, change, change_in_thread, make, quick

import headway as hw

BY_HANDLE = [
    ("list", "value.append('c')"),
    ("large list", "value.append('c')"),
    ("large list", "value[4] = 'c'"),
    ("array", "value[3] = 5"),
    ("large array", "value += 1"),
    ("large array", "value[::-1].sort()"),
]


@pytest.mark.parametrize(("what", "how"), BY_HANDLE)
@pytest.mark.parametrize("task", [change, change_in_thread], ids=["inline", "thread"])
def test_a_task_that_changes_a_result_which_others_share_is_named(go, task, what, how):
    @hw.task(name="program")
    async def program() -> Any:
        made = make(what)
        return await task(hw.ref(made), how)

    for _ in range(2):  # the second life has the result from its record
        with pytest.raises(hw.ArgumentChanged, match=rf"{task.name}: argument value \(the result of .*make\(.*\)\) {WAYS}"):
            go(program)


@pytest.mark.parametrize("what", ["list", "large list", "array", "large array", "state", "number"])
def test_a_result_that_nobody_changes_is_given_to_as_many_as_want_it(go, what):
    @hw.task(name="program")
    async def program() -> list[str]:
        made = make(what)
        return await hw.gather(*(change([hw.ref(made), place], "value.append(1)") for place in range(3)), change(hw.ref(made), ""))

    for _ in range(2):
        assert go(program) == ["done"] * 4  # the lists that hold it are new for each


@hw.task
async def again(history: list[str]) -> int:
    return len(history)


def test_a_result_that_its_caller_changes_before_another_gets_it_is_told(go):
    @hw.task(name="program")
    async def program() -> int:
        made = make("list")
        assert await quick(hw.ref(made)) == 2
        (await made).append("c")
        return await again(hw.ref(made))

    with pytest.raises(hw.ArgumentChanged, match=r"again: argument history \(the result of .*make\("):
        go(program)


@hw.task
async def fills(cache: Annotated[Any, hw.unkeyed]) -> int:
    cache.append(1)
    return 1


def test_a_result_for_an_unkeyed_parameter_may_change(go):
    @hw.task(name="program")
    async def program() -> int:
        return await fills(hw.ref(make("list")))

    assert go(program) == 1


@hw.task
async def gives_a_client(history: list[str]) -> Any:
    history.append("x")
    return Client()


def test_a_result_without_an_encoding_is_left_out_of_the_error(go):
    @hw.task(name="program")
    async def program() -> str:
        (end,) = await hw.settle(gives_a_client([]))
        return f"{end.error} {type(end.error).__name__}"

    first = go(program)
    assert "argument history (a list) was changed" in first
    assert first.endswith("ArgumentChanged")
    assert go(program) == first


@hw.task
async def step(history: list[str], turn: int) -> str:
    history.append(f"turn {turn}")
    return "ok"


@hw.task
async def forgiving() -> list[str]:
    """An agent that goes on after errors."""
    said = []
    for turn in range(3):
        try:
            said.append(await step([], turn))
        except hw.ArgumentChanged as error:
            said.append(f"{error} {error.value}")
    return said


def test_a_resumed_program_is_told_of_the_change_in_the_same_words(go):
    first = go(forgiving)
    assert all("step: argument history (a list) was changed" in said and said.endswith(" ok") for said in first)
    assert go(forgiving) == first
