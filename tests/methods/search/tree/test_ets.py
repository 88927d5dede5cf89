"""ETS: the integer program is solved exactly, and a search by it holds fewer nodes at equal accuracy."""

from __future__ import annotations

import asyncio
import functools
import itertools
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solvers import Tree as Walks
from solvers import accuracy, drawn

import headway as hw
from headway.methods import search
from headway.methods.search import State
from headway.methods.search.select.groups import average_linkage, group_by_angle
from headway.methods.search.tree import keep
from headway.methods.search.tree.ets import allocate_kept
from headway.methods.search.tree.keep import Tree, keep_best, keep_by_solver, keep_here, nodes_of, worth

PATHS = st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=8, unique=True)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    paths = draw(PATHS)
    gains = draw(st.lists(st.integers(0, 16), min_size=len(paths), max_size=len(paths)))
    clusters = draw(st.lists(st.integers(0, 4), min_size=len(paths), max_size=len(paths)))
    node_cost, bonus = draw(st.integers(0, 8)), draw(st.integers(0, 8))  # sixteenths, so that sums are exact
    return Tree(tuple(gain / 16 for gain in gains), tuple(paths), tuple(clusters), node_cost / 16, bonus / 16)


def large_tree(seed: int, states: int = 40, clusters: int = 12) -> Tree:
    rng = drawn("tree", seed)
    paths = sorted({tuple(rng.randrange(4) for _ in range(4)) for _ in range(states)})
    gains = [rng.random() for _ in paths]
    numbers = tuple(rng.randrange(clusters) for _ in paths)
    return Tree(tuple(gain / sum(gains) for gain in gains), tuple(paths), numbers, 1 / len(nodes_of(paths)), 1.5 / clusters)


def kept_nodes(tree: Tree) -> int:
    return len(nodes_of([tree.paths[place] for place in keep_best(tree)]))


def covered(tree: Tree) -> int:
    return len({tree.clusters[place] for place in keep_best(tree)})


# --- the program -------------------------------------------------------------------------------------------------------


@given(trees())
def test_what_is_kept_earns_as_much_as_the_best_of_all_choices(tree):
    places = range(len(tree.paths))
    best = max(worth(tree, kept) for size in places for kept in itertools.combinations(places, size + 1))
    kept = keep_here(tree)
    assert kept
    assert worth(tree, kept) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_the_solver_keeps_what_earns_the_same(seed, capfd):
    tree = large_tree(seed)
    here = keep_here(tree)
    assert here is not None
    assert worth(tree, keep_by_solver(tree)) == pytest.approx(worth(tree, here), abs=1e-9)
    assert capfd.readouterr() == ("", ""), "the solver prints nothing"


@given(trees(), st.integers(0, 8))
def test_kept_nodes_never_rise_with_the_cost_of_a_node(tree, more):
    dearer = replace(tree, node_cost=tree.node_cost + (more + 1) / 32)
    assert kept_nodes(dearer) <= kept_nodes(tree)


@given(trees(), st.integers(0, 8))
def test_covered_clusters_never_fall_with_the_bonus(tree, more):
    assert covered(replace(tree, bonus=tree.bonus + (more + 1) / 32)) >= covered(tree)


def test_a_bonus_keeps_all_clusters_where_cost_alone_keeps_the_best_branch():
    for seed in range(5):
        tree = large_tree(seed)
        plain, diverse = replace(tree, bonus=0.0, node_cost=tree.node_cost * 1.5), replace(tree, node_cost=tree.node_cost * 1.5)
        assert covered(plain) < len(set(tree.clusters)) == covered(diverse)


def test_a_tree_with_too_many_options_goes_to_the_solver_and_says_what_to_install_without_it(monkeypatch):
    tree = large_tree(0, 160, 60)
    monkeypatch.setattr(keep, "MOST_OPTIONS", 8)
    assert keep_here(tree) is None
    assert keep_best(tree) == keep_by_solver(tree)
    monkeypatch.setitem(sys.modules, "highspy", None)
    with pytest.raises(hw.UsageError, match=r"a tree of this size needs highspy: pip install 'headway\[solvers\]'"):
        keep_best(tree)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gains": ()}, "0 gains, 2 paths, 2 clusters: give one of each"),
        ({"gains": (), "paths": (), "clusters": ()}, "at least one state"),
        ({"gains": (0.5, float("nan"))}, "gain=nan: a number"),
        ({"paths": ((0,), (0,))}, "two states have the same path"),
        ({"clusters": (0, -1)}, "cluster=-1: a whole number"),
        ({"node_cost": float("inf")}, "node_cost=inf"),
        ({"bonus": -1}, "bonus=-1"),
    ],
)
def test_a_tree_that_makes_no_sense_is_refused(change, said):
    whole = {"gains": (0.5, 0.5), "paths": ((0,), (1,)), "clusters": (0, 0)}
    with pytest.raises(hw.UsageError, match=said):
        Tree(**{**whole, **change})


@given(st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), min_size=1, max_size=7), st.floats(0, 0.5))
def test_groups_by_angle_are_numbered_by_their_first_member(vectors, within):
    numbers = group_by_angle(vectors, within)
    firsts = [number for place, number in enumerate(numbers) if number not in numbers[:place]]
    assert firsts == list(range(len(firsts)))


def test_average_linkage_joins_by_the_mean_distance_of_all_pairs():
    near, between, far = [1.0, 0.0], [0.8, 0.6], [0.28, 0.96]  # neighbours are 0.2 apart, the ends 0.72
    assert group_by_angle([near, between, far], 0.45) == [0, 0, 1]
    assert group_by_angle([near, between, far], 0.47) == [0, 0, 0], "(0.2 + 0.72) / 2"

    with pytest.raises(hw.UsageError, match="give 2 finite numbers for each of 2"):
        average_linkage([[0.0, float("nan")], [0.0, 0.0]], 0.5)


# --- the search --------------------------------------------------------------------------------------------------------


class Held(Walks):
    """Counts the nodes of the trees that a search holds: of each round, those on the paths of the states that are continued."""

    async def step(self, question: str, state: State, index: int) -> State:
        if state.depth:
            self.continued.setdefault((question, state.depth), set()).add(state.path)
        return await super().step(question, state, index)

    @property
    def nodes(self) -> int:
        return sum(len(nodes_of(list(paths))) for paths in self.continued.values())


@functools.cache
def held(method, *, seed: int, **settings) -> tuple[float, int]:
    """Accuracy, and nodes held."""
    tree = Held(depth=6, right=0.6, noise=0.15, seed=seed)
    tree.continued = {}
    extra = (tree.embed,) if method is search.ets else ()
    share = asyncio.run(accuracy(lambda q: method(q, tree.step, tree.score, *extra, n=12, **settings), 36))
    return share, tree.nodes


def test_a_search_holds_fewer_nodes_the_dearer_they_are_at_equal_accuracy():
    for seed in range(3):
        table = [held(search.ets, seed=seed, node_cost=cost) for cost in (0.0, 1.0, 2.0)]
        shares, nodes = zip(*table, strict=True)
        assert nodes[0] > nodes[1] > nodes[2], nodes
        assert nodes[2] < 0.7 * nodes[0]
        assert min(shares) >= max(shares) - 0.1, shares


def test_a_search_holds_fewer_nodes_than_rebase_of_the_same_width_for_each_question_it_answers():
    for seed in range(3):
        ours, nodes = held(search.ets, seed=seed, node_cost=2.0)
        plain = [held(search.rebase, seed=seed, temperature=temperature) for temperature in (0.05, 0.1, 0.2)]
        assert nodes / ours < 0.8 * min(many / share for share, many in plain)
        assert ours >= max(share for share, _ in plain) - 0.1


def test_the_counts_add_up_and_are_those_of_rebase_where_nothing_is_dropped():
    scores, paths = [0.9, 0.5, 0.7, 0.7], [(0,), (1,), (2,), (3,)]
    assert allocate_kept(scores, 11, paths, [0] * 4, node_cost=0.0) == search.allocators.rebase(scores, 11, 0.2)
    for cost in (0.0, 1.0, 3.0, 100.0):
        assert sum(allocate_kept(scores, 11, paths, [0, 1, 1, 2], node_cost=cost)) == 11
    assert allocate_kept(scores, 11, paths, [0] * 4, node_cost=100.0) == [11, 0, 0, 0]
    assert allocate_kept([], 0, [], []) == []


def test_a_search_that_pays_nothing_for_coverage_asks_for_no_vectors():
    async def never(*_: object) -> list[list[float]]:
        raise AssertionError("it was asked")

    tree = Walks()
    assert asyncio.run(search.ets("q|", tree.step, tree.score, never, n=8, coverage=0.0)).candidates
