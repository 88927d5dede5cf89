"""A wrong argument is refused where it is given, by its name and its value, with what is allowed."""

from __future__ import annotations

import functools
import math
from typing import Any

import pytest

import headway as hw

NAN = math.nan


async def double(x: int) -> int:
    return 2 * x


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": 5}, r"name=5\): expected a text"),
        ({"version": 5}, r"version=5\): expected a text"),
        ({"batch": "5"}, r"batch='5'\): expected a whole number"),
        ({"batch": 2.5}, r"batch=2.5\): expected a whole number"),
        ({"batch": 5, "batches": "2"}, r"batches='2'\): expected a whole number"),
        ({"batch": 5, "linger_s": NAN}, r"linger_s=nan\): expected a number of seconds"),
        ({"codec": "json"}, r"codec='json'\): expected 'typed' or 'pickle'"),
        ({"cache": "always"}, r"cache='always'\): expected 'run' or 'forever'"),
        ({"resources": [1]}, r"resources=\[1\]\): expected whole numbers by name"),
        ({"resources": {"gpu": math.inf}}, r"resources={'gpu': inf}: whole numbers"),
        ({"cost": {"tokens": "5"}}, r"cost={'tokens': '5'}\): expected amounts by unit"),
        ({"timeout": NAN}, r"timeout=nan is not a number of seconds"),
    ],
)
def test_an_option_of_a_task(options, said):
    with pytest.raises(hw.UsageError, match=said):
        hw.task(**options)(double)


def test_an_option_for_some_calls():
    with pytest.raises(hw.UsageError, match=r"double\.options\(resources=\[1\]\): expected whole numbers by name"):
        hw.task(double).options(resources=[1])  # type: ignore[arg-type]


INSIDE: dict[str, tuple[Any, str]] = {
    "sleep": (lambda: hw.sleep(NAN), r"hw\.sleep\(nan\): expected a number of seconds"),
    "wait_event": (lambda: hw.wait_event("a", timeout=NAN), r"hw\.wait_event\(timeout=nan\): expected a number of seconds"),
    "a text": (lambda: hw.wait_event("a", timeout="3"), r"hw\.wait_event\(timeout='3'\): expected a number of seconds"),  # type: ignore[arg-type]
    "a name": (lambda: hw.wait_event(5), r"hw\.wait_event\(name=5\): expected the name of a signal"),  # type: ignore[arg-type]
    "limit": (lambda: hw.limit(rate=math.inf), r"hw\.limit\(rate=inf, per_s=1\.0\): both must be finite"),
    "budget": (lambda: hw.budget(call=3), r"hw\.budget\(call=3\): did you mean 'calls'"),
    "map": (lambda: hw.map(5, [1]), r"hw\.map\(task=5\): expected a task"),  # type: ignore[arg-type]
    "items": (lambda: hw.map(hw.task(double), 3), r"hw\.map\(items=3\): expected a collection"),  # type: ignore[call-overload]
    "window": (lambda: hw.map(hw.task(double), [1], window="5"), r"hw\.map\(window='5'\): expected a whole number"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", INSIDE)
def test_what_a_program_asks(go, case):
    ask, said = INSIDE[case]

    @hw.task
    async def program() -> None:
        await ask()

    with pytest.raises(hw.UsageError, match=said):
        go(program)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"budget": {"call": 0}}, r"budget\(call=0\): did you mean 'calls'"),
        ({"budget": 5}, r"budget = 5: expected a dictionary"),
        ({"resources": [1]}, r"resources = \[1\]: expected a dictionary"),
    ],
)
def test_an_option_of_a_run(go, options, said):
    with pytest.raises(hw.UsageError, match=said):
        go(hw.task(double), 1, **options)


def test_the_name_of_a_signal(go, tmp_path):
    go(hw.task(double), 1)
    with pytest.raises(hw.UsageError, match=r"hw\.signal\(name=5\): expected the name of a signal"):
        hw.signal("run", 5, store=tmp_path / "store")  # type: ignore[arg-type]


@pytest.mark.parametrize("asked", ["30", 30])
def test_an_error_may_ask_for_its_rest_as_a_header_does(go, clock, asked):
    class Busy(Exception):
        retry_after_s = asked

    tries: list[int] = []

    @hw.task(retry=hw.Retry(attempts=2, delay_s=0))
    async def fetch() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise Busy
        return len(tries)

    @hw.task
    async def program() -> int:
        return await fetch()

    before = clock.elapsed
    assert go(program) == 2
    assert clock.elapsed - before == pytest.approx(30, abs=1)


async def _all_in_order_of_coming() -> Any:
    return [handle async for handle in hw.as_completed(double(1), double(2))]  # type: ignore[arg-type]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("join", "said"),
    [
        (_all_in_order_of_coming, r"hw\.as_completed takes calls of tasks, got coroutine double: .*@hw\.task"),
        (lambda: hw.map(double, [1, 2], ordered=False), r"hw\.map\(…, ordered=False\) takes calls of tasks, got coroutine double"),  # type: ignore[arg-type]
        (lambda: hw.map(len, ["a"]), r"hw\.map takes calls, got int"),  # type: ignore[arg-type]
    ],
)
def test_a_join_whose_order_is_recorded_refuses_coroutines_and_leaves_none_behind(go, join, said):
    @hw.task
    async def program() -> Any:
        return await join()

    with pytest.raises(hw.UsageError, match=said):
        go(program)


@pytest.mark.filterwarnings("error")
def test_a_map_of_a_plain_function_that_ends_early_leaves_no_coroutine_behind(go):
    @hw.task
    async def program() -> int:
        async for value in hw.map(double, [1, 2, 3]):  # type: ignore[arg-type]
            return value
        return 0

    assert go(program) == 2


@pytest.mark.parametrize("answer", [True, hw.Happened], ids=["True", "the class"])
@pytest.mark.parametrize("how", ["plain", "async"])
def test_a_verify_without_a_result_fails_the_call_and_the_effect_does_not_happen_again(go, answer, how):
    happened: list[int] = []

    def plain(x: int) -> Any:
        return answer

    async def verify(x: int) -> Any:
        return answer

    @hw.task(effect=True, verify=functools.partial(plain) if how == "plain" else verify, retry=hw.Retry(attempts=3, delay_s=0))
    async def pay(x: int) -> int:
        happened.append(x)
        raise ConnectionError("was it paid?")

    @hw.task
    async def program() -> int:
        return await pay(1)

    with pytest.raises(hw.UsageError, match=r"verify=.* returned .*return hw\.Happened\(result\)"):
        go(program)
    assert happened == [1]
