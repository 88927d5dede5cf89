"""The Countdown model as a model: samples, seeds, stops, values; with an untrained network, since these promises need no skill."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path

import pytest
import torch

from headway.errors import UsageError
from headway.models.base import BatchModel, Message, Piece, Request
from headway.reference import sampling, weights
from headway.reference.countdown import tokens
from headway.reference.countdown.sampling import CountdownModel
from headway.reference.countdown.tokens import LANGUAGE
from headway.reference.network import Network, Shape

PROMPTS = ["9 3 2 -> 24\n", "25 8 7 3 -> 82\n", "25 8 7 3 -> 82\n25*3=75\n"]
SMALL = Shape(layers=2, features=32, heads=2, hidden=48)


@pytest.fixture(scope="module")
def model() -> CountdownModel:
    torch.manual_seed(3)
    return CountdownModel(Network(SMALL, LANGUAGE), "small")


def slowly(model: CountdownModel, prompt: str, steps: int) -> list[int]:
    """The likeliest tokens, found without padding, cache or batch."""
    row = tokens.encode(prompt)
    made: list[int] = []
    for _ in range(steps):
        with torch.inference_mode():
            token = int(model.network(torch.tensor([row]))[0, -1].argmax())
        if token >= tokens.END:
            break
        row.append(token)
        made.append(token)
    return made


def test_it_is_a_batch_model(model: CountdownModel) -> None:
    assert isinstance(model, BatchModel)


def test_a_batch_of_different_lengths_says_what_each_prompt_alone_would(model: CountdownModel) -> None:
    replies = model.sample_batch([Request(prompt=prompt, temperature=0, max_tokens=9) for prompt in PROMPTS])
    for prompt, reply in zip(PROMPTS, replies, strict=True):
        made = slowly(model, prompt, 9)
        assert reply.text == tokens.decode(made)
        assert reply.samples[0].tokens == len(made)
        assert reply.prompt_tokens == len(tokens.encode(prompt))


def test_a_long_prompt_beside_it_leaves_a_sample_its_whole_length(model: CountdownModel) -> None:
    long = PROMPTS[1] + "25*3=75\n" * 6
    assert model.count(long) == SMALL.length - 2
    asked = Request(prompt=PROMPTS[0], seed=5, n=8, max_tokens=27)
    alone = model.sample_batch([asked])[0]
    assert max(each.tokens for each in alone.samples) > 10
    beside = model.sample_batch([asked, Request(prompt=long, max_tokens=2)])[0]
    assert [each.text for each in beside.samples] == [each.text for each in alone.samples]


def test_a_text_that_is_too_long_to_be_valued_is_an_error_in_words(model: CountdownModel) -> None:
    assert len(model.values([PROMPTS[1] + "25*3=75\n" * 6])) == 1
    with pytest.raises(UsageError, match="texts of 1 to 32 tokens, this one has 34"):
        model.values([PROMPTS[1] + "25*3=75\n" * 7])


@pytest.mark.parametrize("texts", [[""], ["", PROMPTS[1]], ["\n"]])
def test_a_text_of_nothing_has_no_value(model: CountdownModel, texts: list[str]) -> None:
    for look in (model.values, model.embeddings):
        with pytest.raises(UsageError, match="texts of 1 to 32 tokens, this one has 0"):
            look(texts)


def test_a_sample_depends_on_its_seed_and_not_on_its_company(model: CountdownModel) -> None:
    alone = model.sample_batch([Request(prompt=PROMPTS[1], seed=5, n=3, max_tokens=12)])[0]
    company = [Request(prompt=prompt, seed=5, n=3, max_tokens=12) for prompt in PROMPTS]
    assert [each.text for each in model.sample_batch(company)[1].samples] == [each.text for each in alone.samples]
    assert len({each.text for each in alone.samples}) == 3
    other = model.sample_batch([Request(prompt=PROMPTS[1], seed=6, max_tokens=12)])[0]
    assert other.text != alone.text


def test_log_probabilities_are_those_of_the_tokens(model: CountdownModel) -> None:
    reply = model.sample_batch([Request(prompt=PROMPTS[0], seed=1, max_tokens=6, logprobs=True)])[0]
    sample = reply.samples[0]
    row = tokens.encode(PROMPTS[0])
    said = []
    with torch.inference_mode():
        logprobs = torch.log_softmax(model.network(torch.tensor([row]))[0, -1].double(), -1)
    said.append(float(logprobs[tokens.encode(sample.text + " ")[0]]))
    assert len(sample.logprobs) == sample.tokens == 6
    assert sample.logprobs[0] == pytest.approx(said[0], abs=1e-4)
    assert sample.logprob == pytest.approx(sum(sample.logprobs))


def test_a_stop_text_ends_a_sample_and_is_no_part_of_it(model: CountdownModel) -> None:
    whole = model.sample_batch([Request(prompt=PROMPTS[0], seed=1, max_tokens=8)])[0].samples[0]
    stop = whole.text[4:6]
    cut = model.sample_batch([Request(prompt=PROMPTS[0], seed=1, max_tokens=8, stop=(stop,))])[0].samples[0]
    assert cut.text == whole.text.split(stop, 1)[0]
    assert (cut.finish, whole.finish) == ("stop", "length")
    assert cut.tokens < whole.tokens


def test_what_nobody_wants_any_more_ends_at_once(model: CountdownModel) -> None:
    asked = []

    def stopping(place: int) -> bool:
        asked.append(place)
        return place == 0 and len(asked) > 4

    first, second = model.sample_batch([Request(prompt=PROMPTS[0], seed=1, max_tokens=8)] * 2, stopping)
    assert first.samples[0].tokens < second.samples[0].tokens == 8
    del asked[:]
    model.sample_batch([Request(prompt=PROMPTS[0], seed=1, max_tokens=8)], lambda _: True)


def test_greedy_and_narrow_sampling_take_the_likeliest(model: CountdownModel) -> None:
    greedy = model.sample_batch([Request(prompt=PROMPTS[1], temperature=0, max_tokens=5)])[0].text
    assert model.sample_batch([Request(prompt=PROMPTS[1], top_p=1e-9, seed=4, max_tokens=5)])[0].text == greedy
    assert model.sample_batch([Request(prompt=PROMPTS[1], temperature=1e-3, seed=4, max_tokens=5)])[0].text == greedy


def test_values_do_not_depend_on_company(model: CountdownModel) -> None:
    texts = [PROMPTS[2], PROMPTS[0], PROMPTS[2] + "8+7=15\n"]
    together = model.values(texts)
    assert together == pytest.approx([model.values([text])[0] for text in texts], abs=1e-5)
    assert all(0 <= value <= 1 for value in together)
    assert model.values([]) == []


def test_a_conversation_is_answered_for_the_puzzle_in_its_last_turn(model: CountdownModel) -> None:
    ask = "Calculate 24 using all of these numbers: 2, 9, 3.\nEach number may be used at most once."
    said = model.sample_batch([Request(prompt=(Message("user", ask),), temperature=0, max_tokens=5)])[0]
    assert said.text == model.sample_batch([Request(prompt=PROMPTS[0], temperature=0, max_tokens=5)])[0].text


def test_a_prompt_that_is_too_long_is_a_clear_error(model: CountdownModel) -> None:
    with pytest.raises(UsageError, match="reads 1 to 31 tokens, this prompt has 50"):
        model.sample_batch([Request(prompt="1 " * 50)])


def test_a_model_is_the_same_after_its_file_and_has_the_name_of_its_weights(model: CountdownModel, tmp_path: Path) -> None:
    file = tmp_path / "small.safetensors"
    weights.write(file, model.network, {"recipe": "none"})
    read = CountdownModel.load(file)
    assert weights.about(file)["recipe"] == "none"
    request = Request(prompt=PROMPTS[1], seed=2, max_tokens=9)
    travelled = pickle.loads(pickle.dumps(read))
    assert travelled.sample_batch([request]) == read.sample_batch([request])
    network = Network(SMALL, LANGUAGE)
    weights.write(tmp_path / "other.safetensors", network, {})
    assert CountdownModel.load(tmp_path / "other.safetensors").name != read.name
    assert not list(tmp_path.glob(".*"))


def test_a_file_that_was_written_again_is_read_again(model: CountdownModel, tmp_path: Path) -> None:
    file = tmp_path / "small.safetensors"
    weights.write(file, model.network, {})
    before = CountdownModel.load(file)
    assert CountdownModel.load(file) is before
    weights.write(file, Network(SMALL, LANGUAGE), {})
    assert CountdownModel.load(file).name == weights.name_of(file, LANGUAGE) != before.name


def test_overlapping_computations_leave_torch_the_threads_that_it_had() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        first, second = sampling._one_thread(), sampling._one_thread()
        first.__enter__()
        second.__enter__()
        assert torch.get_num_threads() == 1
        first.__exit__(None, None, None)
        second.__exit__(None, None, None)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_file_that_holds_no_model_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        CountdownModel.load(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(UsageError, match="holds no weights"):
        CountdownModel.load(tmp_path / "text.safetensors")


def test_the_same_weights_have_the_same_bytes_and_the_same_name(tmp_path: Path, model: CountdownModel) -> None:
    about = {f"{word} of it": f"„{word}“" for word in ("recipe", "data", "loss", "origin", "version")}
    for number in range(8):
        weights.write(tmp_path / f"{number}.safetensors", model.network, about)
    first, *others = sorted(tmp_path.iterdir())
    assert all(other.read_bytes() == first.read_bytes() for other in others)
    assert weights.about(first).items() >= about.items()
    assert CountdownModel.load(first).values(PROMPTS) == pytest.approx(model.values(PROMPTS), abs=1e-2)


async def told(model: CountdownModel, request: Request) -> list[Piece]:
    return [piece async for piece in model.stream(request)]


def test_a_stream_tells_the_samples_of_the_batch_token_by_token(model: CountdownModel) -> None:
    request = Request(prompt=PROMPTS[1], seed=5, n=3, max_tokens=12, logprobs=True)
    reply = model.sample_batch([request])[0]
    pieces = asyncio.run(told(model, request))
    for index, sample in enumerate(reply.samples):
        mine = [piece for piece in pieces if piece.index == index and piece.usage is None]
        assert "".join(piece.text for piece in mine) == sample.text
        assert [piece.finish for piece in mine] == [None] * (len(mine) - 1) + [sample.finish]
        assert len(mine) >= sample.tokens == sum(piece.tokens for piece in mine)
        assert [logprob for piece in mine for logprob in piece.logprobs] == pytest.approx(list(sample.logprobs))
    assert pieces[-1].usage == reply.usage


def test_a_stream_tells_nothing_of_a_stop_text(model: CountdownModel) -> None:
    words = [piece.text for piece in asyncio.run(told(model, Request(prompt=PROMPTS[0], seed=1, max_tokens=8)))]
    request = Request(prompt=PROMPTS[0], seed=1, max_tokens=8, stop=(words[2] + words[3],))
    pieces = asyncio.run(told(model, request))
    assert "".join(piece.text for piece in pieces) == model.sample_batch([request])[0].text == "".join(words[:2])


def test_a_stream_that_is_left_ends_at_once(model: CountdownModel) -> None:
    async def leave() -> tuple[str, bool]:
        stream = model.stream(Request(prompt=PROMPTS[0], seed=1, max_tokens=8))
        first = await anext(stream)
        await stream.aclose()
        return first.text, await anext(stream, None) is None

    said, ended = asyncio.run(leave())
    assert said
    assert ended
