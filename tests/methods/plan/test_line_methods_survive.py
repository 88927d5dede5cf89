"""Wherever a method is killed, it goes on: nothing recorded runs again, no effect is done twice, and its result is the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest
from planning import DONE, TOOLS, Speaks, pay
from test_compiler import household
from test_deps import far
from test_dta import told
from test_tura import PARTS, PLAN, SERVERS, Assistant

import headway as hw
from headway.journal.records import COSTED, Kind, Row, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.methods.graph import Add, Edit, Node, Trace, after
from headway.methods.plan import (
    HYBRID,
    Api,
    Platform,
    StepFailed,
    Why,
    deep_search,
    deps,
    divide_then_aggregate,
    last_result,
    task_matrix,
    tura,
)
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

PAYS: list[Any] = [[("pay", {"amount": 1}), ("pay", {"amount": 2}), ("fail", {"why": "x"})], [("pay", {"amount": 3})]]


@hw.task(name="survive.dta")
async def divided() -> Any:
    def speak(request: Any) -> Any:
        turn = sum(message.role == "assistant" for message in request.prompt)
        return PAYS[turn] if turn < len(PAYS) else " | ".join(told(request))

    model = Speaks(speak)
    made = await divide_then_aggregate("Go.", model, TOOLS)
    return made.answer, made.why, len(made.messages)


@hw.task(name="survive.tura")
async def asked() -> Any:
    made = await tura("A trip?", Assistant(PARTS, PLAN, PLAN, PLAN), SERVERS, latency_s=5.5)
    return made.answer, made.late, made.servers


@hw.task(name="survive.pay_for", effect=True)
async def pay_for(does: str, given: dict[str, Any]) -> str:
    DONE.append(f"pay {does} {hw.call().idempotency_key}")
    await hw.sleep(1)
    if does.startswith("fail"):
        raise StepFailed(does)
    return does


async def _plan(goal: str, trace: Trace[str], why: Why) -> AsyncIterator[Edit[str]]:
    if why.description:
        yield Add(Node("axe", "axe"))
    else:
        for id, does in (("iron", "iron"), ("wood", "fail wood"), ("stone", "stone")):
            yield Add(Node(id, does, after("wood") if id == "iron" else ()))


@hw.task(name="survive.deps")
async def reached() -> Any:
    ran = await deps("x", _plan, pay_for, predict=far, errors=StepFailed)
    return dict(ran.results), dict(ran.failures)


@hw.task(name="survive.matrix")
async def served() -> Any:
    model = Speaks(lambda request: "pay someone" if "Outline" in str(request.prompt[-1]) else "1. pay(5)\n2. pay(7)\njoin()")
    made = await task_matrix("Pay five and seven", model, Platform([Api(each) for each in TOOLS]), join=last_result)
    return made.answer, made.selected


@hw.task(name="survive.search")
async def searched() -> Any:
    def speak(request: Any) -> str:
        turn = request.prompt.count(HYBRID.found_end) - 1
        return ["\\boxed{3}", f"{HYBRID.begin}a;\nb", f"{HYBRID.begin}B;\nc"][(turn + 1) % 3]

    made = await deep_search("What?", Speaks(speak), lambda query: pay.task(len(query), query))
    return made.answer, made.rounds, made.text


PROGRAMS: list[Callable[..., Any]] = [household, divided, asked, reached, served, searched]


def _successes(rows: Iterable[Row]) -> Counter[str]:
    """How often the success of each call is recorded."""
    ends = [(row.key, decode_outcome(row.body)) for row in rows if row.kind & ~COSTED == Kind.OUTCOME]
    return Counter(key.hex() for key, end in ends if end.status == Status.OK)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_wherever_a_method_is_killed_it_goes_on_and_no_effect_is_done_twice(program):
    DONE.clear()
    whole = History(1, STEADY)
    undisturbed = whole.live(program)
    assert undisturbed.how == "returned", undisturbed.error
    size = len(whole.rows())
    effects = Counter(each for each in DONE if each.startswith("pay"))
    assert set(effects.values()) <= {1}
    for at in range(1, size, max(4, size // 6)):
        DONE.clear()
        history = History(1, STEADY)
        history.live(program, crash=Crash(at, "after"))
        last = history.live(program)
        assert last.value == undisturbed.value
        assert {each for each in DONE if each.startswith("pay")} <= set(effects)
        history.check(undisturbed.outcome)
        for life in history.lives:
            begun = {event.key for event in life.event_log if isinstance(event, hw.events.CallStarted)}
            assert not begun & _successes(life.before).keys(), "what was recorded ran again"
