"""A call of a model is a task: named, journaled, paid, retried, stopped. The models are stand-ins, the runtime is the real one."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing

import pytest
from standins import StandInBatchModel, StandInModel

import headway as hw
from headway import models
from headway.models.ask import PATIENT
from headway.models.base import Piece
from headway.models.requests import make_request, prompt_bound
from headway.models.streaming import _Heard
from headway.observe.recorded import read_run

QUESTION = "why is the sky blue"  # five words, five tokens


def unavailable(text: str = "busy", *, after_s: float = 0.0, may_have_cost: bool = False) -> hw.ModelUnavailable:
    error = hw.ModelUnavailable(text)
    error.retry_after_s, error.may_have_cost = after_s, may_have_cost
    return error


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


class Breaks(StandInModel):
    """Breaks off after the first piece, in the middle of work that the server may go on with."""

    async def stream(self, request):
        async with aclosing(super().stream(request)) as pieces:
            async for piece in pieces:
                yield piece
                raise unavailable("broken off", may_have_cost=True)


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


def test_concurrent_requests_to_a_batch_model_are_answered_together_and_paid_apart(go):
    one, other = StandInBatchModel("one"), StandInBatchModel("other")

    @hw.task
    async def program() -> list[tuple[str, float]]:
        calls = [models.sample(model, prompt) for prompt in ("a", "b c", "d e f") for model in (one, other)]
        await hw.gather(*calls)
        return [((await call).text, call.cost["tokens"]) for call in calls]

    told = go(program)
    assert told == [("A 3", 3), ("A 3", 3), ("B C 3", 5), ("B C 3", 5), ("D E F 3", 7), ("D E F 3", 7)]
    assert one.batches == other.batches == [["a", "b c", "d e f"]]
    assert go(program) == told
    assert len(one.batches) == 1


def test_a_batch_model_has_the_processors_for_itself():
    model = StandInBatchModel()

    @hw.task
    async def program() -> None:
        await hw.gather(*(models.sample(model, f"{number}") for number in range(500)))

    hw.run(program, store=None)
    assert model.most == 1
    assert max(map(len, model.batches)) == 64


def test_calls_with_different_bounds_share_a_batch(go):
    model = StandInBatchModel()

    @hw.task
    async def program() -> None:
        await hw.gather(*(models.sample(model, "a", max_tokens=bound) for bound in (1, 10, 100)))

    go(program)
    assert [len(batch) for batch in model.batches] == [3]


def test_a_bad_request_fails_alone(go):
    model = StandInBatchModel()

    @hw.task
    async def program() -> list[str]:
        calls = [models.sample(model, prompt) for prompt in ("a", "bad", "c")]
        ends = await hw.settle(*calls)
        assert [call.cost["tokens"] for call in calls] == [3, 0, 3]
        return [one.value.text if one.value else str(one.error) for one in ends]

    assert go(program) == ["A 1", "no token for 'bad'", "C 1"]


def test_models_of_one_name_are_asked_each_for_itself(go):
    one, other = StandInBatchModel("same"), StandInBatchModel("same")

    @hw.task
    async def program() -> None:
        await hw.gather(*(models.sample(model, prompt) for model in (one, other) for prompt in ("a", "b")))

    go(program)
    assert one.batches == other.batches == [["a", "b"]]


def test_a_batch_model_that_could_not_be_had_is_asked_again(go):
    class Busy(StandInBatchModel):
        def sample_batch(self, requests, stopping):
            if not self.batches:
                self.batches.append([])
                raise unavailable(after_s=100)
            return super().sample_batch(requests, stopping)

    model = Busy()

    @hw.task
    async def program() -> str:
        return (await models.sample(model, "a b")).text

    assert go(program) == "A B 1"
    assert model.batches == [[], ["a b"]]


@pytest.mark.parametrize(("answers", "said"), [(lambda replies: replies[1:], "1 replies"), (lambda replies: None, "a NoneType")])
def test_a_batch_model_that_does_not_answer_all_is_told_so(go, answers, said):
    class Forgetful(StandInBatchModel):
        def sample_batch(self, requests, stopping):
            return answers(super().sample_batch(requests, stopping))

    @hw.task
    async def program() -> list[str]:
        model = Forgetful()
        return [str(end.error) for end in await hw.settle(models.sample(model, "a"), models.sample(model, "b"))]

    wrong = f"stand-in-batch: sample_batch got 2 requests and returned {said}; it must return a list of as many replies"
    assert go(program) == [wrong] * 2


def test_a_model_that_streams_a_sample_that_nobody_asked_for_is_told_so(go):
    class Generous(StandInModel):
        async def stream(self, request):
            yield Piece("more", request.n, "stop")

    @hw.task
    async def program() -> str:
        return (await models.sample(Generous(), "a", n=2)).text

    with pytest.raises(hw.UsageError, match="a piece of sample 2, but 2 were asked for, from 0 on"):
        go(program)


@pytest.mark.parametrize(
    ("streamed", "said"),
    [
        ("a piece", "the model streams 'a piece': yield models.Piece"),
        (Piece("a", 0, "stop", -5), "a count of tokens that is no whole number from 0 on"),
        (Piece("a", 0, "stop", 1, usage=models.Usage(-3, 1)), "a count of tokens that is no whole number from 0 on"),
        (Piece("a", 0, "stop", float("nan")), "a count of tokens that is no whole number from 0 on"),
        (Piece("a", 0, "stop", 1, usage=models.Usage(3, -1)), "a count of tokens that is no whole number from 0 on"),
    ],
)
def test_a_model_that_streams_what_is_no_piece_is_told_so(go, streamed, said):
    class Careless(StandInModel):
        async def stream(self, request):
            yield streamed

    @hw.task
    async def program() -> dict[str, float]:
        with hw.budget(tokens=100) as spent, pytest.raises(hw.UsageError, match=said):
            await models.sample(Careless(), "a b c", max_tokens=10)
        return spent.spent

    assert go(program)["tokens"] == 3, "the prompt"


def test_a_model_whose_stream_is_no_generator_is_told_so(go):
    class Whole(StandInModel):
        async def stream(self, request):
            return [Piece("a", 0, "stop", 1)]

    @hw.task
    async def program() -> str:
        return (await models.sample(Whole(), "a")).text

    with pytest.raises(hw.UsageError, match=r"stand-in: stream\(request\) gave a coroutine, not an async generator"):
        go(program)


class Careless(StandInBatchModel):
    """Gives one and the same thing for every prompt "a"."""

    def __init__(self, given: object) -> None:
        super().__init__()
        self.given = given

    def sample_batch(self, requests, stopping):
        replies = super().sample_batch(requests, stopping)
        return [self.given if request.prompt == "a" else reply for request, reply in zip(requests, replies, strict=True)]


def reply_of(tokens: float = 1, text: object = "x", read: float = 1, finish: str = "stop", said: str = "") -> models.Reply:
    return models.Reply((models.Sample(text, tokens, finish, said=said),), read, "m")  # type: ignore[arg-type]


NO_REPLIES = [
    ("text", "gave 'text' for a request"),
    (models.Reply((), 1, "m"), "gave 0 samples to a request for n=1"),
    (reply_of(tokens=-5), "gave sample 0 text='x' and tokens=-5; it must be"),
    (reply_of(tokens=float("nan")), "gave sample 0 text='x' and tokens=nan; it must be"),
    (reply_of(text=None), "gave sample 0 text=None and tokens=1; it must be"),
    (reply_of(read=-1), "gave prompt_tokens=-1; it must be"),
]


@pytest.mark.parametrize(("given", "said"), NO_REPLIES)
def test_a_batch_model_that_gives_no_whole_reply_is_told_so_and_the_others_are_kept(go, given, said):
    @hw.task
    async def program() -> str:
        model = Careless(given)
        wrong, right = await hw.settle(models.sample(model, "a"), models.sample(model, "b"))
        assert isinstance(wrong.error, hw.UsageError)
        assert right.value.text == "B 2"
        return str(wrong.error)

    assert f"stand-in-batch: sample_batch {said}" in go(program)


@pytest.mark.parametrize(("given", "said"), NO_REPLIES)
def test_a_batch_model_is_told_so_outside_of_a_run_as_well(given, said):
    async def outside() -> models.Reply:
        return await models.sample(Careless(given), "a")

    with pytest.raises(hw.UsageError, match="stand-in-batch: sample_batch gave") as wrong:
        asyncio.run(outside())
    assert said in str(wrong.value)


NO_ANSWERS = [("refusal", "I won't", "refused to answer: I won't"), ("filter", "", "a content filter"), ("tool", "f{}", "a tool")]


@pytest.mark.parametrize(("finish", "said", "told"), NO_ANSWERS)
def test_an_empty_text_of_a_batch_model_is_no_answer_and_is_paid(go, finish, said, told):
    model = Careless(reply_of(text="", tokens=4, read=3, finish=finish, said=said))

    @hw.task
    async def program() -> float:
        with hw.budget(tokens=1_000) as spent, pytest.raises(hw.ModelError, match=told):
            await models.sample(model, "a")
        return spent.spent["tokens"]

    assert go(program) == 7

    async def outside() -> models.Reply:
        return await models.sample(model, "a")

    with pytest.raises(hw.ModelError, match=told):
        asyncio.run(outside())


@pytest.mark.parametrize(("counted", "tokens"), [(2.5, 3), (None, None), (-1, None), (float("nan"), None), (float("inf"), None)])
def test_a_model_that_can_not_count_is_told_so(counted, tokens):
    class Guesses(StandInModel):
        def count(self, prompt):
            return counted

    assert tokens is None or prompt_bound(Guesses(), "a") == (tokens, True)
    if tokens is None:
        with pytest.raises(hw.UsageError, match=r"stand-in: count\(prompt\) gave"):
            models.sample(Guesses(), "a")


def test_what_is_no_price_is_refused_instead_of_not_counted():
    with pytest.raises(hw.UsageError, match=r"stand-in has price=\(1.0, 4.0\): write models.Price"):
        models.sample(StandInModel(price=(1.0, 4.0)), "a")


@pytest.mark.parametrize("beside", ["kept", "bad"])
def test_a_batch_model_hears_which_of_its_requests_nobody_wants(beside):
    """Also where another model is asked in the same batch, and where each is asked by itself because one of them is bad."""
    model, other = StandInBatchModel(), StandInBatchModel("other")

    @hw.task
    async def program() -> list[str]:
        calls = [models.sample(other, "x"), models.sample(model, beside), models.sample(model, "wait in vain")]
        while len(model.batches) < (1 if beside == "kept" else 3):  # noqa: ASYNC110 - a thread fills it
            await asyncio.sleep(0.001)
        calls[2].cancel()
        return [one.value.text if one.value else str(one.error) for one in await hw.settle(*calls)]

    said = "models.sample_batch(stand-in-batch, 'wait in vain') was cancelled: cancelled by the program"
    assert hw.run(program, store=None) == ["X 1", "KEPT 2" if beside == "kept" else "no token for 'bad'", said]
    assert model.unwanted == ["wait in vain"]


def test_a_limited_model_is_asked_by_so_many_at_a_time_wherever_they_are(go):
    model = StandInModel(pause_s=1.0)
    provider = models.limited(model, 2)

    @hw.task
    async def ask(number: int) -> str:
        return (await models.sample(provider, f"{number}")).text

    @hw.task
    async def program() -> list[str]:
        return await hw.gather(*(ask(number) for number in range(6)))

    assert go(program) == [f" {number}" for number in range(6)]
    assert model.most == 2
    with pytest.raises(hw.UsageError, match="limits nothing"):
        models.limited(model)


def test_a_limit_is_no_part_of_a_call_s_name(go):
    model = StandInModel()

    @hw.task
    async def ask(provider: object) -> str:
        return (await models.sample(provider, QUESTION)).text  # type: ignore[arg-type]

    @hw.task(key="program")
    async def program(limited: bool) -> str:
        text = await ask(models.limited(model, 2) if limited else model)
        if not limited:
            raise LookupError("after the call")
        return text

    with pytest.raises(LookupError):
        go(program, False)
    assert go(program, True) == " blue sky the is why"
    assert len(model.asked) == 1


def test_a_limit_is_one_model_s_own(go, clock):
    providers = [models.limited(StandInModel(name, pause_s=1.0), 1) for name in ("one", "other")]

    @hw.task
    async def program() -> None:
        await hw.gather(*(models.sample(provider, f"{number}") for provider in providers for number in range(3)))

    go(program)
    assert round(clock.elapsed, 3) == 3.0


def test_two_models_of_one_name_have_limits_of_their_own(go):
    """They are known by where they are, as two servers that offer one model."""

    class Placed(StandInModel):
        def __headway_key__(self):
            return ("model", self.name, self.place)

    small, large = Placed("qwen3", pause_s=1.0), Placed("qwen3", pause_s=1.0)
    small.place, large.place = "laptop/v1", "cluster/v1"

    @hw.task
    async def program() -> None:
        with_limits = [models.limited(small, 1), models.limited(large, 4)]
        await hw.gather(*(models.sample(model, f"{number}") for number in range(4) for model in with_limits))

    go(program)
    assert (small.most, large.most) == (1, 4)


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        (("model", "stand-in"), "model stand-in"),
        (("model", "stand-in", "laptop/v1"), "model stand-in, laptop/v1"),
        (("model", "an alias"), "model an alias"),
    ],
)
def test_a_limit_is_named_by_what_its_model_is_known_by(identity, name):
    class Known(StandInModel):
        def __headway_key__(self):
            return identity

    assert models.limited(Known(), 1).scope().name == name
    assert models.limited(Known(), rate=1, per_s=60).scope().name == f"{name} per 60 s"


def test_a_model_that_is_known_by_what_is_no_text_has_a_limit_of_its_own():
    class Known(StandInModel):
        def __headway_key__(self):
            return {"weights": self.asked}

    one, same, other = Known(), Known(), Known()
    other.asked = [make_request("a")]
    names = [models.limited(model, 1).scope().name for model in (one, same, other)]
    assert names[0] == names[1] != names[2]


def test_a_call_that_a_provider_refuses_rests_and_the_others_go_on(go, clock):
    model = models.limited(StandInModel(), 1)
    model.model.failures = [unavailable(after_s=100)]
    ended: dict[str, float] = {}

    @hw.task
    async def ask(prompt: str) -> None:
        await models.sample(model, prompt)
        ended[prompt] = clock.elapsed

    @hw.task
    async def program() -> None:
        await hw.gather(*(ask(prompt) for prompt in "abc"))

    go(program)
    assert [prompt for prompt, at in ended.items() if at >= 100] == ["a"]


def test_a_limited_rate_holds(go, clock):
    provider = models.limited(StandInModel(), rate=1, per_s=10)

    @hw.task
    async def program() -> None:
        await hw.gather(*(models.sample(provider, f"{number}") for number in range(4)))

    go(program)
    assert 30 <= clock.elapsed < 31


@pytest.mark.parametrize("turned", [False, True])
def test_a_model_has_one_limit_per_second_and_one_per_minute(go, clock, turned):
    windows = [{"rate": 2, "per_s": 1.0}, {"rate": 5, "per_s": 60.0}]
    began: list[float] = []

    class Noting(StandInModel):
        async def stream(self, request):
            began.append(clock.elapsed)
            async for piece in super().stream(request):
                yield piece

    model = Noting()
    for window in reversed(windows) if turned else windows:
        model = models.limited(model, **window)
    provider = models.limited(model, 3)

    @hw.task
    async def program() -> None:
        await hw.gather(*(models.sample(provider, f"{number}") for number in range(7)))

    go(program)
    assert [round(at) for at in began] == [0, 0, 1, 1, 2, 60, 60]


@pytest.mark.parametrize("numbers", [{"concurrency": 2}, {"rate": 5, "per_s": 10.0}])
def test_a_model_is_not_limited_twice_over_one_window(numbers):
    once = models.limited(models.limited(StandInModel(), **numbers), rate=1, per_s=1.0)
    with pytest.raises(hw.UsageError, match=r"is limited .* already: give one number"):
        models.limited(once, **numbers)


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
        one = models.limited(StandInModel(), 1)
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


# --- streams ---------------------------------------------------------------------------------------------------------


def test_a_stream_is_heard_as_it_is_made_and_replayed_in_one_piece(go, clock):
    model = StandInModel(pause_s=1.0)

    @hw.task
    async def program() -> list[tuple[str, float]]:
        heard = []
        async for piece in models.stream(model, "a b c"):
            if piece.text:
                heard.append((piece.text, clock.elapsed))
        if len(model.asked) == 1:
            model.asked.append(model.asked[0])
            raise LookupError(f"{len(heard)} pieces, the first at {heard[0][1]:.0f} s")
        return heard

    with pytest.raises(LookupError, match="3 pieces, the first at 1 s"):
        go(program)
    (whole,) = go(program)
    assert whole[0] == " c b a"
    assert len(model.asked) == 2


def test_a_stream_that_is_over_leaves_nothing_behind(go):
    model = StandInModel()

    @hw.task
    async def program() -> int:
        for number in range(3):
            async for _ in models.stream(model, f"{QUESTION} {number}"):
                pass
        return 1

    assert go(program) == 1
    gc.collect()
    assert not [each for each in gc.get_objects() if type(each) is _Heard]


def test_leaving_a_stream_stops_the_model(go):
    model = StandInModel(pause_s=1.0)

    @hw.task
    async def program() -> str:
        async with aclosing(models.stream(model, "a b c")) as pieces:
            async for piece in pieces:
                return piece.text
        return ""

    assert go(program) == " c"
    assert (model.stopped, model.now) == (1, 0)


def test_what_a_stream_cost_is_booked_when_its_loop_has_been_left(go):
    @hw.task
    async def program() -> tuple[float, float]:
        with hw.budget(tokens=100) as spent:
            async with aclosing(models.stream(StandInModel(pause_s=1.0), "a b c", max_tokens=50)) as pieces:
                await anext(pieces)
            return spent.spent["tokens"], hw.remaining("tokens")

    assert go(program) == (4, 96)


def test_a_stream_is_asked_for_again_until_it_has_begun_and_not_after(go):
    model = Breaks()
    model.failures = [unavailable(), unavailable()]

    @hw.task
    async def program() -> list[str]:
        heard = []
        with pytest.raises(hw.ModelUnavailable, match="broken off"):
            async for piece in models.stream(model, "a b"):
                heard.append(piece.text)
        return heard

    assert go(program) == [" b"]
    assert len(model.asked) == 3


def test_a_stream_that_is_refused_is_not_asked_for_again(go):
    model = StandInModel()
    model.failures = [hw.ModelError("400: no such thing"), hw.ModelError("400: no such thing")]

    @hw.task
    async def program() -> None:
        with pytest.raises(hw.ModelError, match="no such thing"):
            async for _ in models.stream(model, "a b"):
                pass

    go(program)
    assert len(model.asked) == 1


def test_a_stream_under_a_limit_of_one_does_not_wait_for_itself(go):
    @hw.task
    async def ask() -> str:
        return "".join([piece.text async for piece in models.stream(StandInModel(pause_s=0.1), "a b")])

    @hw.task
    async def program() -> list[str]:
        with hw.limit(1):
            return await hw.gather(ask(), ask())

    assert go(program) == [" b a", " b a"]


def test_a_stream_of_a_batch_model_has_a_piece_for_each_sample(go):
    @hw.task
    async def program() -> list[tuple[int, str, str | None]]:
        pieces = [piece async for piece in models.stream(StandInBatchModel(), "a", n=2)]
        return [(piece.index, piece.text, piece.finish) for piece in pieces if piece.text]

    assert go(program) == [(0, "A 1 0", "stop"), (1, "A 1 1", "stop")]
