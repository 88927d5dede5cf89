"""Tunes the settings of a method: trials side by side, each a call, chosen by Optuna.

    tuned = await allocate.tune(measure, {"temperature": allocate.Between(0.1, 2.0), "n": allocate.Between(4, 64, log=True)})

Optuna keeps nothing: it is asked and told in the order in which trials ended, which is recorded. So a killed tuning asks for the
same trials again, finds those that have ended, and goes on. While trials run, the sampler takes them for bad ones (the constant
liar), so that it doesn't ask for the same place twice.

Where a trial can be measured at several levels of effort, the cheap ones weed out: only the best of a level go on to the next
(asynchronous successive halving). The values of different levels are never compared.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from headway.engine.handle import Handle
from headway.errors import UsageError
from headway.extras import explain_missing
from headway.methods import settings
from headway.methods.allocate.rolling import keep_running
from headway.scopes.anytime import Stopped, anytime

Value: TypeAlias = int | float | str | bool


@dataclass(frozen=True, slots=True)
class Between:
    """A setting between two numbers: whole ones where both bounds are whole.

    Attributes:
        low: the least value.
        high: the largest value.
        log: whether values are spread by their ratio, as for what may be 10 or 1,000.

    Raises:
        UsageError: a bound is no finite number, they are not in order, or a ratio has no meaning.

    Example:
        >>> Between(1, 64, log=True)
        Between(low=1, high=64, log=True)
    """

    low: int | float
    high: int | float
    log: bool = False

    def __post_init__(self) -> None:
        for bound in (self.low, self.high):
            if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
                raise UsageError(f"Between({self.low!r}, {self.high!r}): two finite numbers")
        if not self.low < self.high:
            raise UsageError(f"Between({self.low}, {self.high}): the lower bound first")
        if self.log and self.low <= 0:
            raise UsageError(f"Between({self.low}, {self.high}, log=True): bounds above 0, or no ratio has a meaning")


Space: TypeAlias = Mapping[str, "Between | Collection[Value]"]


@dataclass(frozen=True, slots=True)
class Probe:
    """A trial.

    Attributes:
        number: of the trial, from 0 on.
        settings: by name.
        value: what was measured last; NaN where it failed.
        level: the level of the last value, from 0 on.
        end: "whole" where it was measured at every level, "weeded out" before, or "failed".
    """

    number: int
    settings: dict[str, Value]
    value: float
    level: int
    end: str


@dataclass(frozen=True, slots=True)
class Optimum:
    """How tuning ended.

    Attributes:
        best: the best trial that was measured at every level; None where there is none.
        trials: in the order in which they ended.
        stopped: why it ended: "done", "budget" or "deadline".
    """

    best: Probe | None
    trials: tuple[Probe, ...]
    stopped: Stopped


async def tune(
    measure: Callable[[dict[str, Value], int, int], Awaitable[float]],
    space: Space,
    *,
    trials: int = 40,
    parallel: int = 4,
    levels: int = 1,
    keep: int = 3,
    largest: bool = False,
    first: int = 10,
    seed: int = 0,
    errors: tuple[type[Exception], ...] = (),
) -> Optimum:
    """Find settings that make a measured value least, by Bayesian optimisation with trials side by side.

    It departs in the model: Optuna's tree-structured Parzen estimator, whose expected improvement needs no Gaussian process.

    Args:
        measure: measures settings; gets them, the number of the trial, and the level of effort from 0 on. Usually a task. A value
            that is not finite is a failed trial.
        space: for each setting a `Between`, or a list of values.
        trials: how many.
        parallel: how many at a time.
        levels: levels of effort, such as 3 for `(10, 30, 90)[level]` questions.
        keep: one in so many trials of a level goes on to the next.
        largest: whether the value is to be largest instead.
        first: trials at random, before the model is used.
        seed: of the sampler.
        errors: what a trial may fail with, without failing the tuning.

    Returns:
        The best settings and all trials. A budget or a deadline that is used up ends the tuning early.

    Raises:
        UsageError: a setting makes no sense, or optuna is not installed.
        Exception: what `measure` raises, but for `errors`.

    Example:
        >>> from headway.methods import allocate
        >>> @hw.task
        ... async def measure(settings: dict[str, float], trial: int, level: int) -> float:
        ...     return abs(settings["temperature"] - 0.7)
        >>> @hw.task
        ... async def program() -> bool:
        ...     tuned = await allocate.tune(measure, {"temperature": allocate.Between(0.0, 2.0)}, trials=30)
        ...     return abs(tuned.best.settings["temperature"] - 0.7) < 0.2
        >>> hw.run(program, store=None)
        True

    Source:
        Frazier, "A tutorial on Bayesian optimization", arXiv 1807.02811; Optuna: Akiba et al., arXiv 1907.10902; levels after ASHA:
        Li et al., arXiv 1810.05934.
    """
    settings.whole_number("tune", trials=trials, first=first, seed=seed)
    settings.at_least_one("tune", parallel=parallel, levels=levels)
    settings.whole_number("tune", least=2, keep=keep)
    settings.function("tune", measure=measure)
    study = _Study(_distributions(space), levels, keep, largest, first, seed, errors)
    found: dict[int, Probe] = {}
    begun = 0

    def ask() -> tuple[_Running, Awaitable[float]] | None:
        nonlocal begun
        running = study.next_level()
        if running is None:
            if begun == trials:
                return None
            running, begun = study.ask(begun), begun + 1
        return running, measure(dict(running.settings), running.number, running.level)

    def tell(running: _Running, ended: Handle[float]) -> None:
        probe = study.tell(running, ended)
        if probe is not None:
            block.keep(probe.number, probe)

    with anytime(found) as block:
        await keep_running(ask, tell, parallel)
    whole = [probe for probe in found.values() if probe.end == "whole"]
    best = (max if largest else min)(whole, key=lambda probe: probe.value, default=None)
    return Optimum(best, tuple(found.values()), block.stopped)


@dataclass(slots=True)
class _Running:
    """A trial that is not at its end."""

    number: int
    trial: Any
    settings: dict[str, Value]
    level: int = 0


class _Study:
    """A study of Optuna, in memory: it is made again by a resumed run, from the same answers."""

    def __init__(
        self,
        distributions: Callable[[Any], dict[str, Any]],
        levels: int,
        keep: int,
        largest: bool,
        first: int,
        seed: int,
        errors: tuple[type[Exception], ...],
    ) -> None:
        with explain_missing("allocate.tune"):
            self._optuna: Any = importlib.import_module("optuna")
        self._levels, self._keep, self._errors = levels, keep, errors
        self._distributions = distributions(self._optuna.distributions)
        self._waiting: list[_Running] = []  # trials that go on to their next level
        said = self._optuna.logging.get_verbosity()
        self._optuna.logging.set_verbosity(self._optuna.logging.ERROR)
        try:
            self._study = self._optuna.create_study(
                direction="maximize" if largest else "minimize",
                sampler=self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=first, constant_liar=True),
                pruner=self._optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=keep),
            )
        finally:
            self._optuna.logging.set_verbosity(said)

    def next_level(self) -> _Running | None:
        return self._waiting.pop(0) if self._waiting else None

    def ask(self, number: int) -> _Running:
        trial = self._study.ask(self._distributions)
        return _Running(number, trial, dict(trial.params))

    def tell(self, running: _Running, ended: Handle[float]) -> Probe | None:
        """Tell what a level came to; the trial, where that was its end."""
        error = ended.exception()
        if error is not None and not isinstance(error, self._errors):
            raise error
        value = math.nan if error is not None else float(ended.result())
        state = self._optuna.trial.TrialState
        if not math.isfinite(value):
            self._study.tell(running.trial, state=state.FAIL)
            return self._end(running, math.nan, "failed")
        if running.level + 1 == self._levels:
            self._study.tell(running.trial, value)
            return self._end(running, value, "whole")
        running.trial.report(value, step=self._keep**running.level)
        if running.trial.should_prune():
            self._study.tell(running.trial, state=state.PRUNED)
            return self._end(running, value, "weeded out")
        running.level += 1
        self._waiting.append(running)
        return None

    def _end(self, running: _Running, value: float, end: str) -> Probe:
        return Probe(running.number, running.settings, value, running.level, end)


def _distributions(space: Space) -> Callable[[Any], dict[str, Any]]:
    """The distributions of a space, once Optuna is there. Raises UsageError for a space that makes no sense, with or without it."""
    if not isinstance(space, Mapping) or not space:
        raise UsageError(f"tune: space={space!r:.80}: a dictionary with at least one setting")
    for name, values in space.items():
        if isinstance(values, Between):
            continue
        if isinstance(values, str) or not isinstance(values, Collection) or not values:
            raise UsageError(f"tune: setting {name!r} is {values!r:.80}: a Between(low, high), or a list of values")
        if not all(isinstance(value, int | float | str | bool) for value in values):
            raise UsageError(f"tune: setting {name!r} is {values!r:.80}: values are numbers, texts, True or False")

    def make(optuna: Any) -> dict[str, Any]:
        return {name: _distribution(optuna, values) for name, values in space.items()}

    return make


def _distribution(optuna: Any, values: Between | Collection[Value]) -> Any:
    if not isinstance(values, Between):
        return optuna.CategoricalDistribution(tuple(values))
    whole = isinstance(values.low, int) and isinstance(values.high, int)
    kind = optuna.IntDistribution if whole else optuna.FloatDistribution
    return kind(values.low, values.high, log=values.log)
