"""MCP servers on each transport: real ones, in processes of their own but for the last.

Times are of this machine, and only their ratio to a bound of the same run is judged.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import headway as hw
from benchmarks.methods.row import Held, Pair, Row
from benchmarks.sides import ROOT
from headway import tools
from headway.tools.mcp.calls import call_tool

TESTS = "tests/tools/mcp/test_mcp_tools.py"
WILD = ROOT / "tests" / "tools" / "mcp" / "wild_server.py"
CALLS, SECONDS = 20, 0.5


@contextlib.contextmanager
def open_server(transport: str) -> Iterator[tools.McpServer]:
    """The wild server of the tests, on a transport."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if transport == "stdio":
            yield tools.McpServer(name="wild", command=[sys.executable, str(WILD), folder])
            return
        if transport == "in process":
            sys.path.insert(0, str(WILD.parent))
            from wild_server import make

            yield tools.McpServer(name="wild", target=make(Path(folder)))
            return
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([sys.executable, str(WILD), folder, str(port)], **quiet)  # type: ignore[call-overload]
        stack.callback(process.wait)
        stack.callback(process.kill)
        for _ in range(6000):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.01)
        yield tools.McpServer(name="wild", url=f"http://127.0.0.1:{port}/mcp")


def measure_parallel(transport: str) -> Callable[[int], Pair]:
    """Twenty calls that sleep, side by side, and one of them."""

    def measure(seed: int) -> Pair:
        with open_server(transport) as server:

            @hw.task(name=f"benchmarks.mcp.{transport}")
            async def program() -> Pair:
                await call_tool(server, "add", {"a": 1, "b": 1})
                begun = asyncio.get_running_loop().time()
                await hw.gather(*(call_tool(server, "slow", {"seconds": SECONDS + at / 1e6 + seed / 1e3}) for at in range(CALLS)))
                return Pair(asyncio.get_running_loop().time() - begun, SECONDS)

            found: Any = hw.run(program, store=None, progress=False)
            return Pair(*found)

    return measure


def measure_overhead(transport: str) -> Callable[[int], Pair]:
    """Many quick calls, one after the other: of the run, and of the SDK's bare client."""

    def measure(seed: int) -> Pair:
        from mcp.client.client import Client

        from headway.tools.mcp.connections import _target

        many = 100

        async def bare(server: tools.McpServer) -> float:
            async with contextlib.AsyncExitStack() as stack:
                client = await stack.enter_async_context(Client(await _target(server, stack)))
                await client.call_tool("add", {"a": 0, "b": 0})
                begun = time.perf_counter()
                for at in range(many):
                    await client.call_tool("add", {"a": at, "b": 1})
                return time.perf_counter() - begun

        with open_server(transport) as server:

            @hw.task(name=f"benchmarks.mcp.quick.{transport}")
            async def program() -> float:
                await call_tool(server, "add", {"a": 0, "b": 0}, reads_only=True)
                begun = time.perf_counter()
                for at in range(many):
                    await call_tool(server, "add", {"a": at, "b": 1}, reads_only=True)
                return time.perf_counter() - begun

            with tempfile.TemporaryDirectory() as store:
                ours = hw.run(program, store=store, progress=False)
            return Pair(ours / many * 1000, asyncio.run(bare(server)) / many * 1000)

    return measure


ROWS: list[Row | Held] = [
    Row(
        method=f"MCP, {transport}",
        function="headway.tools.mcp.connections.Connection",
        item="mcp",
        claim="",
        shows="20 calls of half a second at once take no longer than twice one of them",
        baseline="one call, without anything beside it",
        unit="seconds",
        measure=measure_parallel(transport),
        reached=lambda low, high: high < 2.0,
        seeds=3,
        test=f"{TESTS}::test_twenty_calls_of_a_server_run_side_by_side_on_each_transport",
    )
    for transport in ("stdio", "http", "in process")
]
ROWS += [
    Row(
        method=f"MCP, {transport}",
        function="headway.tools.mcp.calls.call_tool",
        item="mcp",
        claim="",
        shows="a recorded call costs at most three times a bare one",
        baseline="the SDK's client alone, nothing recorded",
        unit="milliseconds a call",
        measure=measure_overhead(transport),
        reached=lambda low, high: high < 3.0,
        seeds=5,
        test=f"{TESTS}::test_tools_are_listed_called_and_stopped_on_each_transport",
    )
    for transport in ("stdio", "http")
]
ROWS += [
    Held(item="mcp", promise=promise, tests=tuple(f"{TESTS}::{name}" for name in names))
    for promise, names in (
        (
            "A call that is stopped stops the server's work, on each transport",
            ("test_tools_are_listed_called_and_stopped_on_each_transport",),
        ),
        (
            "A server that died in mid-call is opened again; what reads is asked again, an effect never",
            (
                "test_a_server_that_died_is_opened_again_and_only_what_reads_is_asked_again",
                "test_a_server_that_listens_may_be_gone_for_a_moment",
                "test_a_call_in_whose_middle_the_program_was_killed_is_not_made_again",
            ),
        ),
        ("A resumed run asks no server for what it knows", ("test_a_resumed_run_asks_no_server_for_what_it_knows",)),
        (
            "A server that hangs, floods, lies about its schema, or is none is one clear error",
            (
                "test_a_server_that_is_silent_fails_the_call_and_the_model_hears_of_it",
                "test_tools_are_listed_called_and_stopped_on_each_transport",
                "test_a_server_that_lies_about_its_answer_is_an_error_for_the_model",
                "test_a_program_that_is_no_server_is_one_clear_error",
                "test_a_server_without_an_address_or_with_two_is_refused",
            ),
        ),
        ("No address, header or environment of a server is recorded", ("test_no_secret_of_a_server_is_recorded",)),
    )
]
ROWS += [
    Held(
        item="mcp",
        promise="`headway mcp` offers tasks and runs to any MCP client",
        tests=(
            "tests/tools/mcp/test_mcp_offering.py::test_tasks_are_called_and_their_runs_seen",
            "tests/tools/mcp/test_mcp_offering.py::test_the_command_offers_a_program_on_its_standard_input_and_output",
            "tests/tools/mcp/test_mcp_offering.py::test_a_run_that_waits_is_answered_by_the_client",
        ),
    )
]
