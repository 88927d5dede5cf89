"""What a part gave that can't be used is recorded: the error says which call that is, and what it says to do helps."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import headway as hw
from headway.methods import search
from headway.methods.search import Candidate, State, Verdict

broken = True


@hw.task
async def generate(question: str, index: int) -> Candidate:
    return None if broken and index == 2 else Candidate(f"{index}", f"{index}", 1)  # type: ignore[return-value]


@hw.task
async def step(question: str, state: State, index: int) -> State:
    return None if broken and index == 1 else replace(state, value=f"{state.value}{index}", done=True, answer=f"{index}")  # type: ignore[return-value]


@hw.task
async def score(question: str, texts: list[str]) -> list[float]:
    return [float("nan") if broken and text.endswith("1") else 0.5 for text in texts]


@hw.task
async def embed(question: str, texts: list[str]) -> list[list[float]]:
    return [[float("nan"), 1.0] if broken else [1.0, 1.0] for _ in texts]


@hw.task
async def verify(question: str, candidate: Candidate, index: int) -> Verdict:
    return True if broken else Verdict(True)  # type: ignore[return-value]


async def sound_generate(question: str, index: int) -> Candidate:
    return Candidate(f"{index}", f"{index}", 1)


async def sound_step(question: str, state: State, index: int) -> State:
    text = f"{state.value}{index}"
    return replace(state, value=text, done=state.depth > 0, answer=text if state.depth > 0 else None)


async def sound_score(question: str, texts: list[str]) -> list[float]:
    return [0.5 for _ in texts]


async def sound_verify(question: str, candidate: Candidate, index: int) -> Verdict:
    return Verdict(None)


METHODS: dict[str, Callable[[], Any]] = {
    "best_of_n, generate": lambda: search.best_of_n("q", generate, sound_score, n=4),
    "best_of_n, score": lambda: search.best_of_n("q", sound_generate, score, n=4),
    "majority, generate": lambda: search.majority("q", generate, n=4, sure=1),
    "no_thinking, generate": lambda: search.no_thinking("q", generate, n=4),
    "no_thinking, verify": lambda: search.no_thinking("q", sound_generate, verify, n=4),
    "beam_search, step": lambda: search.beam_search("q", step, sound_score, n=4),
    "rebase, score": lambda: search.rebase("q", sound_step, score, n=4),
    "dora, embed": lambda: search.dora("q", sound_step, sound_score, embed, n=4),
    "a_star, step": lambda: search.a_star("q", step, sound_score, n=4),
    "solve_detect_verify, fast": lambda: search.solve_detect_verify("q", sound_step, verify, sound_verify),
    "solve_detect_verify, slow": lambda: search.solve_detect_verify("q", sound_step, sound_verify, verify),
}


@hw.task
async def find(method: str) -> str | None:
    return (await METHODS[method]()).answer  # type: ignore[no-any-return]


@pytest.mark.parametrize("method", METHODS)
def test_recorded_garbage_is_named_and_can_be_asked_for_again(go, tmp_path, monkeypatch, method):
    store = tmp_path / "store"
    part = method.partition(", ")[2].replace("fast", "verify").replace("slow", "verify")
    told = []
    for life in ("broken", "mended"):
        monkeypatch.setattr("test_recorded_garbage.broken", life == "broken")
        with pytest.raises((hw.UsageError, ExceptionGroup)) as raised:
            go(find, method)
        error: Any = raised.value
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        told.append(str(error))
    assert told[0] == told[1], "what is recorded is told again after its source was mended"
    key, task = re.search(r"as the result of call (\w+) \((\S+)\)", told[0]).groups()  # type: ignore[union-attr]
    assert task.endswith(f".{part}")
    assert f"`headway fork run --at {key}`" in told[0]
    assert f"`headway resume run --rerun {task}`" in told[0]
    monkeypatch.setattr("test_recorded_garbage.broken", False)
    fork = hw.fork("run", at=key, store=store)
    for _ in range(6):  # a fork asks for one call again, and there may be more like it
        try:
            assert go(find, method, run_id=fork) is not None
            return
        except (hw.UsageError, ExceptionGroup) as again:
            while isinstance(again, ExceptionGroup):
                again = again.exceptions[0]  # type: ignore[assignment]
            at = re.search(r"as the result of call (\w+) ", str(again)).group(1)  # type: ignore[union-attr]
            fork = hw.fork(fork, at=at, store=store)
    pytest.fail("it never recovers")


def test_a_part_that_is_no_call_and_a_run_without_a_store_say_what_is_wrong_only(go):
    async def plain(question: str, texts: list[str]) -> list[float]:
        return [float("nan") for _ in texts]

    @hw.task
    async def program(recorded: bool) -> None:
        await search.best_of_n("q", sound_generate, score if recorded else plain, n=2)

    for recorded, store in ((False, "kept"), (True, None)):
        with pytest.raises(hw.UsageError, match=r"give a finite number, the larger the better$"):
            go(program, recorded, **({} if store else {"store": None}), run_id=f"{recorded}")


@pytest.mark.parametrize("wrong", [2.5, "8", None, True])
def test_a_number_of_a_method_that_is_none_is_refused(wrong):
    import asyncio

    for method in (
        lambda: search.best_of_n("q", sound_generate, sound_score, n=wrong),
        lambda: search.majority("q", sound_generate, n=wrong),
        lambda: search.first_finish("q", sound_generate, n=wrong),
        lambda: search.no_thinking("q", sound_generate, n=wrong),
        lambda: search.beam_search("q", sound_step, sound_score, n=wrong),
        lambda: search.beam_search("q", sound_step, sound_score, width=wrong),
        lambda: search.dvts("q", sound_step, sound_score, depth=wrong),
        lambda: search.rebase("q", sound_step, sound_score, n=wrong),
        lambda: search.a_star("q", sound_step, sound_score, n=wrong),
        lambda: search.solve_detect_verify("q", sound_step, sound_verify, sound_verify, rounds=wrong),
    ):
        with pytest.raises(hw.UsageError, match="a whole number"):
            asyncio.run(method())
