"""Models that answer many requests at once: each is paid apart, and what gives no whole reply is told so."""

from __future__ import annotations

import asyncio

import pytest
from questions import unavailable
from standins import StandInBatchModel, StandInModel

import headway as hw
from headway import models
from headway.models.base import Piece
from headway.models.checks.bounds import prompt_bound
from headway.models.requests import make_request


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

    assert tokens is None or prompt_bound(Guesses(), make_request("a")) == (tokens, True)
    if tokens is None:
        with pytest.raises(hw.UsageError, match=r"stand-in: count\(prompt\) gave"):
            models.sample(Guesses(), "a")


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
