"""The capacity model: how many turns a second a fleet makes of a load, what is busy then, and what is full first. Pure.

A run takes **turns**: a worker claims it, it makes rounds of calls, and it ends or is parked. A turn uses a slot of a worker, the
worker's core, the server, and time in which it only waits for an answer. The model is mean value analysis of a closed network of
queues, by the approximation of Schweitzer (P. Schweitzer, Approximate analysis of multiclass closed networks of queues, 1979), with
the server's cores as in A. Seidmann, P. Schweitzer and S. Shalev-Oren, Computerized closed queueing network models of flexible
manufacturing systems, 1987. `simulated.py` plays the same with the real worker and the real rules of queues.

This file must never measure anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

RENEWED_S = 10.0  # a lease of 30 s is renewed when a third of it is over
LINGER_S = 0.05  # calls that end within this of each other share a commit
LOOK_S = 2.0  # a worker with free slots looks into its queues so often at least
_ROUNDS = 2_000
_DAMPING = 0.3


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What single things cost on the machines that there are. Times are seconds of one core, `reply_s` aside.

    Attributes:
        call_s: of a driver, for a call.
        turn_s: of a driver, to take a run up and to give it back.
        commit_s: of the server, for a commit of rows, a renewal, or whatever else changes one run.
        row_s: of the server, for each row.
        look_s: of the server, for a look into the queues: a sweep, and a claim that finds nothing.
        claim_s: of the server, for each run that is claimed.
        reply_s: how long a statement takes besides: the disk and the network, in which no core is busy.
        cores: of the server.
    """

    call_s: float
    turn_s: float
    commit_s: float
    row_s: float
    look_s: float
    claim_s: float
    reply_s: float
    cores: int = 1


SMALL = Figures(call_s=5e-4, turn_s=2e-3, commit_s=5e-4, row_s=5e-6, look_s=1e-3, claim_s=3e-4, reply_s=5e-4)
"""Round figures of a small server, for simulations that are to be the same everywhere."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What runs do in a turn, and then.

    Attributes:
        runs: how many there are that have begun and not ended.
        rounds: of calls in a turn, one after the other.
        wide: calls of a round, all at a time.
        lasts_s: how long a call waits for its answer, on average; exponentially distributed.
        parked_s: how long a run is parked between turns, on average; 0 where it is there again at once.
    """

    runs: int
    rounds: int
    wide: int = 1
    lasts_s: float
    parked_s: float = 0.0

    @property
    def calls(self) -> int:
        """Calls of a turn."""
        return self.rounds * self.wide

    @property
    def commits(self) -> float:
        """Commits of a turn. Calls of a round end at a rate that falls; the first to end opens a group that stays open for
        `LINGER_S`, so of a rate r there are r/(1 + r LINGER_S) groups a second. Integrated over the round."""
        groups = self.lasts_s / LINGER_S * math.log1p(self.wide * LINGER_S / self.lasts_s)
        return self.rounds * max(1.0, groups)

    @property
    def answers_s(self) -> float:
        """How long a turn waits for answers: in each round for the slowest."""
        return self.rounds * self.lasts_s * sum(1 / i for i in range(1, self.wide + 1))


@dataclass(frozen=True, kw_only=True)
class Fleet:
    workers: int
    slots: int  # of each worker: runs that it drives at a time


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a fleet makes of a load.

    Attributes:
        turns: a second.
        stay_s: how long a worker has a run in a turn.
        busy: the share of each thing that is used: "slots", "drivers", "server".
    """

    turns: float
    stay_s: float
    busy: Mapping[str, float]

    @property
    def first(self) -> str:
        """What is full first."""
        return max(self.busy, key=lambda name: self.busy[name])


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Seconds of one core that a turn takes."""

    driver_s: float
    server_s: float


def demand(figures: Figures, load: Load, stay_s: float, looks: float = 1.0) -> Demand:
    """What a turn takes; `looks` into the queues for each turn, and renewals for as long as it stays."""
    commits = load.commits + stay_s / RENEWED_S
    server_s = commits * figures.commit_s + load.calls * figures.row_s + looks * figures.look_s + figures.claim_s
    return Demand(driver_s=figures.turn_s + load.calls * figures.call_s, server_s=server_s)


def forecast(figures: Figures, load: Load, fleet: Fleet) -> Forecast:
    """How many turns a second a fleet makes.

    >>> figures = Figures(call_s=0.001, turn_s=0.0, commit_s=0.001, row_s=0.0, look_s=0.0, claim_s=0.0, reply_s=0.0)
    >>> found = forecast(figures, Load(runs=1, rounds=10, lasts_s=1.0), Fleet(workers=1, slots=1))
    >>> round(found.turns, 3)  # 10 s of waiting, 20 ms of work
    0.1
    >>> found.first
    'slots'
    """
    slots, workers, cores = fleet.workers * fleet.slots, fleet.workers, figures.cores
    turns, at_core, at_server, looks, stay_s = 1e-9, 0.0, 0.0, 1.0, load.answers_s
    used = needed = Demand(driver_s=0.0, server_s=0.0)
    for _ in range(_ROUNDS):
        used = needed = demand(figures, load, stay_s, looks)
        inside = max(1.0, min(slots, load.runs, turns * stay_s))  # runs that some worker has
        others = (inside - 1) / inside
        core_slow = 1 + at_core * max(0.0, 1 - workers / inside)
        server_slow = (1 + at_server * others) / cores + (cores - 1) / cores
        look_s = (figures.look_s + figures.claim_s) * server_slow + 2 * figures.reply_s
        each = turns / workers
        looking = 1 / (look_s + math.exp(-each * look_s) / each) if each > 0 else 0.0  # looks of one worker a second
        refill_s = look_s * (1 + looking * look_s / 2)  # from the end of one run in a slot to the next
        last = load.rounds / load.commits  # the share of commits that a round waits for: its last one
        commits_s = load.rounds * figures.commit_s + last * load.calls * figures.row_s
        new_stay_s = load.answers_s + needed.driver_s * core_slow + commits_s * server_slow + load.rounds * figures.reply_s
        found_s = refill_s + (LOOK_S / (workers + 1) if load.parked_s and turns * stay_s < 0.9 * slots else 0.0)
        new_turns = min(slots / (new_stay_s + refill_s), load.runs / (new_stay_s + found_s + load.parked_s))
        new_turns = min(new_turns, workers / max(needed.driver_s, 1e-12), cores / max(needed.server_s, 1e-12))
        turns += _DAMPING * (new_turns - turns)
        stay_s += _DAMPING * (new_stay_s - stay_s)
        looks += _DAMPING * (min(1.0, looking / each if each > 0 else 1.0) - looks)
        at_core += _DAMPING * (turns / workers * needed.driver_s * core_slow - at_core)
        at_server += _DAMPING * (turns * needed.server_s * (1 + at_server * others) / cores - at_server)
        at_core, at_server = min(at_core, load.runs), min(at_server, load.runs)  # no more wait than there are
    busy = {
        "slots": turns * stay_s / slots,
        "drivers": turns * used.driver_s / workers,
        "server": turns * used.server_s / cores,
    }
    return Forecast(turns=turns, stay_s=stay_s, busy=busy)
