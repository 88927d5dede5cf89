"""Which states of a tree to keep: the integer program of ETS, from numbers to places. Pure.

Keeping a state earns its gain, costs every node on its path that no other kept state has paid for, and earns a bonus for each
cluster that is kept in part:

    maximise  sum of gains - node_cost * (distinct nodes on kept paths, the root included) + bonus * (clusters covered)

At least one state is kept. The program is solved here, exactly, from the leaves up: the most that each subtree can earn, for each
set of covered clusters that others could cover as well. Only a tree whose clusters are spread over many subtrees has too many such
sets; that one goes to HiGHS. The tree alone decides which, never what is installed, so a search makes the same choice on every
machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from headway.errors import UsageError
from headway.extras import explain_missing
from headway.methods import settings

MOST_OPTIONS = 400
"""Options of a subtree, at most, before the solver is asked."""

Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """The states among which to choose.

    Attributes:
        gains: what each state earns.
        paths: where each is: the places of its steps from the root, all different.
        clusters: of which cluster each is, numbered from 0.
        node_cost: what a node costs.
        bonus: what a covered cluster earns.

    Raises:
        UsageError: there are no states, the lists differ in length, a number is none, or two states have one path.
    """

    gains: tuple[float, ...]
    paths: tuple[Path, ...]
    clusters: tuple[int, ...]
    node_cost: float = 0.0
    bonus: float = 0.0

    def __post_init__(self) -> None:
        if not len(self.gains) == len(self.paths) == len(self.clusters) > 0:
            lengths = f"{len(self.gains)} gains, {len(self.paths)} paths, {len(self.clusters)} clusters"
            raise UsageError(f"Tree: {lengths}: give one of each for every state, and at least one state")
        settings.finite("Tree", node_cost=self.node_cost, bonus=self.bonus)
        for gain in self.gains:
            settings.number("Tree", gain=gain)
        settings.whole_number("Tree", cluster=min(self.clusters))
        if len(set(self.paths)) < len(self.paths):
            raise UsageError("Tree: two states have the same path: give each the places of all its steps")


def nodes_of(paths: Sequence[Path]) -> set[Path]:
    """The nodes on these paths, each once; the root is the empty path.

    Example:
        >>> sorted(nodes_of([(0, 1), (0, 2)]))
        [(), (0,), (0, 1), (0, 2)]
    """
    return {path[:end] for path in paths for end in range(len(path) + 1)}


def worth(tree: Tree, kept: Sequence[int]) -> float:
    """What keeping the states at these places earns: the objective."""
    nodes = len(nodes_of([tree.paths[place] for place in kept]))
    covered = len({tree.clusters[place] for place in kept})
    return sum(tree.gains[place] for place in kept) - tree.node_cost * nodes + tree.bonus * covered


def keep_best(tree: Tree) -> list[int]:
    """The places of the states to keep, at least one, so that `worth` is the largest possible.

    Raises:
        UsageError: the tree is too large to be solved here, and HiGHS is not installed.

    Example:
        >>> from dataclasses import replace
        >>> tree = Tree(gains=(0.5, 0.3, 0.2), paths=((0,), (1,), (2,)), clusters=(0, 0, 1), node_cost=0.25)
        >>> keep_best(tree), keep_best(replace(tree, bonus=0.1))
        ([0, 1], [0, 1, 2])
    """
    found = keep_here(tree)
    return keep_by_solver(tree) if found is None else found


# --- exactly, here ---------------------------------------------------------------------------------------------------


class _Option(NamedTuple):
    """A way to keep some states of a subtree: what it earns, the states, and as bits the clusters it covers of which others have
    states too. A cluster of which nobody else has any is paid for already."""

    earns: float
    covers: int
    kept: tuple[int, ...]


_NOTHING = _Option(0.0, 0, ())


def keep_here(tree: Tree) -> list[int] | None:
    """As `keep_best`, without a solver; None where a subtree has more than `MOST_OPTIONS` options."""
    places = sorted(range(len(tree.paths)), key=lambda place: tree.paths[place])
    options = _options(tree, 0, places, Counter(tree.clusters))
    if options is None:
        return None
    return sorted(max((option for option in options if option.kept), key=lambda option: option.earns).kept)


def _options(tree: Tree, depth: int, places: Sequence[int], members: Counter[int]) -> list[_Option] | None:
    """The options of the subtree at a node; its states are at these places, and their paths are the same up to this depth."""
    found, inside = [_NOTHING], Counter[int]()
    parts = [list(part) for _, part in groupby(places, key=lambda place: tree.paths[place][depth : depth + 1])]
    for below in sorted(parts, key=lambda part: min(tree.clusters[place] for place in part)):  # so that clusters are soon whole
        ends = len(tree.paths[below[0]]) == depth
        own = [_NOTHING, _alone(tree, below[0])] if ends else _options(tree, depth + 1, below, members)
        if own is None or len(own) * len(found) > MOST_OPTIONS * 40:
            return None
        inside.update(tree.clusters[place] for place in below)
        whole = sum(1 << cluster for cluster, count in inside.items() if count == members[cluster])
        found = _prune([_join(tree, one, other, whole) for one in found for other in own], tree.bonus)
        if len(found) > MOST_OPTIONS:
            return None
    return [option._replace(earns=option.earns - tree.node_cost) if option.kept else option for option in found]


def _alone(tree: Tree, place: int) -> _Option:
    return _Option(tree.gains[place], 1 << tree.clusters[place], (place,))


def _join(tree: Tree, one: _Option, other: _Option, whole: int) -> _Option:
    """Both options together. `whole`: the clusters that have no states elsewhere, which are paid for now."""
    covers = one.covers | other.covers
    return _Option(one.earns + other.earns + tree.bonus * (covers & whole).bit_count(), covers & ~whole, one.kept + other.kept)


def _prune(options: list[_Option], bonus: float) -> list[_Option]:
    """Without the options that another one beats, whatever is kept elsewhere: those that keep something, and would not earn more
    even if all that they cover and the other does not were covered by nobody else."""
    ranked = sorted((option for option in options if option.kept), key=lambda one: -one.earns - bonus * one.covers.bit_count())
    left: list[_Option] = []
    for option in ranked:
        most = option.earns + bonus * option.covers.bit_count()
        if not any(other.earns + bonus * (other.covers & option.covers).bit_count() >= most for other in left):
            left.append(option)
    return [_NOTHING, *left]


# --- by HiGHS --------------------------------------------------------------------------------------------------------


def keep_by_solver(tree: Tree) -> list[int]:
    """As `keep_best`, by HiGHS, as the paper states the program: a binary variable for each state, inner node and cluster."""
    with explain_missing("a tree of this size"):
        import highspy

    class Quiet(highspy.Highs):
        def enableCallbacks(self) -> None:  # noqa: N802 - the name is HiGHS'; it prints a banner here
            self.silent()
            super().enableCallbacks()  # type: ignore[no-untyped-call]

    model = Quiet()  # type: ignore[no-untyped-call]
    model.setOptionValue("mip_rel_gap", 0.0)
    model.setOptionValue("threads", 1)
    keeps = [model.addBinary() for _ in tree.paths]
    nodes = {node: model.addBinary() for node in sorted(nodes_of(tree.paths))}
    covers = {cluster: model.addBinary() for cluster in sorted(set(tree.clusters))}
    for keep, path in zip(keeps, tree.paths, strict=True):
        for end in range(len(path) + 1):
            model.addConstr(nodes[path[:end]] >= keep)
    for cluster, cover in covers.items():
        model.addConstr(cover <= sum(keep for keep, of in zip(keeps, tree.clusters, strict=True) if of == cluster))
    model.addConstr(sum(keeps) >= 1)
    earned = sum(gain * keep for gain, keep in zip(tree.gains, keeps, strict=True))
    model.maximize(earned - tree.node_cost * sum(nodes.values()) + tree.bonus * sum(covers.values()))
    return [place for place, value in enumerate(model.vals(keeps)) if value > 0.5]
