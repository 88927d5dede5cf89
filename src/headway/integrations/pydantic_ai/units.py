"""The units of an agent as calls: one task runs them all, named by the unit's persisted name and by what it asks.

A call is a value, so a recorded turn or tool call is found again whatever ran beside it and in whatever order: tools may run in
parallel. Equal units of one call are told apart by their number, as equal calls always are.

The body of a unit runs in its call, so tasks that a tool calls, and agents that it runs, are calls below it. It sees the context
variables of whoever asked for it, as pydantic-ai expects of a unit in the same process.
"""

from __future__ import annotations

import contextvars
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, TypedDict

from pydantic_ai.durable_exec import (
    CallableOperationBackend,
    DurableOperationConfig,
    DurableOperationId,
    JournalCallableOperationBackend,
    ToolsetCallToolId,
    record_durable_unit,
)
from pydantic_ai.exceptions import UserError

from headway.engine.identity.signature import unkeyed
from headway.engine.outcomes.retry import Retry
from headway.integrations.pydantic_ai.asked import digest_of, text_of
from headway.integrations.pydantic_ai.spending import Turn, turn_of
from headway.models.prices import Price
from headway.scopes.budget import charge
from headway.task import Task, task

Backend = CallableOperationBackend["UnitConfig"]


class UnitConfig(TypedDict, total=False):
    """How units of one kind run; also `metadata={"headway": …}` of a tool, for its calls.

    Attributes:
        retry: how often and how fast a failed unit is tried again. Default: once only; `ModelRetry` is no failure.
        timeout: seconds for one attempt.
        cost: what a unit reserves in the budgets, by unit, such as `{"tokens": 4000}`. Default: what is known of a turn.
        effect: whether it changes the outside world, so that it starts only when all before it is durable. Default: tools do, turns
            do not.
    """

    retry: Retry
    timeout: float
    cost: Mapping[str, float]
    effect: bool


@dataclass(eq=False, slots=True)
class Unit:
    """What a unit runs, and in which context. It is no part of the unit's name."""

    body: Callable[[], Awaitable[object]]
    context: contextvars.Context
    turn: Turn | None
    has_begun: bool = False

    async def run(self) -> object:
        self.has_begun = True
        for variable, value in self.context.items():
            if not variable.name.startswith("headway_"):  # the call is this one, not its caller
                variable.set(value)
        payload = await self.body()
        if self.turn is not None:
            charge(**self.turn.spent(payload))
        return payload


@task(name="pydantic_ai.unit", version="1", label="{name}")
async def run_unit(name: str, asked: str, unit: Annotated[Unit, unkeyed]) -> Any:
    """One unit of an agent: a turn of its model, a call of a tool, a discovery of tools, an event."""
    return await unit.run()


_effect: Task[[str, str, Unit], Any] = Task(
    dataclasses.replace(run_unit.spec, effect=True, plain=False)
)  # of the same name, so an effect keeps its key


class UnitBackend(JournalCallableOperationBackend[UnitConfig]):
    """Runs pydantic-ai's units as calls of the current run."""

    def __init__(self, *, agent_name: str, model_id: str | None, config: DurableOperationConfig[UnitConfig], price: Price | None):
        super().__init__(agent_name=agent_name, default_model_id=model_id, config=config)
        self._price = price

    async def execute(
        self,
        *,
        operation_id: DurableOperationId,
        name: str,
        body: Callable[[], Awaitable[object]],
        cache_key: tuple[object, ...],
        config: UnitConfig,
    ) -> object:
        """Run a unit, or return what is recorded of it.

        Raises:
            Exception: what the unit raised.
            UsageError: its model has no price under a bound of money.
        """
        asked = text_of(cache_key)
        turn = turn_of(operation_id, cache_key, asked, self._price)
        cost = config.get("cost", {} if turn is None else turn.reserved)
        effect = config.get("effect", isinstance(operation_id, ToolsetCallToolId))
        asks = _task_of(effect, config.get("retry"), config.get("timeout"), tuple(cost.items()))
        unit = Unit(body, contextvars.copy_context(), turn)
        try:
            return await asks(name, digest_of(asked), unit)
        finally:
            record_durable_unit(executed=unit.has_begun)


@lru_cache(maxsize=256)
def _task_of(
    effect: bool, retry: Retry | None, timeout: float | None, cost: tuple[tuple[str, float], ...]
) -> Task[[str, str, Unit], Any]:
    chosen: Task[[str, str, Unit], Any] = _effect if effect else run_unit
    if retry is None and timeout is None and not cost:
        return chosen
    return chosen.options(retry=retry, timeout=timeout, cost=dict(cost) or None)


def check_config(config: object, where: str) -> UnitConfig:
    """The configuration of units. Raises UserError, pydantic-ai's own, for what is none."""
    if not isinstance(config, Mapping):
        raise UserError(f"{where} = {config!r:.100}: expected a dictionary, such as {{'timeout': 30}}")
    known = UnitConfig.__annotations__
    if unknown := sorted(config.keys() - known.keys()):
        raise UserError(f"{where} has no option {', '.join(map(repr, unknown))}: the options are {', '.join(known)}")
    if not isinstance(config.get("retry", Retry()), Retry):
        raise UserError(f"{where}: retry = {config['retry']!r:.100}: expected a headway.Retry, such as headway.Retry(attempts=3)")
    if not isinstance(config.get("effect", True), bool):
        raise UserError(f"{where}: effect = {config['effect']!r:.100}: expected True or False")
    timeout = config.get("timeout", 1.0)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise UserError(f"{where}: timeout = {timeout!r:.100}: expected a number of seconds above zero")
    if not isinstance(config.get("cost", {}), Mapping):
        raise UserError(f"{where}: cost = {config['cost']!r:.100}: expected amounts by unit, such as {{'tokens': 4000}}")
    return UnitConfig(**config)  # type: ignore[typeddict-item]  # checked above
