"""Models with limits of their own: how many calls at a time, and how many in a while."""

from __future__ import annotations

import pytest
from questions import QUESTION, unavailable
from standins import StandInModel

import headway as hw
from headway import models
from headway.models.requests import make_request


def test_a_limited_model_is_asked_by_so_many_at_a_time_wherever_they_are(go):
    model = StandInModel(pause_s=1.0)
    provider = models.limit_model(model, 2)

    @hw.task
    async def ask(number: int) -> str:
        return (await models.sample(provider, f"{number}")).text

    @hw.task
    async def program() -> list[str]:
        return await hw.gather(*(ask(number) for number in range(6)))

    assert go(program) == [f" {number}" for number in range(6)]
    assert model.most == 2
    with pytest.raises(hw.UsageError, match="limits nothing"):
        models.limit_model(model)


def test_a_limit_is_no_part_of_a_call_s_name(go):
    model = StandInModel()

    @hw.task
    async def ask(provider: object) -> str:
        return (await models.sample(provider, QUESTION)).text  # type: ignore[arg-type]

    @hw.task(key="program")
    async def program(limited: bool) -> str:
        text = await ask(models.limit_model(model, 2) if limited else model)
        if not limited:
            raise LookupError("after the call")
        return text

    with pytest.raises(LookupError):
        go(program, False)
    assert go(program, True) == " blue sky the is why"
    assert len(model.asked) == 1


def test_a_limit_is_one_model_s_own(go, clock):
    providers = [models.limit_model(StandInModel(name, pause_s=1.0), 1) for name in ("one", "other")]

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
        with_limits = [models.limit_model(small, 1), models.limit_model(large, 4)]
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

    assert models.limit_model(Known(), 1).scope().name == name
    assert models.limit_model(Known(), rate=1, per_s=60).scope().name == f"{name} per 60 s"


def test_a_model_that_is_known_by_what_is_no_text_has_a_limit_of_its_own():
    class Known(StandInModel):
        def __headway_key__(self):
            return {"weights": self.asked}

    one, same, other = Known(), Known(), Known()
    other.asked = [make_request("a")]
    names = [models.limit_model(model, 1).scope().name for model in (one, same, other)]
    assert names[0] == names[1] != names[2]


def test_a_call_that_a_provider_refuses_rests_and_the_others_go_on(go, clock):
    model = models.limit_model(StandInModel(), 1)
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
    provider = models.limit_model(StandInModel(), rate=1, per_s=10)

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
        model = models.limit_model(model, **window)
    provider = models.limit_model(model, 3)

    @hw.task
    async def program() -> None:
        await hw.gather(*(models.sample(provider, f"{number}") for number in range(7)))

    go(program)
    assert [round(at) for at in began] == [0, 0, 1, 1, 2, 60, 60]


@pytest.mark.parametrize("numbers", [{"concurrency": 2}, {"rate": 5, "per_s": 10.0}])
def test_a_model_is_not_limited_twice_over_one_window(numbers):
    once = models.limit_model(models.limit_model(StandInModel(), **numbers), rate=1, per_s=1.0)
    with pytest.raises(hw.UsageError, match=r"is limited .* already: give one number"):
        models.limit_model(once, **numbers)
