"""The calls of a turn run side by side, and every fault of a model or a tool is a result that the model is shown."""

from __future__ import annotations

import asyncio
import datetime
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pydantic
import pytest

import headway as hw
from headway import models, tools
from headway.models import ToolCall
from headway.tools.results import MOST_BYTES

RAN: list[Any] = []
MIB = 1 << 20


@pytest.fixture(autouse=True)
def _empty() -> None:
    RAN.clear()


@dataclass
class City:
    name: str
    people: int


class Box(pydantic.BaseModel):
    size: int


@tools.tool
async def double(number: int) -> int:
    """Twice a number."""
    RAN.append(number)
    await asyncio.sleep(1)
    return 2 * number


@tools.tool
def halve(number: int) -> float:
    """Half of a number."""
    RAN.append(number)
    if number < 0:
        raise ValueError("a number below zero can't be halved here")
    return number / 2


@tools.tool
async def give(what: str) -> Any:
    """Gives values of all kinds."""
    return VALUES[what]()


@tools.tool
async def long(size: int) -> str:
    """A long text."""
    RAN.append(size)
    return "é" * (size // 2)


VALUES: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "city": lambda: City("Rome", 3),
    "box": lambda: Box(size=3),
    "set": lambda: {"b", "a", "c"},
    "when": lambda: datetime.date(2026, 11, 30),
    "array": lambda: __import__("numpy").arange(3),
    "number": lambda: __import__("numpy").float64(1.5),
    "bytes": lambda: b"\x00\x01",
    "cell": lambda: {"deep": [1, {"deeper": object}]},
    "image": lambda: models.Image(b"png", "image/png"),
    "parts": lambda: ["a map:", models.Image(b"png"), models.Text("of Rome"), City("Rome", 3)],
    "nan": lambda: math.nan,
}


@hw.task
async def turn(offered: Annotated[Sequence[tools.Tool], hw.unkeyed], calls: list[ToolCall], most: int = MOST_BYTES) -> list[Any]:
    """What the model is shown of each call, and whether it is an error."""
    results = await tools.run_calls(offered, calls, most_bytes=most)
    assert [result.call for result in results] == calls
    return [(result.content, result.is_error) for result in results]


def ask(name: str, arguments: str, id: str = "") -> ToolCall:
    return ToolCall(id or f"call_{name}_{arguments}", name, arguments)


def test_results_come_in_the_order_of_the_calls(go):
    calls = [ask("double", '{"number": 4}'), ask("halve", '{"number": 4}'), ask("double", '{"number": 1}')]
    assert go(turn, [double, halve], calls) == [("8", False), ("2.0", False), ("2", False)]


def test_64_calls_run_at_once(go, clock):
    calls = [ask("double", f'{{"number": {n}}}') for n in range(64)]
    shown = go(turn, [double], calls)
    assert shown == [(str(2 * n), False) for n in range(64)]
    assert clock.elapsed < 2  # each takes one


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (ask("dubble", '{"number": 4}'), "There is no tool 'dubble'; did you mean 'double'?"),
        (ask("", "{}"), "There is no tool ''; there are 'double' and 'halve'"),
        (ask("double", '{"number": "four"}'), "double: Expected `int`, got `str` - at `$.number`. It takes number (integer)"),
        (ask("double", "{}"), "double: Object missing required field `number`. It takes number (integer)"),
        (ask("double", '{"number": 4'), "double: the arguments end in the middle, after 12 characters: the call was cut off. "
            "Send it again, whole and shorter"),
        (ask("halve", '{"number": -1}'), "halve failed: ValueError: a number below zero can't be halved here"),
    ],
)  # fmt: skip
def test_a_fault_is_a_result_and_the_others_go_on(go, call, said):
    assert go(turn, [double, halve], [call, ask("double", '{"number": 4}')]) == [(said, True), ("8", False)]


def test_of_two_calls_with_one_id_the_second_is_not_run(go):
    calls = [ask("double", '{"number": 1}', "a"), ask("double", '{"number": 2}', "a"), ask("double", '{"number": 3}', "b")]
    shown = go(turn, [double], calls)
    assert [error for _, error in shown] == [False, True, False]
    assert "the id 'a' names another call of this turn" in shown[1][0]
    assert sorted(RAN) == [1, 3]


def test_calls_without_an_id_are_all_run(go):
    calls = [ToolCall("", "double", '{"number": 1}'), ToolCall("", "double", '{"number": 2}')]
    assert go(turn, [double], calls) == [("2", False), ("4", False)]


def test_equal_calls_are_calls_of_their_own(go):
    calls = [ask("double", '{"number": 1}', "a"), ask("double", '{"number": 1}', "b")]
    assert go(turn, [double], calls) == [("2", False), ("2", False)]
    assert RAN == [1, 1]


def test_arguments_that_name_no_call_are_a_result(go):
    @tools.tool
    async def keep(it: Any) -> int:
        """Keep it."""
        return 1

    deep = '{"it": ' + "[" * 300 + "]" * 300 + "}"
    ((said, error),) = go(turn, [keep], [ask("keep", deep, "deep")])
    assert error
    assert said.startswith("keep can't be called with these arguments: ")
    assert "nested deeper" in said


def test_two_tools_of_one_name_are_refused_before_any_is_run(go):
    other = tools.tool(halve, name="double")
    with pytest.raises(hw.UsageError, match="two tools are called 'double'"):
        go(turn, [double, other], [ask("double", '{"number": 1}')])
    with pytest.raises(hw.UsageError, match=r"make it one with tools\.tool"):
        go(turn, [halve.task], [], run_id="another")
    assert RAN == []


def test_a_rule_that_fails_fails_before_any_call_is_run(go):
    def rule(tool: tools.Tool, call: ToolCall) -> bool:
        if "2" in call.arguments:
            raise LookupError("a fault of the rule")
        return False

    @hw.task
    async def program() -> None:
        await tools.run_calls([double], [ask("double", '{"number": 1}'), ask("double", '{"number": 2}')], ask_first=rule)

    with pytest.raises(LookupError):
        go(program)
    assert RAN == []


@pytest.mark.parametrize(
    ("what", "shown"),
    [
        ("nothing", "null"),
        ("city", '{"name":"Rome","people":3}'),
        ("box", '{"size":3}'),
        ("set", '["a","b","c"]'),
        ("when", '"2026-11-30"'),
        ("array", "[0,1,2]"),
        ("number", "1.5"),
        ("nan", "null"),
    ],
)
def test_what_is_no_text_is_shown_as_json(go, what, shown):
    assert go(turn, [give], [ask("give", f'{{"what": "{what}"}}')]) == [(shown, False)]


def test_bytes_and_what_json_can_not_say_are_refused_and_the_tool_is_not_run_again_for_it():
    for value, said in (
        (b"\x00\x01", "2 bytes, which are no text"),
        ({"deep": {object}}, "a dict, which can't be written as JSON"),
    ):
        result = tools.results.returned(ask("give", ""), value, MOST_BYTES)
        assert result.is_error
        assert said in result.content
        assert "give has run" in result.content
        assert result.value is value


def test_images_stay_parts(go):
    (image, error), (parts, _) = go(turn, [give], [ask("give", '{"what": "image"}'), ask("give", '{"what": "parts"}')])
    assert not error
    assert image == (models.Image(b"png"),)
    assert parts == (models.Text("a map:"), models.Image(b"png"), models.Text("of Rome"), models.Text('{"name":"Rome","people":3}'))


def test_a_result_of_100_mb_is_kept_whole_and_shown_bounded(tmp_path):
    size = 100 * MIB
    store = str(tmp_path / "store")
    ((shown, error),) = hw.run(turn, [long], [ask("long", f'{{"size": {size}}}')], store=store, run_id="big")
    assert not error
    assert len(shown.encode()) <= MOST_BYTES
    missing = size - shown.count("é") * 2
    assert shown.endswith(f"\n[cut here: {missing} of {size} bytes are missing. Ask for less at a time, or for another part.]")
    (call,) = hw.view("big", store=store).find("long")
    assert len(call.value.encode()) == size
    blobs = sum(path.stat().st_size for path in Path(store).rglob("*") if path.is_file() and ".db" not in path.name)
    assert blobs >= size, "the value is a blob beside the journal"


@pytest.mark.parametrize("most", [500, 161, 40, 0])
def test_no_more_is_shown_than_was_allowed_but_for_the_note(go, most):
    (shown, _), (parts, _), (wrong, _) = go(
        turn,
        [give, long],
        [ask("long", '{"size": 5000}'), ask("give", '{"what": "parts"}'), ask("give", '{"what": "' + "x" * 2000 + '"}')],
        most,
    )
    note = shown.partition("\n")[2]
    assert len(shown.encode()) <= max(most, len(note.encode()) + 1)
    assert any(isinstance(part, models.Image) for part in parts)
    assert len(wrong.encode()) <= max(most, 200)


def test_half_a_character_is_shown_as_what_can_be_sent():
    (part,) = tools.show([models.Text("a\ud800b")])
    assert tools.show("a\ud800b") == "a\\ud800b" == part.text


def test_a_result_is_a_message():
    result = tools.ToolResult(ask("double", "{}", "a"), "8", 8)
    assert result.message == models.Message("tool", "8", call_id="a", name="double")


class Odd(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.handle = object()


@tools.tool
async def fail(how: str) -> str:
    """Fails in many ways."""
    if how == "odd":
        raise Odd(3)
    if how == "group":
        raise ExceptionGroup("two", [ValueError("one"), KeyError("two")])
    if how == "timeout":
        await hw.sleep(60)
    if how == "object":
        return object()  # type: ignore[return-value]
    raise AssertionError(f"<{object()}>")


@hw.task
async def twice(calls: list[ToolCall], stop: Annotated[list[int], hw.unkeyed]) -> list[str]:
    """What is shown; fails at the end in the first life."""
    results = await tools.run_calls([fail], calls)
    if stop:
        stop.clear()
        await hw.settle(interrupt([str(result.content) for result in results]))
        raise KeyboardInterrupt
    return [str(result.content) for result in results]


@hw.task
async def interrupt(seen: list[str]) -> None:
    RAN.append(seen)


def test_a_resumed_run_shows_the_model_the_very_same_errors(go):
    calls = [ask("fail", f'{{"how": "{how}"}}') for how in ("odd", "group", "timeout", "object", "address")]
    with pytest.raises(hw.CallExited):
        go(twice, calls, [1])  # the run has failed, so failures that nobody was told would be asked for again
    again = go(twice, calls, [])
    (first,) = RAN
    assert again == first
    assert again[0] == "fail failed: Odd: code 3"
    assert again[1] == "fail failed: ValueError: one; KeyError: 'two'"


def test_a_tool_that_took_too_long_is_a_result(go):
    @hw.task(timeout=5)
    async def slow() -> str:
        """Slow."""
        await hw.sleep(60)
        return "late"

    ((said, error),) = go(turn, [tools.tool(slow)], [ask("slow", "")])
    assert error
    assert said.startswith("slow failed: CallTimeout: ")


def test_what_a_budget_refuses_is_raised_when_the_others_have_ended(go):
    @hw.task(cost={"tokens": 100})
    async def dear() -> str:
        """Dear."""
        return "bought"

    @hw.task
    async def program() -> str:
        with hw.budget(tokens=50):
            calls = [ask("dear", ""), ask("double", '{"number": 4}')]
            try:
                await tools.run_calls([tools.tool(dear), double], calls)
            except hw.BudgetExceeded as error:
                return str(error)
        return "no error"

    assert "tokens" in go(program)
    assert RAN == [4]


def test_what_a_deadline_stops_is_raised(go):
    @hw.task
    async def program() -> str:
        with hw.deadline(seconds=0.5):
            await tools.run_calls([double], [ask("double", '{"number": 4}')])
        return "in time"

    with pytest.raises(hw.DeadlineExceeded):
        go(program)


def test_a_call_that_somebody_cancels_is_raised(go):
    @hw.task
    async def gives_up() -> str:
        """Gives up."""
        inner = turn([double], [ask("double", '{"number": 4}')])
        inner.cancel()
        await inner
        return "never"

    with pytest.raises(hw.CallCancelled):
        go(turn, [tools.tool(gives_up)], [ask("gives_up", "")])


def test_cancelling_the_turn_stops_its_calls(go, clock):
    @hw.task
    async def program() -> str:
        running = turn([double], [ask("double", '{"number": 4}')])
        await hw.sleep(0.5)
        running.cancel()
        (end,) = await hw.settle(running)
        return type(end.error).__name__

    assert go(program) == "CallCancelled"
    assert clock.elapsed < 1


def test_what_is_finished_is_not_run_again(go):
    @hw.task
    async def program(stop: Annotated[list[int], hw.unkeyed]) -> list[Any]:
        shown = await tools.run_calls([double, halve], [ask("double", '{"number": 4}'), ask("halve", '{"number": -4}')])
        if stop:
            raise KeyboardInterrupt
        return [result.content for result in shown]

    with pytest.raises(hw.CallExited):
        go(program, [1])
    assert go(program, []) == ["8", "halve failed: ValueError: a number below zero can't be halved here"]
    assert RAN == [4, -4]


def test_a_failure_that_a_model_was_told_is_asked_for_again_only_on_demand(go, tmp_path):
    @hw.task(effect=True)
    async def pay(amount: int) -> str:
        """Pay."""
        RAN.append(amount)
        raise ConnectionError("the bank said nothing")

    offered = [tools.tool(pay)]

    faults = [ValueError("a fault of the program, mended before the next life")]

    @hw.task
    async def program() -> list[Any]:
        shown = await tools.run_calls(offered, [ask("pay", '{"amount": 5}')])
        for fault in faults:
            raise fault
        return [result.content for result in shown]

    with pytest.raises(ValueError, match="mended"):
        go(program)
    faults.clear()
    planned = hw.resume("run", store=tmp_path / "store", dry_run=True)
    assert [each.task for each in planned.reuse if "pay" in each.task]
    assert go(program) == ["pay failed: ConnectionError: the bank said nothing"]
    assert RAN == [5]
    hw.resume("run", store=tmp_path / "store", retry_failed=True)
    assert RAN == [5, 5]


def test_so_it_is_where_the_call_around_it_is_tried_again(go):
    @tools.tool
    async def pay(amount: int) -> str:
        """Pay."""
        RAN.append(amount)
        raise ConnectionError("the bank said nothing")

    @hw.task
    async def flaky() -> None:
        if hw.call().attempt and len(RAN) < 2:
            RAN.append("flaky")
            raise OSError("flaky")

    @hw.task(retry=hw.Retry(attempts=2, delay_s=0.0))
    async def program() -> list[Any]:
        shown = await tools.run_calls([pay], [ask("pay", '{"amount": 5}')])
        await flaky()
        return [result.content for result in shown]

    assert go(program) == ["pay failed: ConnectionError: the bank said nothing"]
    assert RAN == [5, "flaky"]


def test_what_a_budget_refused_is_asked_for_again(go):
    @hw.task(cost={"tokens": 100})
    async def dear() -> str:
        """Dear."""
        return "bought"

    offered = [tools.tool(dear)]

    @hw.task
    async def program() -> str:
        return str((await tools.run_calls(offered, [ask("dear", "")]))[0].content)

    with pytest.raises(hw.BudgetExceeded):
        go(program, budget={"tokens": 50})
    assert go(program, budget={"tokens": 500}) == "bought"


def test_tools_run_outside_of_a_run_too():
    calls = [ask("halve", '{"number": 4}'), ask("halve", '{"number": -4}'), ask("give", '{"what": "city"}')]
    shown = asyncio.run(tools.run_calls([halve, give], calls))
    assert [result.content for result in shown] == [
        "2.0",
        "halve failed: ValueError: a number below zero can't be halved here",
        '{"name":"Rome","people":3}',
    ]


def test_values_and_results_survive_the_journal(go):
    @hw.task
    async def program() -> list[tools.ToolResult]:
        return await tools.run_calls([give], [ask("give", '{"what": "city"}'), ask("give", '{"what": "image"}')])

    first = go(program)
    assert go(program) == first
    assert first[0].value == City("Rome", 3)
    assert msgspec.json.decode(first[0].content) == {"name": "Rome", "people": 3}
