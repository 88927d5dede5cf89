"""Which candidate is returned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.methods.search import Candidate, Verdict
from headway.methods.search.select.selectors import best, borda, first, likeliest, majority, weighted_vote
from headway.methods.search.verify.flexible import find_agreed_verdict


def told(*candidates: tuple[str | None, float | None]) -> list[Candidate]:
    return [Candidate(f"text {place}", answer, 1, score=score) for place, (answer, score) in enumerate(candidates)]


POOL = told((None, 0.99), ("a", 0.3), ("b", 0.8), ("a", 0.4), ("a", None), ("c", 0.9))
CANDIDATES = st.lists(
    st.builds(Candidate, st.text(), st.sampled_from([None, "a", "b"]), st.integers(0, 9), score=st.none() | st.floats(0, 1)),
    min_size=1,
)


@pytest.mark.parametrize(("select", "place"), [(first, 1), (best, 5), (majority, 3), (weighted_vote, 5), (borda(0.0), 3)])
def test_each_selector_has_its_own_favourite(select, place):
    assert select(POOL) == place


def test_a_vote_is_weighed_by_the_scores():
    assert weighted_vote(told(("a", 0.4), ("b", 0.5), ("a", 0.3))) == 0
    assert weighted_vote(told(("a", 0.2), ("b", 0.5), ("a", 0.2))) == 1


def test_the_more_confident_half_may_outvote_the_larger_one():
    sure, unsure = Candidate("", "a", 4, logprob=-0.4), Candidate("", "b", 4, logprob=-8.0)
    crowd = [unsure, unsure, sure, unsure, sure]
    assert borda(0.0)(crowd) == 0
    assert borda(1.0)(crowd) == 2  # 5 + 4 against 3 + 2 + 1
    assert borda(1.0, confidence=lambda candidate: -(candidate.logprob or 0))(crowd) == 0


@given(CANDIDATES)
def test_what_has_an_answer_always_wins_against_what_has_none(candidates):
    for select in (first, best, majority, weighted_vote, borda()):
        place = select(candidates)
        assert candidates[place].answer is not None or all(each.answer is None for each in candidates)


@given(CANDIDATES)
def test_best_is_best_among_those_with_an_answer(candidates):
    chosen = candidates[best(candidates)]
    for other in candidates:
        if (other.answer is None) == (chosen.answer is None) and other.score is not None:
            assert chosen.score is not None
            assert chosen.score >= other.score


@pytest.mark.parametrize("select", [borda(), borda(2.0), weighted_vote, majority])
@pytest.mark.parametrize("answers", ["ABB", "ABBAB", "AABBB", "AACBBBC"])
def test_where_nobody_is_sure_the_most_frequent_answer_wins_and_not_the_first(select, answers):
    candidates = told(*((answer, None) for answer in answers))
    assert candidates[select(candidates)].answer == "B"


def test_what_nobody_checked_stands_between_right_and_wrong():
    assert likeliest(told(("wrong", 0.0), ("unchecked", None))) == 1
    assert likeliest(told(("unchecked", None), ("right", 1.0), ("wrong", 0.0))) == 1
    assert likeliest(told((None, 1.0), ("wrong", 0.0))) == 1, "an answer before none"


SIZES = st.sampled_from([1e-3, 1.0, 1e6])


@pytest.mark.parametrize("select", [best, weighted_vote, borda()])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_nobody_scored_loses_against_any_score(select, place):
    candidates = told(("bad", -9.0), ("good", -1.0))
    candidates.insert(place, Candidate("", "unscored", 4, logprob=-0.1))
    assert candidates[select(candidates)].answer == "good"
    assert select(told(("unscored", None), ("bad", -9.0))) == 1


def test_a_vote_by_scores_below_zero_gains_by_every_voice():
    assert weighted_vote(told(("a", -2.5), ("b", -1.0), ("b", -1.0), ("b", -1.0))) == 1
    assert weighted_vote(told(("a", -2.0), ("b", -2.0), ("b", -2.0))) == 1, "all alike: the most frequent"
    assert weighted_vote(told(("a", -1.0), ("b", -5.0), ("b", -4.5))) == 0, "two bad ones are no good one"
    assert weighted_vote(told((None, -900.0), ("a", -1.0), ("b", -5.0), ("b", -4.5))) == 1, "no answer, no voice"
    assert weighted_vote(told(("a", float("-inf")), ("b", -5.0), ("b", -4.5), ("a", -9.0))) == 2


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(-100, 100)), min_size=1, max_size=9),
    SIZES,
    st.sampled_from([best, weighted_vote, borda()]),
)
def test_the_unit_of_scores_does_not_matter(pairs, size, select):
    assert select(told(*((answer, score * 1.0) for answer, score in pairs))) == select(
        told(*((answer, score * size) for answer, score in pairs))
    )


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 100)), min_size=1, max_size=9))
def test_a_vote_by_scores_that_are_not_below_zero_is_their_sum(pairs):
    sums = {answer: sum(score for each, score in pairs if each == answer) for answer, _ in pairs}
    assert sums[pairs[weighted_vote(told(*((answer, float(score)) for answer, score in pairs)))][0]] == max(sums.values())


NAN = float("nan")


@pytest.mark.parametrize("select", [best, likeliest, weighted_vote, borda(), borda(confidence=lambda one: one.score or 0.0)])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_score_that_is_no_number_neither_wins_nor_loses_by_its_place(select, place):
    candidates = list(told(("good", 0.9), ("bad", 0.1)))
    candidates.insert(place, Candidate("strange", "strange", 1, score=NAN))
    assert candidates[select(candidates)].answer == "good"


@pytest.mark.parametrize("select", [best, likeliest, weighted_vote, majority, first, borda()])
@pytest.mark.parametrize("scores", [(None,), (NAN,), (None, None), (NAN, NAN), (0.5, 0.5), (0.0, 0.0)])
def test_a_selector_finds_one_whatever_is_known_of_them(select, scores):
    candidates = [Candidate(f"{place}", f"{place}", 1, score=score) for place, score in enumerate(scores)]
    assert select(candidates) == 0, "the earlier, where none is better"
    nothing = [Candidate("", None, score=score) for score in scores]
    assert select(nothing) == 0


def test_verdicts_agree_where_enough_say_the_same():
    yes, no, unknown = Verdict(True, tokens=2), Verdict(False, feedback="step 3", tokens=2), Verdict(None, tokens=2)
    assert find_agreed_verdict([yes, yes, yes, no], 0.75) == Verdict(True, 0.75, "", 8)
    assert find_agreed_verdict([no, yes, no, no], 0.75) == Verdict(False, 0.75, "step 3", 8)
    assert find_agreed_verdict([yes, yes, no, unknown], 0.75) is None
    assert find_agreed_verdict([yes, no], 0.5) is None, "a tie is no agreement"
    assert find_agreed_verdict([unknown], 0.5) is None


def test_a_verdict_says_how_likely_right_is():
    verdicts = [Verdict(True), Verdict(True, 0.5), Verdict(None), Verdict(False, 0.5), Verdict(False)]
    assert [verdict.right for verdict in verdicts] == [1, 0.75, 0.5, 0.25, 0]
