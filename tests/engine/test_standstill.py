"""Who can never go on: against trying every order, and on the standstills that have names."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from headway.engine.scopes.standstill import Party, find_circle, find_stuck

AMOUNTS = st.dictionaries(st.sampled_from("xy"), st.integers(0, 3), max_size=2)
PARTIES = st.lists(st.builds(Party, st.lists(st.integers(0, 4), max_size=2), AMOUNTS, AMOUNTS), max_size=5)


def ends_in_this_order(parties, order, left) -> set[int]:
    """Who has ended when each was asked once, in this order."""
    left, ended = dict(left), set()
    for name in order:
        party = parties[name]
        waits = any(other in parties and other not in ended for other in party.after)
        if not waits and all(left[what] >= much for what, much in party.wants.items()):
            ended.add(name)
            for what, much in party.holds.items():
                left[what] += much
    return ended


@given(PARTIES, st.fixed_dictionaries({"x": st.integers(0, 3), "y": st.integers(0, 3)}))
def test_it_finds_who_ends_in_no_order(listed, left):
    parties = dict(enumerate(listed))
    ended = set().union(*(ends_in_this_order(parties, order, left) for order in itertools.permutations(parties)))
    assert find_stuck(parties, left) == set(parties) - ended


def test_who_waits_for_what_its_parent_holds_is_stuck_with_it():
    parties = {"parent": Party(after=("child",), holds={"x": 2}), "child": Party(wants={"x": 2}, waits_for=("parent",))}
    assert find_stuck(parties, {"x": 1}) == {"parent", "child"}
    assert find_stuck(parties, {"x": 2}) == set()
    assert find_circle(parties, {"parent", "child"}, "child")


def test_who_waits_behind_a_circle_is_in_none():
    parties = {
        "holder": Party(after=("inner",), holds={"x": 3}),
        "inner": Party(wants={"x": 2}, waits_for=("holder",)),
        "beside": Party(wants={"x": 3}, waits_for=("holder",)),
    }
    stuck = find_stuck(parties, {"x": 1})
    assert stuck == set(parties)
    assert [name for name in parties if find_circle(parties, stuck, name)] == ["holder", "inner"]
