"""What a pile of texts differs in is found though its parts misread, and so is the group in which failures gather."""

from __future__ import annotations

import math
from itertools import combinations
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from populations import KNOWN, Pile, assign, list_attributes, overlap, propose, read_pile, search

import headway as hw
from headway import testing
from headway.methods.plan.matrix import Structure, find_slices, find_subpopulations, read_outcomes
from headway.methods.plan.matrix.slices import upper_tail
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash


def test_dimensions_that_most_samples_name_are_found_and_their_attributes_are_completed():
    found = testing.run(search, Pile(seed=1), store=None)
    assert {each.name for each in found.dimensions} == {*KNOWN}
    for each in found.dimensions:
        assert {*each.attributes} <= {*KNOWN[each.name]}
        assert len(each.attributes) >= 5
        assert each.coverage >= 0.9 or each.rounds == 4  # that many at most
    assert max(each.rounds for each in found.dimensions) > 1


def test_the_planted_group_is_found_better_than_by_one_look():
    piles = [Pile(seed=seed) for seed in range(20, 25)]
    refined = fmean(overlap(pile, testing.run(search, pile, store=None)) for pile in piles)
    once = fmean(overlap(pile, testing.run(search, pile, 1, 1, store=None)) for pile in piles)
    assert refined > once + 0.2
    assert refined > 0.6


def test_rounds_end_as_soon_as_enough_texts_have_an_attribute():
    careful = Pile(seed=3, misread=0.0)
    once = testing.run(search, careful, 5, 1, store=None)
    assert any(each.coverage < 0.9 for each in once.dimensions)
    assert all(each.rounds == 1 for each in once.dimensions)


@hw.task
async def short_of_tokens() -> Structure:
    pile = Pile(seed=1, texts=30)

    @hw.task(cost={"tokens": 10})
    async def dear(dimension: str, attributes: list[str], text: str) -> str | None:
        hw.charge(tokens=10)
        return await assign(pile, dimension, attributes, text)

    with hw.budget(tokens=255):
        return await find_subpopulations(
            read_pile(pile)[0],
            lambda some, index: propose(pile, some, index),
            lambda dimension, some, known, index: list_attributes(pile, dimension, some, known, index),
            dear,
            sample=10,
        )


def test_a_budget_leaves_the_labels_so_far(go):
    found = go(short_of_tokens)
    assert sum(label is not None for each in found.dimensions for label in each.labels) in range(1, 26)
    assert found.stopped == "budget"


def test_a_run_that_is_killed_ends_as_if_it_had_not_been():
    pile = Pile(seed=2, texts=24)
    whole = History(1, STEADY)
    undisturbed = whole.live(search, pile, 2, 2)
    history = History(1, STEADY)
    for share in (0.3, 0.8):
        assert history.live(search, pile, 2, 2, crash=Crash(int(len(whole.rows()) * share), "after")).how == "died"
    assert history.live(search, pile, 2, 2).value == undisturbed.value
    history.check(undisturbed.outcome)


class Unwell(hw.ModelError):
    """A part that fails."""


@hw.task
async def search_with(broken: str) -> Structure:
    @hw.task
    async def name_one(texts: list[str], index: int) -> list[str]:
        if broken == "all" or index == 0:
            raise Unwell(f"sample {index}")
        return [" Place "]

    @hw.task
    async def list_them(dimension: str, texts: list[str], known: list[str], index: int) -> list[str]:
        return ["roof", "street", "roof"]

    @hw.task
    async def give(dimension: str, attributes: list[str], text: str) -> str | None:
        return "cellar" if broken == "unknown" else attributes[0]

    return await find_subpopulations(["on the roof"] * 9, name_one, list_them, give, sample=3)


def test_a_part_that_fails_at_one_sample_does_not_fail_the_search(go):
    found = go(search_with, "one")
    assert found.dimensions[0].name == "place"
    assert found.dimensions[0].attributes == ("roof", "street")
    assert [str(error) for error in found.errors] == ["sample 0"]
    with pytest.raises(Unwell, match="sample 0"):
        go(search_with, "all", run_id="all")


def test_an_attribute_that_was_not_offered_is_refused(go):
    with pytest.raises(hw.UsageError, match="there is no attribute 'cellar' of 'place'"):
        go(search_with, "unknown")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"texts": []}, "at least one"),
        ({"texts": "one text"}, "a list of texts"),
        ({"theta": 90}, "theta=90"),
        ({"rounds": 0}, "rounds=0"),
        ({"dimensions": 0}, "dimensions=0"),
        ({"samples": 0}, "samples=0"),
        ({"sample": 0}, "sample=0"),
        ({"seed": "x"}, "seed='x'"),
        ({"propose": None}, "propose=None"),
        ({"errors": 1}, "errors=1"),
    ],
)
def test_senseless_arguments_are_refused_in_a_sentence(go, options, says):
    given = {"texts": ["a"], "propose": propose, "attributes": list_attributes, "assign": assign, **options}

    @hw.task
    async def program() -> Structure:
        return await find_subpopulations(
            given.pop("texts"), given.pop("propose"), given.pop("attributes"), given.pop("assign"), **given
        )

    with pytest.raises(hw.UsageError, match=says):
        go(program)


# --- where failures gather -------------------------------------------------------------------------------------------


@given(st.integers(1, 8), st.integers(0, 8), st.integers(0, 8), st.integers(0, 8))
def test_the_chance_is_that_of_counting_all_draws(total, marked, drawn, found):
    marked, drawn = min(marked, total), min(drawn, total)
    draws = list(combinations(range(total), drawn))
    counted = sum(sum(place < marked for place in draw) >= found for draw in draws) / len(draws)
    assert upper_tail(total, marked, drawn, found) == pytest.approx(counted)


def test_chance_alone_makes_no_group_unlikely():
    labels = {"a": ["x", "y"] * 30, "b": ["p", "p", "q"] * 20}
    failed = [number % 4 in (0, 1) for number in range(60)]
    assert all(each.chance > 0.5 for each in find_slices(labels, failed))


def test_a_group_of_two_conditions_is_ranked_before_the_wider_ones():
    labels = {"a": ["x", "y"] * 30, "b": ["p"] * 30 + ["q"] * 30}
    failed = [number % 2 == 0 and number < 30 for number in range(60)]
    first = find_slices(labels, failed)[0]
    assert (first.where, first.failures, first.rate) == ((("a", "x"), ("b", "p")), 15, 1.0)
    assert first.expected == pytest.approx(15 * 15 / 60)
    assert math.isclose(first.chance, upper_tail(60, 15, 15, 15) * 8)


def test_labels_of_another_length_and_no_items_are_refused():
    with pytest.raises(hw.UsageError, match="dimension 'a' has 1 labels for 2 items"):
        find_slices({"a": ["x"]}, [True, False])
    with pytest.raises(hw.UsageError, match="smallest=0"):
        find_slices({}, [], smallest=0)
    assert find_slices({}, []) == []


@hw.task
async def ship(country: str, weight: int) -> int:
    if country == "Malta" and weight > 5:
        raise Unwell("too heavy")
    return weight


@hw.task
async def ship_all() -> int:
    calls = [ship(country, weight) for country in ("Malta", "Italy", "Fiji") for weight in range(12)]
    return sum(each.ok for each in await hw.settle(*calls))


def test_the_failed_calls_of_a_run_are_sliced(go, tmp_path):
    assert go(ship_all) == 30
    texts, failed = read_outcomes(hw.view("run", store=tmp_path / "store"), "ship")
    assert sorted(text for text, bad in zip(texts, failed, strict=True) if bad) == sorted(
        f"country=Malta; weight={weight}" for weight in range(6, 12)
    )
    weights = ["heavy" if int(text.rpartition("=")[2]) > 5 else "light" for text in texts]
    labels = {"country": [text.partition(";")[0] for text in texts], "weight": weights}
    assert find_slices(labels, failed)[0].where == (("country", "country=Malta"), ("weight", "heavy"))
