"""What the code of a worker may not ask, in real processes: each is refused in a sentence that says what to do."""

from __future__ import annotations

import contextvars
import dataclasses
from typing import Any

import pytest
from bodies import double, in_pool
from test_real_workers import Fenced

import headway as hw

ONE = {"pools": {"process": 1}}


@hw.task
async def local_data() -> Any:
    @hw.register
    @dataclasses.dataclass
    class Found:
        x: int

    return Found(1)


async def asks_whether() -> Any:
    return bool(double(1))


async def waits_on_a_loop() -> Any:
    return hw.wait(double(1))


async def asks_too_late() -> Any:
    with hw.deadline(60):
        inside = contextvars.copy_context()
    return await inside.run(double, 1)


async def calls_what_nobody_knows() -> Any:
    @hw.task
    async def known_here_alone() -> int:
        return 1

    return await known_here_alone()


async def takes_what_only_its_maker_knows() -> Any:
    return await local_data()


REFUSED: dict[Any, str] = {
    asks_whether: "is a call, neither true nor false: write `await` before it",
    waits_on_a_loop: "runs on an event loop here: await it; hw.wait is for plain def tasks",
    asks_too_late: "asks from a block that it has left: make its calls inside of the block",
    calls_what_nobody_knows: "the driver can't tell which task that is: define it once, at the top level of a module",
    takes_what_only_its_maker_knows: "can't be sent to a worker process",
}


async def says(name: str) -> str:
    try:
        return f"went through: {await globals()[name]()!r}"
    except hw.UsageError as error:
        return str(error)


asked = in_pool(says, "process")


@pytest.mark.parametrize(("body", "said"), REFUSED.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_what_can_not_be_done_in_a_worker_is_said(go, body, said):
    found = go(asked, body.__name__, store=None, run_id=None, **ONE)
    assert said in found
    assert "\n" not in found


def tries_again() -> str:
    try:
        return str(hw.wait(double.options(retry=hw.Retry(attempts=2, on=OSError))(1)))
    except hw.UsageError as error:
        return str(error)


tries = in_pool(tries_again, "fenced")


def test_code_of_a_fenced_pool_may_not_say_what_the_driver_tries_again(go):
    found = go(tries, pools={"fenced": Fenced(1)})
    assert found.endswith("may not say what is tried again: its pool does not let it")
