"""What the declaration of a task says: its options, checked against each other and made into the engine's view of the task.

Bad options are refused here, before any call is made. `options` checks each of them by itself, `misfit` what a pool can't do. The
face (`task.py`) says what the options mean.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

from headway.engine.identity.keys import task_part
from headway.engine.identity.labels import LabelLike, check_label
from headway.engine.identity.signature import Signature
from headway.engine.outcomes.retry import Retry
from headway.engine.scopes.bounds import LimitNumbers
from headway.engine.streaming.streams import WINDOW
from headway.engine.tasks.callables import is_async, is_stream, name_of
from headway.engine.tasks.carried import check_task_function, own_name, what_it_carries
from headway.engine.tasks.options import check_options, is_number
from headway.engine.tasks.spec import RIVALS, TASKS, TaskSpec
from headway.engine.tasks.watched import Watch, check_watch
from headway.errors import UsageError, WorkerDied
from headway.journal.codec.declared import declare, stable_module
from headway.pools.base import Demand, Traits
from headway.pools.program import check_importable, function_ref
from headway.pools.registry import TRAITS, misfit

OnChange = Literal["reuse", "rerun", "ask"]


def make_spec(
    fn: Callable[..., Any],
    *,
    name: str | None = None,
    pool: str | None = None,
    retry: Retry | None = None,
    timeout: float | None = None,
    batch: int | None = None,
    linger_s: float = 0.0,
    batches: int | None = None,
    key: object = None,
    cache: Literal["run", "forever"] = "run",
    effect: bool = False,
    verify: Callable[..., Any] | None = None,
    on_change: OnChange = "reuse",
    version: str = "",
    watch: Watch | None = None,
    label: LabelLike | None = None,
    cost: Mapping[str, float] | None = None,
    resources: Mapping[str, int] | None = None,
    limit: int | LimitNumbers | None = None,
    processes: int | None = None,
    needs: Mapping[str, Any] | None = None,
    window: int | None = None,
    codec: Literal["typed", "pickle"] = "typed",
) -> TaskSpec:
    """The engine's view of a task. Declares the types in its signature to the codec."""
    fn = check_task_function(fn)
    known_as = name or _name_of(fn)
    asynchronous = is_async(fn)
    where = pool or ("inline" if asynchronous else "thread")
    traits = TRAITS.get(where)  # None of a pool that runs bring: what it asks of the task is checked there
    if traits is not None and traits.imports:
        check_importable(fn)
    spec = TaskSpec(
        name=known_as,
        fn=fn,
        signature=Signature(fn, name or own_name(fn), batch=bool(batch)),
        is_async=asynchronous,
        pool=where,
        retry=retry or _retry_of(traits),
        timeout_s=timeout,
        batch=batch or 0,
        linger_s=linger_s,
        batches=batches or 0,
        key=key,
        forever=cache == "forever",
        effect=effect,
        verify=verify,
        on_change=on_change,
        version_text=version,
        watch=check_watch(watch, known_as, version),
        label_as=label,
        cost={unit: float(amount) for unit, amount in (cost or {}).items()},
        resources=dict(resources or {}),
        limit=_limit_of(limit, known_as),
        pickled=codec == "pickle",
        ref=function_ref(fn) if traits is not None and traits.imports else None,
        need=Demand.of(_needs(processes, needs)),
        streams=is_stream(fn),
        window=WINDOW if window is None and is_stream(fn) else window or 0,
    )
    carried = "" if key is not None else what_it_carries(fn, known_as, named=bool(name), forever=spec.forever)
    identity = f"{known_as}\0{carried}" if carried else known_as
    spec = dataclasses.replace(spec, plain=_is_plain(spec), identity=identity, name_part=task_part(identity))
    for annotation in getattr(fn, "__annotations__", {}).values():
        declare(annotation, getattr(fn, "__globals__", {}))
    if label is not None:
        names = (*spec.signature.names, *spec.signature.keyword_names)
        check_label(label, spec.name, names, takes_any=spec.signature.takes_any)
    if (known := TASKS.get(spec.name)) is not None and known.fn is not fn:
        RIVALS.add(spec.name)
    TASKS[spec.name] = _check_spec(spec)
    return spec


def change_spec(
    spec: TaskSpec,
    *,
    key: object,
    retry: Retry | None,
    timeout: float | None,
    cost: Mapping[str, float] | None,
    resources: Mapping[str, int] | None,
    processes: int | None,
    needs: Mapping[str, Any] | None,
) -> TaskSpec:
    """The task with other options. What is None stays as it is."""
    check_options({"cost": cost, "resources": resources, "needs": needs}, f"{spec.name}.options({{}})")
    needed = _needs(processes, needs)
    changes: dict[str, Any] = {
        "key": key,
        "retry": retry,
        "timeout_s": timeout,
        "cost": dict(cost) if cost is not None else None,
        "resources": dict(resources) if resources is not None else None,
        "need": Demand.of({**dict(spec.need.options), **needed}) if needed else None,
    }
    changed = {name: value for name, value in changes.items() if value is not None}
    spec = _check_spec(dataclasses.replace(spec, **changed))
    return dataclasses.replace(spec, plain=_is_plain(spec))


def _name_of(fn: Callable[..., Any]) -> str:
    """The name that a task has by itself. Raises UsageError where it has none."""
    name = own_name(fn)
    if not name:
        raise UsageError(f"@hw.task got {fn!r:.100}, which has no name of its own: add name=, by which its calls are known")
    return f"{stable_module(fn.__module__)}.{name}"


def _needs(processes: int | None, needs: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a task needs of its pool. `processes=` is a need that has a name of its own among the options."""
    given = {} if processes is None else {"processes": processes}
    return {**given, **(needs or {})}


def _retry_of(traits: Traits | None) -> Retry | None:
    """What a task does about a worker that died, where it says nothing of that and its pool has members that die together."""
    if traits is None or traits.attempts <= 1:
        return None
    return Retry(attempts=traits.attempts, delay_s=1.0, on=(WorkerDied,))


def _limit_of(limit: int | LimitNumbers | None, name: str) -> LimitNumbers | None:
    """What a task's limit allows. Raises UsageError for what is none."""
    if limit is None or isinstance(limit, LimitNumbers):
        return limit
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise UsageError(f"task {name}: limit={limit!r:.100}: expected a whole number, at least 1, or hw.limit(…)")
    return LimitNumbers(limit)


def _is_retry(value: object) -> bool:
    return value is None or isinstance(value, Retry)


def _is_plain(spec: TaskSpec) -> bool:
    """Whether calls of this task need nothing but a turn of the event loop."""
    needs = (spec.retry, spec.timeout_s, spec.batch, spec.effect, spec.cost, spec.resources, spec.pickled, spec.streams)
    return spec.pool == "inline" and not any(needs)


def _check_spec(spec: TaskSpec) -> TaskSpec:
    traits = TRAITS.get(spec.pool)
    wrong = ""
    if traits is not None and (unfit := misfit(spec, traits)):
        wrong = unfit
    elif wrong := _unfit_stream(spec):
        pass
    elif spec.verify is not None and not spec.effect:
        wrong = "verify= is for effects: add effect=True"
    elif spec.batch and (spec.effect or spec.resources):
        wrong = "a batch task can't be an effect or hold resources"
    elif spec.on_change not in ("reuse", "rerun", "ask"):
        wrong = f"on_change={spec.on_change!r} is none of 'reuse', 'rerun', 'ask'"
    elif not _is_retry(spec.retry):
        wrong = f"retry={spec.retry!r} is no Retry: write retry=hw.Retry(attempts=3)"
    elif not (spec.timeout_s is None or (is_number(spec.timeout_s) and spec.timeout_s > 0)):
        wrong = f"timeout={spec.timeout_s!r} is not a number of seconds above zero"
    elif not all(map(callable, (spec.verify or _check_spec,))):
        wrong = f"verify={spec.verify!r} is no function"
    elif callable(spec.key) and is_async(spec.key):
        wrong = f"key={name_of(spec.key)} is async: a call is named when it is made, so give a plain function of its arguments"
    elif any(amount < 0 or amount == math.inf or amount != int(amount) for amount in spec.resources.values()):
        wrong = f"resources={dict(spec.resources)!r}: whole numbers, zero or more"
    elif spec.batch < 0 or spec.linger_s < 0 or spec.batches < 0:
        wrong = "batch, batches and linger_s can't be negative"
    elif spec.batches and not spec.batch:
        wrong = "batches= is for batch tasks: add batch="
    elif any(not amount >= 0 for amount in spec.cost.values()):
        wrong = f"cost={spec.cost!r}: amounts can't be negative"
    if wrong:
        raise UsageError(f"task {spec.name}: {wrong}")
    return spec


def _unfit_stream(spec: TaskSpec) -> str:
    """What an async generator can't be, or only one can."""
    if not spec.streams:
        return "" if not spec.window else "window= is for async generators, whose calls hand out items: leave it out"
    if spec.window < 1:
        return f"window={spec.window}: a stream is ahead of who reads it by one item at least"
    if spec.pool != "inline":
        return f"an async generator runs on the event loop, not in pool={spec.pool!r}: leave out pool="
    options = {"batch=": spec.batch, 'cache="forever"': spec.forever, "effect=": spec.effect}
    given = next((name for name, value in options.items() if value), "")
    return given and f"an async generator hands out items and can't have {given}: leave it out, or give it to a task that it calls"
