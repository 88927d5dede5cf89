"""The loose and the strict accuracy of FanOutQA."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway.methods.plan.accuracy import loose_accuracy, normalise, strict_accuracy, texts_of

TEXTS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
REFERENCES = st.recursive(
    TEXTS | st.integers() | st.booleans(), lambda below: st.lists(below, min_size=1) | st.dictionaries(TEXTS, below, min_size=1)
)


def test_keys_and_values_of_a_dictionary_count_alike():
    reference = {"Pat Burrell": "Right", "Mark Mulder": "Left"}
    assert loose_accuracy(reference, "Pat Burrell bats right.") == 0.5
    assert loose_accuracy(reference, "Pat Burrell bats right, Mark Mulder left.") == 1.0
    assert not strict_accuracy(reference, "Pat Burrell bats right, Mark Mulder too.")


def test_nested_references_count_each_of_their_texts():
    assert loose_accuracy({"Rome": ["Tiber", "Aniene"], "Paris": "Seine"}, "Rome: Tiber; Paris") == 3 / 5


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("Rome", "It is rome."),
        (1_234_567, "1,234,567 people"),
        (1.5, "about 1.5 km"),
        (True, "Yes!"),
        (False, "No, it isn't"),
        ("J. D. Drew", "JD Drew or J D Drew"),
        ("the languages", "the language"),
        ("$5", "it costs $5 in all"),
        ("São Paulo", "sa\u0303o paulo"),
        ("August 5, 1976", "born on August 5 1976"),
        (["", "Rome"], "Rome"),
    ],
)
def test_what_says_the_same_is_found(reference, answer):
    assert loose_accuracy(reference, answer) == 1.0


@pytest.mark.parametrize(
    ("reference", "answer"),
    [("Rome", "Romeo"), (15, "1.5"), (1.5, "15"), (34, "3,4"), (True, "yesterday"), (7, "1,007"), ("5", "$55"), ("Rome", "")],
)
def test_what_only_looks_like_it_is_not(reference, answer):
    assert loose_accuracy(reference, answer) == 0.0


@pytest.mark.parametrize("reference", [[], {}, "", ["", ""], None, object(), [None], b"Rome"])
def test_a_reference_without_a_text_is_refused(reference):
    with pytest.raises(hw.UsageError, match="loose_accuracy: "):
        loose_accuracy(reference, "Rome")


@given(REFERENCES)
def test_what_says_all_of_a_reference_is_strictly_right(reference):
    assert strict_accuracy(reference, "; ".join(texts_of(reference)))


@given(st.text())
def test_a_text_that_is_normalised_stays_as_it_is(text):
    assert normalise(normalise(text)) == normalise(text)
