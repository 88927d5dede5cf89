"""A call of a model: found again, paid, retried, stopped, and refused where it makes no sense."""

from __future__ import annotations

import asyncio

import pytest
from questions import QUESTION, Breaks, unavailable
from standins import StandInBatchModel, StandInModel

import headway as hw
from headway import models
from headway.models.ask import PATIENT
from headway.models.requests import make_request
from headway.observe.reading import read_run


def test_a_call_is_found_again_and_the_model_not_asked_twice(go):
    model = StandInModel()

    @hw.task
    async def program() -> models.Reply:
        return await models.sample(model, QUESTION, n=2, logprobs=True)

    first = go(program)
    assert go(program) == first
    assert len(model.asked) == 1
    assert first.text == " blue sky the is why"
    assert (first.prompt_tokens, first.tokens, first.samples[1].logprob) == (5, 15, -2.5)


def test_a_call_is_named_by_the_model_s_name_and_not_by_where_it_is(go):
    asked: list[models.Request] = []

    @hw.task
    async def program(fail: bool) -> str:
        model = StandInModel()  # another object each time
        model.asked = asked
        reply = await models.sample(model, QUESTION)
        if len(asked) < 2 and fail:
            raise LookupError("after the call")
        return reply.text

    with pytest.raises(LookupError):
        go(program, True)
    asked.append(asked[0])
    assert go(program, True) == " blue sky the is why"
    assert len(asked) == 2


def test_it_costs_what_was_read_and_written(go):
    model = StandInModel(price=models.Price(read=1_000_000, written=2_000_000))

    @hw.task
    async def program() -> tuple[dict[str, float], dict[str, float]]:
        with hw.budget(tokens=1000, money=1000) as spent:
            call = models.sample(model, QUESTION, n=2, max_tokens=7)
            await call
        return spent.spent, call.cost

    assert go(program) == ({"tokens": 15, "money": 25}, {"tokens": 15, "money": 25})


def test_a_budget_that_could_be_overdrawn_refuses_before_the_model_is_asked(go):
    model = StandInModel()

    @hw.task
    async def program(tokens: int) -> str:
        with hw.budget(tokens=tokens):
            return (await models.sample(model, QUESTION, n=2, max_tokens=10)).text

    with pytest.raises(hw.BudgetExceeded, match="tokens"):
        go(program, 24, run_id="poor")
    assert not model.asked
    assert go(program, 25, run_id="rich")


def test_parallel_calls_never_pass_the_same_stale_check(go):
    model = StandInModel()

    @hw.task
    async def program() -> list[bool]:
        with hw.budget(tokens=40):
            return [one.ok for one in await hw.settle(*(models.sample(model, QUESTION, max_tokens=10, seed=i) for i in range(4)))]

    assert go(program) == [True, True, False, False]
    assert len(model.asked) == 2


def test_under_a_bound_of_money_a_model_without_a_price_is_refused(go):
    unknown, free = StandInModel("unknown", price=None), StandInModel("free")

    @hw.task
    async def program(model_name: str, money: float) -> dict[str, float]:
        with hw.budget(money=money) as spent:
            await models.sample(free if model_name == "free" else unknown, QUESTION)
        return spent.spent

    with pytest.raises(hw.UsageError, match="unknown has no price"):
        go(program, "unknown", 1.0, run_id="unknown")
    assert go(program, "free", 0.0, run_id="free")["money"] == 0
    assert not unknown.asked


def test_what_deserves_it_is_tried_again_after_as_long_as_the_server_asks(go, clock):
    model = StandInModel()
    model.failures = [unavailable(after_s=100), unavailable()]

    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(tokens=100, calls=10) as spent:
            await models.sample(model, QUESTION, max_tokens=10)
        return spent.spent

    assert go(program) == {"tokens": 10, "calls": 3, "money": 0}  # what failed cost nothing
    assert 100 <= clock.elapsed < 103


def test_a_refusal_is_not_tried_again_and_costs_nothing(go):
    model = StandInModel()
    model.failures = [hw.ModelError("400: no such thing")]

    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(tokens=100) as spent, pytest.raises(hw.ModelError, match="no such thing"):
            await models.sample(model, QUESTION, max_tokens=10)
        return spent.spent

    assert go(program) == {"tokens": 0, "money": 0}
    assert len(model.asked) == 1


def test_attempts_end(go):
    model = StandInModel()
    model.failures = [unavailable(f"busy {at}") for at in range(20)]

    @hw.task
    async def program() -> models.Reply:
        return await models.sample(model, QUESTION)

    with pytest.raises(hw.ModelUnavailable, match="busy 5"):
        go(program)
    assert len(model.asked) == PATIENT.attempts


def test_an_attempt_that_may_have_been_worked_on_is_booked_as_if_it_had(go):
    model = StandInModel()
    model.failures = [unavailable("silence", may_have_cost=True)]

    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(tokens=100) as spent:
            await models.sample(model, QUESTION, max_tokens=10)
        return spent.spent

    assert go(program) == {"tokens": (5 + 10) + (5 + 5), "assumed_tokens": 5 + 10, "money": 0}


def test_an_attempt_that_broke_off_is_booked_at_what_was_counted(go):
    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(tokens=1000) as spent, pytest.raises(hw.ModelUnavailable, match="broken off"):
            await models.sample(Breaks(), QUESTION, max_tokens=10)
        return spent.spent

    assert go(program)["tokens"] == PATIENT.attempts * (5 + 1)


def test_a_call_that_loses_a_race_stops_the_model_and_costs_what_was_made(go):
    slow, fast = StandInModel("slow", pause_s=1.0), StandInModel("fast", pause_s=0.7)

    @hw.task
    async def program() -> tuple[str, dict[str, float]]:
        loser = models.sample(slow, QUESTION, n=2, max_tokens=10)
        winner = await hw.race(loser, models.sample(fast, "a b c"))
        return winner.model, loser.cost

    assert go(program) == ("fast", {"tokens": 5 + 2 * 2, "money": 0})  # two turns of two samples, at 2.1 s
    assert (slow.stopped, slow.now, fast.stopped) == (1, 0, 0)


def test_a_call_that_is_stopped_before_it_began_costs_nothing(go):
    one, batch = StandInModel(), StandInBatchModel()

    @hw.task
    async def program() -> list[dict[str, float]]:
        with hw.budget(tokens=1000, money=1) as spent:
            calls = [models.sample(model, QUESTION) for model in (one, batch)]
            for call in calls:
                call.cancel()
            await hw.settle(*calls)
        return [spent.spent, *(call.cost for call in calls)]

    spent, *costs = go(program)
    assert spent == {"tokens": 0, "money": 0}
    assert all(sum(cost.values()) == 0 for cost in costs)
    assert not one.asked
    assert not batch.batches


def test_what_is_no_price_is_refused_instead_of_not_counted():
    with pytest.raises(hw.UsageError, match=r"stand-in has price=\(1.0, 4.0\): write models.Price"):
        models.sample(StandInModel(price=(1.0, 4.0)), "a")


def test_a_model_is_an_argument_of_tasks_and_known_by_its_name(go):
    @hw.task
    async def ask(model: models.Model, prompt: str) -> str:
        return (await models.sample(model, prompt)).text

    @hw.task
    async def program() -> bool:
        return ask(StandInModel(), "a b").key != ask(StandInModel("else"), "a b").key

    assert go(program)


def test_a_label_says_who_was_asked_what(go, tmp_path):
    @hw.task
    async def program() -> None:
        await models.sample(StandInModel(), "the end of a prompt says what is asked: 12+30=", n=3)

    go(program)
    with hw.SqliteStore(tmp_path / "store") as store:
        recorded = read_run(store, "run")
    (label,) = [call.label for call in recorded.calls.values() if call.task == "models.sample"]
    assert label == "stand-in, '… says what is asked: 12+30=', n=3" or label.endswith("is asked: 12+30=', n=3")


def test_no_schedule_and_no_crash_breaks_a_promise(headway_check):
    one, batch = StandInModel(), StandInBatchModel(says_size=False)

    @hw.task
    async def program() -> list[str]:
        with hw.budget(tokens=1000):
            replies = await hw.gather(*(models.sample(model, f"q {at}", max_tokens=5) for at in range(4) for model in (one, batch)))
            winner = await hw.race(*(models.sample(one, "x y z", max_tokens=5, seed=at) for at in range(3)))
            pieces = [piece.text async for piece in models.stream(one, "a b c")]
        return [*(reply.text for reply in replies), winner.text, "".join(pieces)]

    headway_check(program, schedules=8)


def test_outside_of_a_run_a_call_is_just_the_request():
    async def outside() -> list[str]:
        one = models.limit_model(StandInModel(), 1)
        pieces = [piece.text for model in (StandInModel(), one) async for piece in models.stream(model, "a b")]
        replies = [await models.sample(StandInModel(), "a b"), await models.sample(StandInBatchModel(), "a b")]
        return [*pieces, *(reply.text for reply in replies)]

    assert asyncio.run(outside()) == [" b", " a", "", "", " b", " a", "", "", " b a", "A B 1"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": 0}, "n=0: a whole number, at least 1"),
        ({"max_tokens": 1.5}, "max_tokens=1.5"),
        ({"seed": -1}, "seed=-1"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"temperature": float("inf")}, "temperature=inf"),
        ({"max_tokens": 2**70}, "max_tokens above 9223372036854775807"),
        ({"stop": ["fine", "\udc80"]}, r"stop=\('fine', '\\udc80'\): a half of a character"),
        ({"top_p": 0}, "top_p=0"),
        ({"stop": ("",)}, "stop="),
        ({"stop": 5}, "stop="),
        ({"best_of": 3}, "no best_of; it has n, max_tokens"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_at_the_call(options, said):
    with pytest.raises(hw.UsageError, match=said):
        models.sample(StandInModel(), "a", **options)


def test_no_stop_text_may_be_said_as_none():
    assert make_request("a", stop=None) == make_request("a", stop=[]) == make_request("a")
    assert make_request("a", stop="b") == make_request("a", stop=["b"]) == make_request("a", stop=("b",))


@pytest.mark.parametrize("prompt", [3, [], [{"role": "robot", "content": "x"}], [{"role": "user"}]])
def test_a_prompt_is_text_or_messages(prompt):
    with pytest.raises(hw.UsageError, match=r"prompt|message"):
        models.sample(StandInModel(), prompt)


@pytest.mark.parametrize("prompt", ["half of \ud83d", [models.Message("user", "half of \ud83d")]])
def test_a_prompt_with_half_of_a_character_is_refused_at_the_call(prompt):
    """Also by a model that counts its tokens itself."""
    with pytest.raises(hw.UsageError, match="a request with prompt: a half of a character"):
        models.sample(StandInModel(), prompt)


def test_what_is_no_model_is_refused():
    with pytest.raises(hw.UsageError, match="is no model"):
        models.sample(object(), "a")  # type: ignore[arg-type]
