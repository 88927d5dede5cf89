"""Equal calls of `cache="forever"` tasks: a result belongs to all, a failure to the call that got it, in every life of a run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import headway as hw
from headway.errors import CycleError
from headway.journal.records import Kind, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.sim.config import STEADY
from headway.sim.history import History

RAN: list[Any] = []
KEYS: list[str] = []
DOWN: Counter[str] = Counter()  # how often a service is still down


@pytest.fixture(autouse=True)
def _fresh_world() -> Iterator[None]:
    for notes in (RAN, KEYS, DOWN):
        notes.clear()
    return


def run(program: Callable[..., Any], *args: Any) -> History:
    """One undisturbed life."""
    history = History(1, STEADY)
    history.live(program, *args)
    history.check()
    return history


def resumed(program: Callable[..., Any], whole: History, rows: int) -> Any:
    """What the program says when it goes on after a crash that left this many rows."""
    again = History(2, STEADY, store=whole.store.cut(whole.run_id, rows))
    again.universe.now = whole.universe.now + 60
    life = again.live(program)
    again.check()
    assert life.error is None, life.error
    return life.value


def is_told_again(program: Callable[..., Any], value: Any) -> History:
    """The program says `value`, and says so again wherever it dies, once all failures of calls are durable."""
    whole = run(program)
    assert whole.lives[0].value == value
    rows = whole.rows()
    ends = [(seq, decode_outcome(row.body)) for seq, row in enumerate(rows, 1) if row.kind & 15 == Kind.OUTCOME]
    failed = [seq for seq, end in ends if end.status == Status.ERROR]
    assert failed, "no call of this program fails"
    for left in range(failed[-1], len(rows)):
        assert resumed(program, whole, left) == value, f"after a crash at row {left} of {len(rows)}"
    return whole


async def told(call: hw.Handle[Any]) -> str:
    """What a program hears of a call: its value, or the class and the text of its error."""
    try:
        return f"value {await call}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@hw.task(cache="forever")
async def fetch(what: str) -> int:
    """Ask a service, which may be down."""
    RAN.append(what)
    await asyncio.sleep(1)
    if DOWN[what] > 0:
        DOWN[what] -= 1
        raise ConnectionError(f"{what} is down ({DOWN[what]} more times)")
    return len(what)


@hw.task
async def tick(n: int) -> int:
    return n


# --- the same failure again ------------------------------------------------------------------------------------------


@hw.task
async def asks_twice() -> list[str]:
    first = await told(fetch("service"))
    await tick(1)
    second = await told(fetch("service"))
    await tick(2)
    return [first, second]


def test_a_failure_that_was_told_stays_one_though_an_equal_call_succeeded_later():
    DOWN["service"] = 1
    is_told_again(asks_twice, ["ConnectionError: service is down (0 more times)", "value 7"])


@hw.task
async def asks_at_once() -> list[str]:
    calls = [fetch("service") for _ in range(3)]
    ends = [await told(call) for call in calls]
    await tick(1)
    return ends


def test_of_equal_calls_that_run_at_once_each_one_gets_its_own_failure():
    DOWN["service"] = 2
    down = "ConnectionError: service is down ({} more times)".format
    is_told_again(asks_at_once, [down(1), down(0), "value 7"])
    DOWN["service"] = 0
    RAN.clear()
    run(asks_at_once)
    assert RAN == ["service"]  # the others were answered


@hw.task
async def elsewhere() -> str:
    return await told(fetch("service"))


@hw.task
async def asks_from_two_places() -> list[str]:
    ends = [await elsewhere(), await told(fetch("service"))]
    await tick(1)
    return ends


def test_a_failure_belongs_to_the_place_that_asked():
    DOWN["service"] = 1
    is_told_again(asks_from_two_places, ["ConnectionError: service is down (0 more times)", "value 7"])


def test_a_failure_in_one_run_is_not_told_in_another():
    DOWN["service"] = 1
    history = run(elsewhere)
    beside = History(3, STEADY, store=history.store, run_id="beside")
    assert history.lives[0].value == "ConnectionError: service is down (0 more times)"
    assert beside.live(elsewhere).value == "value 7"
    beside.check()


@hw.task(retry=hw.Retry(attempts=2, delay_s=1, jitter=0))
async def insists() -> int:
    return await fetch("service")


@hw.task
async def asks_and_insists() -> list[Any]:
    first = await told(fetch("service"))
    return [first, await insists(), await tick(1)]


def test_an_attempt_after_a_failure_asks_again_and_its_success_is_told_again():
    DOWN["service"] = 2
    is_told_again(asks_and_insists, ["ConnectionError: service is down (1 more times)", 7, 1])


# --- bounds of one caller --------------------------------------------------------------------------------------------


@hw.task
async def hurried() -> str:
    with hw.deadline(seconds=0.2, raises=False):
        return f"value {await fetch('service')}"
    return "too late"


@hw.task
async def a_patient_one_and_a_hurried_one() -> list[str]:
    patient = fetch("service")
    return [await hurried(), str(await tick(0)), await told(patient), str(await tick(1))]


@hw.task
async def a_hurried_one_and_a_patient_one() -> list[str]:
    first = hurried()
    await asyncio.sleep(0.1)
    return [await told(fetch("service")), await first, str(await tick(1))]


@pytest.mark.parametrize("program", [a_patient_one_and_a_hurried_one, a_hurried_one_and_a_patient_one], ids=lambda task: task.name)
def test_nobody_hears_of_the_deadline_of_another(program):
    ends = is_told_again(program, run(program).lives[0].value).lives[0].value
    assert sum("value 7" in end for end in ends) == 1
    assert sum("too late" in end for end in ends) == 1


@hw.task(cache="forever", pool="thread")
def look_up(x: int) -> int:
    return x * 7


@hw.task
async def nothing_left() -> list[str]:
    with hw.deadline(seconds=0, raises=False):
        late = look_up(1)
    end = await told(look_up(1))
    return [end, type((await hw.settle(late))[0].error).__name__]


def test_a_call_under_no_deadline_is_not_handed_the_deadline_of_a_running_one():
    is_told_again(nothing_left, ["value 7", "DeadlineExceeded"])


@hw.task(cache="forever", cost={"tokens": 10})
async def priced(x: int) -> int:
    RAN.append(x)
    await asyncio.sleep(1)
    return x


@hw.task
async def poor(tokens: int) -> str:
    with hw.budget(tokens=tokens):
        return (await told(priced(1))).partition(":")[0]


@hw.task
async def poor_and_rich() -> list[str]:
    return [*await hw.gather(poor(5), poor(50), poor(6)), str(await tick(1))]


def test_nobody_hears_of_the_budget_of_another():
    whole = run(poor_and_rich)
    assert whole.lives[0].value == ["BudgetExceeded", "value 1", "value 1", "1"]  # it is there before the third one starts
    assert RAN == [1]
    rows = whole.rows()
    for left in range(len(rows)):
        ends = resumed(poor_and_rich, whole, left)
        assert ends[:2] == ["BudgetExceeded", "value 1"] or ends[0] == "value 1"  # where it was not told yet, it may be there


@hw.task
async def gives_up_and_another_goes_on() -> list[str]:
    first, second = fetch("service"), fetch("service")
    first.cancel("not needed")
    ends = [await told(second), await told(first)]
    await tick(1)
    return ends


def test_a_cancelled_call_takes_nothing_from_its_equals():
    whole = run(gives_up_and_another_goes_on)
    ends = whole.lives[0].value
    assert ends[0] == "value 7"
    assert ends[1].startswith("CallCancelled")
    assert [resumed(gives_up_and_another_goes_on, whole, left)[0] for left in range(len(whole.rows()))] == ["value 7"] * len(
        whole.rows()
    )


@hw.task(cache="forever", timeout=5)
async def slow_at_first(name: str) -> str:
    RAN.append(name)
    await asyncio.sleep(100 if len(RAN) == 1 else 1)
    return name


@hw.task
async def times_out_and_asks_again() -> list[str]:
    calls = [slow_at_first("s"), slow_at_first("s")]
    ends = [(await told(call)).partition(":")[0] for call in calls]
    await tick(1)
    return ends


def test_a_timeout_belongs_to_the_call_that_ran_out_of_time():
    is_told_again(times_out_and_asks_again, ["CallTimeout", "value s"])


# --- what is below a shared call -------------------------------------------------------------------------------------


@hw.task(cost={"tokens": 10})
async def page(n: int) -> int:
    RAN.append(n)
    await asyncio.sleep(1)
    return n


@hw.task(cache="forever")
async def book(pages: int) -> int:
    return sum([await page(n) for n in range(pages)])


@hw.task
async def reader(tokens: int) -> str:
    with hw.budget(tokens=tokens):
        return (await told(book(4))).partition(":")[0]


@hw.task
async def reads_with_little_and_with_much() -> list[str]:
    return [await reader(25), await reader(100), str(await tick(1))]


def test_what_a_child_was_refused_for_one_caller_is_not_refused_to_the_next():
    is_told_again(reads_with_little_and_with_much, ["BudgetExceeded", "value 6", "1"])
    assert RAN[:4] == [0, 1, 2, 3]  # the next one kept what was read


@hw.task
async def hurried_reader() -> str:
    with hw.deadline(seconds=2.5, raises=False):
        return f"value {await book(4)}"
    return "too late"


@hw.task
async def reads_in_a_hurry_and_at_leisure() -> list[str]:
    return [await hurried_reader(), await told(book(4)), str(await tick(1))]


def test_what_a_deadline_cut_short_goes_on_for_the_next():
    is_told_again(reads_in_a_hurry_and_at_leisure, ["too late", "value 6", "1"])
    assert RAN[:5] == [0, 1, 2, 2, 3]


@hw.task
async def die(name: str) -> int:
    RAN.append(name)
    return min(len(RAN), 3)


@hw.task(cache="forever")
async def wants_luck(name: str) -> int:
    rolled = await die(name)
    if rolled < 3:
        raise ValueError(f"rolled {rolled}")
    return rolled


@hw.task
async def rolls_until_it_is_lucky() -> list[str]:
    return [await told(wants_luck("d")) for _ in range(4)]


def test_after_one_that_failed_by_itself_the_next_asks_what_is_below_afresh():
    is_told_again(rolls_until_it_is_lucky, ["ValueError: rolled 1", "ValueError: rolled 2", "value 3", "value 3"])
    assert RAN[:3] == ["d"] * 3


@hw.task(cache="forever")
async def hurries_itself(name: str) -> int:
    with hw.deadline(seconds=100):
        return await fetch(name) + int(hw.remaining("tokens"))


@hw.task
async def with_tokens(tokens: int) -> str:
    with hw.budget(tokens=tokens):
        return await told(hurries_itself("service"))


@hw.task
async def asks_with_this_and_that() -> list[str]:
    first = await with_tokens(100)
    await hw.sleep(200)
    return [first, await with_tokens(200), str(await tick(1))]


def test_what_a_shared_call_was_told_is_no_answer_for_the_next_one_that_runs():
    DOWN["service"] = 1
    is_told_again(asks_with_this_and_that, ["ConnectionError: service is down (0 more times)", "value 207", "1"])


@hw.task
async def counted(what: str, x: int) -> int:
    RAN.append(what)
    return x + 1


@hw.task(cache="forever")
async def judged(name: str) -> int:
    found = await counted("second", hw.ref(counted("first", 1)))
    await asyncio.sleep(5)
    if DOWN[name] > 0:
        DOWN[name] -= 1
        raise ValueError(f"not {found}")
    return found


@hw.task(retry=hw.Retry(attempts=3, delay_s=0.1, jitter=0))
async def judges_again() -> int:
    return await judged("s")


@hw.task
async def two_judges() -> list[int]:
    first = judges_again()
    await asyncio.sleep(0.5)
    return [await judged("s"), await first]


def test_what_a_call_has_done_outlives_a_crash_and_the_failure_of_an_equal_one():
    DOWN["s"] = 1
    whole = run(two_judges)
    assert whole.lives[0].value == [3, 3]
    ends = [decode_outcome(row.body) if row.kind & 15 == Kind.OUTCOME else None for row in whole.rows()]
    done = [seq for seq, end in enumerate(ends, 1) if end is not None and end.label.startswith("'second'") and end.started]
    assert len(done) == 2  # of the first judge, and of the second who went on when that one had failed
    DOWN["s"] = 1
    RAN.clear()
    assert resumed(two_judges, whole, done[1]) == [3, 3]
    assert RAN == []  # the first judge, who comes first and fails again, is answered; the second has done all of it before


# --- what an answer is -----------------------------------------------------------------------------------------------


@hw.task(cache="forever", cost={"tokens": 10})
async def listed(x: int) -> list[int]:
    await asyncio.sleep(1)
    return [x]


@hw.task
async def pays_once() -> tuple[list[float], float, list[list[int]]]:
    with hw.budget(tokens=100) as budget:
        calls = [listed(1) for _ in range(3)]
        values = [await call for call in calls]
        values[0].append(2)
        return [call.cost.get("tokens", 0.0) for call in calls], budget.spent["tokens"], values


def test_an_answer_costs_nothing_and_is_nobody_elses_object():
    whole = run(pays_once)
    costs, spent, values = whole.lives[0].value
    assert (sum(costs), spent) == (10.0, 10.0)
    assert values == [[1, 2], [1], [1]]
    for left in range(len(whole.rows())):
        costs, spent, values = resumed(pays_once, whole, left)
        assert spent == 10.0 or left == len(whole.rows()) - 1 or sum(costs) == spent
        assert values == [[1, 2], [1], [1]]


def test_each_of_equal_calls_has_a_row_of_its_own_and_one_of_them_ran():
    whole = run(asks_at_once)
    ends = {row.key: decode_outcome(row.body) for row in whole.rows() if row.kind & 15 == Kind.OUTCOME}
    shared = [end for end in ends.values() if end.shared]
    assert len(shared) == 3
    assert len({end.shared for end in shared}) == 1
    assert sum(end.started > 0 for end in shared) == 1


@hw.task(cache="forever", effect=True)
async def pay(whom: str) -> str:
    KEYS.append(hw.call().idempotency_key)
    await asyncio.sleep(1)
    if DOWN[whom] > 0:
        DOWN[whom] -= 1
        raise ConnectionError("no answer")
    return whom


@hw.task
async def pays_the_same() -> list[str]:
    return [await told(call) for call in (pay("her"), pay("her"))]


def test_equal_effects_have_one_idempotency_key():
    DOWN["her"] = 1
    is_told_again(pays_the_same, ["ConnectionError: no answer", "value her"])
    assert len(KEYS) >= 2
    assert len(set(KEYS)) == 1


@hw.task
async def doubled(n: int) -> int:
    return 2 * n


@hw.task(cache="forever")
async def summed(a: int, b: int) -> int:
    RAN.append((a, b))
    return a + b


@hw.task
async def passes_handles() -> list[str]:
    ends = []
    for _ in range(2):
        length = fetch("service")
        ends.append((await told(summed(hw.ref(length), hw.ref(doubled(1))))).partition(":")[0])
        await hw.settle(length)
    await tick(1)
    return ends


def test_a_shared_call_whose_input_failed_for_one_caller_runs_for_the_next():
    DOWN["service"] = 1
    is_told_again(passes_handles, ["InputFailed", "value 9"])
    assert set(RAN) == {"service", (7, 2)}


# --- sources that change ----------------------------------------------------------------------------------------------


@hw.task(on_change="rerun")
async def edition(name: str) -> bytes:
    RAN.append(name)
    return edition.spec.version


@hw.task(cache="forever")
async def printed(name: str) -> bytes:
    return await edition(name)


@hw.task
async def two_read_it() -> list[bytes]:
    found = await hw.gather(printed("a"), printed("a"))
    await tick(1)
    return found


def test_a_shared_result_whose_source_changed_is_computed_again_once_for_all():
    edition.spec._version[:] = [b"one"]
    whole = run(two_read_it)
    assert whole.lives[0].value == [b"one", b"one"]
    edition.spec._version[:] = [b"two"]
    RAN.clear()
    again = History(2, STEADY, store=whole.store.cut(whole.run_id, len(whole.rows()) - 1))
    assert again.live(two_read_it).value == [b"two", b"two"]
    assert RAN == ["a"]


@hw.task
async def dated(name: str) -> bytes:
    RAN.append(name)
    return dated.spec.version


@hw.task(cache="forever")
async def copied(name: str) -> bytes:
    return await dated(name)


@hw.task
async def around(name: str) -> bytes:
    return await copied(name)


@hw.task
async def two_copies() -> list[bytes]:
    found = [await copied("a"), await around("a")]
    await tick(1)
    return found


def test_a_task_to_rerun_below_a_shared_call_runs_again_for_all_that_were_answered():
    dated.spec._version[:] = [b"one"]
    whole = run(two_copies)
    assert whole.lives[0].value == [b"one", b"one"]
    dated.spec._version[:] = [b"two"]
    RAN.clear()
    for rows in (len(whole.rows()) - 1, len(whole.rows())):
        again = History(2, STEADY, store=whole.store.cut(whole.run_id, rows))
        assert again.live(two_copies, on_change={"dated": "rerun"}).value == [b"two", b"two"]
    assert RAN == ["a", "a"]


# --- circles ---------------------------------------------------------------------------------------------------------


@hw.task(cache="forever")
async def needs_itself(n: int) -> int:
    return await needs_itself(n)


@hw.task(cache="forever")
async def needs_the_other(n: int) -> int:
    await asyncio.sleep(1)
    return await needs_the_other(1 - n)


@hw.task
async def goes_in_circles() -> list[str]:
    first = await told(needs_itself(1))
    return [first, *[await told(call) for call in (needs_the_other(0), needs_the_other(1))]]


def test_a_shared_call_that_needs_its_own_result_is_refused_instead_of_waiting_for_ever():
    ends = run(goes_in_circles).lives[0].value
    assert all(end.startswith("CycleError") for end in ends), ends
    assert "needs_itself(1) asks for what" in ends[0]


def test_a_cycle_error_is_one_of_usage():
    assert issubclass(CycleError, hw.UsageError)
