"""Makes the training data of the planner on demand, from a seed and an index alone: questions with their plans."""

from __future__ import annotations

import random

import numpy as np

from headway.reference.batch import IGNORED, Batch
from headway.reference.planner.questions import Mix, draw
from headway.reference.planner.tokens import END, PAD, UNKNOWN, WORD_TOKENS, encode

_UNSURE = 0.25  # of the texts: in these, words may be unknown ones
_UNKNOWN = 0.08  # of their words


def batch(seed: int, index: int, size: int, mix: Mix) -> Batch:
    """Batch `index` of the endless data of a seed, the shortest text first. It has no states."""
    rng = random.Random(f"{seed} {index}")
    texts = []
    for _ in range(size):
        question = draw(rng, "train", mix)
        prompt = encode(question.prompt)
        if rng.random() < _UNSURE:
            prompt = [UNKNOWN if token in WORD_TOKENS and rng.random() < _UNKNOWN else token for token in prompt]
        texts.append((prompt, [*encode(question.prompt + question.plan)[len(prompt) :], END]))
    texts.sort(key=lambda text: len(text[0]) + len(text[1]))
    length = sum(map(len, texts[-1])) - 1
    tokens = np.full((size, length + 1), PAD)
    learn = np.full((size, length), IGNORED)
    for row, (prompt, plan) in enumerate(texts):
        tokens[row, : len(prompt) + len(plan)] = [*prompt, *plan]
        learn[row, len(prompt) - 1 : len(prompt) + len(plan) - 1] = plan
    none = np.zeros((size, length), bool)
    return Batch(tokens, learn, none, none)
