"""The capability that makes an agent of pydantic-ai durable in a Headway run.

It is built on the interface that pydantic-ai offers engines (`pydantic_ai.durable_exec`): that takes an agent apart into units, and
`units` runs each as a recorded call. Outside of a run an agent with this capability is an ordinary one.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal
from uuid import UUID

from pydantic_ai.agent import EventStreamHandler
from pydantic_ai.durable_exec import (
    JSON_CODEC,
    BaseDurabilityCapability,
    CapabilityOperationId,
    DurabilityEngineSpec,
    DurableOperationBackend,
    DurableOperationId,
    RoleBasedOperationConfig,
    ToolsetCallToolId,
    conversation_id_from_run_id,
    external_event_scope,
    replay_scope,
)
from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model
from pydantic_ai.run import AgentRunResult
from pydantic_ai.tools import AgentDepsT, RunContext
from pydantic_ai.toolsets import ToolsetTool

from headway.context import now, random
from headway.engine.call import current
from headway.errors import NotEncodable, UsageError
from headway.integrations.pydantic_ai.units import UnitBackend, UnitConfig, check_config
from headway.integrations.pydantic_ai.waiting import SignalWaiter
from headway.models.prices import Price


def _not_encodable(error: Exception) -> NotEncodable:
    return NotEncodable(f"an agent's result has no JSON form, so it can't be recorded ({error}): return text, numbers or a model")


class HeadwayDurability(BaseDurabilityCapability[AgentDepsT]):
    """Records each turn of an agent's model, and each call of its tools, as a call of the Headway run around it.

    Give the agent a `name`: it is part of what names its units in the journal, so keep it, and the ids of toolsets.

    A recorded unit never runs again. One that was running when the process died runs again, so a tool with an effect takes
    `hw.call().idempotency_key`, which is the same in every attempt. Tools start when all before them is durable; say
    `metadata={"headway": {"effect": False}}` of those that only read. Units are named by what is asked, so a program that puts the
    time or a random number into a prompt takes them from `hw.now()` and `hw.random()`.

    Tokens (and money, where the model has a price) are charged to the budgets around the agent. With `max_tokens` in the model's
    settings a turn also reserves what it can cost at most, so that a bound is kept.

    Args:
        models: models that a run may be switched to, by name. See `BaseDurabilityCapability`.
        event_stream_handler: hears the events of an agent: those of the model as they come, those of tools each in a unit.
        name: names the agent's units. Default: the agent's name.
        model: how turns of the model run.
        tool: how calls of tools run; `metadata={"headway": …}` of a tool counts before it.
        event: how units of the event handler run.
        capability: how units of other capabilities run.
        price: of the model. Default: its list price.

    Raises:
        UserError: an option makes no sense, or (pydantic-ai says so when the agent is made) the agent has no name.

    Example:
        >>> from pydantic_ai import Agent
        >>> from pydantic_ai.models.test import TestModel
        >>> agent = Agent(TestModel(custom_output_text="Paris"), name="clerk", capabilities=[HeadwayDurability()])
        >>> @hw.task
        ... async def answer(question: str) -> str:
        ...     return (await agent.run(question)).output
        >>> hw.run(answer, "the capital of France?", store=None)
        'Paris'
    """

    engine_spec: ClassVar[DurabilityEngineSpec] = DurabilityEngineSpec(
        engine_name="Headway",
        durable_unit_noun="call",
        durable_container_noun="run",
        codec=JSON_CODEC,
        serialization_failure=_not_encodable,
        unsupported_runtime_toolset_kinds=frozenset({"function", "mcp", "dynamic"}),
        wrapped_toolset_kinds=frozenset({"function", "mcp", "dynamic"}),
        # entered around the run, never in a unit: a unit runs in a task of its own, and what is entered there can't be left here
        toolset_lifecycles={"function": "enter-always", "mcp": "enter-always", "dynamic": "enter-never"},
        tool_config_key="headway",
    )

    def __init__(
        self,
        *,
        models: Mapping[str, Model] | None = None,
        event_stream_handler: EventStreamHandler[AgentDepsT] | None = None,
        name: str | None = None,
        model: UnitConfig | None = None,
        tool: UnitConfig | None = None,
        event: UnitConfig | None = None,
        capability: UnitConfig | None = None,
        price: Price | None = None,
    ) -> None:
        super().__init__(models=models, event_stream_handler=event_stream_handler, name=name)
        given = {"model": model, "tool": tool, "event": event, "capability": capability}
        self._configs = {role: check_config(one or {}, f"HeadwayDurability({role}=…)") for role, one in given.items()}
        if price is not None and not isinstance(price, Price):
            raise UserError(f"HeadwayDurability(price={price!r:.100}): expected headway.models.Price(read, written)")
        self._price = price

    @property
    def in_durable_context(self) -> bool:
        """Whether a call of a run is going on here. Raises UsageError in a thread of one, which can't wait for calls this way."""
        frame = current.get()
        if frame is None:
            return False
        if threading.get_ident() != frame.call.engine.thread:
            raise UsageError(
                f"agent {self.name!r} runs in a thread of {frame.call.describe()}, where its turns can't be recorded: "
                "make the task or tool around it an `async def` and write `await agent.run(…)`"
            )
        return True

    def get_default_run_id(self) -> str | None:
        return str(UUID(int=random().getrandbits(128), version=4)) if self.in_durable_context else None

    def get_default_conversation_id(self, run_id: str) -> str | None:
        return conversation_id_from_run_id(run_id) if self.in_durable_context else None

    async def get_run_start_time(self, run_id: str) -> datetime | None:
        return datetime.fromtimestamp(now(), UTC) if self.in_durable_context else None

    def get_durable_operation_backend(self) -> DurableOperationBackend[UnitConfig]:
        return self._backend()

    def _backend(self) -> UnitBackend:
        configs = self._configs
        return UnitBackend(
            agent_name=self.name,
            model_id=self.default_model_id,
            config=RoleBasedOperationConfig(
                model=configs["model"],
                event=configs["event"],
                capability=configs["capability"],
                tool=configs["tool"],
                resolve_tool=self._tool_config,
            ),
            price=self._price,
        )

    def _tool_config(self, operation_id: DurableOperationId, tool: object | None, name: str) -> UnitConfig | Literal[False]:
        """How calls of a tool run: what the tool says, before what the capability says. False: outside of units."""
        base = self._configs["tool"]
        if not isinstance(operation_id, ToolsetCallToolId):
            base = UnitConfig(**{name: value for name, value in base.items() if name != "effect"})  # type: ignore[typeddict-item]
        metadata = tool.tool_def.metadata if isinstance(tool, ToolsetTool) else None
        own = (metadata or {}).get("headway")
        if own is None:
            return base
        if own is False:
            return False
        return UnitConfig(**{**base, **check_config(own, f"metadata['headway'] of tool {name!r}")})

    async def wrap_run(
        self, ctx: RunContext[AgentDepsT], *, handler: Callable[[], Awaitable[AgentRunResult[Any]]]
    ) -> AgentRunResult[Any]:
        """Run the agent where waits are durable and where what is replayed leaves no telemetry."""
        if not self.in_durable_context:
            return await super().wrap_run(ctx, handler=handler)
        with replay_scope(), external_event_scope(SignalWaiter(self._ask_outside)):
            return await super().wrap_run(ctx, handler=handler)

    async def _ask_outside(self, name: str, token: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask somebody outside, once: a unit of its own."""
        return await self._backend().execute(
            operation_id=CapabilityOperationId("external_event", operation=name),
            name=f"{self.name}__external_event.{name}",
            body=ask,
            cache_key=(name, token),
            config=self._configs["capability"],
        )
