"""Functions that users give to the runtime: looked at when they are given, and one that fails fails its call and nothing else."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import Any

import pytest
from notes import RAN

import headway as hw


async def asynchronous(*args: Any) -> bool:
    return True


class Asynchronous:
    async def __call__(self, *args: Any) -> bool:
        return True


ASYNC = [asynchronous, functools.partial(asynchronous), Asynchronous(), Asynchronous().__call__]


def leave(*args: Any) -> Any:
    raise SystemExit(3)


class Undecided:
    def __bool__(self) -> bool:
        raise RuntimeError("neither")


@hw.task
async def work(x: Any) -> Any:
    RAN.append(x)
    return x


# --- Retry(on=…) -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on", [ConnectionError, [ConnectionError], {ConnectionError, KeyError}])
def test_retry_takes_a_class_or_several(go, on):
    @hw.task(retry=hw.Retry(attempts=3, delay_s=0, on=on))
    async def fails(error: str) -> None:
        RAN.append(error)
        raise ValueError if error == "value" else ConnectionResetError

    @hw.task
    async def program() -> None:
        await hw.settle(fails("value"), fails("connection"))

    go(program)
    assert RAN.count("value") == 1
    assert RAN.count("connection") == 3


@pytest.mark.parametrize("on", [*ASYNC, 5, "ValueError", ValueError(), (int,), ("x",)])
def test_retry_refuses_what_cannot_decide(on):
    with pytest.raises(hw.UsageError, match=r"Retry\(on"):
        hw.Retry(on=on)


@pytest.mark.parametrize("asks", [lambda error: error.status == 503, leave, lambda error: Undecided(), lambda: True, asynchronous])
def test_a_predicate_that_fails_fails_its_call_and_its_siblings_go_on(go, asks):
    @hw.task(retry=hw.Retry(attempts=3, delay_s=0, on=lambda *error: asks(*error)))
    async def fails() -> None:
        RAN.append("fails")
        raise ValueError("has no status")

    @hw.task
    async def program() -> list[Any]:
        failed, worked = await hw.settle(fails(), work(1))
        return [type(failed.error).__name__, str(failed.error), failed.error.__cause__ is not None, worked.value]

    kind, text, caused, value = go(program)
    assert (kind, value) == ("UsageError", 1)
    assert "Retry(on=" in text
    assert caused == (asks is not asynchronous)
    assert RAN.count("fails") == 1


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_how_long_an_error_asks_to_be_left_alone_may_fail(go, error):
    class Odd(Exception):
        @property
        def retry_after_s(self) -> float:
            raise error("who knows")

    @hw.task(retry=hw.Retry(attempts=2, delay_s=1))
    async def fails() -> None:
        RAN.append("fails")
        raise Odd

    @hw.task
    async def program() -> str:
        (end,) = await hw.settle(fails())
        return type(end.error).__name__

    assert go(program) == "Odd"
    assert RAN == ["fails"] * 2


# --- race(accept=…) --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [*ASYNC, 5])
def test_a_race_refuses_what_cannot_accept(go, accept):
    @hw.task
    async def program() -> None:
        await hw.race(work(1), accept=accept)

    with pytest.raises(hw.UsageError, match=r"hw.race\(accept"):
        go(program)


@pytest.mark.parametrize("loose", [False, True])
@pytest.mark.parametrize("accepts", [asynchronous, leave, lambda value: Undecided()])
def test_an_accept_that_fails_fails_the_race_and_not_the_run(go, accepts, loose):
    async def plain(x: int) -> int:
        return x

    @hw.task
    async def program() -> str:
        contestants = [plain(1), plain(2)] if loose else [work(1), work(2)]
        try:
            await hw.race(*contestants, accept=lambda value: accepts(value))
        except (Exception, SystemExit) as error:
            return f"{type(error).__name__} {await work(3)}"
        return "somebody won"

    assert go(program) in ("UsageError 3", "SystemExit 3", "RuntimeError 3")


# --- key=, verify=, labels, events -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ASYNC)
def test_a_key_that_has_to_be_awaited_is_refused(key):
    with pytest.raises(hw.UsageError, match=r"key=.* is async"):
        hw.task(key=key)(lambda x: x)
    with pytest.raises(hw.UsageError, match=r"key=.* is async"):
        work.options(key=key)


@pytest.mark.parametrize("key", [lambda x: x["missing"], leave])
def test_a_key_that_fails_fails_the_call_where_it_is_made(go, key):
    @hw.task(key=key)
    async def named(x: dict[str, int]) -> int:
        return 1

    @hw.task
    async def program() -> str:
        try:
            await named({})
        except hw.UsageError as error:
            return f"{error} {await work(3)}"
        return "no error"

    assert re.fullmatch(r"task \S+named: key=\S+ failed: (KeyError|SystemExit): .* 3", go(program))


class Verifies:
    async def __call__(self, x: int) -> hw.Happened:
        return hw.Happened(x + 100)


def comes_to_an_end(x: int) -> Any:
    raise StopIteration(x)


@pytest.mark.parametrize(
    ("verify", "expected"),
    [(Verifies(), 101), (lambda x: Verifies()(x), 101), (comes_to_an_end, "RuntimeError"), (leave, "CallExited")],
)
def test_a_verify_of_any_kind_is_awaited_or_fails_its_call(go, verify, expected):
    @hw.task(effect=True, verify=verify, retry=hw.Retry(attempts=2, delay_s=0, on=OSError))
    async def pay(x: int) -> int:
        RAN.append("paid")
        raise OSError("down")

    @hw.task
    async def program() -> Any:
        (end,) = await hw.settle(pay(1))
        return end.value if end.ok else type(end.error).__name__

    assert go(program) == expected
    assert RAN == ["paid"]


@dataclasses.dataclass
class Labelled:
    how: str

    def __headway_label__(self) -> Any:
        if self.how == "exits":
            raise SystemExit(3)
        return {"surrogate": "\ud800", "number": 5, "none": None}[self.how]


@pytest.mark.parametrize("how", ["exits", "surrogate", "number", "none"])
def test_a_label_of_any_kind_is_never_worth_a_call(go, how):
    @hw.task
    async def show(x: Labelled) -> int:
        return 1

    @hw.task
    async def program() -> int:
        return await show(Labelled(how))

    assert go(program) == 1


@pytest.mark.parametrize("label", [leave, lambda x: "\ud800", lambda x: Undecided(), lambda x: None, "{x.missing}"])
def test_a_function_that_makes_labels_is_never_worth_a_call(go, label):
    @hw.task(label=label)
    async def show(x: int) -> int:
        return x

    @hw.task
    async def program() -> int:
        return await show(5)

    assert go(program) == 5


@pytest.mark.parametrize("label", ASYNC)
def test_a_label_that_has_to_be_awaited_is_refused(label):
    with pytest.raises(hw.UsageError, match="label="):
        hw.task(label=label)(lambda x: x)


@pytest.mark.parametrize("events", [*ASYNC, 5])
def test_a_sink_that_has_to_be_awaited_is_refused(events):
    with pytest.raises(hw.UsageError, match="events"):
        hw.run(work, 1, store=None, progress=False, events=events)


# --- what functions return -------------------------------------------------------------------------------------------


class Endless(list[int]):
    def __len__(self) -> int:
        raise SystemExit(3)

    def __iter__(self) -> Any:
        raise RuntimeError("no items")


def test_a_batch_that_returns_a_list_of_its_own_kind_fails_its_calls(go):
    @hw.task(batch=2, linger_s=0.001)
    async def batched(items: list[int]) -> list[int]:
        return Endless()

    @hw.task
    async def program() -> list[str]:
        ends = await hw.settle(batched(1), batched(2), work(3))
        return [type(end.error).__name__ for end in ends]

    assert go(program) == ["RuntimeError", "RuntimeError", "NoneType"]


@hw.register
@dataclasses.dataclass
class Shy:
    name: str = "shy"

    def __getattribute__(self, name: str) -> Any:
        if name == "name":
            raise KeyboardInterrupt
        return object.__getattribute__(self, name)


def test_a_result_that_raises_when_it_is_looked_at_fails_its_call(go):
    @hw.task
    async def gives() -> Shy:
        return Shy()

    @hw.task
    async def program() -> str:
        (end, _) = await hw.settle(gives(), work(1))
        return type(end.error).__name__

    assert go(program) == "NotEncodable"
