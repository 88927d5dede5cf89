"""Offers tasks, and the runs of a store, to any MCP client: what `headway mcp` runs.

A call of a task is a run of its own. A client that names it (`headway/run` in the call's `_meta`, or an idempotency key) gets the
same run for the same name: its result where it has ended, the rest of the work where it was broken off. A client that cancels, or
goes away, stops the work, and what is finished is kept: `headway_resume` goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import headway as hw
from headway import events
from headway.errors import HeadwayError, UsageError
from headway.extras import explain_missing
from headway.near import near_misses
from headway.tools.mcp.calls import IDEMPOTENCY
from headway.tools.results import Unshowable, show
from headway.tools.tool import AnyTool, Tool, tool

if TYPE_CHECKING:
    from mcp.server.lowlevel.server import Server

RUN = "headway/run"
MOST_RUNS = 200
LAST_S = 10.0  # how long a run that is cancelled may take to end
_LONGEST_NAME = 48


@dataclass(frozen=True)
class Offered:
    """What a server offers: tasks by name, and the store in which their runs are kept."""

    tasks: Mapping[str, Tool]
    store: Any
    name: str = "headway"


def make_server(tasks: Sequence[AnyTool], *, store: Any = ".headway", name: str = "headway") -> Server[Any]:
    """Make an MCP server (extra `mcp`) of tasks and of the runs of a store.

    Args:
        tasks: what it offers: tasks, typed functions or tools.
        store: where the runs of its calls are kept.
        name: what it calls itself.

    Returns:
        The SDK's server: run it on any of its transports.

    Raises:
        UsageError: two tasks have one name, one has no schema, or the extra is missing.
    """
    with explain_missing("headway mcp"):
        from mcp.server.lowlevel.server import Server
    made: dict[str, Tool] = {}
    for each in tasks:
        one = tool(each)
        if one.name in made:
            raise UsageError(f"two tasks are called {one.name!r}: give one another name with tools.tool(…, name=)")
        made[one.name] = one
    offered = Offered(made, store, name)
    return Server(name, version=_version(), on_list_tools=_lister(offered), on_call_tool=_caller(offered))


def _version() -> str:
    from importlib.metadata import version

    return version("headway")


def _lister(offered: Offered) -> Callable[[Any, Any], Awaitable[Any]]:
    import mcp_types as types

    async def list_all(ctx: Any, params: Any) -> Any:
        listed = [
            types.Tool(
                name=one.name,
                description=one.spec.description,
                input_schema=dict(one.spec.parameters),
                annotations=types.ToolAnnotations(read_only_hint=False, destructive_hint=one.labels.effect),
            )
            for one in offered.tasks.values()
        ]
        listed += [
            types.Tool(
                name=one.name,
                description=one.spec.description,
                input_schema=dict(one.spec.parameters),
                annotations=types.ToolAnnotations(read_only_hint=one.name in ("headway_runs", "headway_show")),
            )
            for one in make_run_tools(offered.store).values()
        ]
        return types.ListToolsResult(tools=listed)

    return list_all


def _caller(offered: Offered) -> Callable[[Any, Any], Awaitable[Any]]:
    async def call(ctx: Any, params: Any) -> Any:
        of_runs = make_run_tools(offered.store)
        try:
            if params.name in offered.tasks:
                return await _run_task(offered, offered.tasks[params.name], params, ctx)
            if params.name in of_runs:
                wanted = of_runs[params.name]
                read = wanted.parse(json.dumps(params.arguments or {}))
                return _make_result(await wanted.task.fn(**read))
        except HeadwayError as error:
            return _make_error(str(error))
        known = [*offered.tasks, *of_runs]
        return _make_error(f"there is no tool {params.name!r}; {near_misses(params.name, known)}")

    return call


async def _run_task(offered: Offered, wanted: Tool, params: Any, ctx: Any) -> Any:
    """One call of a task, as a run."""
    args, kwargs = wanted.parameters.place(wanted.parse(json.dumps(params.arguments or {})))
    meta = dict(ctx.meta or {})
    run_id = _name_run(wanted.name, meta)
    said: asyncio.Queue[events.Event] = asyncio.Queue()
    telling = asyncio.ensure_future(_tell(said, ctx.session))
    try:
        value = await _until_cancelled(
            hw.arun(wanted.task, *args, kwargs=kwargs, store=offered.store, run_id=run_id, progress=False, events=said.put_nowait)
        )
    except Exception as error:
        return _make_error(f"{type(error).__name__}: {error} (run {run_id})", run_id)
    finally:
        telling.cancel()
    return _make_result(value, run_id)


async def _until_cancelled(work: Coroutine[Any, Any, Any]) -> Any:
    """What the work gives. The SDK cancels every `await` of a handler until it has ended; a run is cancelled once, and gets the
    time to record what is finished."""
    import anyio

    doing = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        doing.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([doing], timeout=LAST_S)
        raise


def _name_run(task: str, meta: Mapping[str, Any]) -> str:
    """The run's name: the client's, one made of its key, or a new one."""
    if isinstance(named := meta.get(RUN), str) and named:
        return named
    key = meta.get(IDEMPOTENCY)
    mark = hashlib.blake2b(str(key).encode(), digest_size=6).hexdigest() if key else secrets.token_hex(6)
    return f"{task[:_LONGEST_NAME]}-{mark}"


async def _tell(said: asyncio.Queue[events.Event], session: Any) -> None:
    """Tell the client how far its call is."""
    done = begun = 0
    while True:
        event, said_so = await said.get(), None
        if isinstance(event, events.CallStarted):
            begun += 1
        elif isinstance(event, events.CallEnded):
            done += 1
        elif isinstance(event, events.CallWaits) and not event.over and not event.budget:
            said_so = f"it waits for the signal {event.name!r}: answer with headway_signal"
        else:
            continue
        await session.report_progress(done, begun, said_so)


def _make_result(value: Any, run_id: str = "") -> Any:
    import mcp_types as types

    try:
        shown = show(value, most_bytes=1 << 24)
    except Unshowable as error:
        return _make_error(f"it returned {error}, which is no JSON; the value is in the run {run_id}", run_id)
    text = shown if isinstance(shown, str) else "\n".join(getattr(part, "text", "") for part in shown)
    structured = {"result": value if isinstance(value, str) else _read(text)}
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)], structured_content=structured, _meta={RUN: run_id} if run_id else None
    )


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _make_error(text: str, run_id: str = "") -> Any:
    import mcp_types as types

    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)], is_error=True, _meta={RUN: run_id} if run_id else None
    )


# --- the runs of the store -------------------------------------------------------------------------------------------


def make_run_tools(store: Any) -> dict[str, Tool]:
    """Tools that look at the runs of a store, and steer them."""

    async def headway_runs(status: str = "") -> list[dict[str, Any]]:
        """List the runs of the store, the newest first.

        Args:
            status: only those of this status, such as "done", "failed", "running" or "interrupted".
        """
        found = await asyncio.to_thread(hw.runs, store=store, status=status or None, most=MOST_RUNS, newest_first=True)
        return [{"run": run.run_id, "task": run.task, "status": run.status} for run in found]

    async def headway_show(run: str) -> dict[str, Any]:
        """Show a run: its status, its result or error, what it waits for, and its calls.

        Args:
            run: the run's id.
        """
        return await asyncio.to_thread(_show_run, run, store)

    async def headway_resume(run: str) -> Any:
        """Go on with a run that was broken off, and return its result.

        Args:
            run: the run's id.
        """
        return await hw.aresume(run, store=store, progress=False)

    async def headway_signal(run: str, name: str, value: Any = None) -> str:
        """Send a run the signal that it waits for, such as an approval.

        Args:
            run: the run's id.
            name: the signal's name.
            value: what is sent.
        """
        await asyncio.to_thread(hw.signal, run, name, value, store=store)
        return f"sent {name} to {run}"

    async def headway_cancel(run: str) -> str:
        """Cancel a run. What is finished stays in the store.

        Args:
            run: the run's id.
        """
        await asyncio.to_thread(hw.cancel, run, store=store)
        return f"{run} is to be cancelled"

    made = [tool(fn) for fn in (headway_runs, headway_show, headway_resume, headway_signal, headway_cancel)]
    return {one.name: one for one in made}


def _show_run(run_id: str, store: Any) -> dict[str, Any]:
    seen = hw.view(run_id, store=store)
    calls = [{"task": call.task, "label": call.label, "state": call.state} for call in seen.calls[:MOST_RUNS]]
    return {"run": run_id, "status": seen.status, "waiting": [wait.name for wait in seen.waiting], "calls": calls}
