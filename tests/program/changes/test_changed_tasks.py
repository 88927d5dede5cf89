"""Tasks that were edited since: on_change says what is reused, and inputs must be what they were."""

from __future__ import annotations

import pytest
from notes import RAN, SWITCH
from steps import stop_once

import headway as hw


@hw.task
async def asks_twice() -> int:
    """Ask the task as it is now, and stop the first time."""
    value: int = await SWITCH["task"]()
    stop_once()
    return value


@pytest.mark.parametrize(
    ("policy", "answer", "value", "ran"),
    [
        ("reuse", {}, 1, ["old"]),
        ("rerun", {}, 2, ["old", "new"]),
        ("ask", {}, None, ["old"]),
        ("ask", {"edited_leaf": "reuse"}, 1, ["old"]),
        ("ask", {"edited_leaf": "rerun"}, 2, ["old", "new"]),
    ],
    ids=["reuse", "rerun", "ask", "ask and reuse", "ask and rerun"],
)
@pytest.mark.on_postgres
def test_an_edited_task_follows_its_on_change(go, policy, answer, value, ran):
    @hw.task(name="edited_leaf", on_change=policy)
    async def leaf() -> int:
        RAN.append("old")
        return 1

    SWITCH["task"] = leaf
    with pytest.raises(RuntimeError):
        go(asks_twice)

    @hw.task(name="edited_leaf", on_change=policy)
    async def leaf_again() -> int:
        RAN.append("new")
        return 2

    SWITCH["task"] = leaf_again
    if value is None:
        with pytest.raises(hw.SourceChanged, match="edited_leaf"):
            go(asks_twice)
    else:
        assert go(asks_twice, on_change=answer) == value
    assert ran == RAN


def test_a_finished_parent_runs_again_when_a_rerun_task_below_it_changed(go):
    @hw.task(name="guarded", on_change="rerun")
    async def leaf() -> int:
        return 1

    @hw.task(name="guarding_middle")
    async def middle() -> int:
        RAN.append("middle")
        return 10 * await SWITCH["task"]()

    @hw.task(name="guarding_program")
    async def program() -> int:
        return await middle()

    SWITCH["task"] = leaf
    assert go(program) == 10

    @hw.task(name="guarded", on_change="rerun")
    async def leaf_again() -> int:
        return 2

    SWITCH["task"] = leaf_again
    assert go(program) == 20
    assert RAN == ["middle", "middle"]


@pytest.mark.parametrize(("value", "reused"), [(1, True), (2, False)])
@pytest.mark.on_postgres
def test_a_result_by_handle_is_reused_only_while_its_inputs_are_what_they_were(go, value, reused):
    @hw.task(name="input", on_change="rerun")
    async def source() -> int:
        return 1

    @hw.task(name="consumer")
    async def consumer(x: int) -> int:
        RAN.append(x)
        return x * 10

    @hw.task(name="feeding_program")
    async def program() -> int:
        result = await consumer(hw.ref(SWITCH["task"]()))
        stop_once()
        return result

    SWITCH["task"] = source
    with pytest.raises(RuntimeError):
        go(program)

    @hw.task(name="input", on_change="rerun", version="2")
    async def source_again() -> int:
        return value

    SWITCH["task"] = source_again
    assert go(program) == value * 10
    assert ([1] if reused else [1, 2]) == RAN
