"""An MCP server of a small web: it finds and opens pages, looks up facts, and files reports. It is slow, and it fails now and then.

    python examples/library/server.py FOLDER        # speaks on its standard input and output

What it is asked is written to FOLDER/asked.jsonl, and to the disk, before anything is done; what it files is in FOLDER/filed.jsonl.
Both outlive it. How long a request takes and how often it fails depends on its tool and arguments alone, so programs that ask for
the same are treated alike, in whatever order they ask.

Its environment: LIBRARY_QUESTIONS (a file of FanOutQA), LIBRARY_SUMMARIES (a wheel of further pages), LIBRARY_LATENCY_S (the mean
of a request), LIBRARY_FAILS (the share of requests that fail at first), LIBRARY_DIES_AT (the request at which it dies) and
LIBRARY_SEED.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from headway.reference.planner.facts import lookup
from library.fanout import load_questions
from library.lines import append_line, read_lines
from library.pages import Web, pages_of_atlas, pages_of_questions, pages_of_summaries

IDEMPOTENCY = "headway/idempotency-key"
READS = ToolAnnotations(read_only_hint=True)
SPREAD = 0.9  # of the logarithm of a latency: the slowest of ten takes about ten times as long as the fastest
MOST = 8.0  # latencies, in means


@dataclass(frozen=True)
class World:
    """How the server behaves.

    Attributes:
        seed: what latencies and failures are drawn from.
        latency_s: the mean of a request.
        fails: the share of requests that fail once; a fifth of them fail a second time.
        dies_at: the number of the request at which the process ends, 0 for never.
    """

    seed: int = 0
    latency_s: float = 0.0
    fails: float = 0.0
    dies_at: int = 0

    def latency_of(self, tool: str, arguments: str) -> float:
        """The seconds that a request takes."""
        rng = random.Random(f"latency {self.seed} {tool} {arguments}")
        return self.latency_s * min(MOST, rng.lognormvariate(-SPREAD * SPREAD / 2, SPREAD))

    def failures_of(self, tool: str, arguments: str) -> int:
        """How often a request fails before it succeeds."""
        drawn = random.Random(f"failures {self.seed} {tool} {arguments}").random()
        return (drawn < self.fails) + (drawn < self.fails / 5)


@dataclass
class Desk:
    """What is known of earlier requests, also of those before the server died."""

    folder: Path
    world: World
    seen: dict[tuple[str, str], int] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for line in read_lines(self.folder / "asked.jsonl"):
            self._note(line["tool"], line["arguments"])

    def _note(self, tool: str, arguments: str) -> int:
        self.count += 1
        self.seen[tool, arguments] = self.seen.get((tool, arguments), 0) + 1
        return self.seen[tool, arguments]

    async def take(self, tool: str, context: Context, **arguments: str) -> None:
        """Write a request down, and let it take its time. Raises ToolError where it fails."""
        said = json.dumps(arguments, ensure_ascii=False)
        append_line(self.folder / "asked.jsonl", {"tool": tool, "arguments": said, "key": key_of(context)})
        times = self._note(tool, said)
        if self.count == self.world.dies_at:
            os._exit(1)
        await asyncio.sleep(self.world.latency_of(tool, said))
        if times <= self.world.failures_of(tool, said):
            raise ToolError("the line broke before the answer came; ask again")


def key_of(context: Context) -> str:
    """What names a call for ever, where the client says it."""
    meta = context.request_context.meta
    return str((meta or {}).get(IDEMPOTENCY, ""))


def make_server(desk: Desk, web: Web) -> MCPServer:
    """The server, to run on any transport."""
    server = MCPServer("library", log_level="CRITICAL")

    @server.tool(annotations=READS)
    async def search(query: str, context: Context) -> list[str]:
        """Search the web. Gives the titles of up to three pages, the best first."""
        await desk.take("search", context, query=query)
        return web.search(query)

    @server.tool(name="open", annotations=READS)
    async def open_page(title: str, context: Context) -> str:
        """Open a page of the web by its title."""
        await desk.take("open", context, title=title)
        try:
            return web.open(title)
        except KeyError:
            raise ToolError(f"there is no page {title!r}") from None

    @server.tool(name="lookup", annotations=READS)
    async def look_up(entity: str, field: str, context: Context) -> dict[str, Any]:
        """Look up a field of a country, a city, a mountain or a river in the atlas."""
        await desk.take("lookup", context, entity=entity, field=field)
        try:
            return {"entity": entity, "field": field, "value": lookup(entity, field).value}
        except LookupError as error:
            raise ToolError(str(error)) from None

    @server.tool()
    async def file_report(question: str, answer: str, context: Context) -> str:
        """File an answer, for good. A second report of a question is one too many."""
        append_line(desk.folder / "filed.jsonl", {"question": question, "answer": answer, "key": key_of(context)})
        await desk.take("file_report", context, question=question)
        return "filed"

    @server.tool(annotations=READS)
    async def is_filed(question: str, context: Context) -> bool:
        """Whether there is a report of a question."""
        await desk.take("is_filed", context, question=question)
        return any(line["question"] == question for line in read_lines(desk.folder / "filed.jsonl"))

    return server


def main() -> None:
    given = os.environ.get
    world = World(
        seed=int(given("LIBRARY_SEED", "0")),
        latency_s=float(given("LIBRARY_LATENCY_S", "0")),
        fails=float(given("LIBRARY_FAILS", "0")),
        dies_at=int(given("LIBRARY_DIES_AT", "0")),
    )
    pages = pages_of_summaries(Path(wheel)) if (wheel := given("LIBRARY_SUMMARIES")) else {}
    pages |= pages_of_atlas()
    if questions := given("LIBRARY_QUESTIONS"):
        pages |= pages_of_questions(load_questions(Path(questions)))
    make_server(Desk(Path(sys.argv[1]), world), Web(pages)).run("stdio")
    os._exit(0)  # all is on the disk, and nobody has to wait while Python clears up


if __name__ == "__main__":
    main()
