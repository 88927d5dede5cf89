"""MCPP: each time, simulate what may be started now and how it may go on, and start what ends in time most often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from headway.errors import UsageError
from headway.extras import explain_missing
from headway.methods import settings
from headway.methods.allocate.base import COUNTS, Priced, Seq, base_policies
from headway.methods.allocate.recorded import Recorded
from headway.methods.allocate.simulate import most_of
from headway.methods.graph import Graph
from headway.methods.records import Action, View

if TYPE_CHECKING:
    from headway.methods.allocate.rollouts import Option, Rest, Rollouts, Scores

Base = Seq | Priced
Chosen = dict[str, "Option"]

BEST = 4  # base policies that may follow an action which none of them would take
NEAR = 8.0  # how fast it counts for nothing to be done with more than there is
ROUNDS = 3  # of changes to one step at a time


@dataclass(frozen=True)
class Mcpp:
    """A policy that maximises the probability that a plan is done within its budget and its deadline.

    Its base policies are fixed rules: always so many samples of one choice at once (`Seq`), or the choice that is cheapest where a
    second has a price (`Priced`). Each time that something has ended, what each of them would start, and changes of that at single
    steps, are judged by simulated executions that go on with one of them. It starts what is done in time most often, if that is
    better than the best base policy on draws that it was not chosen on, beyond the error; else what the best base policy would
    start.

    It departs from the paper's code in this: actions are compared on the same draws; the first success of a batch stops the others;
    of what runs it is only known for how long; it falls back to the best base policy within the error; the base policies that weigh
    cost against time are new, and so is changing one step at a time where the code looks at products. `variant="paper"` is the
    code's own way: other draws for each action, the product for three steps, the largest estimate wins. It departs in what runs,
    which the code knows the end of. With it give `run_plan` and `Mcpp` `cancel=False`.

    Attributes:
        graph: the plan that it will run.
        table: outcomes of earlier runs: what it draws from.
        choices: how steps may be done.
        unit: which budget is spent, such as "tokens".
        counts: how many samples may be started at once.
        rollouts: simulated executions for each pair of an action and what follows it.
        sure: by how many standard errors an action must be better than the best base policy.
        reserve: what a sample of a choice reserves; by default the most that one ever cost.
        cancel: whether the first success of a batch stops the others, as in `run_plan`.
        most: actions that the variant of the paper looks at.
        variant: "better", or "paper".
        bases: the base policies that it chooses among; left to the policy.

    Raises:
        UsageError: a senseless setting, a table that has no outcome of a choice, or numpy is not installed.

    Example:
        >>> from headway.methods.allocate import Row
        >>> from headway.methods.graph import Node, after
        >>> rows = tuple(Row(ok, {"tokens": 2.0}, 1.0) for ok in (True, False)) * 50
        >>> plan = Graph((Node("a", 1), Node("b", 2, after("a"))))
        >>> policy = Mcpp(plan, Recorded({("a", ""): rows, ("b", ""): rows}), ("",), "tokens")
        >>> hurried, poor = View(("a",), left={"tokens": 1000.0}, left_s=2.5), View(("a",), left={"tokens": 20.0}, left_s=99.0)
        >>> [policy(view, Random(1))[0].count for view in (hurried, poor)]
        [16, 1]

    Source:
        MCPP: Wang et al., arXiv 2605.06110, and the authors' code (WangXinglin/MCPP, 2a377ff).
    """

    graph: Graph[Any] = field(repr=False)
    table: Recorded = field(repr=False)
    choices: tuple[str, ...]
    unit: str
    counts: tuple[int, ...] = COUNTS
    rollouts: int = 512
    sure: float = 1.0
    reserve: Mapping[str, float] | None = None
    cancel: bool = True
    most: int = 48
    variant: Literal["better", "paper"] = "better"
    bases: tuple[Base, ...] = field(init=False, repr=False, compare=False)
    _rest: Rest = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)
        with explain_missing("allocate.Mcpp", "numpy"):
            from headway.methods.allocate.rollouts import Pools, Rest
        object.__setattr__(self, "choices", tuple(self.choices))
        bases = base_policies(self.graph, self.table, self.choices, self.unit, self.counts, cancel=self.cancel)
        object.__setattr__(self, "bases", tuple(base for base in bases if self.variant == "better" or isinstance(base, Seq)))
        object.__setattr__(self, "reserve", self.reserve if self.reserve is not None else most_of(self.table, self.unit))
        pools = Pools(self.table, self.unit, cancel=self.cancel)
        for node in self.graph.nodes:  # now, and not when it is asked
            for option in self._options:
                pools.batch(node.id, option)
        object.__setattr__(self, "_rest", Rest(self.graph, pools, [base.of for base in self.bases]))

    @property
    def name(self) -> str:
        """Its name in reasons and tables."""
        return "mcpp" if self.variant == "better" else "mcpp of the paper"

    def __call__(self, view: View, rng: Random, /) -> Sequence[Action]:
        if not view.ready:
            return []
        chosen, why = self._choose_as_paper(view, rng) if self.variant == "paper" else self._choose(view, rng)
        return self._fit(view, chosen, why)

    # --- the better way ----------------------------------------------------------------------------------------------

    def _choose(self, view: View, rng: Random) -> tuple[Chosen, str]:
        rollouts = self._simulate(self._rest, view, rng)
        half = self.rollouts // 2
        actions: list[Chosen] = [{step: base.of(step) for step in view.ready} for base in self.bases]
        scores = [rollouts.score(list(action.items()), place) for place, action in enumerate(actions)]
        ranked = sorted(range(len(scores)), key=lambda place: -_worths(scores[place]))
        best = ranked[0]
        starts = [(place, actions[place]) for place in ranked[:BEST]]
        _, action, place = _improve(rollouts, view.ready, self._options, starts, half)
        ours, base = rollouts.score(list(action.items()), place), scores[best]
        gain = ours.done[half:] - base.done[half:]
        error = gain.std() / max(1, len(gain)) ** 0.5
        share = f"{base.done.mean():.0%} by {self.bases[best].name}"
        if gain.mean() > self.sure * error and gain.mean() > 0:
            return action, f"{ours.done.mean():.0%} done in time, {share}"
        return actions[best], f"{share} done in time"

    @property
    def _options(self) -> list[Option]:
        return [(choice, count) for choice in self.choices for count in self.counts]

    def _simulate(self, rest: Rest, view: View, rng: Random) -> Rollouts:
        import numpy as np

        from headway.methods.allocate.rollouts import Rollouts

        return Rollouts(rest, view, self.unit, count=self.rollouts, generator=np.random.default_rng(rng.getrandbits(64)))

    # --- the paper's -------------------------------------------------------------------------------------------------

    def _choose_as_paper(self, view: View, rng: Random) -> tuple[Chosen, str]:
        best, chosen, of = -1.0, dict[str, "Option"](), ""
        everything = list(range(len(self.bases)))
        for action in self._candidates(view, rng):
            scores = self._simulate(self._rest, view, rng).score(list(action.items()), everything)
            for base, value in zip(self.bases, scores.done.mean(-1), strict=True):
                if value > best:
                    best, chosen, of = float(value), action, base.name
        return chosen, f"{best:.0%} done in time, then {of}"

    def _candidates(self, view: View, rng: Random) -> list[Chosen]:
        """The actions that the code enumerates: base actions first, then products of options."""
        found: list[Chosen] = [dict.fromkeys(view.ready, option) for option in self._options]
        free, others = view.ready, tuple[str, ...]()
        if len(free) > 3:
            drawn = set(rng.sample(view.ready, 3))
            free, others = tuple(drawn), tuple(step for step in view.ready if step not in drawn)
        shared = (self.choices[0], rng.choice(self.counts))
        products = [
            {**dict.fromkeys(others, shared), **dict(zip(sorted(free), options, strict=True))}
            for options in product(self._options, repeat=len(free))
        ]
        rng.shuffle(products)
        return found + products[: max(0, self.most - len(found))]

    # --- what fits ---------------------------------------------------------------------------------------------------

    def _fit(self, view: View, chosen: Chosen, why: str) -> list[Action]:
        """The actions, in the order of the plan, of so many samples as can be reserved; what does not fit waits for what runs."""
        left = view.left.get(self.unit, float("inf"))
        reserve = self.reserve or {}
        actions: list[Action] = []
        for step in view.ready:
            choice, count = chosen[step]
            price = reserve.get(choice, 0.0)
            fits = count if not price else min(count, int(left / price + 1e-9))
            if fits > 0:
                left -= fits * price
                actions.append(Action(step, choice, fits, why))
        return actions


def _improve(
    rollouts: Rollouts, ready: Sequence[str], options: Sequence[Option], starts: Sequence[tuple[int, Chosen]], half: int
) -> tuple[float, Chosen, int]:
    """From each of some actions and what follows it, change one step after another as long as it helps on the first half of the
    draws. The best that is found: its worth there, the action, and what follows it."""
    import numpy as np

    ways = [list(dict.fromkeys([*options, *(action[step] for _, action in starts)])) for step in ready]
    width = max(map(len, ways))
    ways = [[*way, *way[:1] * (width - len(way))] for way in ways]
    follow = [place for place, _ in starts]
    pairs = [[rollouts.start(step, option, follow) for option in way] for step, way in zip(ready, ways, strict=True)]
    steps = np.arange(len(ready))
    found: list[tuple[float, Chosen, int]] = []
    for number, (place, action) in enumerate(starts):
        seconds = np.array([[took[number, :half] for took, _ in of_step] for of_step in pairs])
        cost = np.array([[paid[number, :half] for _, paid in of_step] for of_step in pairs])
        rest_s, rest = rollouts.seconds[place, :half], rollouts.cost[place, :half]
        at = np.array([way.index(action[step]) for step, way in zip(ready, ways, strict=True)])
        worth = -1.0
        for _ in range(ROUNDS):
            own, paid = seconds[steps, at], cost[steps, at]
            order = np.sort(np.vstack([own, rest_s]), axis=0)
            others_s = np.where(own == order[-1], order[-2], order[-1])[:, None]
            others = (rest + paid.sum(0) - paid)[:, None]
            worths = _worths(rollouts.judge(np.maximum(others_s, seconds), others + cost))
            step, way = np.unravel_index(int(worths.argmax()), worths.shape)
            if worths[step, way] <= worth + 1e-9:
                break
            worth, at[step] = float(worths[step, way]), way
        found.append((worth, {name: ways[row][at[row]] for row, name in enumerate(ready)}, place))
    return max(found, key=lambda each: each[0])


def _worths(scores: Scores) -> Any:
    """How often it is done in time; of equals, what comes nearer to it, and what leaves more."""
    near = scores.share.clip(1, None) ** -NEAR
    return scores.done.mean(-1) + 0.02 * near.mean(-1) - 1e-3 * scores.share.clip(0, 10).mean(-1)


def _check(policy: Mcpp) -> None:
    where = "Mcpp"
    settings.at_least_one(where, rollouts=policy.rollouts, most=policy.most)
    settings.finite(where, sure=policy.sure)
    if not isinstance(policy.graph, Graph) or not isinstance(policy.table, Recorded):
        raise UsageError(f"{where}: give it a methods.graph.Graph and an allocate.Recorded")
    choices: object = policy.choices
    if not policy.choices or isinstance(choices, str):
        raise UsageError(f"{where}: choices={policy.choices!r:.80}: a list of at least one name")
    if not policy.counts:
        raise UsageError(f"{where}: counts={policy.counts!r}: at least one number of samples")
    for count in policy.counts:
        settings.at_least_one(where, counts=count)
    if policy.variant not in ("better", "paper"):
        raise UsageError(f"{where}: variant={policy.variant!r:.80}: 'better' or 'paper'")
    if policy.unit not in policy.table.units:
        units = ", ".join(map(repr, policy.table.units)) or "none"
        raise UsageError(f"{where}: unit={policy.unit!r:.80}: the table has no such cost; it has: {units}")
    for choice in policy.choices:
        for node in policy.graph.nodes:
            policy.table.of_step(node.id, choice)
