"""The index says what one made anew of the same texts would say, whatever came and went before."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.methods.memory.vectors import Directions, pack
from headway.methods.memory.words import Words, score_words
from headway.tools.finding.bm25 import Bm25, split_words

WORDS = ["sea", "rain", "river", "stove", "sun", "the", "trees"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)


@given(st.lists(st.tuples(st.booleans(), TEXTS, st.integers(0, 1)), max_size=40), TEXTS)
def test_scores_are_those_of_a_new_index_of_what_is_there(changes, query):
    indexes = [Words(), Words()]
    there: dict[int, tuple[int, str]] = {}
    for number, (drops, text, which) in enumerate(changes):
        if drops and there:
            gone = min(there)
            of, old = there.pop(gone)
            indexes[of].drop(gone, old)
        else:
            indexes[which].add(number, text)
            there[number] = which, text
    scores = score_words(indexes, query)
    anew = Bm25([split_words(text) for _, text in there.values()]).scores(split_words(query))
    assert {number: pytest.approx(score) for number, score in zip(there, anew, strict=True) if score} == scores


def test_vectors_that_come_and_go_leave_the_others_their_scores():
    pytest.importorskip("numpy")
    rng = random.Random(0)
    directions, there = Directions(), {}
    for number in range(200):
        if number % 3 == 2:
            gone = rng.choice(sorted(there))
            directions.drop(gone)
            del there[gone]
        there[number] = [rng.gauss(0, 1) for _ in range(4)]
        directions.add(number, pack(there[number]))
    query = [1.0, 2.0, 3.0, 4.0]

    def cosine(one: list[float], other: list[float]) -> float:
        norm = sum(x * x for x in one) ** 0.5 * sum(x * x for x in other) ** 0.5
        return sum(x * y for x, y in zip(one, other, strict=True)) / norm

    scores = directions.scores(query, len(there))
    assert scores == {number: pytest.approx(cosine(vector, query), abs=1e-5) for number, vector in there.items()}
