"""Plans that run under greedy, fickle, lying and clever policies, in simulated worlds: none may pass its budget or its deadline.

    python -m benchmarks.policies_in_bounds [--schedules 10000] [--seed 0]

A seed draws a world (what is held up, reordered, committed when), a plan, a budget, a deadline, a policy and, for every second one,
when the driver is killed; then the run goes on in a new process. The real engine runs the real executor. Afterwards all promises of
Headway are checked, and besides: what the journal says was spent is within the budget, and no attempt began after the deadline.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import headway as hw
from headway.methods import allocate
from headway.methods.allocate import Mcpp, Ran, Recorded, Row, Seq
from headway.methods.graph import Graph, Node, after
from headway.methods.records import Action, View
from headway.sim.config import SimConfig
from headway.sim.history import History, Incarnation

CHOICES = ("small", "large")
PRICES = {"small": 12, "large": 30}  # at most; what an attempt reserves is the larger one, whatever is chosen
BEGAN: list[float] = []  # when bodies of attempts began, in seconds of the world
Policy = Callable[[View, Random], Sequence[Action]]


@hw.task(cost={"tokens": 30})
async def attempt(work: str, choice: str, index: int, given: dict[str, str]) -> str | None:
    """It lasts, costs, fails and succeeds as drawn by what it is asked."""
    BEGAN.append(asyncio.get_running_loop().time())
    draw = Random(f"{work} {choice} {index}")
    for _ in range(draw.choice((1, 1, 3))):
        await asyncio.sleep(draw.expovariate(1.0))
    hw.charge(tokens=PRICES[choice] * draw.random())
    if draw.random() < 0.1:
        raise hw.ModelError("it refused")
    return f"{work}{index}" if draw.random() < 0.4 else None


def greedy(view: View, rng: Random) -> list[Action]:
    return [Action(step, choice, 40) for step in view.ready for choice in view.choices[step]]


def fickle(view: View, rng: Random) -> list[Action]:
    some = [step for step in view.ready if rng.random() < 0.6 or not view.running]
    return [Action(step, rng.choice(view.choices[step]), rng.choice((1, 2, 5))) for step in some]


def careful(view: View, rng: Random) -> list[Action]:
    """One sample at a time, as long as it surely fits."""
    return [] if view.running or view.left["tokens"] < 30 else [Action(view.ready[0], "small")]


def hoarding(view: View, rng: Random) -> list[Action]:
    """Little, until the deadline is near, and then everything."""
    return greedy(view, rng) if view.left_s < 3 else careful(view, rng)


def lying(view: View, rng: Random) -> list[Action]:
    """Now and then what is not allowed."""
    if rng.random() < 0.2:
        return [rng.choice([Action("nothing"), Action(view.ready[0] if view.ready else "t0", "huge"), Action("t0"), Action("t0")])]
    return fickle(view, rng)


SIMPLE: dict[str, Policy] = {
    "greedy": greedy,
    "fickle": fickle,
    "careful": careful,
    "hoarding": hoarding,
    "lying": lying,
    "seq": Seq("small", 3),
}
POLICIES = (*SIMPLE, "mcpp")


def _make_plan(draw: Random) -> Graph[str]:
    nodes: list[Node[str]] = []
    for place in range(draw.randint(1, 6)):
        needs = draw.sample([node.id for node in nodes], draw.randint(0, min(2, len(nodes))))
        nodes.append(Node(f"t{place}", f"w{place}", after(*needs)))
    return Graph(tuple(nodes))


def _make_policy(name: str, plan: Graph[str]) -> Policy:
    if name in SIMPLE:
        return SIMPLE[name]
    rows = {
        (node.id, choice): tuple(Row(place < 2, {"tokens": PRICES[choice] / 2}, 1.0 + place) for place in range(4))
        for node in plan
        for choice in CHOICES
    }
    return Mcpp(plan, Recorded(rows), CHOICES, "tokens", (1, 4), rollouts=16, reserve={"small": 30, "large": 30})


@hw.task
async def spend(plan_seed: int, policy: str, tokens: float, seconds: float, cancel: bool) -> Ran[str, str]:
    """Run a drawn plan under a policy."""
    plan = _make_plan(Random(plan_seed))
    with hw.budget(tokens=tokens), hw.deadline(seconds=seconds):
        return await allocate.run_plan(plan, attempt, policy=_make_policy(policy, plan), choices=CHOICES, cancel=cancel)


def check_schedule(seed: int) -> str:
    """Live one schedule, and say how it ended.

    Args:
        seed: draws everything.

    Returns:
        The policy, and how the run ended.

    Raises:
        AssertionError: it passed its budget or its deadline, or broke another promise. Its text has the seed.
    """
    draw = Random(f"spending {seed}")
    policy, tokens, seconds = draw.choice(POLICIES), draw.choice((20, 60, 150, 400)), draw.choice((0.5, 3.0, 10.0, 1000.0))
    config = replace(SimConfig.draw(random.Random(repr(seed))), clock_jumps_s=0.0)
    asked = seed, policy, float(tokens), seconds, draw.random() < 0.8
    history = History(seed, config)
    last = live(history, asked, draw.randint(20, 2500) if draw.random() < 0.5 else 0)
    if last.how == "died":
        last = live(history, asked)
    history.check()
    how = last.value.stopped if last.how == "returned" else type(last.error).__name__
    allowed = ("done", "gave up", "budget", "deadline", *(["UsageError"] if policy == "lying" else []))
    assert how in allowed, f"seed {seed}: {policy} ended with {how}: {last.error}"
    spent = read_spent(history)
    assert spent <= tokens * (1 + 1e-9), f"seed {seed}: {policy} spent {spent:g} of {tokens}"
    return f"{policy}: {how}"


def live(history: History, asked: tuple[Any, ...], kill_in: int = 0) -> Incarnation:
    """One driver of the run; raises AssertionError where an attempt began after the deadline that it knew."""
    BEGAN.clear()
    life = history.live(spend, *asked, kill_in=kill_in)
    deadlines = [event.deadline for event in life.event_log if isinstance(event, hw.events.DeadlineOpened)]
    if deadlines and BEGAN:
        late_s = max(BEGAN) - (max(deadlines) - history.universe.start)
        assert late_s <= 1e-3, f"seed {history.seed}: an attempt began {late_s:g} s after the deadline"
    return life


def read_spent(history: History) -> float:
    """What the journal says was spent in the budget, or is still held of it."""
    from headway.observe.reading import build_run

    if not history.begun:
        return 0.0
    info = history.store.run(history.run_id)
    budgets = build_run(info, history.store.rows(info.uid)).budgets
    return max((budget.spent.get("tokens", 0.0) + budget.held.get("tokens", 0.0) for budget in budgets), default=0.0)


def check_schedules(first: int, count: int) -> tuple[Counter[str], list[str]]:
    """Live many schedules.

    Args:
        first: the first seed.
        count: how many.

    Returns:
        How often each policy ended how, and what was violated.
    """
    ends: Counter[str] = Counter()
    violations: list[str] = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*left behind", RuntimeWarning)  # a simulated coroutine that is held up stops late
        for seed in range(first, first + count):
            try:
                ends[check_schedule(seed)] += 1
            except AssertionError as error:
                violations.append(str(error))
    return ends, violations


def count_violations(first: int, count: int) -> int:
    """The same in a process of its own, where nothing stands around it: a call in a worker can't hold simulated runs."""
    asked = [sys.executable, "-m", "benchmarks.policies_in_bounds", "--seed", str(first), "--schedules", str(count)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    said = done.stdout.splitlines()[-1:] or [done.stderr]
    found = re.fullmatch(r"[\d,]+ schedules, ([\d,]+) violations", said[0])
    if found is None:
        raise RuntimeError(f"benchmarks.policies_in_bounds said {said[0]!r:.300}")
    return int(found[1].replace(",", ""))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policies_in_bounds", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    ends, violations = check_schedules(options.seed, options.schedules)
    for end, count in sorted(ends.items()):
        print(f"{count:6,} {end}")
    for violation in violations:
        print(violation)
    print(f"{options.schedules:,} schedules, {len(violations):,} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
