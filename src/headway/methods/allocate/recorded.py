"""What came of earlier runs: read from a store, kept in a file, believed as it was.

    seen = allocate.read_outcomes(".headway", task="solve_all")       # what earlier runs observed
    table = allocate.Recorded.of(seen)                                # empirical: the outcomes themselves
    seen_before = allocate.believe(Outcomes(), seen)                  # Beta and amounts, with their priors

`Recorded` is an estimator without a prior. Where it knows nothing it says so, instead of guessing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from headway.errors import UsageError
from headway.journal.open import DEFAULT_STORE
from headway.methods.allocate.batch import run_batch
from headway.methods.estimate import Beta
from headway.methods.protocols import Estimator
from headway.methods.records import COVER, Action, Belief, Observation, Spread
from headway.view import CallView, StoreLike, runs, view

E = TypeVar("E", bound=Estimator)


class Row(NamedTuple):
    """One outcome: whether it succeeded, its cost by unit, and its seconds."""

    ok: bool
    cost: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Recorded:
    """Outcomes by step and choice, as they were seen: an empirical `Estimator`.

    Attributes:
        rows: by (step, choice), in the order in which they were seen.
        provenance: where they are from, in a sentence.

    Raises:
        UsageError: there are no outcomes at all; or, when it is asked, none of a choice.

    Example:
        >>> seen = [Observation("sort", "small", ok, {"tokens": 50.0}, 2.0) for ok in (True, False, False, False)]
        >>> table = Recorded.of(seen)
        >>> belief = table.predict(Action("sort", "small", count=2))
        >>> belief.success.mean, belief.cost["tokens"].mean, belief.seconds.mean
        (0.4375, 100.0, 2.0)
        >>> table.predict(Action("sort", "large"))
        Traceback (most recent call last):
            ...
        headway.errors.UsageError: Recorded: there is no outcome of choice 'large' to estimate from; there are of: 'small'

    Source:
        The empirical distribution, as MCPP draws from it (Wang et al., arXiv 2605.06110, and the authors' code).
    """

    rows: Mapping[tuple[str, str], tuple[Row, ...]]
    provenance: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not any(self.rows.values()):
            raise UsageError(
                "Recorded: there are no outcomes to estimate from. Run something first, or begin with methods.estimate.Outcomes, "
                "which has a prior"
            )

    @classmethod
    def of(cls, seen: Iterable[Observation], provenance: str = "") -> Recorded:
        """The table of what was seen. Samples that nobody judged (`ok` is None) are left out.

        Args:
            seen: what was observed, in its order.
            provenance: where it is from, in a sentence.

        Returns:
            The table.

        Raises:
            UsageError: there are no judged samples.
        """
        rows: dict[tuple[str, str], list[Row]] = {}
        for each in seen:
            if each.ok is not None:
                rows.setdefault((each.step, each.choice), []).append(Row(each.ok, dict(each.cost), each.seconds))
        return cls({key: tuple(of_key) for key, of_key in rows.items()}, provenance)

    @cached_property
    def units(self) -> tuple[str, ...]:
        """The units that something cost."""
        return tuple(sorted({unit for rows in self.rows.values() for row in rows for unit in row.cost}))

    @cached_property
    def _of_choice(self) -> dict[str, tuple[Row, ...]]:
        found: dict[str, tuple[Row, ...]] = {}
        for (_, choice), rows in self.rows.items():
            found[choice] = found.get(choice, ()) + rows
        return found

    def of_step(self, step: str, choice: str) -> tuple[Row, ...]:
        """The outcomes of a step with a choice; of a step that was not seen with it, those of the choice with all steps.

        Args:
            step: id of the step.
            choice: how it is done.

        Returns:
            The outcomes, in the order in which they were seen; at least one.

        Raises:
            UsageError: the choice was never seen.
        """
        found = self.rows.get((step, choice)) or self._of_choice.get(choice, ())
        if not found:
            known = ", ".join(map(repr, sorted(self._of_choice)))
            raise UsageError(f"Recorded: there is no outcome of choice {choice!r} to estimate from; there are of: {known:.200}")
        return found

    def observe(self, seen: Observation, /) -> Recorded:
        """The table with one outcome more.

        Args:
            seen: the outcome.

        Returns:
            Another table; the same one where nobody judged the sample (`ok` is None).
        """
        key = seen.step, seen.choice
        if seen.ok is None:
            return self
        row = Row(seen.ok, dict(seen.cost), seen.seconds)
        return Recorded({**self.rows, key: (*self.rows.get(key, ()), row)}, self.provenance)

    def predict(self, action: Action, /) -> Belief:
        """What the outcomes say of an action. Samples are taken for independent draws among them.

        Args:
            action: the step, the choice and how many samples at once.

        Returns:
            What to expect: see `Belief`. Cost is that of all samples, seconds that of the slowest.

        Raises:
            UsageError: the choice was never seen.
        """
        rows, k = self.of_step(action.step, action.choice), action.count
        right = sum(row.ok for row in rows)
        cost = {unit: [row.cost.get(unit, 0.0) for row in rows] for unit in self.units}
        return Belief(
            Spread(1 - (1 - right / len(rows)) ** k, *Beta(right, len(rows) - right).interval(count=k)),
            {unit: _times(k, _spread(amounts)) for unit, amounts in cost.items()},
            _spread([row.seconds for row in rows], largest_of=k),
            float(len(rows)),
        )

    # --- in a file ---------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the table to a file, as JSON. Amounts keep four digits after the point.

        Args:
            path: the file; one that is there is overwritten.
        """
        units = self.units
        table = _Table(
            self.provenance,
            units,
            [
                _Rows(
                    step,
                    choice,
                    "".join("1" if row.ok else "0" for row in rows),
                    [round(row.seconds, 4) for row in rows],
                    [[round(row.cost.get(unit, 0.0), 4) for row in rows] for unit in units],
                )
                for (step, choice), rows in self.rows.items()
            ],
        )
        Path(path).write_bytes(msgspec.json.encode(table))

    @classmethod
    def load(cls, path: str | Path) -> Recorded:
        """Read a table that `save` wrote.

        Args:
            path: the file.

        Returns:
            The table.

        Raises:
            UsageError: the file can't be read, or is no table of outcomes.
        """
        try:
            table = msgspec.json.decode(Path(path).read_bytes(), type=_Table)
            return cls({(each.step, each.choice): tuple(each.rows(table.units)) for each in table.outcomes}, table.provenance)
        except (OSError, msgspec.DecodeError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"Recorded.load: {path} is no table of outcomes, such as `save` writes: {said}") from None


class _Rows(msgspec.Struct):
    step: str
    choice: str
    ok: str  # a 0 or a 1 for each
    seconds: list[float]
    cost: list[list[float]]  # for each unit

    def rows(self, units: tuple[str, ...]) -> Iterable[Row]:
        for ok, seconds, *cost in zip(self.ok, self.seconds, *self.cost, strict=True):
            yield Row(ok == "1", dict(zip(units, cost, strict=True)), seconds)


class _Table(msgspec.Struct):
    provenance: str
    units: tuple[str, ...]
    outcomes: list[_Rows]


def read_outcomes(
    store: StoreLike = DEFAULT_STORE,
    *,
    task: str | None = None,
    run_ids: Iterable[str] | None = None,
    of: str = run_batch.name,
    read: Callable[[CallView], Iterable[Observation]] | None = None,
) -> list[Observation]:
    """What earlier runs of a store observed, the oldest run first.

    Args:
        store: the store.
        task: only of runs of this task.
        run_ids: only of these runs.
        of: the task whose calls are read. By default those that `run_plan` and `run_map` make.
        read: what a call that succeeded says: observations. Needed for calls of another task.

    Returns:
        The observations. None where nothing ran.

    Raises:
        UsageError: another task is named without `read`.
        UnknownRun: the store has no run of that id.

    Example:
        >>> read_outcomes("no-such-folder")
        []
    """
    if read is None and of != run_batch.name:
        raise UsageError(f"read_outcomes(of={of!r}): say with read= what a call of it tells: a function from a hw.CallView")
    say = read or _of_batch
    names = [run.run_id for run in runs(store=store, task=task)] if run_ids is None else list(run_ids)
    found: list[Observation] = []
    for name in names:
        calls = [call for call in view(name, store=store) if call.ok and of in (call.task, call.task.rpartition(".")[2])]
        for call in sorted(calls, key=lambda call: (call.ended or math.inf, call.key)):
            found += say(call)
    return found


def believe(estimator: E, seen: Iterable[Observation]) -> E:
    """Let an estimator observe everything that was seen.

    Args:
        estimator: what is believed before.
        seen: observations, in their order.

    Returns:
        The estimator after the last of them. The one that was given is unchanged.

    Example:
        >>> from headway.methods.estimate import Outcomes
        >>> seen = [Observation("sort", "small", True), Observation("sort", "small", True)]
        >>> believe(Outcomes(), seen).predict(Action("sort", "small")).success.mean
        0.75
    """
    for each in seen:
        estimator = estimator.observe(each)
    return estimator


def _of_batch(call: CallView) -> Iterable[Observation]:
    batch = call.value
    return [Observation(batch.step, each.choice, each.ok, each.cost, each.seconds) for each in batch.samples]


def _spread(values: list[float], largest_of: int = 1) -> Spread:
    """The mean and the bounds of the largest of some draws."""
    ordered = sorted(values)
    n, shares = len(ordered), [(place / len(ordered)) ** largest_of for place in range(len(ordered) + 1)]
    mean = math.fsum(value * (after - before) for value, before, after in zip(ordered, shares[:-1], shares[1:], strict=True))
    low, high = (((1 - COVER) / 2) ** (1 / largest_of), ((1 + COVER) / 2) ** (1 / largest_of))
    return Spread(mean, ordered[min(n - 1, math.floor(low * n))], ordered[min(n - 1, math.ceil(high * n) - 1)])


def _times(count: int, one: Spread) -> Spread:
    return Spread(count * one.mean, count * one.low, count * one.high)
