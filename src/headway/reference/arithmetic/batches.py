"""Makes the training data of the arithmetic model on demand, from a seed and an index alone: questions with their solutions."""

from __future__ import annotations

import random

import numpy as np

from headway.reference.arithmetic.questions import Mix, draw
from headway.reference.arithmetic.tokens import END, PAD, encode
from headway.reference.batch import IGNORED, Batch


def batch(seed: int, index: int, size: int, mix: Mix) -> Batch:
    """Batch `index` of the endless data of a seed, the shortest text first. It has no states: the verifier is fitted later."""
    rng = random.Random(f"{seed} {index}")
    texts = []
    for _ in range(size):
        drawn = draw(rng, "train", mix)
        prompt = encode(drawn.question.prompt)
        texts.append((prompt, [*encode("".join(map(str, drawn.solution))), END]))
    texts.sort(key=lambda text: len(text[0]) + len(text[1]))
    length = sum(map(len, texts[-1])) - 1
    tokens = np.full((size, length + 1), PAD)
    learn = np.full((size, length), IGNORED)
    for row, (prompt, solution) in enumerate(texts):
        tokens[row, : len(prompt) + len(solution)] = [*prompt, *solution]
        learn[row, len(prompt) - 1 : len(prompt) + len(solution) - 1] = solution
    none = np.zeros((size, length), bool)
    return Batch(tokens, learn, none, none)
