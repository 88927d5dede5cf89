"""Tasks that were edited since: on_change says what is reused, and inputs must be what they were."""

from __future__ import annotations

from typing import Any

import pytest
from notes import RAN, SWITCH

import headway as hw


def edited(name: str, **options: Any):
    """The task of this name with another source, as after an edit."""
    return hw.task(name=name, **options)


@pytest.mark.parametrize(("policy", "runs"), [("reuse", 1), ("rerun", 2)])
def test_an_edited_task_follows_its_on_change(go, policy, runs):
    @edited("edited_leaf", on_change=policy)
    async def leaf() -> int:
        RAN.append("old")
        return 1

    @hw.task(name="edited_program")
    async def program() -> int:
        value = await TASKS_CALL["edited_leaf"]()
        if SWITCH.get("stop", True):
            raise RuntimeError("stop")
        return value

    TASKS_CALL["edited_leaf"] = leaf
    with pytest.raises(RuntimeError):
        go(program)

    @edited("edited_leaf", on_change=policy)
    async def leaf_again() -> int:
        RAN.append("new")
        return 2

    TASKS_CALL["edited_leaf"] = leaf_again
    SWITCH["stop"] = False
    assert go(program) == (1 if policy == "reuse" else 2)
    assert len(RAN) == runs


TASKS_CALL: dict[str, Any] = {}


def test_an_edited_task_that_says_ask_stops_the_run_until_it_is_answered(go):
    @edited("asking", on_change="ask")
    async def leaf() -> int:
        return 1

    @hw.task(name="asking_program")
    async def program() -> int:
        value = await TASKS_CALL["asking"]()
        if SWITCH.get("stop", True):
            raise RuntimeError("stop")
        return value

    TASKS_CALL["asking"] = leaf
    with pytest.raises(RuntimeError):
        go(program)

    @edited("asking", on_change="ask")
    async def leaf_again() -> int:
        return 2

    TASKS_CALL["asking"] = leaf_again
    SWITCH["stop"] = False
    with pytest.raises(hw.SourceChanged, match="asking"):
        go(program)
    assert go(program, on_change={"asking": "rerun"}) == 2


def test_a_finished_parent_runs_again_when_a_rerun_task_below_it_changed(go):
    @edited("guarded", on_change="rerun")
    async def leaf() -> int:
        return 1

    @hw.task(name="guarding_middle")
    async def middle() -> int:
        RAN.append("middle")
        return 10 * await TASKS_CALL["guarded"]()

    @hw.task(name="guarding_program")
    async def program() -> int:
        return await middle()

    TASKS_CALL["guarded"] = leaf
    assert go(program) == 10

    @edited("guarded", on_change="rerun")
    async def leaf_again() -> int:
        return 2

    TASKS_CALL["guarded"] = leaf_again
    assert go(program) == 20
    assert RAN == ["middle", "middle"]


@pytest.mark.parametrize(("value", "reused"), [(1, True), (2, False)])
def test_a_result_by_handle_is_reused_only_while_its_inputs_are_what_they_were(go, value, reused):
    @edited("input", on_change="rerun")
    async def source() -> int:
        return 1

    @hw.task(name="consumer")
    async def consumer(x: int) -> int:
        RAN.append(x)
        return x * 10

    @hw.task(name="feeding_program")
    async def program() -> int:
        result = await consumer(hw.ref(TASKS_CALL["input"]()))
        if SWITCH.get("stop", True):
            raise RuntimeError("stop")
        return result

    TASKS_CALL["input"] = source
    with pytest.raises(RuntimeError):
        go(program)

    if value == 1:

        @edited("input", on_change="rerun", version="2")
        async def source_again() -> int:
            return 1
    else:

        @edited("input", on_change="rerun", version="2")
        async def source_again() -> int:
            return 2

    TASKS_CALL["input"] = source_again
    SWITCH["stop"] = False
    assert go(program) == value * 10
    assert ([1] if reused else [1, 2]) == RAN
