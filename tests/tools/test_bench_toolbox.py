"""What a toolbox is measured on: the same split each time, and no request that it was told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from benchmarks.agents import functions, toolbox

from headway.tools.finding.bm25 import split_words
from headway.tools.finding.toolbox import document_of

DOCSTRING = """mean(a, axis=None)

Compute the arithmetic mean along the axis. It is the sum over the number.

Parameters
----------
a : array_like
    Array containing numbers whose average is desired.

Returns the average of the elements that were given.

>>> mean([1, 2]) is not a sentence that anybody says.
The mean of nothing at all raises a warning.
Compute the arithmetic average along the axis.
"""


def mean(a, axis=None):
    """Any function of this signature."""


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Functions of few modules, which load fast."""
    monkeypatch.setattr(functions, "MODULES", ("asyncio", "base64", "inspect", "os", "shutil", "socket", "statistics"))
    monkeypatch.setattr(functions, "FUNCTIONS", 30)
    monkeypatch.setattr(functions, "REQUESTS", 15)
    functions.all_functions.cache_clear()
    yield
    functions.all_functions.cache_clear()


def test_a_sentence_names_no_function_is_no_code_and_no_copy_of_the_document():
    found = functions.describe("numpy__mean", "mean", DOCSTRING, mean)
    assert (found.summary, found.parameters) == ("Compute the arithmetic mean along the axis", ("a", "axis"))
    assert found.sentences == (
        "Array containing numbers whose average is desired.",
        "Returns the average of the elements that were given.",
    )


def test_a_split_is_the_same_each_time(few):
    first, again, other = functions.make_split(3), functions.make_split(3), functions.make_split(4)
    assert (first.queries, first.requests) == (again.queries, again.requests)
    assert first.requests != other.requests


def test_no_request_is_told_to_the_toolbox(few):
    split = functions.make_split(5)
    documents = {tool.name: document_of(tool.spec) for tool in split.offered}
    assert len(split.offered) == 30
    assert len(split.requests) == 15
    for asked, name in split.requests:
        words = set(split_words(asked))
        assert all(len(words & set(split_words(told))) <= 0.8 * len(words) for told in split.queries[name])
        assert asked not in documents[name]
        assert sum(asked in told for told in split.queries.values()) == 0


def test_further_texts_of_a_tool_find_it_ten_points_more_often(monkeypatch):
    """On 150 functions of numpy, in each of three splits."""
    monkeypatch.setattr(functions, "MODULES", ("numpy",))
    monkeypatch.setattr(functions, "FUNCTIONS", 150)
    monkeypatch.setattr(functions, "REQUESTS", 80)
    functions.all_functions.cache_clear()
    pairs = [toolbox.measure_queries(seed) for seed in range(3)]
    functions.all_functions.cache_clear()
    assert all(pair.ours >= pair.baseline + 0.10 for pair in pairs)


def test_a_function_that_is_found_can_be_called(few):
    split = functions.make_split(7)
    (call,) = [tool for tool in split.offered if tool.parameters.place({})[0][0] == tool.name][:1]
    assert call.parse('{"x": 1}') == {"x": 1}
